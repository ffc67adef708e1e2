"""Reads balances: what accounts held, from when until when."""

from datetime import datetime
from uuid import UUID

from paymux.domain.filter import Compare, Condition, Every, Kind, Not, Operator, Some
from paymux.storage import listing
from paymux.storage.database import Database, Row
from paymux.storage.listing import Asked, Column, Noun, Place
from paymux.storage.statements import statements

_SQL = statements("balances")

BALANCES = Noun(
    "balance",
    {
        "asset": Column(Kind.ASSET, "r.asset"),
        "balance": Column(Kind.NUMBER, "r.amount"),
        "createdAt": Column(Kind.TIME, "r.created_at"),
        "lastUpdatedAt": Column(Kind.TIME, "r.last_updated_at"),
        "account": Column(Kind.KEY, "r.account", hidden=True),
        # When the next interval of this account and asset began.
        "followed": Column(
            Kind.TIME,
            "(SELECT min(n.created_at) FROM balance n"
            " WHERE n.account = r.account AND n.asset = r.asset AND n.created_at > r.created_at)",
            hidden=True,
        ),
    },
    _SQL["list"],
    last=("createdAt", "asset"),
)


def of(account: UUID) -> Condition:
    """Balances of one account."""
    return Compare("account", Operator.MATCH, account)


def since(time: datetime) -> Condition:
    """Intervals that reach to this time or beyond; the last of an asset has no end."""
    return Some(
        (Compare("lastUpdatedAt", Operator.GTE, time), Not(Compare("followed", Operator.EXISTS, True)))
    )


def at(time: datetime) -> Condition:
    """The one interval of each asset that holds at this time, also when it is later than the last poll."""
    return Every((Compare("createdAt", Operator.LTE, time), Not(Compare("followed", Operator.LTE, time))))


async def listed(db: Database, asked: Asked, limit: int) -> tuple[list[Row], list[Place]]:
    """Balances of the account that ``asked`` names by ``of``, and the place of each.

    Raises:
        TooSlow: it took longer than a list may.
    """
    return await listing.listed(db, BALANCES, asked, limit)
