"""Records that people bring in by hand: they go in by the same door as those of providers."""

from collections.abc import Mapping
from uuid import UUID

from paymux.domain.account import Account
from paymux.domain.ids import ConnectorID, row_key
from paymux.domain.payment import Payment
from paymux.ingestion.ingester import Counts, Holder, Ingester, Superseded
from paymux.ingestion.page import Page
from paymux.ingestion.rows import METADATA_MAX
from paymux.services.installing import BeingReset, Installing, NotInstalled
from paymux.services.means import Means
from paymux.storage import installations, payments
from paymux.storage.database import Connection
from paymux.storage.payments import Annotated


class CannotRecord(ValueError):
    """The record breaks a rule; ``field`` is the name that the record has for it."""

    def __init__(self, reason: str) -> None:
        self.field, _, self.why = reason.partition(": ")
        super().__init__(reason)


class NoSuchPayment(LookupError):
    """There is no such payment."""


class TooMuchMetadata(ValueError):
    """All metadata that is set on one payment together must fit into a million characters."""


class Recording:
    """Takes in payments, accounts and metadata from people."""

    def __init__(self, means: Means, installing: Installing, ingester: Ingester) -> None:
        self._database = means.database
        self._told = means.told
        self._installing = installing
        self._ingester = ingester

    async def payment(self, connector: ConnectorID, record: Payment) -> UUID:
        """File a report about a payment; returns the payment's key.

        Raises:
            NotInstalled, BeingReset, CannotRecord: nothing was recorded.
        """
        await self._commit(connector, Page(connector.reference, payments=[record]))
        return row_key(connector.reference, "payment", record.reference)

    async def account(self, connector: ConnectorID, record: Account) -> UUID:
        """Describe an account; returns its key.

        Raises:
            NotInstalled, BeingReset, CannotRecord: nothing was recorded.
        """
        await self._commit(connector, Page(connector.reference, accounts=[record]))
        return row_key(connector.reference, "account", record.reference)

    async def annotate(self, payment: UUID, metadata: Mapping[str, str]) -> None:
        """Set metadata of a payment. What is set here stays, whatever the provider says of the same key.

        Raises:
            NoSuchPayment, TooMuchMetadata: nothing was set.
        """
        match await payments.annotate(self._database, payment, metadata, METADATA_MAX):
            case Annotated.ABSENT:
                raise NoSuchPayment(NoSuchPayment.__doc__)
            case Annotated.TOO_LARGE:
                raise TooMuchMetadata(TooMuchMetadata.__doc__)
            case Annotated.CHANGED:
                self._told()

    async def _commit(self, connector: ConnectorID, page: Page) -> None:
        if page.aside:
            _, _, reason, _ = page.aside[0]
            raise CannotRecord(reason)
        row = await self._installing.find(connector.provider, connector)

        async def stay(db: Connection) -> None:
            if not await installations.keep_open(db, row["id"]):
                raise BeingReset(BeingReset.__doc__)

        try:
            await self._ingester.commit(Holder(row["id"], row["uuid"]), page, Counts(), also=stay)
        except Superseded:
            raise NotInstalled(NotInstalled.__doc__) from None
