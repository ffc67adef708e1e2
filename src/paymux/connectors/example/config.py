"""What to fill in."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from paymux.sdk import ConnectorConfig


class Config(ConnectorConfig):
    """Where the files are, and how often to look."""

    directory: Path
    every: timedelta = Field(
        timedelta(seconds=10),
        alias="pollingPeriod",
        # The bounds of a schedule, so that what lies beyond is refused by the name of the field.
        ge=timedelta(milliseconds=100),
        le=timedelta(days=3660),
    )
