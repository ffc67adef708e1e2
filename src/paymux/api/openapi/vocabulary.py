"""What the words of the interface mean and look like: one name means one thing, wherever it stands.

A word is looked up as ``Schema.field`` first, for the few that mean something else somewhere, and then by
itself. A field whose kind says it all (true or false, one of a few values, what has fields of its own) needs
no word here.
"""

from typing import Any, NamedTuple

from paymux.api.paging import PAGE_SIZE, PAGE_SIZE_MAX

CONNECTOR = (
    "eyJQcm92aWRlciI6IkVYQU1QTEUiLCJSZWZlcmVuY2UiOiI1NzMyOWYyNC1iMWVlLTQ1NjMtODk2Ni0xZmI3ZTE3YzIzYzMifQ"
)
_ACCOUNT = (
    "eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkVYQU1QTEUiLCJSZWZlcmVuY2UiOiI1NzMyOWYyNC1iMWVlLTQ1NjMtODk2Ni0xZmI3ZTE3"
    "YzIzYzMifSwiUmVmZXJlbmNlIjoiYWNjMSJ9"
)
_PAYMENT = (
    "eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkVYQU1QTEUiLCJSZWZlcmVuY2UiOiI1NzMyOWYyNC1iMWVlLTQ1NjMtODk2Ni0xZmI3ZTE3"
    "YzIzYzMifSwiUmVmZXJlbmNlIjoidGVzdCIsIlR5cGUiOiJUUkFOU0ZFUiJ9"
)
_TRANSFER = (
    "eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkVYQU1QTEUiLCJSZWZlcmVuY2UiOiI1NzMyOWYyNC1iMWVlLTQ1NjMtODk2Ni0xZmI3ZTE3"
    "YzIzYzMifSwiUmVmZXJlbmNlIjoic2FsYXJ5In0"
)
_UUID = "67c6268d-7fc9-5067-a2cf-920894d7fbe7"
_TIME = "2026-11-23T01:53:22.690372Z"


class Word(NamedTuple):
    """An example and a meaning; ``format`` where the text has one of those that JSON Schema knows."""

    example: Any
    meaning: str
    format: str = ""


def _time(meaning: str) -> Word:
    return Word(_TIME, meaning, "date-time")


