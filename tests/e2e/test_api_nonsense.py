"""Whatever a client asks of a list, it gets a list or is told what is wrong, and never a failure of ours."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.service import Service

from paymux.domain.filter import Operator
from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.storage.accounts import ACCOUNTS
from paymux.storage.balances import BALANCES
from paymux.storage.bank_accounts import BANK_ACCOUNTS
from paymux.storage.payments import PAYMENTS
from paymux.storage.pools import POOLS

COLUMNS = sorted(
    {
        *PAYMENTS.columns,
        *ACCOUNTS.columns,
        *BALANCES.columns,
        *POOLS.columns,
        *BANK_ACCOUNTS.columns,
        "metadata[k]",
        "metadata[\"'\\]",
        "",
    }
)

texts = st.text(max_size=20) | st.sampled_from(
    ["\0", "\ud800", "%", "\\", "'", "$1", "{where}", "::", "\U0001f4b6"]
)
times = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+23:59",
        "2024-02-30T00:00:00Z",
    ]
)


@st.composite
def identities(draw: st.DrawFn) -> str:
    """Identifiers that are well formed, of anything."""
    written = st.text(st.characters(codec="utf-8"), max_size=10)
    connector = ConnectorID(draw(written), draw(st.uuids()))
    reference = draw(written)
    return draw(
        st.sampled_from(
            [connector.encode(), account_id(connector, reference), payment_id(connector, reference, "")]
        )
    )


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**110), 10**110)
    | st.floats(allow_nan=True)
    | texts
    | times
    | identities()
)
compared = st.builds(
    lambda word, column, value: {word: {column: value}},
    st.sampled_from(Operator),
    st.sampled_from(COLUMNS) | texts,
    values | st.lists(values, max_size=3),
)
sensible = st.recursive(
    compared,
    lambda inner: (
        st.lists(inner, max_size=3).flatmap(lambda of: st.sampled_from([{"$and": of}, {"$or": of}]))
        | inner.map(lambda one: {"$not": one})
    ),
    max_leaves=5,
)
nonsense: st.SearchStrategy[Any] = st.recursive(
    values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$and", "$not", "$match"]) | texts, inner, max_size=2)
    ),
)
patiently = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@patiently
@given(
    path=st.sampled_from(["/payments", "/accounts", "/pools", "/bank-accounts"]),
    wire=sensible | nonsense,
    sort=st.lists(st.sampled_from(COLUMNS) | texts.filter(str.isprintable), max_size=2),
)
def test_a_filter_is_answered_or_refused(service: Service, path: str, wire: Any, sort: list[str]) -> None:
    """200 or 400, with the columns that there are and with others, as values of any kind."""
    params = {"sort": sort} if sort else {}
    answer = service.http.request("GET", path, content=json.dumps(wire).encode(), params=params)
    assert answer.status_code in (200, 400), answer.text
    assert answer.json().keys() - {"details"} in ({"cursor"}, {"errorCode", "errorMessage"})


PAYMENT = {
    "reference": "r", "createdAt": "2024-05-01T12:00:00Z", "amount": 1, "type": "PAY-IN", "status": "PENDING",
    "scheme": "sepa", "asset": "EUR/2", "sourceAccountID": "", "destinationAccountID": None,
}  # fmt: skip
ACCOUNT = {
    "reference": "r", "createdAt": "2024-05-01T12:00:00Z", "type": "INTERNAL", "accountName": "n",
    "defaultAsset": "EUR/2", "metadata": {"k": "v"},
}  # fmt: skip
anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@patiently
@given(data=st.data(), noun=st.sampled_from([("/payments", PAYMENT), ("/accounts", ACCOUNT)]))
def test_a_record_is_taken_or_refused(service: Service, data: st.DataObject, noun: Any) -> None:
    """With any of its fields made into something else, left out, or another beside them."""
    path, known = noun
    connector = _connector(service)
    changes = data.draw(
        st.dictionaries(st.sampled_from([*known, "connectorID"]) | texts, anything, max_size=2)
    )
    left_out = data.draw(st.sets(st.sampled_from(sorted(known)), max_size=1))
    body = {name: value for name, value in known.items() if name not in left_out}
    answer = service.http.post(path, content=json.dumps(body | {"connectorID": connector} | changes).encode())
    assert answer.status_code in (200, 400, 404), answer.text
    assert answer.json().keys() - {"details"} in ({"data"}, {"errorCode", "errorMessage"})
    if answer.is_success:
        made = answer.json()["data"]
        assert service.get(f"{path}/{made['id']}")["data"] == made


@patiently
@given(said=anything)
def test_metadata_is_taken_or_refused(service: Service, said: Any) -> None:
    """Text by text, and nothing else."""
    body = PAYMENT | {"connectorID": _connector(service)}
    path = f"/payments/{service.http.post('/payments', json=body).json()['data']['id']}"
    answer = service.http.patch(f"{path}/metadata", content=json.dumps(said).encode())
    assert answer.status_code in (204, 400), answer.text
    if answer.is_success:
        assert isinstance(said, dict)
        assert said.items() <= (service.get(path)["data"]["metadata"] or {}).items()


def _connector(service: Service) -> str:
    """An installation, the same one for all examples of a test."""
    found = service.get("/connectors")["data"]
    return str(found[0]["connectorID"]) if found else service.install(directory="/nowhere")
