"""A bank account is made known to a provider once, whatever gets lost, and its numbers go nowhere else."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import structlog
from tests.integration.services.conftest import Start, events_of, open_again, until

from paymux import logs
from paymux.bootstrap import Service
from paymux.connectors.dummypay.connector import DummyPay
from paymux.domain.bank_account import Numbers
from paymux.domain.ids import ConnectorID
from paymux.runtime.installations import InstallationGone
from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import API_KEY, Sandbox
from paymux.sdk import Account, AccountType, BankAccountToCreate, ConnectorContext, Refused
from paymux.services import forwarding
from paymux.services.banking import BankAccountToKeep, NoSuchBankAccount
from paymux.services.forwarding import (
    BeingForwarded,
    CannotForward,
    ForwardFailed,
    ForwardRefused,
    ForwardUnknown,
)
from paymux.storage import bank_accounts
from paymux.storage.database import Database, DatabaseError
from paymux.storage.listing import Asked

IBAN = "DE89370400440532013000"
NUMBER = "19-2000145399/0800"
NAME = "A beneficiary"

Hook = Callable[[BankAccountToCreate], Awaitable[None]]


class Watched(DummyPay):
    """Counts what it sends, and does what a test says before and after."""

    name = "dummypay"
    sent: ClassVar[list[BankAccountToCreate]]
    before: ClassVar[Hook | None] = None
    after: ClassVar[Hook | None] = None

    async def create_external_bank_account(
        self, ctx: ConnectorContext, bank_account: BankAccountToCreate
    ) -> Account:
        kind = type(self)
        kind.sent.append(bank_account)
        if kind.before is not None:
            await kind.before(bank_account)
        made = await super().create_external_bank_account(ctx, bank_account)
        if kind.after is not None:
            await kind.after(bank_account)
        return made


@pytest.fixture(scope="module")
def provider() -> Iterator[Sandbox]:
    with Sandbox(seed=7, payments=0, lateness=3600) as running:
        yield running


@pytest.fixture
def sandbox(provider: Sandbox) -> Sandbox:
    provider.reset()
    return provider


@pytest.fixture
def watched() -> Any:
    """A class of the test's own."""
    return type("Watched", (Watched,), {"name": "dummypay", "sent": []})


class Desk:
    """A service, an installation, and a bank account to forward to it."""

    def __init__(self, running: Service, connector: ConnectorID, bank_account: UUID) -> None:
        self.running = running
        self.connector = connector
        self.bank_account = bank_account

    async def forward(self, running: Service | None = None) -> None:
        of = (running or self.running).forwarding
        await of.forward(self.bank_account, await of.able(self.connector))

    async def related(self) -> list[str]:
        rows = await bank_accounts.get(self.running.database, self.bank_account)
        return [row["account"] for row in rows if row["account"] is not None]


@pytest.fixture
async def desk(start: Start, watched: Any, sandbox: Sandbox) -> Desk:
    running = await start(watched, worker=False)
    config = {"url": sandbox.url, "apiKey": API_KEY, "requestTimeout": "500ms", "pollingPeriod": "200ms"}
    connector = await running.installing.install("dummypay", config)
    kept = BankAccountToKeep(
        name=NAME, country="DE", numbers=Numbers(IBAN, NUMBER), bic="DEUTDEFF", metadata={"a": "1"}
    )
    return Desk(running, connector, await running.banking.create(kept))


def beneficiaries(sandbox: Sandbox) -> list[str]:
    """Ids of what the provider has made of the bank account."""
    return [one["id"] for one in sandbox.books()["accounts"].values() if one["name"] == NAME]


async def test_it_is_made_known_once(desk: Desk, watched: Any, sandbox: Sandbox) -> None:
    """With its numbers in clear, and the account comes in with its event; again, nothing more happens."""
    for _ in range(2):
        await desk.forward()

    (sent,) = watched.sent
    assert (sent.iban, sent.account_number, sent.bic) == (IBAN, NUMBER, "DEUTDEFF")
    assert (sent.name, sent.country, sent.metadata) == (NAME, "DE", {"a": "1"})
    assert await desk.related() == beneficiaries(sandbox)
    assert len(beneficiaries(sandbox)) == 1
    assert len(await events_of(desk.running.database, "SAVED_ACCOUNT")) == 1
    kept, forwarded = await events_of(desk.running.database, "SAVED_BANK_ACCOUNT")
    assert json.loads(kept["facts"])["adjustments"] == []
    assert len(json.loads(forwarded["facts"])["adjustments"]) == 1