# In answers and bodies.
FIELDS: dict[str, Word] = {
    "accountId": Word(_ACCOUNT, "The id of an account."),
    "accountName": Word("Main", "As the provider calls it."),
    "amount": Word(100, "In minor units, of any size."),
    "app": Word("payments", "Always payments."),
    "asset": Word("EUR/2", "A currency and its decimals."),
    "attempts": Word(2, "Runs that failed in a row."),
    "balance": Word(12_345, "In minor units, of any size."),
    "key": Word("order", "A key of the metadata."),
    "value": Word("17", "What was said of it; null from when the provider no longer says it."),
    "since": _time("From when it said this."),
    "until": _time("Until when it said this; null for what it says now."),
    "changed": Word(0, "Records that said something new of what was there."),
    "accountID": Word(_ACCOUNT, "The id of an account."),
    "accountIDs": Word([_ACCOUNT], "The ids of accounts, one at least."),
    "accountNumber": Word(
        "12*******890", "Of a long one the ends, of a short one stars; not there without one."
    ),
    "NewBankAccount.accountNumber": Word("1234567890", "4 to 34 letters and digits, as its bank writes it."),
    "accounts": Word([_ACCOUNT], "The ids of its accounts."),
    "added": Word(1, "Records of what was not there."),
    "connectorID": Word(CONNECTOR, "The id of an installation."),
    "createdAt": _time("When it was made, or began."),
    "country": Word("DE", "Its code of two letters by ISO 3166."),
    "currency": Word("EUR/2", "The same as the asset, for older clients."),
    "defaultAsset": Word("EUR/2", "The asset it is mostly in; may be empty."),
    "defaultCurrency": Word("EUR/2", "The same as the default asset, for older clients."),
    "descriptor": Word("directory", "The task and its arguments, as the connector wrote it."),
    "destinationAccountID": Word(_ACCOUNT, "Where the money went; empty where that is not known."),
    "durationMs": Word(6, "Milliseconds from begin to end."),
    "endedAt": _time("When it ended."),
    "error": Word("", "What went wrong, for people; empty or null where nothing did."),
    "errorCode": Word("VALIDATION", "For programs: what kind of thing is wrong."),
    "errorMessage": Word("There is no such payment.", "For people: what is wrong, and what would be right."),
    "details": Word({"directory": "field required"}, "What is wrong, by field."),
    "id": Word(_UUID, "Its id."),
    "Account.id": Word(_ACCOUNT, "Its id, made of the installation's and the provider's."),
    "Payment.id": Word(_PAYMENT, "Its id, made of the installation's, the provider's and the type."),
    "Run.id": Word("4711", "A number that grows, as text."),
    "initialAmount": Word(100, "The amount of the first report in this asset."),
    "iban": Word("DE89**************3000", "Its ends; not there without one."),
    "NewBankAccount.iban": Word("DE89 3704 0044 0532 0130 00", "With its spaces or without."),
    "kind": Word("payment", "What kind of record it was to become."),
    "lagSeconds": Word(0.0, "For how long the task that has waited longest has been due."),
    "lastRunAt": _time("When the last run began."),
    "lastSeenAt": _time("When it came last."),
    "lastSuccessAt": _time("When a run last ended well."),
    "lastUpdatedAt": _time("When it was last seen to be so."),
    "metadata": Word({"order": "17"}, "Text by key; null where there is none."),
    "name": Word("example", "Its name."),
    "nextRunAt": _time("When it runs next, where that is known."),
    "oldestSeconds": Word(0.0, "The age of the oldest of them."),
    "pools": Word([], "The ids of the pools it is in."),
    "provider": Word("EXAMPLE", "The connector."),
    "raw": Word({"reference": "test", "amount": 100}, "As the provider sent it."),
    "SetAside.raw": Word('{"reference": "x", "amount": 10.5}', "As the provider sent it, as text."),
    "reason": Word("bad.json: Expected `int`, got `float` - at `$.amount`", "Why it made no sense."),
    "reference": Word("test", "The provider's own id."),
    "replayedAt": _time("When it was read again and made sense; null before that."),
    "replaying": Word(3, "How many are being read again."),
    "runningSince": _time("When the run that is under way began; null where none is."),
    "scheme": Word("visa", "The rails it travelled on."),
    "seen": Word(3, "How often it came, or how many records came."),
    "setAside": Word(1, "Records that made no sense."),
    "sourceAccountID": Word(_ACCOUNT, "Where the money came from; empty where that is not known."),
    "startedAt": _time("When it began."),
    "state": Word({"last": "2026-11-23"}, "What the task keeps from one run to the next."),
    "status": Word("SUCCEEDED", "Where it stands."),
    "Installed.status": Word("INSTALLED", "INSTALLED, or RESETTING while a reset is under way."),
    "Task.status": Word("ACTIVE", "PENDING, ACTIVE, TERMINATED, FAILED or STOPPED."),
    "Status.status": Word("ok", "That all is well."),
    "swiftBicCode": Word("DEUTDEFF", "The BIC of its bank."),
    "taskID": Word(_UUID, "The id of a task."),
    "InstallationHealth.tasks": Word({"ACTIVE": 1}, "How many tasks are of each status."),
    "type": Word("TRANSFER", "Its type."),
    "Version.type": Word("INTERNAL", "INTERNAL, EXTERNAL or UNKNOWN."),
    "Account.type": Word("INTERNAL", "INTERNAL, EXTERNAL, or UNKNOWN while it was only named."),
    "unchanged": Word(1, "Records that said nothing new."),
    "updatedAt": _time("When it changed last."),
    "outcome": Word("SUCCEEDED", "How it went."),
    "version": Word("0.1.0", "The version of the service."),
    "FeedEvent.version": Word("v1", "Of the envelope."),
    "FeedEvent.type": Word("SAVED_POOL", "What happened."),
    "date": _time("When it was committed."),
    "DeadLetter.attempts": Word(5, "How often it was offered."),
    "DeadLetter.id": Word("17", "A number that grows, as text."),
    "DeadLetter.idempotencyKey": Word(_UUID, "The event's."),
    "DeadLetter.reason": Word("HTTP 422 unknown currency", "What the sink said."),
    "DeadLetter.type": Word("SAVED_POOL", "The event's."),
    "event": Word({"type": "SAVED_POOL", "app": "payments"}, "As it was told, envelope and payload."),
    "refusedAt": _time("When it was first refused."),
    "requeued": Word(1, "How many are offered again."),
    "sink": Word("billing", "The name of a sink."),
    "deadLetters": Word(0, "How many were refused and given up."),
    "failingSince": _time("Since when it takes nothing; null while it does."),
    "FeedEvent.idempotencyKey": Word(_UUID, "The same for the same event, however often it is told."),
    "payload": Word({"id": _UUID, "createdAt": _TIME}, "What the type says."),
    "position": Word("4711", "Its place in the feed: what to say as `after`."),
    "refused": Word(0, "How many were refused and are offered again."),
    "waiting": Word(0, "How many wait."),
    "dataType": Word("string", "What it takes: a kind of value."),
    "required": Word(True, "Whether it must be given."),
    "description": Word("salary of May", "What it is for; goes to the provider."),
    "TransferInitiation.id": Word(_TRANSFER, "Its id, made of the installation's and the reference."),
    "TransferInitiation.reference": Word("salary", "What whoever ordered it calls it."),
    "TransferInitiation.amount": Word(100, "In minor units: what is left after what was taken back."),
    "TransferInitiation.initialAmount": Word(100, "In minor units, as it was ordered."),
    "TransferInitiation.status": Word(
        "PROCESSED", "Where it stands, in the words of the tutorial's service."
    ),
    "TransferInitiation.state": Word("PROCESSED", "Where it stands; UNKNOWN and REVERSE_UNKNOWN told apart."),
    "Change.status": Word("PROCESSED", "Its status from then on."),
    "RelatedPayment.status": Word("PROCESSED", "How the payment stands: PROCESSING, PROCESSED or FAILED."),
    "NewTransferInitiation.reference": Word("salary", "Your own name for it; once for each installation."),
    "NewReversal.reference": Word("salary back", "Your own name for it; once for each installation."),
    "NewTransferInitiation.scheduledAt": Word(_TIME, "When to send it; absent or past: at once."),
    "scheduledAt": _time("When it is sent; in the year 1 where that was at once."),
    "NewStatus.status": Word("VALIDATED", "VALIDATED or REJECTED."),
    "paymentID": Word(_PAYMENT, "The id of a payment."),
    "adjustmentID": Word(_UUID, "The id of the change."),
    "MoneyOut.unknown": Word(1, "Orders of which nobody can say what became."),
    "MoneyOut.needsPerson": Word(0, "Those of them that wait for a person to decide."),
    "note": Word("seen in the bank statement", "What a person had to say about it."),
    "paymentReference": Word("pay_000017", "The provider's own id of the payment."),
    "attempt": Word(1, "Which attempt of the order it is."),
    "UnknownOutcome.reason": Word("No answer came.", "Why nobody knows."),
    "idempotencyKey": Word(_UUID, "What the provider was called with."),
    "handle": Word("pay_000017", "What the provider calls it, where it has said so."),
    "reversal": Word("salary back", "The reference of the reversal; null where it is the order itself."),
    "reversalAmount": Word(100, "How much is to be taken back, in minor units."),
    "sends": Word(1, "Calls that were begun, all with the same key."),
    "sentAt": _time("When the last of them was begun."),
    "unknownSince": _time("Since when nobody knows."),
    "lookUps": Word(2, "How often it was looked up since the last call."),
    "lookedUpAt": _time("When it was looked up last."),
    "lookUpError": Word("No such order, so far.", "What that look brought."),
    "nextLookUpAt": _time("When it is looked up next."),
    "defaultValue": Word("", "What it is where it is not given."),
}

