"""Settings come from the environment once, and a wrong one is told by its variable."""

from datetime import timedelta
from pathlib import Path

import pytest

from paymux.settings import BadSettings, Settings, read


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PAYMUX_{name.upper()}", raising=False)


def test_nothing_needs_to_be_set() -> None:
    """``paymux serve`` works in an empty environment."""
    settings = read()

    assert settings.database_url is None
    assert settings.data_dir == Path("./paymux-data")
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.encryption_keys is None
    assert (settings.log_format, settings.log_level) == ("logfmt", "info")
    assert (settings.pool_size, settings.run_concurrency) == (10, 100)
    assert (settings.heartbeat, settings.grace) == (5, 10)
    assert settings.max_body_bytes == 2 * 1024 * 1024
    assert settings.run_retention == timedelta(days=30)
    assert settings.sinks.get_secret_value() == "log"
    assert settings.event_retention == timedelta(days=90)


def test_each_setting_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words may be written in capitals, as they often are in an environment."""
    monkeypatch.setenv("PAYMUX_DATABASE_URL", "postgresql://me:hunter2@db:5432/pay")
    monkeypatch.setenv("PAYMUX_DATA_DIR", "/var/lib/paymux")
    monkeypatch.setenv("PAYMUX_PORT", "0")
    monkeypatch.setenv("PAYMUX_LOG_FORMAT", "JSON")
    monkeypatch.setenv("PAYMUX_LOG_LEVEL", "Debug")
    monkeypatch.setenv("PAYMUX_HEARTBEAT", "2.5")
    monkeypatch.setenv("PAYMUX_RUN_RETENTION", "36h30m")

    settings = read()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:hunter2@db:5432/pay"
    assert settings.data_dir == Path("/var/lib/paymux")
    assert (settings.port, settings.log_format, settings.log_level) == (0, "json", "debug")
    assert settings.heartbeat == 2.5
    assert settings.run_retention == timedelta(hours=36, minutes=30)


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compose file that passes ``${PAYMUX_DATABASE_URL:-}`` on has not set it."""
    monkeypatch.setenv("PAYMUX_DATABASE_URL", "")
    monkeypatch.setenv("PAYMUX_PORT", "")

    assert read() == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PAYMUX_DATABASE_URL", "mysql://me:hunter2@db/pay", "must be a URL such as postgresql://"),
        ("PAYMUX_PORT", "hunter2", "must be a whole number from 0 to 65535"),
        ("PAYMUX_PORT", "65536", "must be a whole number from 0 to 65535"),
        ("PAYMUX_PORT", "-1", "must be a whole number from 0 to 65535"),
        ("PAYMUX_PORT", "tcp://10.0.0.1:80", "must be a whole number from 0 to 65535"),
        ("PAYMUX_LOG_FORMAT", "hunter2", "must be 'logfmt' or 'json'"),
        ("PAYMUX_LOG_LEVEL", "hunter2", "must be 'debug', 'info', 'warning', 'error' or 'critical'"),
        ("PAYMUX_POOL_SIZE", "1", "must be a whole number from 2 to 1000"),
        ("PAYMUX_RUN_CONCURRENCY", "0", "must be a whole number from 1 to 10000"),
        ("PAYMUX_HEARTBEAT", "nan", "must be a number from 1 to 300"),
        ("PAYMUX_GRACE", "inf", "must be a number from 0 to 3600"),
        ("PAYMUX_RUN_RETENTION", "hunter2", "must be a duration of an hour or more, such as 720h"),
        ("PAYMUX_RUN_RETENTION", "30", "must be a duration of an hour or more, such as 720h"),
        ("PAYMUX_RUN_RETENTION", "59m", "must be a duration of an hour or more, such as 720h"),
        ("PAYMUX_RUN_RETENTION", "-720h", "must be a duration of an hour or more, such as 720h"),
        ("PAYMUX_MAX_BODY_BYTES", "2MiB", "must be a whole number from 1024 to 1073741824"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    """The operator reads what to change and what to, and the value is not repeated."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(BadSettings) as caught:
        read()

    assert str(caught.value).startswith(f"{variable}: {allowed}")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start, all mistakes."""
    monkeypatch.setenv("PAYMUX_PORT", "x")
    monkeypatch.setenv("PAYMUX_GRACE", "x")

    with pytest.raises(BadSettings) as caught:
        read()

    assert set(caught.value.problems) == {"PAYMUX_PORT", "PAYMUX_GRACE"}


def test_secrets_are_masked_when_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings end up in tracebacks and debug output like everything else."""
    monkeypatch.setenv("PAYMUX_DATABASE_URL", "postgresql://me:hunter2@db:5432/pay")
    monkeypatch.setenv("PAYMUX_ENCRYPTION_KEYS", "hunter2")

    settings = read()

    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_are_frozen() -> None:
    """They are read once; nothing changes them on the way."""
    with pytest.raises(ValueError, match="frozen"):
        read().port = 1  # type: ignore[misc]
