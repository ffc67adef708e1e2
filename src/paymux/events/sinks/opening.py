"""Makes sinks of their addresses."""

from paymux.events.messages import Sink
from paymux.events.sinks.addresses import LOG, NONE, Address
from paymux.events.sinks.log import LogSink, NoSink
from paymux.events.sinks.webhook import WebhookSink


def opened(address: Address) -> Sink:
    """The sink of an address; it connects when there is something to tell."""
    if address.scheme == LOG:
        return LogSink()
    if address.scheme == NONE:
        return NoSink()
    return WebhookSink(address.url, address.signing)
