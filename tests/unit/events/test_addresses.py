"""What ``PAYMUX_SINKS`` may say, and what is said about what it may not."""

from base64 import b64encode

import pytest

from paymux.events.sinks.addresses import BadSinks, addresses

SECRET = f"whsec_{b64encode(bytes(32)).decode()}"
OTHER = f"whsec_{b64encode(bytes(range(24))).decode()}"


def test_a_list() -> None:
    """Each is called like its URL without what is secret, or as it is named."""
    found = addresses(
        f" log, audit=none ,https://me:hunter22@host:8443/a/b?key=0123456789abcdef#{SECRET}#{OTHER},"
        "bus=nats://user:pa%40ss@nats:4222,amqp://[::1]/vhost,"
    )

    assert [(one.name, one.scheme) for one in found] == [
        ("log", "log"),
        ("audit", "none"),
        ("https://host:8443/a/b", "https"),
        ("bus", "nats"),
        ("amqp://[::1]/vhost", "amqp"),
    ]
    assert found[2].url == "https://me:hunter22@host:8443/a/b?key=0123456789abcdef"
    assert found[2].signing == (SECRET, OTHER)
    assert found[2].secrets == {SECRET, OTHER, "hunter22", "0123456789abcdef"}
    assert found[3].secrets == {"pa@ss", "pa%40ss"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",", "1 to 20"),
        (",".join(f"s{number}=log" for number in range(21)), "1 to 20"),
        ("log,log", "two sinks called log"),
        ("ftp://u:hunter22@h", "each one of log, none, https://"),
        ("nats://", "each one of"),
        ("hunter22", "each one of"),
        ("https://u:hunter22@[h", "a URL that is none"),
        ("https://u:hunter22@h:99999", "a URL that is none"),
        ("https://u:hunter22@h", "whsec_"),
        ("https://h#hunter22", "base64"),
        ("https://h#whsec_hunter22", "24 to 64 bytes"),
        (f"https://h#{SECRET}#whsec_hunter22", "24 to 64 bytes"),
    ],
)
def test_what_makes_no_sense_is_told_without_its_secrets(text: str, why: str) -> None:
    """The sentence says what to do, and holds nothing of a user, a password or a secret."""
    with pytest.raises(BadSinks) as caught:
        addresses(text)

    assert why in str(caught.value)
    assert "hunter22" not in str(caught.value)
