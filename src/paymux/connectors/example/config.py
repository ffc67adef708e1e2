"""What to fill in."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from paymux.sdk import ConnectorConfig


class Config(ConnectorConfig):
    """Where the files are, and how often to look."""

    directory: Path
    every: timedelta = Field(timedelta(seconds=10), alias="pollingPeriod")
