"""What the provider truly holds and did, in memory: accounts, payments, balances, and all keys seen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

OPENING = 100_000_000  # minor units in each of the customer's accounts, enough for thousands of orders

DECIMALS = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}


class Declined(Exception):
    """The provider says no. ``code`` is for programs, ``status`` is the answer's."""

    def __init__(self, code: str, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Account(msgspec.Struct, kw_only=True):
    """The customer's own account, or (``external``) a beneficiary's."""

    id: str
    name: str
    kind: str
    currency: str
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, str] = {}


class Payment(msgspec.Struct, kw_only=True, rename={"source": "from", "destination": "to"}):
    """Money that moved or is about to, as it stands now."""

    id: str
    kind: str
    status: str
    amount: int
    currency: str
    method: str
    source: str | None
    destination: str | None
    reference: str = ""
    idempotency_key: str = ""
    description: str = ""
    metadata: dict[str, str] = {}
    # The payment that this one takes back, and how much of this one has been taken back.
    reverses: str | None = None
    reversed: int = 0
    created_at: datetime
    updated_at: datetime


class Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """What a client asks for: a payout or a transfer."""

    source: str
    to: str
    amount: int
    currency: str
    reference: str = ""
    description: str = ""
    metadata: dict[str, str] = {}


class Reversal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for: so much of a payment back."""

    amount: int
    reference: str = ""
    description: str = ""
    metadata: dict[str, str] = {}


class BankAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client makes known: a beneficiary."""

    name: str
    country: str = ""
    iban: str = ""
    account_number: str = ""
    bic: str = ""
    metadata: dict[str, str] = {}


class Fate(msgspec.Struct, frozen=True):
    """What becomes of a payment that is accepted as pending, and when."""

    status: str
    after: timedelta


def _now() -> datetime:
    # Whole seconds, as many providers have it: ties are what careless checkpoints lose.
    return datetime.now(UTC).replace(microsecond=0)


