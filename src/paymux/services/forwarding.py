"""Make a bank account known to a provider: once, whoever asks at the same time and whatever gets lost.

What is sent and its idempotency key are stored before the provider is asked. An answer that was lost, or a
crash before it was stored, leaves them there: whoever forwards again asks again under the same key with the
same words, and the provider answers with what it has made the first time.
"""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import structlog

from paymux.domain.bank_account import Numbers
from paymux.domain.ids import ConnectorID, row_key
from paymux.domain.mask import hiding
from paymux.domain.transfer import idempotency_key
from paymux.ingestion.ingester import Counts, Holder, Ingester, Superseded
from paymux.ingestion.page import Page
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.installations import Installation, InstallationGone
from paymux.runtime.scheduling import Planner
from paymux.sdk import Account, BankAccountToCreate, Connector, Refused, TryAgain
from paymux.services.banking import Banking, NoSuchBankAccount, changed
from paymux.services.calling import ConnectorFailed, calling
from paymux.services.installing import Installing, able
from paymux.services.means import Means
from paymux.storage import bank_accounts
from paymux.storage.database import Locked, Row

# Somebody waits for the answer, and whoever asks for the same at the same time waits for that first. Both
# together take less time than a request may.
ASK_MAX = timedelta(seconds=25)
WAIT_MAX = timedelta(seconds=28)
# Each holds a connection of its own while its provider is asked.
AT_ONCE = 8


class CannotForward(ValueError):
    """This connector cannot make bank accounts known to its provider."""


class NotForwarded(Exception):
    """It is not known whether the provider has this bank account."""

    def __init__(self, bank_account: UUID, why: str = "") -> None:
        super().__init__(f"{self.__doc__} {why}".strip())
        # It was kept in any case, and whoever has made it just now does not know its id yet.
        self.fields = {"bankAccountID": str(bank_account)}


class ForwardRefused(NotForwarded):
    """The provider has refused this bank account, and nothing was made of it."""


class ForwardFailed(NotForwarded):
    """The provider was not asked, or could not answer; surely nothing was made. Forward it again later."""


class ForwardUnknown(NotForwarded):
    """The provider may have made an account of it: the answer was lost. Forward it again; it is made once."""


class BeingForwarded(NotForwarded):
    """This bank account is being forwarded there at the moment. Look at it in a while."""