async def test_many_who_ask_at_once_make_one_call(
    desk: Desk, start: Start, watched: Any, sandbox: Sandbox
) -> None:
    """In one process and in another; all of them get what the one has got."""
    other = await start(watched, worker=False)
    sandbox.misbehave("slow", on="POST")
    await asyncio.gather(*(desk.forward(running) for running in (desk.running, other) for _ in range(4)))

    assert len(watched.sent) == 1
    assert await desk.related() == beneficiaries(sandbox)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (Misbehaviour.DROP_AFTER, ForwardUnknown),
        (Misbehaviour.CUT_AFTER, ForwardUnknown),
        (Misbehaviour.FAIL_AFTER, ForwardUnknown),
        (Misbehaviour.HANG_AFTER, ForwardUnknown),
        (Misbehaviour.GARBLE_AFTER, ForwardUnknown),
        (Misbehaviour.LATE, ForwardUnknown),
        (Misbehaviour.DROP_BEFORE, ForwardUnknown),
        (Misbehaviour.FAIL_BEFORE, ForwardUnknown),
        (Misbehaviour.HANG_BEFORE, ForwardUnknown),
        (Misbehaviour.FORBID, ForwardUnknown),
        (Misbehaviour.RATE_LIMIT, ForwardFailed),
    ],
    ids=str,
)
async def test_what_got_lost_is_asked_for_again_under_the_same_key(
    desk: Desk, watched: Any, sandbox: Sandbox, wrong: Misbehaviour, error: type[Exception]
) -> None:
    """With the words of the first time, whatever has changed since; the provider makes one account of it."""
    sandbox.misbehave(wrong, on="POST")
    with pytest.raises(error) as failed:
        await desk.forward()
    assert failed.value.fields == {"bankAccountID": str(desk.bank_account)}  # type: ignore[attr-defined]
    assert await desk.related() == []
    await desk.running.banking.describe(desk.bank_account, {"a": "2", "b": "3"})
    await desk.forward()
    sandbox.hurry()

    first, second = watched.sent
    assert first == second
    assert len(beneficiaries(sandbox)) == 1
    assert await desk.related() == beneficiaries(sandbox)


async def test_a_crash_before_the_answer_is_stored_is_settled_by_asking_again(
    desk: Desk, watched: Any, sandbox: Sandbox
) -> None:
    """Cut off after the provider has answered, at each step until the end."""
    answered = asyncio.Event()

    async def hang(_: BankAccountToCreate) -> None:
        answered.set()
        await asyncio.sleep(60)

    watched.after = staticmethod(hang)
    dying = asyncio.create_task(desk.forward())
    await answered.wait()
    dying.cancel()
    await asyncio.wait([dying])
    assert len(beneficiaries(sandbox)) == 1
    watched.after = None

    # The account has come in, and nothing yet says that it is this one.
    table = "ALTER TABLE bank_account_forward"
    await desk.running.database.execute(f"{table} ADD CONSTRAINT never CHECK (account IS NULL)")
    with pytest.raises(DatabaseError):
        await desk.forward()
    await desk.running.database.execute(f"{table} DROP CONSTRAINT never")
    assert await desk.related() == []
    await desk.forward()

    assert len({one.idempotency_key for one in watched.sent}) == 1
    assert await desk.related() == beneficiaries(sandbox)
    assert len(beneficiaries(sandbox)) == 1


async def test_after_a_refusal_another_attempt_is_made(desk: Desk, watched: Any, sandbox: Sandbox) -> None:
    """Under another key and with the metadata of then; the refusal is told without the numbers in it."""

    async def refuse(order: BankAccountToCreate) -> None:
        if "owner" not in order.metadata:
            spaced = " ".join(IBAN[place : place + 4] for place in range(0, len(IBAN), 4))
            raise Refused(f"no owner of {order.iban}, which is {spaced} or {order.account_number}")

    watched.before = staticmethod(refuse)
    for _ in range(2):
        with pytest.raises(ForwardRefused, match="no owner of ") as refused:
            await desk.forward()
        assert not any(number in str(refused.value) for number in (IBAN, "3704", NUMBER))
    await desk.running.banking.describe(desk.bank_account, {"owner": "me"})
    await desk.forward()

    assert len({one.idempotency_key for one in watched.sent}) == 3
    assert watched.sent[-1].metadata == {"a": "1", "owner": "me"}
    assert await desk.related() == beneficiaries(sandbox)


async def test_the_log_holds_no_number(desk: Desk, watched: Any) -> None:
    """Not even the traceback of a connector that puts them into its error, or logs them itself."""

    async def fail(order: BankAccountToCreate) -> None:
        structlog.get_logger().info("Making known", order=order, iban=order.iban)
        raise RuntimeError(f"cannot encode {order.iban} and {order.account_number}")

    watched.before = staticmethod(fail)
    stream = io.BytesIO()
    logs.configure("json", "info", desk.running.forwarding._at_work.mask, stream)
    try:
        with pytest.raises(ForwardUnknown, match="cannot encode") as failed:
            await desk.forward()
    finally:
        structlog.reset_defaults()

    log = stream.getvalue().decode()
    assert "Traceback" in log
    assert "Making known" in log
    for number in (IBAN, NUMBER):
        assert number not in log
        assert number not in str(failed.value)


