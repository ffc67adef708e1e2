"""What connectors that read files promise, told of three that are written in different ways."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.conftest import Watch
from tests.e2e.service import Service, eventually, payment_file

GOOD = [f"good-{number}" for number in range(20)]

# Content, and what the reason must speak of beside the file.
MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "not JSON": ("not json", "JSON"),
    "an empty object": ("{}", "created_at"),
    "a list": ("[]", "object"),
    "null": ("null", "object"),
    "two objects": (payment_file("two") * 2, "JSON"),
    "a field missing": (payment_file("missing", amount=None), "amount"),
    "no reference": (payment_file(""), "reference"),
    "a wrong type": (payment_file(17), "reference"),
    "amount as text": (payment_file("text", amount="100"), "amount"),
    "amount as a float": (payment_file("float", amount=10.5), "amount"),
    "amount as a whole float": (payment_file("whole").replace("100", "100.0"), "amount"),
    "amount as a boolean": (payment_file("boolean", amount=True), "amount"),
    "amount beyond all money": (payment_file("huge", amount=10**78), "amount"),
    "amount of 5,000 digits": (payment_file("huge").replace("100", "1" * 5000), "amount"),
    "amount as infinity": (payment_file("infinity").replace("100", "1e999"), "amount"),
    "asset in small letters": (payment_file("asset", asset="eur/2"), "asset"),
    "asset with too many decimals": (payment_file("asset", asset="EUR/99"), "asset"),
    "an unknown type": (payment_file("enum", type="GIFT"), "type"),
    "an unknown status": (payment_file("enum", status="WON"), "status"),
    "an unknown scheme": (payment_file("enum", scheme="pigeon"), "scheme"),
    "a time without its zone": (payment_file("time", created_at="2019-05-15T14:00:00"), "created_at"),
    "a date": (payment_file("time", created_at="2019-05-15"), "created_at"),
    "a time as a number": (payment_file("time", created_at=1557928800), "created_at"),
    "no UTF-8": (payment_file("latin-1").encode().replace(b"latin-1", b"caf\xe9"), "utf-8"),
    "nested too deep": (f'{{"deep": {"[" * 100_000}', "recursion"),
}

# Where the framework is who finds out, and knows of no file.
UNUSABLE: dict[str, tuple[str, str]] = {
    "a time beyond all calendars": (
        payment_file("late", created_at="9999-12-31T23:59:59-14:00"),
        "created_at",
    ),
    "a NUL": (payment_file("a\0b"), "reference"),
}

NAMES = [
    "with spaces",
    "ünïcödé 付款 🧾",
    "line\nbreak",
    "tab\tquote\"'`$(x);%41&<>|*?",
    "-rf",
    "..",
    "x" * 250,
    "a.json",
]

ODD_NAME = os.fsdecode(b"caf\xe9.json")


@pytest.fixture(scope="module")
def harvest(service: Service, provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """A directory of everything that can go wrong, and of good files between, looked at as a whole."""
    watch = Watch(service, provider, tmp_path_factory.mktemp(provider))
    for reference in GOOD:
        watch.drop_payment(reference)
    for name, (content, _) in (MALFORMED | UNUSABLE).items():
        watch.drop(f"{name}.json", content)
    for number, name in enumerate(NAMES):
        watch.drop(f"{name}.json", payment_file(f"name-{number}"))
    watch.drop(ODD_NAME, payment_file("odd name"))
    given_up = watch.drop("given up.json", payment_file("given up")[:70])
    long_ago = time.time() - 3600
    os.utime(given_up, (long_ago, long_ago))
    _drop_what_is_no_file(watch.directory)
    watch.install()
    expected = len(MALFORMED) + len(UNUSABLE) + 2
    eventually(
        lambda: len(watch.payments()) >= len(GOOD) + len(NAMES) + 1 and len(watch.set_aside()) >= expected,
        lambda: (sorted(watch.payments()), watch.set_aside(), watch.errors()),
    )
    watch.look()
    yield watch
    watch.uninstall()


def _drop_what_is_no_file(directory: Path) -> None:
    """Sub-directories, links and other extensions."""
    below = directory / "below.json"
    below.mkdir()
    (below / "ignored.json").write_text(payment_file("ignored-below"))
    (directory / "ignored.txt").write_text(payment_file("ignored-txt"))
    (directory / "ignored.json.part").write_text(payment_file("ignored-part"))
    os.mkfifo(directory / "pipe.json")
    (directory / "nowhere.json").symlink_to("nowhere")
    (directory / "loop.json").symlink_to("loop.json")
    (directory / "linked.json").symlink_to(below / "linked")
    (below / "linked").write_text(payment_file("linked"))


def test_good_files_come_in_whatever_lies_beside_them(harvest: Watch) -> None:
    """One bad file never stops the good ones, and nothing that is no file is taken for one."""
    named = {f"name-{number}" for number in range(len(NAMES))}
    assert set(harvest.payments()) == {*GOOD, *named, "linked"}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_set_aside_with_a_reason(harvest: Watch, case: str) -> None:
    """The reason names the file, and the field or what else is wrong with it."""
    reasons = [reason for reason in harvest.set_aside() if reason.startswith(f"{case}.json: ")]

    assert len(reasons) == 1
    assert MALFORMED[case][1] in reasons[0].removeprefix(f"{case}.json: ")


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_stored_is_set_aside_with_a_reason(harvest: Watch, case: str) -> None:
    """Also what only the framework knows to be impossible; the reason names the field."""
    content, field = UNUSABLE[case]
    records = harvest.service.set_aside(harvest.connector, harvest.provider)
    (record,) = [record for record in records if record["raw"] == content]
    assert field in record["reason"]


def test_what_was_set_aside_keeps_its_raw_form(harvest: Watch) -> None:
    """An operator sees what the file held."""
    records = harvest.service.set_aside(harvest.connector, harvest.provider)
    raw = {record["reason"].partition(".json:")[0]: record["raw"] for record in records}

    assert raw["an unknown type"] == MALFORMED["an unknown type"][0]
    assert "caf\\xe9" in raw["no UTF-8"]


def test_a_file_that_ends_in_the_middle_for_long_is_set_aside(harvest: Watch) -> None:
    """Nobody waits for ever for the rest of a file that does not grow."""
    assert any(reason.startswith("given up.json: ") for reason in harvest.set_aside())


def test_a_name_that_is_no_text_is_visible(harvest: Watch) -> None:
    """A file whose name is not UTF-8 cannot be named by a task; it is set aside, to be renamed."""
    assert any(reason.startswith("caf\\udce9.json: ") for reason in harvest.set_aside())


def test_a_file_that_cannot_be_opened_is_visible(harvest: Watch) -> None:
    """A link that leads to itself is an error with the file's name, in a task or set aside."""
    assert any("loop.json: Too many levels" in text for text in [*harvest.errors(), *harvest.set_aside()])


