"""The provider's HTTP: its paths, its errors sorted by remedy, and where a request got lost."""

import ssl
from datetime import datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

from paymux.connectors.dummypay.config import Config
from paymux.sdk import AskForLogin, Refused, SlowDown, TryAgain, Unknown

PAGE = 100
# When the provider asks us to wait and does not say for how long.
WAIT = timedelta(seconds=30)

_UNAUTHORIZED, _GONE, _TOO_MANY, _BAD = 401, 410, 429, 400
_SERVER_ERROR = 500
# With these, too, nobody can say whether the request was carried out.
_UNCLEAR = {408, 409, 425}
# The request did not leave this machine.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class CursorExpired(TryAgain):
    """The provider no longer knows where this walk through its list was; it begins again."""


class Page(msgspec.Struct):
    """A page of a list; each row is kept as it came, so that a bad one costs only itself."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None


class Client:
    """Speaks to the provider for one run: ``async with Client(config) as client``.

    A connection kept from an earlier run may be cut by the other side just as an order goes out on it, and
    then nobody knows what became of the order.
    """

    def __init__(self, config: Config) -> None:
        self._http = httpx.AsyncClient(
            base_url=config.url,
            headers={"Authorization": f"Bearer {config.api_key.get_secret_value()}"},
            timeout=config.timeout.total_seconds(),
            verify=_trust(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def page(self, path: str, since: datetime | None = None, cursor: str | None = None) -> Page:
        """One page of what changed after ``since``, from a cursor on."""
        given = {"updated_after": since and since.isoformat(), "cursor": cursor, "limit": PAGE}
        return await self._list(path, given)

    async def find(self, key: str) -> msgspec.Raw | None:
        """The payment that was made with an idempotency key."""
        found = await self._list("/v1/payments", {"idempotency_key": key})
        # Who passes over what we ask for answers with everybody's payments.
        return next((row for row in found.data if _key_of(row) == key), None)

    async def payment(self, reference: str) -> bytes:
        """One payment, as it is now. Raises Refused when there is none."""
        return await self._get(payment_path(reference), {})

    async def send(self, path: str, body: object, key: str) -> bytes:
        """Ask for something to be done, once for each key.

        Raises:
            TryAgain, SlowDown: It was surely not done.
            Refused: It was not, and never will be.
            Unknown: It may have been done.
        """
        try:
            answer = await self._ask(
                "POST", path, content=msgspec.json.encode(body), headers={"Idempotency-Key": key}
            )
        except _NOT_SENT as error:
            raise TryAgain(f"The provider cannot be reached: {error}") from error
        except httpx.TransportError as error:
            raise Unknown(f"Sent, and no answer came: {type(error).__name__} {error}") from error
        if answer.status_code >= _SERVER_ERROR or answer.status_code in _UNCLEAR:
            raise Unknown(f"Sent, and the answer does not tell: {_complaint(answer)}")
        if answer.status_code >= _BAD:
            raise Refused(_complaint(answer))
        return answer.content

    async def _list(self, path: str, given: dict[str, Any]) -> Page:
        content = await self._get(path, {name: value for name, value in given.items() if value is not None})
        try:
            return msgspec.json.decode(content, type=Page)
        except ValueError as error:
            raise TryAgain(f"{path} is not answered with a page: {error}") from None

    async def _get(self, path: str, given: dict[str, Any]) -> bytes:
        answer = await self._ask("GET", path, params=given)
        if answer.status_code == _GONE:
            raise CursorExpired
        if answer.status_code >= _SERVER_ERROR or answer.status_code in _UNCLEAR:
            raise TryAgain(_complaint(answer))
        if answer.status_code >= _BAD:
            raise Refused(_complaint(answer))
        return answer.content

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self._http.request(method, path, **more)
        if answer.status_code == _UNAUTHORIZED:
            raise AskForLogin(_complaint(answer))
        if answer.status_code == _TOO_MANY:
            wait = answer.headers.get("retry-after", "")
            raise SlowDown(timedelta(seconds=int(wait)) if wait.isdecimal() else WAIT)
        return answer


def payment_path(reference: str) -> str:
    """Where a payment is."""
    return f"/v1/payments/{quote(reference, safe='')}"


class _Keyed(msgspec.Struct):
    idempotency_key: str


def _key_of(row: msgspec.Raw) -> str:
    return msgspec.json.decode(row, type=_Keyed).idempotency_key


class _Complaint(msgspec.Struct):
    class Error(msgspec.Struct):
        code: str
        message: str

    error: Error


def _complaint(answer: httpx.Response) -> str:
    try:
        said = msgspec.json.decode(answer.content, type=_Complaint).error
    except ValueError:
        return f"HTTP {answer.status_code}"
    return f"HTTP {answer.status_code}, {said.code}: {said.message}"


@cache
def _trust() -> ssl.SSLContext:
    # Reading the certificates takes longer than a request.
    return httpx.create_ssl_context()
