"""What can be asked of a list: which of its rows, and in which order; typed, however it was written.

A comparison with something that is absent is false, and its ``Not`` is true: there is no third answer.
"""

from enum import Enum, StrEnum
from typing import Any, TypeAlias

import msgspec


class Kind(Enum):
    """What a column holds, and so what it can be compared with."""

    TEXT = "text"
    WORD = "one of a few words"
    ASSET = "an asset, such as EUR/2"
    REFERENCE = "the provider's own id"
    NUMBER = "a whole number"
    TIME = "a time, such as 2019-05-15T14:00:00Z"
    CONNECTOR = "a connectorID"
    PROVIDER = "a provider, such as STRIPE"
    ACCOUNT = "an account's id"
    PAYMENT = "a payment's id"
    TRANSFER = "a transfer initiation's id"
    METADATA = "text under a key"
    KEY = "the key of a row"


class Operator(StrEnum):
    """How a column is compared."""

    MATCH = "$match"
    LT = "$lt"
    LTE = "$lte"
    GT = "$gt"
    GTE = "$gte"
    IN = "$in"
    LIKE = "$like"
    EXISTS = "$exists"


ORDERED = (Operator.LT, Operator.LTE, Operator.GT, Operator.GTE)


class Compare(msgspec.Struct, frozen=True):
    """One comparison: the value is of the column's kind, a tuple for IN, a boolean for EXISTS.

    ``key`` is of the metadata, where the column is that.
    """

    column: str
    operator: Operator
    value: Any
    key: str = ""


class Every(msgspec.Struct, frozen=True):
    """All of these hold."""

    of: tuple["Condition", ...]


class Some(msgspec.Struct, frozen=True):
    """At least one of these holds."""

    of: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """This does not hold."""

    of: "Condition"


Condition: TypeAlias = Compare | Every | Some | Not


class By(msgspec.Struct, frozen=True):
    """One column of an order."""

    column: str
    descending: bool = False
