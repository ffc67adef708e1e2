"""What keeps the embedded PostgreSQL from being used, and what to do about it.

EmbeddedError
├── EmbeddedUnavailable   no server is packaged for this platform
├── DataDirectoryInUse    another process holds the directory
├── WrongVersion          the data is of another major version
└── StartFailed           the server did not come up; its last words are in the message
"""

from pathlib import Path


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used."""


class EmbeddedUnavailable(EmbeddedError):
    """No PostgreSQL is packaged for this platform."""

    def __init__(self) -> None:
        super().__init__(f"{self.__doc__} Set PAYMUX_DATABASE_URL to a PostgreSQL server of your own.")


class DataDirectoryInUse(EmbeddedError):
    """Another process uses this data directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        super().__init__(
            f"The data directory {directory} is in use by process {pid or '(just starting)'}. "
            "Stop that process, or choose another directory with --data-dir."
        )


class WrongVersion(EmbeddedError):
    """The data was written by another major version of PostgreSQL."""

    def __init__(self, cluster: Path, found: str, ours: str) -> None:
        super().__init__(
            f"The data in {cluster} was written by PostgreSQL {found}, and this paymux carries {ours}. "
            "A dump and restore is needed: run pg_dump against the paymux that wrote the data, start this "
            "one with another --data-dir, and restore the dump there."
        )


class StartFailed(EmbeddedError):
    """The embedded PostgreSQL did not start."""

    def __init__(self, reason: object, directory: Path, last_words: str = "") -> None:
        said = f" The last it said:\n{last_words}\n" if last_words else " "
        super().__init__(
            f"The embedded PostgreSQL in {directory} did not start: {reason}.{said}"
            "Put right what is named here (permissions, disk space and memory are the usual causes) and "
            "start again, or set PAYMUX_DATABASE_URL to a PostgreSQL server of your own."
        )
