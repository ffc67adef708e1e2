"""A connector: the code that speaks to a provider.

Subclass it with your config class::

    class Example(Connector[Config]):
        name = "example"

Only ``name`` is required. Every other method has a default; what a connector can do follows from
the methods it overrides, never from a second list.
"""

import inspect
import re
from abc import ABC
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args

from paymux.domain.account import Account
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.currencies import iso4217
from paymux.domain.payment import Payment
from paymux.domain.transfer import KEY_CHARS_MIN
from paymux.sdk.config import ConnectorConfig
from paymux.sdk.contexts import ConnectorContext
from paymux.sdk.errors import NotImplementedByConnector
from paymux.sdk.orders import Accepted, BankAccountToCreate, NotThere, Order, Reversal
from paymux.sdk.tasks import resolve_task

C = TypeVar("C", bound=ConnectorConfig)

# The name goes into URLs, folders, rows and identifiers.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_NAME_MAX = 40
# Enough for any provider's rate limit; more places only make more queues.
TASKS_MAX = 1000


class Connector(ABC, Generic[C]):
    """One provider's connector, with one installation's config."""

    # A lower-case word, constant and unique; shown in upper case where the interface says so.
    name: ClassVar[str]
    # How many tasks of one installation run at a time, over all workers; the rest are PENDING.
    max_tasks: ClassVar[int] = 50
    # Only when an order was sent so long ago does ``NotThere`` mean that the provider never took it.
    look_up_lag: ClassVar[timedelta] = timedelta(hours=1)
    # Characters of the longest idempotency key that the provider takes, 16 at least.
    idempotency_key_max: ClassVar[int] = 64
    config_class: ClassVar[type[ConnectorConfig]] = ConnectorConfig

    def __init__(self, config: C) -> None:
        self.config = config

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for origin in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(origin):
                if inspect.isclass(argument) and issubclass(argument, ConnectorConfig):
                    cls.config_class = argument
        name = cls.__dict__.get("name")
        if name is None:
            return
        if not isinstance(name, str) or len(name) > _NAME_MAX or not _NAME.fullmatch(name):
            raise TypeError(f"{cls.__name__}.name must be a lower-case word such as 'acme', got {name!r}.")
        most: Any = cls.max_tasks
        if not isinstance(most, int) or not 1 <= most <= TASKS_MAX:
            raise TypeError(f"{cls.__name__}.max_tasks must be between 1 and {TASKS_MAX}, got {most!r}.")
        sends = {Connector.initiate_payment, Connector.reverse_payment} != {
            cls.initiate_payment, cls.reverse_payment
        }  # fmt: skip
        if sends and cls.look_up is Connector.look_up:
            raise TypeError(f"{cls.__name__} moves money, so it needs look_up: what became of an order?")
        longest: Any = cls.idempotency_key_max
        if not isinstance(longest, int) or longest < KEY_CHARS_MIN:
            raise TypeError(
                f"{cls.__name__}.idempotency_key_max must be {KEY_CHARS_MIN} at least, got {longest!r}."
            )

    @classmethod
    def provider(cls) -> str:
        """The name as the HTTP interface and the identifiers spell it: ``EXAMPLE``."""
        return cls.name.upper()

    async def check(self, ctx: ConnectorContext) -> None:
        """Make one cheap call that shows whether the config works; when it raises, it is refused.

        Called before ``install`` and before ``update_config``, with the new config.
        """

    async def install(self, ctx: ConnectorContext) -> None:
        """Schedule what should run. When it raises, nothing of the installation stays behind.

        Called again when the installation is reset, and by the default ``update_config``: whatever it
        does at the provider must bear being repeated.
        """

    async def uninstall(self, ctx: ConnectorContext) -> None:
        """Give back what was taken at the provider, such as webhook registrations."""

    async def update_config(self, ctx: ConnectorContext, config: C) -> None:
        """React to a new config; ``self.config`` is the old one. When it raises, the old one stays.

        What is scheduled here is committed with the new config, and nobody can be waited for before:
        NOW_SYNC counts as NOW. A task whose period is new gets it, whatever its restart option, and one
        that was done once is left alone unless it says ALWAYS. By default, what ``install`` schedules
        with the new config.
        """
        await type(self)(config).install(ctx)

    async def replay(
        self,
        ctx: ConnectorContext,  # noqa: ARG002 - the shape to override
        record: SetAside,  # noqa: ARG002
        task: Any,  # noqa: ARG002
    ) -> Iterable[Account | Balance | Payment]:
        """Make records of one that was set aside, from its raw form; they are ingested.

        ``task`` is the descriptor of the task that has set it aside, or None. Raise SkipRecord when it
        still makes no sense.
        """
        raise NotImplementedByConnector

    def resolve(self, descriptor: Any) -> Callable[..., Awaitable[None] | None]:
        """Turn a descriptor (a JSON value) into what runs it; by default, the ``@task`` it names.

        Override it to do without ``@task``: return a function whose parameters are annotated with
        what it needs, such as TaskContext, Scheduler, Ingester, Logger, ConnectorID or TaskID.
        """
        return cast("Callable[..., Awaitable[None] | None]", resolve_task(self, descriptor))

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment | Accepted:  # noqa: ARG002 - the shape to override
        """Send money out, under the order's idempotency key; what it raises says what became of it.

        Raises:
            Refused: the provider said no, for good.
            TryAgain, SlowDown: it was surely not accepted; it is sent again with the same key.
            Exception: whatever else means that nobody knows; it is looked up, and never sent again blind.
        """
        raise NotImplementedByConnector

    async def reverse_payment(self, ctx: ConnectorContext, reversal: Reversal) -> Payment | Accepted:  # noqa: ARG002 - the shape to override
        """Take sent money back; raises as ``initiate_payment``."""
        raise NotImplementedByConnector

    async def look_up(self, ctx: ConnectorContext, order: Order | Reversal) -> Payment | Accepted | NotThere:  # noqa: ARG002 - the shape to override
        """Say what became of an order, by its idempotency key or reference; it changes nothing."""
        raise NotImplementedByConnector

    async def create_external_bank_account(
        self,
        ctx: ConnectorContext,  # noqa: ARG002 - the shape to override
        bank_account: BankAccountToCreate,  # noqa: ARG002
    ) -> Account:
        """Make a bank account known to the provider, once for each idempotency key.

        Raises:
            Refused: the provider said no, for good, and has made nothing under this key; what comes after
                is another attempt, under another one.
            Exception: whatever else; it is asked for again under the same key and in the same words, and
                only ``TryAgain`` and ``SlowDown`` say that surely nothing was made.
        """
        raise NotImplementedByConnector

    def supported_currencies_and_decimals(self) -> Mapping[str, int]:
        """Currency code to number of decimals; ISO 4217 whole unless the provider knows fewer."""
        return iso4217()

    def routes(self) -> Sequence[Any]:
        """Extra HTTP routes for this connector, such as webhooks."""
        return ()