class Forwarding:
    """Forwards bank accounts to installations."""

    def __init__(self, means: Means, installing: Installing, banking: Banking, ingester: Ingester) -> None:
        self._database = means.database
        self._at_work = means.at_work
        self._engine = means.engine
        self._told = means.told
        self._installing = installing
        self._banking = banking
        self._ingester = ingester
        self._places = asyncio.Semaphore(AT_ONCE)

    async def able(self, connector: ConnectorID) -> Installation:
        """The installation, when bank accounts can be forwarded to it.

        Raises:
            NotInstalled, BeingReset, UnknownConnector, CannotForward: they cannot.
        """
        row = await self._installing.find(connector.provider, connector)
        installation = able(self._at_work, row, Connector.create_external_bank_account)
        if installation is None:
            raise CannotForward(f"{CannotForward.__doc__} It is of {connector.provider}.")
        return installation

    async def forward(self, bank_account: UUID, installation: Installation) -> None:
        """Make it known there. Once it is, this does nothing more.

        Raises:
            NoSuchBankAccount, InstallationGone, BeingForwarded: the provider was not asked.
            ForwardRefused, ForwardFailed, ForwardUnknown: they say what became of it.
        """
        name = f"forward {bank_account} {installation.id.reference}"
        async with self._places:
            try:
                async with self._database.locked(name, WAIT_MAX.total_seconds()):
                    await self._forward(bank_account, installation)
            except Locked:
                raise BeingForwarded(bank_account) from None

    async def _forward(self, bank_account: UUID, installation: Installation) -> None:
        found = await bank_accounts.opened(self._database, bank_account)
        if found is None:
            raise NoSuchBankAccount(NoSuchBankAccount.__doc__)
        step = await self._begun(bank_account, installation)
        if step["there"]:
            return
        numbers = self._banking.numbers(bank_account, found["numbers"])
        with hiding(numbers.spellings()):
            account = await self._asked(bank_account, installation, _order(found, numbers, step))
            await self._keep(bank_account, installation, account)

    async def _begun(self, bank_account: UUID, installation: Installation) -> Row:
        """What is to be sent, stored."""
        key = self._key(bank_account, installation, 1)
        step = await bank_accounts.begin(self._database, bank_account, installation.key, uuid4(), key)
        if step is not None and step["refused"]:
            attempt = step["attempt"] + 1
            key = self._key(bank_account, installation, attempt)
            step = await bank_accounts.anew(self._database, bank_account, installation.key, attempt, key)
        if step is None:
            raise InstallationGone(InstallationGone.__doc__)
        return step

    async def _asked(
        self, bank_account: UUID, installation: Installation, order: BankAccountToCreate
    ) -> Account:
        """The provider's answer."""
        log = _log(bank_account, installation)
        planner = Planner(self._database, self._engine, Holder(installation.key, installation.id.reference))
        context = InstallationContext(installation, planner, log)
        log.info("Forwarding bank account", idempotencyKey=order.idempotency_key)
        try:
            with calling(self._at_work.mask, "create_external_bank_account"):
                async with asyncio.timeout(ASK_MAX.total_seconds()):
                    made: object = await installation.connector.create_external_bank_account(context, order)
                return _sound(installation, made)
        except ConnectorFailed as failed:
            log.warning("Bank account not forwarded", error=str(failed))
            match failed.__cause__:
                case Refused():
                    await bank_accounts.refused(self._database, bank_account, installation.key)
                    raise ForwardRefused(bank_account, str(failed)) from None
                case TryAgain():
                    raise ForwardFailed(bank_account, str(failed)) from None
            raise ForwardUnknown(bank_account, str(failed)) from None

    async def _keep(self, bank_account: UUID, installation: Installation, account: Account) -> None:
        """Take the account in, and then that it is this one; what is cut short between is asked for again."""
        holder = Holder(installation.key, installation.id.reference, provider=installation.id.provider)
        key = row_key(holder.uuid, "account", account.reference)
        try:
            await self._ingester.commit(holder, Page(holder.uuid, accounts=[account]), Counts())
        except Superseded:
            raise InstallationGone(InstallationGone.__doc__) from None
        async with self._database.transaction() as db:
            await bank_accounts.hold(db, bank_account)
            if not await bank_accounts.relate(db, bank_account, installation.key, key):
                raise InstallationGone(InstallationGone.__doc__)
            await changed(db, bank_account)
        _log(bank_account, installation).info("Bank account forwarded", account=account.reference)
        self._told()

    @staticmethod
    def _key(bank_account: UUID, installation: Installation, attempt: int) -> str:
        # No reference of an order to move money holds a NUL: the keys of both are never the same.
        named = f"bank account\0{bank_account}"
        limit = type(installation.connector).idempotency_key_max
        return idempotency_key(installation.id.reference, named, attempt, limit)


def _order(found: Row, numbers: Numbers, step: Row) -> BankAccountToCreate:
    return BankAccountToCreate(
        name=found["name"],
        country=found["country"],
        iban=numbers.iban,
        account_number=numbers.account_number,
        bic=found["bic"],
        metadata=msgspec.json.decode(step["metadata"] or "{}", type=dict[str, str]),
        idempotency_key=step["idempotency_key"],
    )


def _sound(installation: Installation, made: object) -> Account:
    """The account, when it can be kept. Raises TypeError or ValueError."""
    if not isinstance(made, Account):
        raise TypeError(f"it made a {type(made).__name__}, which is no account")
    aside = Page(installation.id.reference, accounts=[made]).aside
    if aside:
        raise ValueError(f"it made an account that cannot be kept: {aside[0][2]}")
    return made


def _log(bank_account: UUID, installation: Installation) -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(
        component="bank-accounts", bankAccountID=str(bank_account), connectorID=installation.id.encode()
    )
    return log
