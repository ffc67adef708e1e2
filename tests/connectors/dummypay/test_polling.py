"""Whatever the sandbox does while it is asked, in the end the store holds what its books hold, once each."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.service import Service, eventually

from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import Sandbox

PAYMENTS = "GET /v1/payments"

# The books' words, told apart from the connector's own table of them.
KINDS = {"payin": "PAY-IN", "payout": "PAYOUT", "transfer": "TRANSFER"}
STATUSES = {
    "settled": "SUCCEEDED", "pending": "PENDING", "failed": "FAILED", "reversed": "REFUNDED",
    "disputed": "DISPUTE",
}  # fmt: skip
ASSETS = {"EUR": "EUR/2", "USD": "USD/2", "GBP": "GBP/2", "JPY": "JPY", "KWD": "KWD/3"}

# These spoil a row: it is set aside, and comes in with a later look.
SPOILING = {Misbehaviour.UNKNOWN_STATUS, Misbehaviour.UNKNOWN_CURRENCY, Misbehaviour.MALFORMED}
# These are about orders, and do nothing to a list.
ORDERS = {Misbehaviour.PENDING, Misbehaviour.FAIL_LATER}


class Follower:
    """An installation that follows a sandbox."""

    def __init__(self, service: Service, sandbox: Sandbox, name: str, every: str = "200ms") -> None:
        self.service = service
        self.sandbox = sandbox
        self.connector = service.install(
            "dummypay",
            url=sandbox.url,
            apiKey="sandbox",
            pollingPeriod=every,
            requestTimeout="500ms",
            name=name,
        )

    def stored(self) -> list[tuple[Any, ...]]:
        """The payments that came in."""
        rows = self.service.sql(
            "SELECT p.reference, p.type, p.status, p.amount, p.asset, s.reference AS source,"
            " d.reference AS destination FROM payment p JOIN installation i ON i.id = p.installation"
            " LEFT JOIN account s ON s.key = p.source LEFT JOIN account d ON d.key = p.destination"
            " WHERE i.name = $1 ORDER BY p.reference",
            self._name(),
        )
        return [tuple(row.values()) for row in rows]

    def booked(self) -> list[tuple[Any, ...]]:
        """The payments that there are."""
        return [
            (
                row["id"], KINDS[row["kind"]], STATUSES[row["status"]], row["amount"],
                ASSETS[row["currency"]], row["from"], row["to"],
            )
            for row in self.sandbox.books()["payments"].values()
        ]  # fmt: skip

    def difference(self) -> set[tuple[Any, ...]]:
        """What is only in one of them."""
        return set(self.stored()) ^ set(self.booked())

    def catches_up(self, *, looks: bool = True) -> None:
        """Wait until all trouble is over, and store and books are the same."""
        eventually(
            lambda: self._over() and self.stored() == self.booked(),
            lambda: (self.difference(), self.service.tasks(self.connector, "dummypay")),
        )
        # What comes now, as a row that was read late, or twice, must not change that.
        if looks:
            self.looks()
        assert self.stored() == self.booked(), self.difference()

    def looks(self, times: int = 1) -> None:
        """Wait for some more walks through the payments that come to their end."""

        def done() -> int:
            (row,) = self.service.sql(
                "SELECT count(*) FROM run r JOIN task t ON t.id = r.task JOIN installation i"
                " ON i.id = r.installation WHERE i.name = $1 AND t.descriptor = '\"payments\"'"
                " AND r.outcome = 'SUCCEEDED'",
                self._name(),
            )
            return int(row["count"])

        before = done()
        eventually(lambda: self._over() and done() > before + times, lambda: "the payments are not looked at")

    def reports(self) -> int:
        """How many reports about payments came in."""
        (row,) = self.service.sql(
            "SELECT count(*) FROM adjustment a JOIN payment p ON p.key = a.payment"
            " JOIN installation i ON i.id = p.installation WHERE i.name = $1",
            self._name(),
        )
        return int(row["count"])

    def set_aside(self) -> list[str]:
        """The reasons for what did not come in."""
        return [row["reason"] for row in self.service.set_aside(self.connector, "dummypay")]

    def errors(self) -> set[str]:
        """The errors of tasks that fail."""
        tasks = self.service.tasks(self.connector, "dummypay")
        return {task["error"] for task in tasks if task["error"]}

    def _over(self) -> bool:
        path = f"/connectors/dummypay/{self.connector}"
        if self.service.get(f"{path}/health")["data"]["status"] == "needs_login":
            assert self.service.http.post(f"{path}/resume").status_code == 204  # as an operator would
            return False
        return not self.sandbox.books()["ordered"]

    def _name(self) -> str:
        return next(
            str(row["name"])
            for row in self.service.get("/connectors")["data"]
            if row["connectorID"] == self.connector
        )


@pytest.fixture
def follower(service: Service, sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Follower]:
    """Installed while the sandbox still behaves, before it has been read."""
    sandbox.misbehave(*getattr(request, "param", ()), on=PAYMENTS)
    following = Follower(service, sandbox, f"dummypay {request.node.name}")
    yield following
    service.uninstall(following.connector, "dummypay")


@pytest.mark.parametrize(
    ("follower", "wrong"),
    # The first page comes in well, the second does not.
    [((None, wrong), wrong) for wrong in Misbehaviour],
    ids=list(Misbehaviour),
    indirect=["follower"],
)
def test_the_store_comes_to_hold_what_the_books_hold(follower: Follower, wrong: Misbehaviour) -> None:
    """From the first look at a history of two pages to what happens later."""
    follower.catches_up()
    follower.sandbox.misbehave(wrong, on=PAYMENTS)
    follower.sandbox.more(110)
    follower.catches_up()

    assert len({row[0] for row in follower.stored()}) == len(follower.stored()) == 240
    served = follower.sandbox.books()["served"]
    assert wrong in served or wrong in ORDERS
    assert bool(follower.set_aside()) == (wrong in SPOILING)
    if wrong is not Misbehaviour.SILENT_CHANGE:
        assert follower.reports() == 240, "something was told twice"


@pytest.mark.parametrize("wrong", [*sorted(SPOILING), Misbehaviour.NEWEST_FIRST, Misbehaviour.DUPLICATES])
def test_what_never_stops_is_survived(service: Service, sandbox: Sandbox, wrong: Misbehaviour) -> None:
    """All is well, but for a row in each answer."""
    sandbox.misbehave(probability={wrong: 1}, on=PAYMENTS)
    follower = Follower(service, sandbox, f"dummypay always {wrong}")

    follower.catches_up()

    service.uninstall(follower.connector, "dummypay")


def test_everything_at_once(service: Service, sandbox: Sandbox) -> None:
    """All lists, all misbehaviours by chance, while payments go on happening."""
    # Those that take long, or a person to mend, have their own tests.
    left_out = ORDERS | {one for one in Misbehaviour if one.startswith(("hang", "forbid", "rate"))}
    on_the_wire = {one for one in Misbehaviour if one.endswith(("-after", "-before", "late"))}
    chances = {one: 0.02 if one in on_the_wire else 0.2 for one in Misbehaviour if one not in left_out}
    follower = Follower(service, sandbox, "dummypay everything")
    follower.catches_up()
    sandbox.misbehave(probability=chances)
    for _ in range(3):
        sandbox.more(20)
        follower.looks(1)
    assert sandbox.books()["served"]
    sandbox.misbehave()

    follower.catches_up()

    books = sandbox.books()
    accounts = service.sql(
        "SELECT a.reference, a.type, a.name FROM account a JOIN installation i ON i.id = a.installation"
        " WHERE i.name = 'dummypay everything' ORDER BY a.reference"
    )
    owners = {"own": "INTERNAL", "external": "EXTERNAL"}
    assert [tuple(row.values()) for row in accounts] == sorted(
        (row["id"], owners[row["kind"]], row["name"]) for row in books["accounts"].values()
    )
    eventually(
        lambda: _balances(service) == [(row["account"], row["amount"]) for row in books["balances"]],
        lambda: (_balances(service), books["balances"]),
    )
    service.uninstall(follower.connector, "dummypay")


def _balances(service: Service) -> list[tuple[str, int]]:
    rows = service.sql(
        "SELECT DISTINCT ON (a.reference) a.reference, b.amount FROM balance b"
        " JOIN account a ON a.key = b.account JOIN installation i ON i.id = a.installation"
        " WHERE i.name = 'dummypay everything' ORDER BY a.reference, b.created_at DESC"
    )
    return [(row["reference"], int(row["amount"])) for row in rows]


def test_what_was_set_aside_long_ago_is_replayed(service: Service, sandbox: Sandbox) -> None:
    """The walk goes on from today, and does not come back to it; an operator does."""
    sandbox.misbehave(Misbehaviour.MALFORMED, Misbehaviour.UNKNOWN_STATUS, on=PAYMENTS)
    follower = Follower(service, sandbox, "dummypay replayed", every="1h")
    eventually(lambda: len(follower.stored()) == 128, follower.difference)
    path = f"/connectors/dummypay/{follower.connector}/set-aside"

    assert service.http.post(f"{path}/replay").is_success

    follower.catches_up(looks=False)
    service.uninstall(follower.connector, "dummypay")


@pytest.mark.parametrize("follower", [(Misbehaviour.RATE_LIMIT,)], indirect=True)
def test_the_operator_reads_what_is_wrong(follower: Follower) -> None:
    """Each failure says in a sentence what it is, without the key."""
    follower.catches_up()
    for wrong, sentence in {
        Misbehaviour.FAIL_BEFORE: "HTTP 503, unavailable: come back later",
        Misbehaviour.GARBLE_AFTER: "/v1/payments is not answered with a page",
        Misbehaviour.FORBID: "HTTP 401, unauthorized: this key was revoked",
    }.items():
        follower.sandbox.misbehave(probability={wrong: 1}, on=PAYMENTS)
        eventually(
            lambda s=sentence: any(s in error for error in follower.errors()),  # type: ignore[misc]
            lambda s=sentence: (s, follower.errors()),  # type: ignore[misc]
        )


def test_a_cursor_that_has_expired_is_begun_again(service: Service, sandbox: Sandbox) -> None:
    """As when the provider was restarted while a walk was under way: what it knows now comes in."""
    sandbox.misbehave(None, *[Misbehaviour.FAIL_BEFORE] * 100, on=PAYMENTS)
    follower = Follower(service, sandbox, "dummypay expired")
    eventually(lambda: len(follower.stored()) == 100, follower.difference)

    sandbox.forget_cursors()
    sandbox.misbehave()

    follower.catches_up()
    service.uninstall(follower.connector, "dummypay")


@pytest.mark.parametrize("config", [{"url": "nowhere"}, {"apiKey": ""}, {"pollingPeriod": "1ms"}], ids=str)
def test_a_config_that_cannot_work_is_refused(
    service: Service, sandbox: Sandbox, config: dict[str, str]
) -> None:
    """By the name of the field."""
    given = {"url": sandbox.url, "apiKey": "sandbox", **config}

    answer = service.http.post("/connectors/dummypay", json=given)

    assert answer.status_code == 400
    assert next(iter(config)) in answer.json()["details"]


def test_a_key_that_is_not_taken_is_refused_before_anything_is_installed(
    service: Service, sandbox: Sandbox
) -> None:
    """With the provider's reason, and without the key, here and in what is shown and logged of a good one."""
    path = "/connectors/dummypay"
    answer = service.http.post(path, json={"url": sandbox.url, "apiKey": "hunter2hunter2"})
    assert answer.status_code == 400
    assert "unauthorized" in answer.json()["errorMessage"]

    follower = Follower(service, sandbox, "dummypay secret")

    assert service.get(f"{path}/{follower.connector}/config")["data"]["apiKey"] == "********"
    assert "hunter2" not in answer.text + service.log()
    service.uninstall(follower.connector, "dummypay")
