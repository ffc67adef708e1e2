"""The settings of this process, read from the environment once; docs/reference/settings.md lists them."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from paymux.domain.duration import parse_duration
from paymux.domain.errors import DomainError
from paymux.events.sinks.addresses import BadSinks, addresses

PREFIX = "PAYMUX_"
# With less, nobody could look at what went wrong.
_RETENTION_MIN = timedelta(hours=1)


class BadSettings(Exception):
    """The environment holds a setting that cannot be used."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        """Say what is wrong with each variable: ``problems`` maps its name to what is allowed."""
        super().__init__("\n".join(f"{variable}: {what}" for variable, what in problems.items()))
        self.problems = dict(problems)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _postgresql(value: Any) -> Any:
    if isinstance(value, str) and not value.startswith(("postgresql://", "postgres://")):
        raise PydanticCustomError(
            "url", "must be a URL such as postgresql://user:password@host:5432/database"
        )
    return value


def _retention(value: Any) -> Any:
    try:
        kept = parse_duration(value) if isinstance(value, str) else value
    except DomainError:
        kept = None
    if not isinstance(kept, timedelta) or kept < _RETENTION_MIN:
        raise PydanticCustomError("duration", "must be a duration of an hour or more, such as 720h")
    return kept


def _schedule(value: Any) -> Any:
    """Durations in a row, such as 30s,5m."""
    try:
        waits = (
            tuple(parse_duration(one.strip()) for one in value.split(","))
            if isinstance(value, str)
            else value
        )
    except DomainError:
        waits = ()
    if not waits or min(waits) <= timedelta(0):
        raise PydanticCustomError("schedule", "must be durations longer than nothing, such as 30s,5m,1h,24h")
    return waits


def _sinks(value: SecretStr) -> SecretStr:
    try:
        addresses(value.get_secret_value())
    except BadSinks as error:
        raise PydanticCustomError("sinks", "{why}", {"why": str(error)}) from None
    return value


class Settings(BaseSettings):
    """What an operator can choose. Every setting has a default; an empty variable counts as absent."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[SecretStr, BeforeValidator(_postgresql)] | None = Field(
        None, description="The PostgreSQL server to use; without it, an embedded one in the data directory."
    )
    data_dir: Path = Field(
        Path("paymux-data"), description="Where the embedded PostgreSQL and the key file live."
    )
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="The port to listen on; 0 takes a free one.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="The port at which a worker serves its metrics and health; without it, none.",
    )
    encryption_keys: SecretStr | None = Field(
        None,
        description="Comma-separated base64 of 32 bytes each, current one first; absent: the key file.",
    )
    log_format: Annotated[Literal["logfmt", "json"], BeforeValidator(_lower)] = Field(
        "logfmt", description="How log lines are written."
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)
    ] = Field("info", description="The least severe events to log.")
    pool_size: int = Field(
        10, ge=2, le=1_000, description="Database connections in each of a process's two main pools."
    )
    run_concurrency: int = Field(100, ge=1, le=10_000, description="Runs a worker does at a time.")
    heartbeat: float = Field(
        5,
        ge=1,
        le=300,
        description="Seconds that a silent worker keeps its tasks before others take them over.",
    )
    grace: float = Field(
        10, ge=0, le=3_600, description="Seconds that a stopping worker lets runs reach the end of a page."
    )
    run_retention: Annotated[timedelta, BeforeValidator(_retention)] = Field(
        "720h", validate_default=True, description="How long the history of runs is kept."
    )
    auth: Annotated[Literal["required", "off"], BeforeValidator(_lower)] | None = Field(
        None, description="Whether callers must log in; without it, they must where it is said who may."
    )
    api_tokens: SecretStr | None = Field(
        None, description="API tokens by their hashes: name:scopes:sha256, between commas."
    )
    auth_issuers: str | None = Field(
        None, description="Comma-separated URLs of OIDC issuers whose JWTs are taken."
    )
    auth_audience: str | None = Field(None, description="Whom the JWTs must be for.")
    cors_origins: str | None = Field(
        None, description="Comma-separated sites whose pages may ask from a browser."
    )
    body_timeout: float = Field(
        30.0, ge=0.1, le=3_600, description="Seconds in which the body of a request must have come in."
    )
    answer_timeout: float = Field(
        120.0, ge=0.1, le=3_600, description="Seconds after which a request that got no answer is given up."
    )
    look_up_schedule: Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(_schedule)] = Field(
        "30s,5m,1h,24h",
        validate_default=True,
        description="When an order whose outcome is unknown is looked up, each wait after the one before.",
    )
    sinks: Annotated[SecretStr, AfterValidator(_sinks)] = Field(
        "log", validate_default=True, description="Where events are told: log, none and URLs, with commas."
    )
    event_retention: Annotated[timedelta, BeforeValidator(_retention)] = Field(
        "2160h", validate_default=True, description="How long events that every sink has are kept."
    )
    max_body_bytes: int = Field(
        2 * 1024 * 1024, ge=1_024, le=1024**3, description="Bytes of the largest request body taken in."
    )


def read() -> Settings:
    """Read the settings from the environment.

    Raises:
        BadSettings: ``problems`` names each variable and what it may be, never what it is.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = {variable(str(detail["loc"][0])): _allowed(detail) for detail in error.errors()}
        raise BadSettings(problems) from None


def variable(name: str) -> str:
    """What a setting is called in the environment."""
    return PREFIX + name.upper()


def _allowed(detail: ErrorDetails) -> str:
    field = Settings.model_fields[str(detail["loc"][0])]
    lowest, highest = (
        next((getattr(limit, bound) for limit in field.metadata if hasattr(limit, bound)), None)
        for bound in ("ge", "le")
    )
    if lowest is not None and highest is not None:
        kind = "a whole number" if field.annotation is int else "a number"
        return f"must be {kind} from {lowest} to {highest}"
    # None of pydantic's own sentences about the remaining types quotes the input.
    return detail["msg"].replace("Input should be", "must be")
