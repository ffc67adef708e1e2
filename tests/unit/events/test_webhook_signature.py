"""Webhooks are signed as Standard Webhooks says."""

import json
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

from paymux.events.sinks.addresses import key_of
from paymux.events.sinks.webhook import signature


def test_signed_examples(shared: Path) -> None:
    """As the specification's own example is."""
    examples = json.loads((shared / "vectors/webhook-signatures.json").read_text("utf-8"))
    (example,) = (one for one in examples if one["scheme"] == "standard-webhooks")
    body = example["body"].encode()

    assert (
        signature([key_of(example["secret"])], example["id"], str(example["timestamp"]), body)
        == (example["signature"])
    )


def test_each_secret_signs() -> None:
    """While one replaces the other, receivers with either can verify."""
    secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
    stamp = str(int(datetime.now(UTC).timestamp()))
    body = '{"amount":12345678901234567890,"name":"\u00e9"}'
    headers = {
        "webhook-id": "msg",
        "webhook-timestamp": stamp,
        "webhook-signature": signature([key_of(one) for one in secrets], "msg", stamp, body.encode()),
    }

    for secret in secrets:
        assert Webhook(secret).verify(body, headers)
