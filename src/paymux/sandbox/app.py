"""The provider's interface: ``/v1/…`` for clients, ``/_…`` to look into its books and to order trouble."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from paymux.sandbox import history
from paymux.sandbox.books import Account, BankAccount, Books, Declined, Fate, Order, Payment, Reversal
from paymux.sandbox.listing import LIMIT, Asked, page, spoiled
from paymux.sandbox.menu import Menu, Misbehaviour, Wish
from paymux.sandbox.wire import CHOSEN

# How long what is pending stays so.
PENDING = timedelta(seconds=2)
# How long after its last change a payment may still change silently.
RECENT = timedelta(minutes=30)

_FATES = {
    Misbehaviour.PENDING: Fate("settled", PENDING),
    Misbehaviour.FAIL_LATER: Fate("failed", PENDING),
}

Call: TypeAlias = "Request[Any, Any, Any]"
Answer: TypeAlias = "Response[bytes]"
T = TypeVar("T")
R = TypeVar("R", Account, Payment)


class Provider:
    """One provider: its books and its moods."""

    def __init__(
        self, seed: int = 0, payments: int = 100, probability: dict[Misbehaviour, float] | None = None
    ) -> None:
        self.seed = seed
        self._payments = payments
        self._probability = probability
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.books = Books()
        self.menu = Menu(self.seed, self._probability)
        history.write(self.books, self.seed, self._payments)

    def told(self) -> dict[str, Any]:
        """Everything, as it truly is."""
        self.books.settle()
        return {
            "accounts": self.books.accounts,
            "payments": self.books.payments,
            "balances": [
                {"account": account, "currency": currency, "amount": amount}
                for (account, currency), amount in self.books.balances.items()
            ],
            "orders": self.books.orders(),
            "served": self.menu.served,
            "ordered": self.menu.waiting,
        }

    def change_silently(self, chosen: AbstractSet[Misbehaviour]) -> None:
        """If it was chosen, change one of the latest payments that came in to one in dispute; tell nobody."""
        if Misbehaviour.SILENT_CHANGE in chosen:
            payments = self.books.payments.values()
            recent = max((p.updated_at for p in payments), default=self.books.clock()) - RECENT
            settled = [
                p for p in payments if (p.kind, p.status) == ("payin", "settled") and p.updated_at > recent
            ]
            if settled:
                self.books.change(settled[self.menu.pick(len(settled))], "disputed", silently=True)


Injected: TypeAlias = NamedDependency[Provider]


@get("/v1/accounts")
async def list_accounts(request: Call, provider: Injected) -> Answer:
    """Accounts, the customer's own and beneficiaries'."""
    return _list(request, provider, provider.books.accounts.values())


@get("/v1/balances")
async def list_balances(request: Call, provider: Injected) -> Answer:
    """What each account of the customer's holds."""
    now = provider.books.clock()
    rows = [{**balance, "at": now} for balance in provider.told()["balances"]]
    return _json({"data": spoiled(rows, _chosen(request), provider.menu), "next_cursor": None})


@get("/v1/payments")
async def list_payments(request: Call, provider: Injected) -> Answer:
    """Payments, or those of one idempotency key or reference."""
    provider.books.settle()
    rows = list(provider.books.payments.values())
    for field in ("idempotency_key", "reference"):
        if field in request.query_params:
            rows = [row for row in rows if getattr(row, field) == request.query_params[field]]
    answer = _list(request, provider, rows)
    provider.change_silently(_chosen(request))
    return answer


@get("/v1/payments/{payment_id:str}")
async def get_payment(request: Call, payment_id: FromPath[str], provider: Injected) -> Answer:
    """One payment."""
    provider.books.settle()
    return _one(request, provider, provider.books.find(payment_id), 200)


@post("/v1/payouts")
async def pay_out(request: Call, provider: Injected) -> Answer:
    """Pay a beneficiary, once for each Idempotency-Key."""
    made = provider.books.pay("payout", await _body(request, Order), _key(request), _fate(request))
    return _one(request, provider, made)


