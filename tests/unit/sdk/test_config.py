"""A config is declared once, and its defaults, checks, template and secrets follow."""

import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.money import Asset
from paymux.sdk.config import (
    ConfigSection,
    ConnectorConfig,
    Duration,
    LongSecret,
    LongText,
    Secret,
    load,
    masked,
    revealed,
    secrets_of,
    template,
    update,
)
from paymux.sdk.errors import BadConfig


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"


class Login(ConfigSection):
    client_id: str
    password: Secret
    renew_after: timedelta = timedelta(minutes=30)


class Config(ConnectorConfig):
    directory: Path
    polling_period: timedelta = timedelta(seconds=10)


class Full(ConnectorConfig):
    endpoint: str
    api_key: Secret
    login: Login
    second_key: Secret | None = None
    certificate: LongText = ""
    certificate_key: LongSecret = Secret("")
    polling_period: Duration = timedelta(minutes=2)
    page_size: int = pydantic.Field(25, ge=1)
    sandbox: bool = False
    mode: Mode = Mode.LIVE
    backups: tuple[Login, ...] = ()
    merchant: str = pydantic.Field("", alias="merchantID")


FULL: dict[str, Any] = {
    "endpoint": "https://api.acme.example",
    "apiKey": "sk_one",
    "login": {"clientId": "we", "password": "pw_two"},
    "backups": [{"clientId": "they", "password": "pw_three"}],
}


def problems(config_class: type[ConnectorConfig], raw: Any) -> dict[str, str]:
    with pytest.raises(BadConfig) as caught:
        load(config_class, raw)
    return caught.value.fields


@pytest.mark.parametrize("key", ["pollingPeriod", "polling_period"])
def test_both_spellings_of_a_field_are_accepted(key: str) -> None:
    """Operators write ``pollingPeriod``; who reads the Python class may write ``polling_period``."""
    config = load(Config, {"directory": "/srv/payments", key: "1h30m"})

    assert config.polling_period == timedelta(hours=1, minutes=30)


def test_a_config_is_shown_in_camel_case() -> None:
    """What is shown can be sent back, and reads like the rest of the interface."""
    shown = masked(load(Config, {"directory": "/in", "name": "ours"}))

    assert shown == {"name": "ours", "directory": "/in", "pollingPeriod": "10s"}


def test_a_config_is_frozen() -> None:
    """A run works with one config from its start to its end."""
    config = load(Config, {"directory": "/in"})

    with pytest.raises(pydantic.ValidationError):
        config.directory = Path("/out")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("10s", timedelta(seconds=10)),
        ("1h30m", timedelta(minutes=90)),
        ({"duration": 10_000_000_000}, timedelta(seconds=10)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P1D", timedelta(days=1)),
        ("-PT5S", timedelta(seconds=-5)),
    ],
)
def test_a_duration_may_be_go_or_iso_or_the_object_form(given_: object, expected: timedelta) -> None:
    """All the ways in which existing clients write a duration."""
    assert load(Config, {"directory": "/in", "pollingPeriod": given_}).polling_period == expected


@pytest.mark.parametrize(
    "given_",
    [10, 10.5, "10", "", "s", True, None, [], {}, {"duration": True}, {"duration": "10s"}, {"Duration": 1}],
)
def test_a_duration_without_a_unit_is_refused(given_: object) -> None:
    """Is ``10`` seconds, or nanoseconds as in the interface? Nobody should have to find out."""
    found = problems(Config, {"directory": "/in", "pollingPeriod": given_})

    assert found == {
        "pollingPeriod": 'must be a duration such as "10s" or "1h30m"; a bare number has no unit'
    }


def test_a_timedelta_is_a_duration_wherever_it_stands() -> None:
    """An author writes ``timedelta`` and need not know that Duration exists, in lists and unions too."""

    class Periods(ConnectorConfig):
        maybe: timedelta | None = None
        many: tuple[timedelta, ...] = ()
        positive: Annotated[timedelta, pydantic.Field(gt=timedelta(0))] = timedelta(seconds=1)
        inner: Login

    raw = {
        "maybe": "1m",
        "many": ["1s", "500ms"],
        "positive": "2s",
        "inner": {"clientId": "a", "password": "b", "renewAfter": "1h"},
    }
    config = load(Periods, raw)

    assert (config.maybe, config.many) == (
        timedelta(minutes=1),
        (timedelta(seconds=1), timedelta(milliseconds=500)),
    )
    assert masked(config)["many"] == ["1s", "500ms"]
    assert masked(config)["inner"]["renewAfter"] == "1h0m0s"
    assert problems(Periods, {**raw, "positive": "0s"}) == {"positive": "must be greater than 0 seconds"}