def test_a_file_that_cannot_be_opened_is_read_once_it_can(watch: Watch) -> None:
    """Trouble with one file heals with the file."""
    (watch.directory / "late.json").symlink_to("late.json")
    eventually(lambda: watch.errors() or watch.set_aside(), lambda: "the trouble is not visible")

    (watch.directory / "late.json").unlink()
    watch.drop_payment("late")

    watch.wait_for("late")
    eventually(lambda: not watch.errors(), watch.errors)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_read_once_there_is(watch: Watch) -> None:
    """The others come in meanwhile, and the trouble is visible."""
    watch.drop_payment("closed").chmod(0)
    watch.drop_payment("open")
    watch.wait_for("open")
    eventually(
        lambda: any("closed.json" in text for text in [*watch.errors(), *watch.set_aside()]),
        lambda: "the trouble is not visible",
    )

    (watch.directory / "closed.json").chmod(0o644)

    watch.wait_for("closed")


def test_a_half_written_file_is_read_when_it_is_complete(watch: Watch) -> None:
    """Whatever part of it is there first, it is waited for and neither misread nor set aside."""
    whole = payment_file("slow", amount=1234567)
    file = watch.directory / "slow.json"
    for length in (0, 1, whole.index("4567"), len(whole) - 1):
        file.write_text(whole[:length])
        watch.look()
        assert not watch.payments()

    file.write_text(whole)

    watch.wait_for("slow")
    assert watch.payments()["slow"]["amount"] == 1234567
    assert not watch.set_aside()
    eventually(lambda: not watch.errors(), watch.errors)


