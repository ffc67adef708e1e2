"""Lists: pages and the cursors between them, filters, and what may be asked for."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.e2e.conftest import STOCKED
from tests.e2e.service import PREFIXES, Service, encoded, eventually, payment_file, refused

# Of which the first two hold payments, the same here.
LISTS = ["/payments", "/connectors/pier", "/connectors/pier/{}/tasks", "/connectors/pier/{}/set-aside"]


@pytest.fixture(params=LISTS[:2])
def payments_path(request: pytest.FixtureRequest, stocked: str) -> str:  # noqa: ARG001 - there must be some
    """The two lists of payments."""
    return str(request.param)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("asked", "size"), [(None, 15), ("1", 1), ("2", 2), ("15", 15), ("100", 100), ("101", 100), ("0", 15),
                        ("", 15), ("9" * 30, 100)],
)  # fmt: skip
def test_a_walk_meets_each_payment_once_in_both_directions(
    service: Service, payments_path: str, prefix: str, asked: str | None, size: int
) -> None:
    """Newest first; forward to the end and back to the beginning, whatever the size of a page."""
    path = prefix + payments_path
    page = service.get(path, **({} if asked is None else {"pageSize": asked}))["cursor"]
    forward = [page]
    while "next" in page:
        assert page["hasMore"] is True
        page = service.get(path, cursor=page["next"])["cursor"]
        forward.append(page)
    assert page["hasMore"] is False
    assert "previous" not in forward[0]
    backward = [page]
    while "previous" in page:
        page = service.get(path, cursor=page["previous"])["cursor"]
        backward.append(page)

    assert {page["pageSize"] for page in forward + backward} == {size}
    for pages in (forward, backward[::-1]):
        rows = [row for page in pages for row in page["data"]]
        assert len(rows) == len({row["id"] for row in rows}) == STOCKED
        assert [row["createdAt"] for row in rows] == sorted((row["createdAt"] for row in rows), reverse=True)
    assert [page["data"] for page in backward[::-1]] == [page["data"] for page in forward]


@pytest.mark.parametrize("size", ["-1", "1.5", "ten", "0x10", "\u0661\u0665", "1 0", "1e1", "null", "\0"])
def test_a_page_size_that_is_no_number_is_refused(service: Service, stocked: str, size: str) -> None:
    """On every list."""
    for path in LISTS:
        answer = service.http.get(path.format(stocked), params={"pageSize": size})
        assert "pageSize" in refused(answer, 400, "VALIDATION")


def test_a_filter_stays_with_its_cursor(service: Service, stocked: str) -> None:
    """The cursor alone goes on with the filtered list, as clients expect; another filter does not fit it."""
    query = json.dumps({"$match": {"connectorID": stocked, "status": "PENDING"}})
    page = service.get("/payments", query=query, pageSize="10")["cursor"]
    rows = page["data"]
    rows += service.get("/payments", cursor=page["next"])["cursor"]["data"]

    assert len({row["id"] for row in rows}) == STOCKED // 2
    assert {row["status"] for row in rows} == {"PENDING"}
    assert service.get("/payments", cursor=page["next"], query=query)["cursor"]["data"] == rows[10:]
    other = json.dumps({"$match": {"status": "SUCCEEDED"}})
    refused(service.http.get("/payments", params={"cursor": page["next"], "query": other}), 400, "VALIDATION")


def test_a_filter_matches_what_it_names(service: Service, stocked: str) -> None:
    """Each column by itself, and an installation that does not exist holds nothing."""
    everything = service.walk("/payments")
    for column in ("reference", "status", "type", "asset", "connectorID"):
        wanted = everything[0][column]
        found = service.walk("/payments", query=json.dumps({"$match": {column: wanted}}))
        assert found == [row for row in everything if row[column] == wanted]
    for stranger in ({"Provider": "PIER", "Reference": str(uuid4())}, _swapped(stocked)):
        query = json.dumps({"$match": {"connectorID": encoded(stranger)}})
        assert service.get("/payments", query=query)["cursor"]["data"] == []


@pytest.mark.parametrize(
    "query",
    ["[", "17", "null", "{}", '{"$match": {}}', '{"$match": 1}', '{"$match": {"colour": "red"}}',
     '{"$match": {"status": 1}}', '{"$match": {"status": "\\u0000"}}', '{"$match": {"status": "\\ud800"}}',
     '{"$or": []}', '{"$match": {"status": "PENDING"}, "$not": {}}', '{"a":' * 5000],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(service: Service, query: str) -> None:
    """400 VALIDATION, and it says what can be asked for."""
    answer = service.http.get("/payments", params={"query": query})
    assert refused(answer, 400, "VALIDATION").startswith("query: ")


def test_a_cursor_fits_its_own_list_and_untouched(service: Service, stocked: str) -> None:
    """One of another list is refused, and so is one with any character changed."""
    lists = [path.format(stocked) for path in LISTS]
    cursors = {path: service.get(path, pageSize="1")["cursor"]["next"] for path in lists}
    for path in lists:
        for other in lists:
            if other != path:
                answer = service.http.get(path, params={"cursor": cursors[other]})
                assert "cursor" in refused(answer, 400, "VALIDATION")
        cursor = cursors[path]
        tampered = [cursor[:-1], cursor[1:], cursor + "A", "A", "=", "é", "\0", cursor.upper()]
        tampered += [
            f"{cursor[:i]}{'A' if cursor[i] != 'A' else 'B'}{cursor[i + 1 :]}" for i in (0, 15, 30, 45)
        ]
        for text in tampered:
            refused(service.http.get(path, params={"cursor": text}), 400, "VALIDATION")


def test_tasks_and_set_aside_records_are_walked_both_ways(service: Service, stocked: str) -> None:
    """Each once, newest first, and the same pages on the way back."""
    for path, count in ((LISTS[2].format(stocked), STOCKED + 3), (LISTS[3].format(stocked), 2)):
        for size in (1, 7, 100):
            page = service.get(path, pageSize=str(size))["cursor"]
            pages = [page["data"]]
            assert "previous" not in page
            while "next" in page:
                page = service.get(path, cursor=page["next"])["cursor"]
                pages.append(page["data"])
            rows = [row for data in pages for row in data]
            assert len(rows) == len({row["id"] for row in rows}) == count
            back = [page["data"]]
            while "previous" in page:
                page = service.get(path, cursor=page["previous"])["cursor"]
                back.append(page["data"])
            # Periodic tasks go on meanwhile: their rows change, their order does not.
            assert [[row["id"] for row in data] for data in back[::-1]] == [
                [row["id"] for row in data] for data in pages
            ]


def test_nothing_repeats_or_skips_while_payments_come_in(
    service: Service, stocked: str, directory: Path
) -> None:
    """A walk that began before them meets what was there then, each once."""
    page = service.get("/payments", pageSize="10")["cursor"]
    rows = list(page["data"])
    for number in range(20):
        (directory / f"{number}.json").write_text(
            payment_file(f"new-{number}", created_at="2025-01-01T00:00:00Z")
        )
    connector = service.install(directory=str(directory))
    eventually(lambda: len(service.payments(connector)) == 20, lambda: service.tasks(connector))
    while "next" in page:
        page = service.get("/payments", cursor=page["next"])["cursor"]
        rows += page["data"]

    assert len(rows) == len({row["id"] for row in rows}) == STOCKED
    assert {row["connectorID"] for row in rows} == {stocked}


def test_what_a_provider_says_breaks_no_list(service: Service, directory: Path) -> None:
    """A payment whose raw form is nested as deep as can be read is shown like any other."""
    depths = range(900, 1000, 5)
    for depth in depths:
        nested = payment_file(f"{depth}").replace("{", f'{{"deep": {"[" * depth}{"]" * depth}, ')
        (directory / f"{depth}.json").write_text(nested)
    connector = service.install(directory=str(directory))

    def shown() -> int:
        query = json.dumps({"$match": {"connectorID": connector}})
        answer = service.http.get("/payments", params={"pageSize": "100", "query": query})
        assert answer.status_code == 200
        return answer.text.count('"initialAmount"')

    eventually(
        lambda: shown() + len(service.set_aside(connector)) == len(depths), lambda: service.tasks(connector)
    )
    assert shown() > len(depths) // 2
    untold = (
        "SELECT FROM event WHERE type = 'SAVED_PAYMENT'"
        " AND (position IS NULL OR position > (SELECT min(position) FROM sink))"
    )
    eventually(lambda: not service.sql(untold), lambda: "not all were told")


def test_an_installation_on_its_way_out_hides_no_other(
    service: Service, stocked: str, directory: Path
) -> None:
    """While its payments are being deleted, the list goes on with everybody else's."""
    for number in range(120):
        created = {"created_at": "2025-01-01T00:00:00Z"}
        (directory / f"{number}.json").write_text(payment_file(f"new-{number}", **created))
    connector = service.install(directory=str(directory), name="leaving")
    eventually(lambda: len(service.payments(connector)) == 120, lambda: service.tasks(connector))
    service.sql("UPDATE installation SET status = 'UNINSTALLING' WHERE name = 'leaving'")

    listed = service.walk("/payments")

    service.sql("UPDATE installation SET status = 'INSTALLED' WHERE name = 'leaving'")
    assert len(listed) == STOCKED
    assert {payment["connectorID"] for payment in listed} == {stocked}


def _swapped(connector: str) -> dict[str, Any]:
    """The identity of an installation under another provider's name."""
    identity: dict[str, Any] = json.loads(urlsafe_b64decode(connector + "=" * (-len(connector) % 4)))
    return identity | {"Provider": "EXAMPLE"}