def test_what_is_missing_is_named() -> None:
    """The message names each field as the operator writes it, down to a section's."""
    found = problems(Full, {"login": {}})

    assert found == {
        "endpoint": "field required",
        "apiKey": "field required",
        "login.clientId": "field required",
        "login.password": "field required",
    }


def test_the_message_of_a_bad_config_holds_every_complaint() -> None:
    """Whoever prints only the error still learns which field it is."""
    with pytest.raises(BadConfig, match=r"^directory: field required$"):
        load(Config, None)


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"])
@pytest.mark.parametrize("field", ["endpoint", "apiKey"])
def test_what_is_required_must_not_be_blank(field: str, blank: str) -> None:
    """An empty key is a forgotten key."""
    assert problems(Full, {**FULL, field: blank}) == {field: "must not be empty"}


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_path_is_not_the_working_directory(blank: str) -> None:
    """Python reads ``Path("")`` as ``Path(".")``: the connector would ingest whatever lies there."""

    class Optional(ConnectorConfig):
        archive: Path | None = None

    assert problems(Config, {"directory": blank}) == {"directory": "must not be empty"}
    assert problems(Optional, {"archive": blank}) == {"archive": "must not be empty"}


def test_what_has_a_default_may_be_blank() -> None:
    """An empty name means that the framework gives one."""
    assert load(Full, {**FULL, "name": "", "certificate": ""}).name == ""


def test_an_unknown_key_is_refused_with_what_is_allowed() -> None:
    """A typing mistake in an optional field must not fall back to its default in silence."""
    found = problems(Config, {"directory": "/in", "poolingPeriod": "1h"})

    assert found == {"poolingPeriod": "unknown field; allowed are name, directory, pollingPeriod"}


def test_an_unknown_key_in_a_section_is_told_what_the_section_allows() -> None:
    """The list is the section's own, also within a list of sections."""
    login = {"clientId": "a", "password": "b", "pasword": "c"}
    allowed = "unknown field; allowed are clientId, password, renewAfter"

    assert problems(Full, {**FULL, "login": login}) == {"login.pasword": allowed}
    assert problems(Full, {**FULL, "backups": [FULL["login"], login]}) == {"backups.1.pasword": allowed}


def test_a_key_that_is_no_name_is_not_repeated() -> None:
    """A key pasted into the wrong place may itself be a secret, or break the line it is printed in."""
    assert list(problems(Config, {"directory": "/in", "hunter2\nlevel=info": 1})) == ["(unreadable)"]


def test_a_field_given_in_both_spellings_is_refused() -> None:
    """Which one counts would be a guess."""
    raw = {"directory": "/in", "pollingPeriod": "1s", "polling_period": "2s"}

    assert problems(Config, raw) == {"pollingPeriod": "given twice"}


def test_complaints_are_bounded() -> None:
    """A body of a thousand unknown keys does not become a thousand sentences."""
    found = problems(Config, {"directory": "/in"} | {f"key{n}": n for n in range(1_000)})

    assert len(found) == 21
    assert found["config"] == "and 980 more"


@pytest.mark.parametrize("raw", [[], "text", 7])
def test_a_config_must_be_an_object(raw: object) -> None:
    """Other JSON is a complaint about the config as a whole."""
    assert list(problems(Config, raw)) == ["config"]


@pytest.mark.parametrize(
    ("field", "length", "fits"),
    [
        ("endpoint", 4_096, True),
        ("endpoint", 4_097, False),
        ("apiKey", 4_096, True),
        ("apiKey", 4_097, False),
        ("certificate", 65_536, True),
        ("certificate", 65_537, False),
        ("certificateKey", 65_536, True),
        ("certificateKey", 65_537, False),
        ("name", 255, True),
        ("name", 256, False),
    ],
)
def test_text_has_a_limit(field: str, length: int, *, fits: bool) -> None:
    """Ordinary fields hold a key or an address; those for certificates hold a certificate."""
    raw = {**FULL, field: "x" * length}

    if fits:
        load(Full, raw)
    else:
        assert problems(Full, raw) == {field: f"must have at most {length - 1} characters"}


