"""Files that are on the disk, whole, when their writer goes on."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    sync(path)


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk: the cluster is worth nothing without them."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
