"""The connector to the sandbox: a whole one, to try things out with and to learn from."""

from paymux.connectors.dummypay.connector import DummyPay

__all__ = ["DummyPay"]