async def test_what_makes_no_sense_is_not_kept(desk: Desk, watched: Any, sandbox: Sandbox) -> None:
    """What is no account, or one without a reference: what the provider has made is asked for again."""
    answers: list[object] = [None, Account(reference="", type=AccountType.EXTERNAL), "text"]

    async def wrong(self: Any, ctx: Any, order: BankAccountToCreate) -> object:
        await DummyPay.create_external_bank_account(self, ctx, order)
        return answers.pop()

    watched.create_external_bank_account = wrong
    while answers:
        with pytest.raises(ForwardUnknown):
            await desk.forward()
    del watched.create_external_bank_account
    await desk.forward()

    assert await desk.related() == beneficiaries(sandbox)
    assert len(beneficiaries(sandbox)) == 1


async def test_whoever_waits_too_long_is_told(
    desk: Desk, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the one who holds it is not disturbed."""
    go_on = asyncio.Event()

    async def wait(_: BankAccountToCreate) -> None:
        await go_on.wait()

    watched.before = staticmethod(wait)
    slow = asyncio.create_task(desk.forward())
    await until(lambda: _true(watched.sent))
    monkeypatch.setattr(forwarding, "WAIT_MAX", forwarding.ASK_MAX / 300)
    with pytest.raises(BeingForwarded):
        await desk.forward()
    go_on.set()
    await slow
    assert len(await desk.related()) == 1


async def _true(found: Any) -> bool:
    return bool(found)


async def test_a_call_that_never_ends_is_given_up(
    desk: Desk, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As unknown: it may still be carried out."""

    async def hang(_: BankAccountToCreate) -> None:
        await asyncio.sleep(60)

    watched.before = staticmethod(hang)
    monkeypatch.setattr(forwarding, "ASK_MAX", forwarding.ASK_MAX / 300)
    with pytest.raises(ForwardUnknown):
        await desk.forward()


async def test_only_what_can_be_forwarded_is(desk: Desk, start: Start, depot: Any) -> None:
    """A connector that cannot, a bank account that is not there, an installation that is gone."""
    running = await start(depot, worker=False)
    other = await running.installing.install("depot", {})
    with pytest.raises(CannotForward, match="DEPOT"):
        await running.forwarding.able(other)
    able = await desk.running.forwarding.able(desk.connector)
    with pytest.raises(NoSuchBankAccount):
        await desk.running.forwarding.forward(uuid4(), able)
    await desk.running.installing.uninstall("dummypay", desk.connector)
    with pytest.raises(InstallationGone):
        await desk.running.forwarding.forward(desk.bank_account, able)


async def test_it_is_related_again_after_a_reset_and_no_more_after_an_uninstall(
    desk: Desk, start: Start, watched: Any, sandbox: Sandbox
) -> None:
    """The provider is not asked to make it again: the account comes back when accounts are read."""
    await desk.forward()
    await start(watched)
    await desk.running.installing.reset("dummypay", desk.connector)
    await open_again(desk.running, desk.connector)
    await until(desk.related)
    await desk.forward()
    assert len(watched.sent) == 1
    assert await desk.related() == beneficiaries(sandbox)

    await desk.running.installing.uninstall("dummypay", desk.connector)

    async def gone() -> bool:
        count = await desk.running.database.fetchval("SELECT count(*) FROM bank_account_forward")
        return count == 0 and await desk.related() == []

    await until(gone)


async def test_a_list_shows_each_once_with_all_it_has_become(desk: Desk, sandbox: Sandbox) -> None:
    """However many accounts providers have made of it, and whichever way a page is walked."""
    config = {"url": sandbox.url, "apiKey": API_KEY}
    banking, running = desk.running.banking, desk.running
    other = await running.installing.install("dummypay", config)
    kept = BankAccountToKeep(name="Another", country="DE", numbers=Numbers("", NUMBER))
    newer = await banking.create(kept)
    await desk.forward()
    await running.forwarding.forward(desk.bank_account, await running.forwarding.able(other))
    for way in (Asked(), Asked(backwards=True)):
        found, places = await bank_accounts.listed(running.database, way, 10)
        assert [(of[0]["id"], len(of)) for of in found] == [(newer, 1), (desk.bank_account, 2)]
        assert len(set(places)) == 2
    found, places = await bank_accounts.listed(running.database, Asked(), 1)
    rest, _ = await bank_accounts.listed(running.database, Asked(at=places[0]), 1)
    assert [of[0]["id"] for of in found + rest] == [newer, desk.bank_account]


async def test_its_numbers_are_nowhere_in_clear(desk: Desk, sandbox: Sandbox) -> None:
    """In no table, whatever happened to it."""
    sandbox.misbehave(Misbehaviour.FAIL_AFTER, on="POST")
    with pytest.raises(ForwardUnknown):
        await desk.forward()
    await desk.running.banking.describe(desk.bank_account, {"b": "2"})
    await desk.forward()

    text = await everything(desk.running.database)
    assert NAME in text
    assert not any(number in text for number in (IBAN, IBAN[4:-4], NUMBER, "2000145399"))


async def everything(database: Database) -> str:
    """All rows of all tables as text."""
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'paymux'")
    texts = [
        await database.fetchval(f"SELECT string_agg(t::text, chr(10)) FROM {row[0]} AS t")  # noqa: S608
        for row in tables
    ]
    return "\n".join(filter(None, texts))
