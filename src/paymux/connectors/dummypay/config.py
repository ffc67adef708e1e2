"""What to fill in."""

from datetime import timedelta

from pydantic import Field

from paymux.sdk import ConnectorConfig, Secret


class Config(ConnectorConfig):
    """Where the provider is, the key to it, and how often to ask."""

    url: str = Field(pattern=r"^https?://\S+$")
    api_key: Secret
    every: timedelta = Field(
        timedelta(minutes=1), alias="pollingPeriod", ge=timedelta(milliseconds=100), le=timedelta(days=1)
    )
    timeout: timedelta = Field(
        timedelta(seconds=20),
        alias="requestTimeout",
        ge=timedelta(milliseconds=100),
        le=timedelta(minutes=5),
    )