# In paths and queries.
PARAMETERS: dict[str, Word] = {
    "provider": Word("example", "A connector, in either case."),
    "connectorID": Word(CONNECTOR, "The id of an installation."),
    "accountID": Word(_ACCOUNT, "The id of an account."),
    "bankAccountID": Word(_UUID, "The id of a bank account."),
    "poolID": Word(_UUID, "The id of a pool."),
    "paymentID": Word(_PAYMENT, "The id of a payment, or any it ever had."),
    "transferID": Word(_TRANSFER, "The id of a transfer initiation."),
    "taskID": Word(_UUID, "The id of a task."),
    "eventType": Word("SAVED_PAYMENT", "A type of event."),
    "recordID": Word(_UUID, "The id of a set-aside record."),
    "pageSize": Word(
        15, f"Rows a page: {PAGE_SIZE} unless told otherwise, {PAGE_SIZE_MAX} at most; more is that many."
    ),
    "cursor": Word("", "What `next` or `previous` of a page said, and nothing else beside it."),
    "status": Word("FAILED", "Only tasks of this status."),
    "name": Word("read", "Only tasks that this is the name of."),
    "asset": Word("EUR/2", "Only this asset."),
    "letterID": Word("17", "The id of a dead letter."),
    "sink": Word("billing", "Only of this sink."),
    "after": Word("4711", "The position of the last event that you have; without it, from the beginning."),
    "type": Word("SAVED_PAYMENT,SAVED_ACCOUNT", "Only events of these types, between commas."),
    "from": Word("2019-05-15T14:00:00Z", "What was so at this time or later.", "date-time"),
    "to": Word("2026-05-15T14:00:00Z", "What began at this time or before.", "date-time"),
    "at": Word("2026-05-15T14:00:00Z", "What was so at this time.", "date-time"),
    "limit": Word(15, "The same as pageSize, for older clients."),
}

# Of which kind a parameter is, where it is no text.
NUMBERS = {"pageSize", "limit"}

# Bodies whose fields are not ours to name.
FREE: dict[str, Any] = {"Config": {"name": "example", "directory": "payments", "pollingPeriod": "1s"}}


def field(schema: str, name: str) -> Word | None:
    """The word for a field of a schema."""
    return FIELDS.get(f"{schema}.{name}") or FIELDS.get(name)
