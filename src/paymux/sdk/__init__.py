"""All that a connector imports: ``from paymux.sdk import …``."""

from paymux.domain.account import Account, AccountType
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.errors import DomainError
from paymux.domain.ids import ConnectorID
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType
from paymux.domain.task import Descriptor, Restart, Schedule, TaskStatus
from paymux.domain.times import parse_rfc3339
from paymux.domain.transfer import TransferType
from paymux.sdk.config import ConnectorConfig, Duration, Secret
from paymux.sdk.connector import Connector
from paymux.sdk.contexts import (
    ConnectorContext,
    Ingester,
    Logger,
    Scheduler,
    StateReader,
    TaskContext,
    TaskID,
)
from paymux.sdk.errors import (
    AskForLogin,
    BadConfig,
    ConnectorError,
    NotImplementedByConnector,
    Refused,
    SkipRecord,
    SlowDown,
    TaskFailed,
    TryAgain,
    Unknown,
)
from paymux.sdk.orders import Accepted, BankAccountToCreate, NotThere, Order, Reversal
from paymux.sdk.records import mapped
from paymux.sdk.tasks import Task, UnknownTask, task

__all__ = [
    "Accepted",
    "Account",
    "AccountType",
    "Amount",
    "AskForLogin",
    "Asset",
    "BadConfig",
    "Balance",
    "BankAccountToCreate",
    "Connector",
    "ConnectorConfig",
    "ConnectorContext",
    "ConnectorError",
    "ConnectorID",
    "Descriptor",
    "DomainError",
    "Duration",
    "Ingester",
    "Logger",
    "NotImplementedByConnector",
    "NotThere",
    "Order",
    "Payment",
    "PaymentScheme",
    "PaymentStatus",
    "PaymentType",
    "Refused",
    "Restart",
    "Reversal",
    "Schedule",
    "Scheduler",
    "Secret",
    "SetAside",
    "SkipRecord",
    "SlowDown",
    "StateReader",
    "Task",
    "TaskContext",
    "TaskFailed",
    "TaskID",
    "TaskStatus",
    "TransferType",
    "TryAgain",
    "Unknown",
    "UnknownTask",
    "mapped",
    "parse_rfc3339",
    "task",
]
