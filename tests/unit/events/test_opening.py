"""Sinks are made of their addresses."""

import sys

import pytest

from paymux.events.sinks.addresses import addresses
from paymux.events.sinks.brokers import ExtraMissing
from paymux.events.sinks.opening import opened


@pytest.mark.parametrize(
    ("scheme", "extra", "client"),
    [
        ("nats", "nats", "faststream.nats"),
        ("rediss", "redis", "faststream.redis"),
        ("amqp", "rabbitmq", "faststream.rabbit"),
        ("kafkas", "kafka", "faststream.kafka"),
    ],
)
def test_a_missing_client_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str, client: str
) -> None:
    """In a sentence, without the password."""
    monkeypatch.delitem(sys.modules, f"paymux.events.sinks.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, client, None)
    (address,) = addresses(f"{scheme}://me:hunter22@host")

    with pytest.raises(ExtraMissing) as caught:
        opened(address)

    assert f"pip install 'paymux[{extra}]'" in str(caught.value)
    assert "hunter22" not in str(caught.value)
