"""Makes sinks of their addresses."""

from collections.abc import Callable
from importlib import import_module

from paymux.events.messages import Sink
from paymux.events.sinks.addresses import LOG, NONE, WEBHOOK, Address
from paymux.events.sinks.brokers import ExtraMissing
from paymux.events.sinks.log import LogSink, NoSink
from paymux.events.sinks.webhook import WebhookSink

# By scheme: the extra that brings the client, which is also its module here, and the class.
_BROKERS = {
    "nats": ("nats", "NatsSink"),
    "tls": ("nats", "NatsSink"),
    "redis": ("redis", "RedisSink"),
    "rediss": ("redis", "RedisSink"),
    "amqp": ("rabbitmq", "RabbitSink"),
    "amqps": ("rabbitmq", "RabbitSink"),
    "kafka": ("kafka", "KafkaSink"),
    "kafkas": ("kafka", "KafkaSink"),
}


def opened(address: Address) -> Sink:
    """The sink of an address; it connects when there is something to tell.

    Raises:
        ExtraMissing: its client is not installed.
    """
    if address.scheme == LOG:
        return LogSink()
    if address.scheme == NONE:
        return NoSink()
    if address.scheme in WEBHOOK:
        return WebhookSink(address.url, address.signing)
    extra, name = _BROKERS[address.scheme]
    try:
        made: Callable[[str], Sink] = getattr(import_module(f"paymux.events.sinks.{extra}"), name)
    except ImportError:
        raise ExtraMissing(address.name, extra) from None
    return made(address.url)
