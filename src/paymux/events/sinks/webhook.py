"""Webhooks: each event is a POST, signed by the scheme of Standard Webhooks (standardwebhooks.com)."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Sequence

import httpx

from paymux import __version__
from paymux.events.messages import Busy, Message, Outcome, Refusal, each_in_order
from paymux.events.sinks.addresses import key_of

# Requests under way at a time.
AT_ONCE = 16
# Seconds until an answer counts as none.
TIMEOUT = 15.0
# Of an answer that says why not; more is not read.
_ANSWER_MAX, _REASON_MAX = 64 * 1024, 500
_REFUSED = range(400, 500)
# Too slow, in conflict, too early, too many: another time it may be taken.
_NOT_NOW = {408, 409, 425, 429}
# Too many, unavailable.
_BUSY = {429, 503}
_MOVED = range(300, 400)


class NotAnswered(Exception):
    """The webhook's receiver did not say that it has taken an event."""


class WebhookSink:
    """Posts events to one URL. Redirects are not followed: a signed event goes where it was meant to go."""

    def __init__(self, url: str, secrets: Sequence[str], timeout: float = TIMEOUT) -> None:
        self._url = url
        self._keys = [key_of(secret) for secret in secrets]
        self._http = httpx.AsyncClient(
            timeout=timeout,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"User-Agent": f"paymux/{__version__}", "Content-Type": "application/json"},
        )

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Post each."""
        return await each_in_order(messages, self._post, AT_ONCE)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _post(self, message: Message) -> None:
        stamp = str(int(time.time()))
        headers = {
            "webhook-id": str(message.key),
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._keys, str(message.key), stamp, message.body),
        }
        try:
            async with self._http.stream("POST", self._url, content=message.body, headers=headers) as answer:
                said = b""
                async for part in answer.aiter_bytes():
                    said += part
                    if len(said) > _ANSWER_MAX:
                        break
        except httpx.HTTPError as error:
            raise NotAnswered(f"{type(error).__name__} {error}".strip()) from None
        if answer.is_success:
            return
        why = f"HTTP {answer.status_code} {said[:_REASON_MAX].decode('utf-8', 'replace')}".strip()
        if answer.status_code in _REFUSED and answer.status_code not in _NOT_NOW:
            raise Refusal(why)
        if answer.status_code in _BUSY:
            raise Busy(why, _seconds(answer.headers.get("retry-after", "")))
        if answer.status_code in _MOVED:
            why = (
                f"HTTP {answer.status_code}: redirects are not followed; name the address that answers itself"
            )
        raise NotAnswered(why)


def _seconds(retry_after: str) -> float:
    # A date would be by the receiver's clock: then our own patience does. Ten digits are centuries.
    return float(retry_after[:10]) if retry_after.isascii() and retry_after.isdecimal() else 0


def signature(keys: Sequence[bytes], key: str, stamp: str, body: bytes) -> str:
    """The header ``webhook-signature``: one signature by each secret."""
    content = f"{key}.{stamp}.".encode() + body
    return " ".join(
        f"v1,{b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()}" for secret in keys
    )