@pytest.mark.parametrize("field", ["endpoint", "apiKey", "directory"])
@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_text_that_cannot_be_stored_is_refused(field: str, text: str) -> None:
    """NUL and half of a surrogate pair fit in no file name, no database and no UTF-8."""
    config_class, raw = (Config, {}) if field == "directory" else (Full, FULL)

    assert field in problems(config_class, {**raw, field: text})


def test_the_template_follows_from_the_declaration() -> None:
    """The same declaration that validates tells what to fill in; a secret's default is not shown."""
    assert template(Config) == {
        "name": {"dataType": "string", "required": False, "defaultValue": ""},
        "directory": {"dataType": "string", "required": True, "defaultValue": ""},
        "pollingPeriod": {"dataType": "duration ns", "required": False, "defaultValue": "10s"},
    }


def test_the_template_knows_every_data_type() -> None:
    """The interface has five words for types, and every default is text."""
    shown = {path: (entry["dataType"], entry["defaultValue"]) for path, entry in template(Full).items()}

    assert shown == {
        "name": ("string", ""),
        "endpoint": ("string", ""),
        "apiKey": ("string", ""),
        "login.clientId": ("string", ""),
        "login.password": ("string", ""),
        "login.renewAfter": ("duration ns", "30m0s"),
        "secondKey": ("string", ""),
        "certificate": ("long string", ""),
        "certificateKey": ("long string", ""),
        "pollingPeriod": ("duration ns", "2m0s"),
        "pageSize": ("unsigned integer", "25"),
        "sandbox": ("boolean", "false"),
        "mode": ("string", "live"),
        "backups": ("string", ""),
        "merchantID": ("string", ""),
    }
    assert [path for path, entry in template(Full).items() if entry["required"]] == [
        "endpoint",
        "apiKey",
        "login.clientId",
        "login.password",
    ]


def test_a_secrets_default_is_not_in_the_template() -> None:
    """The template is public."""

    class Preset(ConnectorConfig):
        api_key: Secret = Secret("preset-for-the-sandbox")

    assert "preset" not in json.dumps(template(Preset))


def test_a_shown_config_masks_secrets_however_deep() -> None:
    """Of a secret one sees that it is there; of one that is not, that it is not."""
    shown = masked(load(Full, {**FULL, "secondKey": None}))

    assert shown["apiKey"] == "********"
    assert shown["login"] == {"clientId": "we", "password": "********", "renewAfter": "30m0s"}
    assert shown["backups"][0]["password"] == "********"
    assert shown["secondKey"] is None
    assert shown["certificateKey"] == ""


def test_what_is_stored_loads_again() -> None:
    """The revealed form, through JSON, is the same config."""
    config = load(Full, FULL)

    assert load(Full, msgspec.json.decode(msgspec.json.encode(revealed(config)))) == config


def test_every_secret_is_known_by_value() -> None:
    """The mask of the logs learns them all, nested ones and lists included."""
    assert secrets_of(load(Full, FULL)) == {"sk_one", "pw_two", "pw_three"}


def test_all_of_pydantics_secret_types_are_secrets() -> None:
    """An author may use those for bytes and for other types as well."""

    class Exotic(ConnectorConfig):
        pin: pydantic.Secret[int]
        blob: pydantic.SecretBytes

    config = load(Exotic, {"pin": 123456, "blob": "bytes-of-mine"})

    assert secrets_of(config) == {"123456", "bytes-of-mine"}
    assert masked(config) == {"name": "", "pin": "********", "blob": "********"}
    assert load(Exotic, revealed(config)) == config


def test_an_update_with_the_mask_keeps_the_secret() -> None:
    """Who reads a config, changes one field and sends it back does not need to know the secrets."""
    old = load(Full, {**FULL, "backups": []})

    new = update(old, {**masked(old), "endpoint": "https://other.example"})

    assert new == old.model_copy(update={"endpoint": "https://other.example"})


def test_an_update_replaces_a_secret_that_is_given() -> None:
    """A new password comes in beside a kept key, in either spelling of the fields."""
    old = load(Full, FULL)

    new = update(
        old,
        {
            "endpoint": "https://api.acme.example",
            "api_key": "********",
            "login": {"client_id": "we", "password": "new"},
        },
    )

    assert new.api_key.get_secret_value() == "sk_one"
    assert new.login.password.get_secret_value() == "new"