class Books:
    """The provider's own record. Every method leaves it whole."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.payments: dict[str, Payment] = {}
        self.balances: dict[tuple[str, str], int] = {}
        self._fates: dict[str, tuple[datetime, str]] = {}
        # By idempotency key: what was asked, and the id of what was made of it.
        self._keys: dict[str, tuple[bytes, str]] = {}

    def open_account(
        self,
        *,
        name: str,
        kind: str = "own",
        currency: str = "",
        at: datetime | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Account:
        """Open an account; the customer's own begin with money in them."""
        at = at or self.clock()
        account = Account(
            id=f"{'acc' if kind == 'own' else 'ben'}_{len(self.accounts) + 1:06}", name=name, kind=kind,
            currency=currency, created_at=at, updated_at=at, metadata=metadata or {},
        )  # fmt: skip
        self.accounts[account.id] = account
        if kind == "own":
            self.balances[account.id, currency] = OPENING
        return account

    def record(
        self, *, kind: str, amount: int, currency: str, at: datetime | None = None, status: str = "settled",
        method: str = "sepa_credit", source: str | None = None, destination: str | None = None,
        reference: str = "", key: str = "", description: str = "", reverses: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Payment:  # fmt: skip
        """Write a payment down, and move its money unless it failed."""
        at = at or self.clock()
        payment = Payment(
            id=f"pay_{len(self.payments) + 1:06}", kind=kind, status=status, amount=amount, currency=currency,
            method=method, source=source, destination=destination, reference=reference, idempotency_key=key,
            description=description, metadata=metadata or {}, reverses=reverses, created_at=at, updated_at=at,
        )  # fmt: skip
        self.payments[payment.id] = payment
        if status != "failed":
            self._move(payment, 1)
        return payment

    def pay(self, kind: str, order: Order, key: str, fate: Fate | None = None) -> Payment:
        """Carry out an order, once for each key.

        Raises:
            Declined: It cannot be carried out; nothing was.
        """
        asked = msgspec.json.encode((kind, order))
        if (known := self._known(key, asked)) is not None:
            return self.payments[known]
        own = self.accounts.get(order.source)
        other = self.accounts.get(order.to)
        if own is None or own.kind != "own" or other is None:
            raise Declined("unknown_account", "from must be an account of yours, and to must exist")
        if other.kind != ("external" if kind == "payout" else "own"):
            raise Declined("wrong_account", f"a {kind} does not go to an account of this kind")
        if order.currency != own.currency or (kind == "transfer" and other.currency != own.currency):
            raise Declined("wrong_currency", f"the account holds {own.currency}")
        if order.amount <= 0:
            raise Declined("invalid_amount", "amount must be positive")
        if self.balances[own.id, own.currency] < order.amount:
            raise Declined("insufficient_funds", "the account does not hold that much")
        made = self.record(
            kind=kind, amount=order.amount, currency=order.currency, source=order.source,
            destination=order.to, reference=order.reference, key=key,
            description=order.description, metadata=order.metadata,
        )  # fmt: skip
        return self._accepted(made, key, asked, fate)

    def reverse(self, id: str, reversal: Reversal, key: str, fate: Fate | None = None) -> Payment:  # noqa: A002
        """Take so much of a payment back, once for each key; the way back is a payment of its own.

        Raises:
            Declined: It cannot be carried out; nothing was.
        """
        asked = msgspec.json.encode((id, reversal))
        if (known := self._known(key, asked)) is not None:
            return self.payments[known]
        paid = self.find(id)
        if paid.status != "settled" or paid.kind == "payin" or paid.reverses:
            raise Declined("not_reversible", "only a payout or transfer that is settled can be reversed")
        if not 0 < reversal.amount <= paid.amount - paid.reversed:
            raise Declined("invalid_amount", f"between 1 and {paid.amount - paid.reversed} can be taken back")
        made = self.record(
            kind="payin" if paid.kind == "payout" else "transfer", amount=reversal.amount,
            currency=paid.currency, source=paid.destination, destination=paid.source,
            reference=reversal.reference, key=key,
            description=reversal.description, reverses=paid.id, metadata=reversal.metadata,
        )  # fmt: skip
        self._take_back(paid, reversal.amount)
        return self._accepted(made, key, asked, fate)

    def make_known(self, bank_account: BankAccount, key: str) -> Account:
        """Make a beneficiary of a bank account, once for each key."""
        asked = msgspec.json.encode(bank_account)
        if (known := self._known(key, asked)) is not None:
            return self.accounts[known]
        if not (bank_account.iban or bank_account.account_number):
            raise Declined("invalid_account", "give iban or account_number")
        account = self.open_account(name=bank_account.name, kind="external", metadata=bank_account.metadata)
        self._remember(key, asked, account.id)
        return account

    def find(self, id: str) -> Payment:  # noqa: A002
        """Return a payment. Raises Declined."""
        if id not in self.payments:
            raise Declined("not_found", "there is no such payment", 404)
        return self.payments[id]

    def settle(self, *, hurry: bool = False) -> None:
        """Let what is due become what it was fated to become; in a hurry, everything is due."""
        now = self.clock()
        for id_, (due, status) in list(self._fates.items()):
            if hurry or due <= now:
                del self._fates[id_]
                self.change(self.payments[id_], status)

    def change(self, payment: Payment, status: str, *, silently: bool = False) -> None:
        """Change a status; ``silently`` leaves updated_at as it was, which no provider should do."""
        payment.status = status
        if not silently:
            payment.updated_at = self.clock()
        if status == "failed":
            self._move(payment, -1)
            if payment.reverses:
                self._take_back(self.payments[payment.reverses], -payment.amount)

    def orders(self) -> dict[str, dict[str, object]]:
        """How often each order was paid, by reference; what failed does not count."""
        paid: dict[str, list[Payment]] = {}
        for payment in self.payments.values():
            if payment.reference and payment.idempotency_key:
                paid.setdefault(payment.reference, []).append(payment)
        return {
            reference: {
                "paid": sum(p.status != "failed" for p in several),
                "amount": sum(p.amount for p in several if p.status != "failed"),
                "payments": [p.id for p in several],
                "keys": [p.idempotency_key for p in several],
            }
            for reference, several in paid.items()
        }

    def _accepted(self, payment: Payment, key: str, asked: bytes, fate: Fate | None) -> Payment:
        self._remember(key, asked, payment.id)
        if fate is not None:
            payment.status = "pending"
            self._fates[payment.id] = (self.clock() + fate.after, fate.status)
        return payment

    def _known(self, key: str, asked: bytes) -> str | None:
        if key not in self._keys:
            return None
        first, made = self._keys[key]
        if first != asked:
            raise Declined("key_reused", "this Idempotency-Key came with something else before", 409)
        return made

    def _remember(self, key: str, asked: bytes, made: str) -> None:
        if key:
            self._keys[key] = (asked, made)

    def _take_back(self, paid: Payment, amount: int) -> None:
        paid.reversed += amount
        self.change(paid, "reversed" if paid.reversed == paid.amount else "settled")

    def _move(self, payment: Payment, times: int) -> None:
        for account, sign in ((payment.source, -1), (payment.destination, 1)):
            if account and (account, payment.currency) in self.balances:
                self.balances[account, payment.currency] += sign * times * payment.amount