@post("/v1/transfers")
async def transfer(request: Call, provider: Injected) -> Answer:
    """Move money between the customer's accounts, once for each Idempotency-Key."""
    made = provider.books.pay("transfer", await _body(request, Order), _key(request), _fate(request))
    return _one(request, provider, made)


@post("/v1/payments/{payment_id:str}/reversals")
async def reverse(request: Call, payment_id: FromPath[str], provider: Injected) -> Answer:
    """Take some of a payment back, once for each Idempotency-Key."""
    provider.books.settle()
    made = provider.books.reverse(payment_id, await _body(request, Reversal), _key(request), _fate(request))
    return _one(request, provider, made)


@post("/v1/bank_accounts")
async def make_known(request: Call, provider: Injected) -> Answer:
    """Make a beneficiary known, once for each Idempotency-Key."""
    return _json(provider.books.make_known(await _body(request, BankAccount), _key(request)), 201)


@get("/_books")
async def look(provider: Injected) -> Answer:
    """What is true: accounts, payments, balances, how often each order was paid, which trouble was served.

    ``ordered`` counts the next calls for which something is still ordered.
    """
    return _json(provider.told())


@post("/_reset")
async def reset(provider: Injected) -> Answer:
    """Begin anew, as with the seed it was started with."""
    provider.reset()
    return _json({})


@post("/_misbehave")
async def misbehave(request: Call, provider: Injected) -> Answer:
    """Order trouble; an empty order is for good behaviour."""
    provider.menu.order(await _body(request, Wish))
    return _json({"menu": list(Misbehaviour)})


class More(msgspec.Struct, forbid_unknown_fields=True):
    """How many payments come in."""

    payments: int = 1


@post("/_more")
async def more(request: Call, provider: Injected) -> Answer:
    """Let more payments happen, now."""
    history.add(provider.books, provider.seed, (await _body(request, More)).payments)
    return _json({"payments": len(provider.books.payments)})


def application(provider: Provider) -> Litestar:
    """Build the interface around a provider."""
    return Litestar(
        [list_accounts, list_balances, list_payments, get_payment, pay_out, transfer, reverse, make_known,
         look, reset, misbehave, more],
        dependencies={"provider": Provide(lambda: provider, sync_to_thread=False, use_cache=True)},
        exception_handlers={Declined: _declined, HTTPException: _nowhere, ValueError: _unreadable},
        openapi_config=None,
        logging_config=None,
    )  # fmt: skip


def _declined(_: Call, error: Declined) -> Answer:
    return _json({"error": {"code": error.code, "message": str(error)}}, error.status)


def _nowhere(_: Call, error: HTTPException) -> Answer:
    return _json({"error": {"code": "not_here", "message": error.detail}}, error.status_code)


def _unreadable(_: Call, error: ValueError) -> Answer:
    return _json({"error": {"code": "bad_request", "message": str(error)}}, 400)


def _chosen(request: Call) -> AbstractSet[Misbehaviour]:
    chosen: AbstractSet[Misbehaviour] = request.scope["state"][CHOSEN]
    return chosen


def _key(request: Call) -> str:
    return request.headers.get("idempotency-key", "")


def _fate(request: Call) -> Fate | None:
    return next((_FATES[one] for one in _chosen(request) if one in _FATES), None)


async def _body(request: Call, kind: type[T]) -> T:
    return msgspec.json.decode(await request.body() or b"{}", type=kind)


def _list(request: Call, provider: Provider, rows: Iterable[R]) -> Answer:
    given = request.query_params
    since = given.get("updated_after")
    asked = Asked(
        since=msgspec.convert(since, datetime) if since else None,
        cursor=given.get("cursor", ""),
        limit=int(given.get("limit", LIMIT)),
    )
    return _json(page(rows, asked, _chosen(request), provider.menu))


def _one(request: Call, provider: Provider, payment: Payment, status: int = 201) -> Answer:
    (row,) = spoiled(
        [msgspec.to_builtins(payment)], _chosen(request) - {Misbehaviour.DUPLICATES}, provider.menu
    )
    return _json(row, status)


def _json(content: object, status: int = 200) -> Answer:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
