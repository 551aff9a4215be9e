"""Makes the names of files durable. Knows directories, not what is written there."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until the names in *folder* are on the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