def test_an_update_is_a_whole_config() -> None:
    """What is left out goes back to its default; what is required must be there."""
    old = load(Config, {"directory": "/in", "pollingPeriod": "1h"})

    assert update(old, {"directory": "/in"}).polling_period == timedelta(seconds=10)
    with pytest.raises(BadConfig):
        update(old, {})


def test_a_mask_is_only_a_mask_where_there_is_a_secret() -> None:
    """Eight asterisks are a strange endpoint, but not a secret."""
    old = load(Full, FULL)

    assert update(old, {**FULL, "endpoint": "********"}).endpoint == "********"


@pytest.mark.parametrize("change", [{"apiKey": "********"}, {"secondKey": "********"}])
def test_a_mask_is_never_stored_as_the_secret(change: dict[str, Any]) -> None:
    """A config that was shown cannot be installed elsewhere: its secrets are not in it."""
    assert problems(Full, {**FULL, **change}) == dict.fromkeys(change, "give the secret itself, not its mask")


def test_a_mask_within_a_list_is_refused() -> None:
    """The items may have moved since: a secret must not end up with another login."""
    old = load(Full, FULL)

    with pytest.raises(BadConfig) as caught:
        update(old, masked(old))

    assert list(caught.value.fields) == ["backups.0.password"]


@pytest.mark.parametrize(
    "raised", [PermissionError(13, "hunter2"), KeyError("hunter2"), RuntimeError("hunter2")]
)
def test_whatever_an_authors_own_check_raises_is_a_bad_config(raised: Exception) -> None:
    """Said by its kind: what it says may quote a secret."""

    class Checked(ConnectorConfig):
        key: Secret = Secret("")

        @pydantic.field_validator("key")
        @classmethod
        def check(cls, value: Secret) -> Secret:
            del value
            raise raised

    with pytest.raises(BadConfig) as caught:
        load(Checked, {"key": "hunter2"})
    assert str(caught.value) == f"The connector's check of its config raised {type(raised).__name__}."


def test_an_authors_own_check_is_heard_but_does_not_quote() -> None:
    """An author's message goes out; what it repeats of the input does not."""

    class Checked(ConnectorConfig):
        api_key: Secret
        asset: str = ""

        @pydantic.field_validator("api_key")
        @classmethod
        def live_only(cls, value: Secret) -> Secret:
            if not value.get_secret_value().startswith("sk_live_"):
                raise ValueError(f"{value.get_secret_value()} does not begin with sk_live_")
            return value

        @pydantic.field_validator("asset")
        @classmethod
        def known(cls, value: str) -> str:
            return str(Asset.parse(value))

    found = problems(Checked, {"apiKey": "hunter2hunter2", "asset": "hunter3" * 40})

    assert found["apiKey"] == "******** does not begin with sk_live_"
    assert found["asset"] == "An asset is an upper-case code with an optional exponent, such as EUR/2."


def complaint(raw: Any) -> str:
    with pytest.raises(BadConfig) as caught:
        load(Full, raw)
    assert caught.value.__cause__ is None
    return str(caught.value)


# What is shown whatever the secret is: field names, other values, the words of complaints.
AROUND = repr(load(Full, FULL)) + json.dumps(masked(load(Full, FULL))) + json.dumps(template(Full))
secret_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=4).filter(
    lambda text: text.strip() and text not in AROUND and set(text) != {"*"}
)


@given(secret_texts)
def test_no_secret_is_ever_shown(secret: str) -> None:
    """Whatever a secret looks like, it is in no form of the config that people see."""
    login = {"clientId": "we", "password": secret}
    config = load(Full, {**FULL, "apiKey": secret, "login": login, "backups": [login]})

    for shown in (
        json.dumps(masked(config), ensure_ascii=False),
        str(masked(config)),
        repr(config),
        str(config),
    ):
        assert secret not in shown
        assert repr(secret)[1:-1] not in shown
    assert secrets_of(config) == {secret}
    assert load(Full, revealed(config)) == config
    assert update(config, {**masked(config), "backups": []}).login == config.login


@given(secret_texts, st.sampled_from([*template(Full), "login", "api_key", "apiKye"]))
def test_no_input_is_quoted_by_a_complaint(secret: str, field: str) -> None:
    """A secret pasted into any field, or under a wrong key, does not come back in the error."""
    words = complaint({**FULL, "pollingPeriod": "", "alsoWrong": [], field: -1})

    said = complaint({**FULL, "pollingPeriod": secret, "alsoWrong": [secret], field: secret})

    assert secret not in said or secret in words + AROUND
