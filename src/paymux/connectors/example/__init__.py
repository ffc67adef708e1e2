"""The tutorial's connector: reads payments from files in a directory."""

from paymux.connectors.example.connector import Example

__all__ = ["Example"]
