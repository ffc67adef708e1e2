"""paymux connects payment providers and banks to one record of money."""

__version__ = "0.1.0"