def test_a_file_dropped_again_is_a_new_report_on_the_same_payment(watch: Watch) -> None:
    """The payment keeps its id and its first amount; both reports are kept, the latest in front."""
    watch.drop_payment("twice", status="PENDING")
    watch.wait_for("twice")
    first = watch.payments()["twice"]

    watch.drop_payment("twice", status="REFUNDED", amount=40)
    eventually(lambda: watch.payments()["twice"]["status"] == "REFUNDED", watch.payments)

    second = watch.payments()["twice"]
    assert len(watch.payments()) == 1
    assert (second["id"], second["initialAmount"], second["amount"]) == (first["id"], 100, 40)
    reports = [(report["status"], report["amount"]) for report in second["adjustments"]]
    assert reports == [("REFUNDED", 40), ("PENDING", 100)]


def test_a_file_dropped_again_unchanged_says_nothing_new(watch: Watch) -> None:
    """A report that was made is not made again, whatever the file's time says."""
    watch.drop_payment("same")
    watch.wait_for("same")

    watch.drop_payment("same")
    watch.look()

    assert len(watch.payments()["same"]["adjustments"]) == 1
    assert len(watch.service.events(watch.connector)) == 1


def test_a_tick_over_files_that_were_read_costs_a_look_at_the_directory(watch: Watch) -> None:
    """However many files there are, nothing runs for those that are known."""
    references = [f"known-{number}" for number in range(50)]
    for reference in references:
        watch.drop_payment(reference)
    watch.wait_for(*references)
    watch.look()
    looks, others = watch.runs()

    watch.look(5)

    looks_later, others_later = watch.runs()
    assert looks_later >= looks + 5
    assert others_later == others


def test_a_file_that_vanishes_between_listing_and_reading_is_no_error(
    service: Service, provider: str, tmp_path: Path
) -> None:
    """It was somebody's to take away; those that stayed are read and nothing fails."""
    watch = Watch(service, provider, tmp_path / "vanishing")
    watch.directory.mkdir()
    # Few runs where each file is one, enough files where a run reads hundreds in a moment.
    count = 3000 if provider == "harbour" else 600
    for number in range(count):
        watch.drop_payment(f"{number:04}")
    watch.install()
    eventually(watch.payments, lambda: "nothing is read")

    for number in reversed(range(100, count)):
        (watch.directory / f"{number:04}.json").unlink()

    watch.drop_payment("last")
    watch.wait_for("last", *(f"{number:04}" for number in range(100)))
    watch.look()
    assert len(watch.payments()) < count, "none vanished before it was read"
    assert not watch.errors()
    assert not watch.set_aside()
    watch.uninstall()


def test_thousands_of_files_come_in(service: Service, provider: str, tmp_path: Path) -> None:
    """All of them, once each, and no task is left over."""
    watch = Watch(service, provider, tmp_path / "many")
    watch.directory.mkdir()
    count = 1000 if provider == "pier" else 5000  # a task a file, like the example's
    for number in range(count):
        (watch.directory / f"{number}.json").write_text(payment_file(f"{number}"))
    watch.install()

    def arrived() -> bool:
        (row,) = service.sql(
            "SELECT count(*) FROM payment p JOIN installation i ON i.id = p.installation WHERE i.name = $1",
            f"{provider} {watch.directory}",
        )
        return bool(row["count"] == count)

    eventually(arrived, lambda: "not all came in")
    watch.look()
    payments = watch.service.payments(watch.connector)
    assert len(payments) == len({payment["id"] for payment in payments}) == count
    assert not watch.errors()
    assert not watch.set_aside()
    watch.uninstall()
