"""The process that makes one scheduled backup: `CONFIG RUN`. Ends with the hub that started it, and yields to it.

Reads the configuration anew, as every command does. What became of the backup it writes into the journal, where the hub
reads it; on standard output it writes nothing.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from hub.config import read_config
from hub.keeping.backups.making import describe_failure, run_backup
from hub.runtime.parent_death import end_with_parent

_NICE = 10


def main() -> None:
    """Make the backup. Exits 1 if there is none; why stands in the journal, and on standard error."""
    end_with_parent()
    os.nice(_NICE)
    path, begun = sys.argv[1:]
    config = read_config(Path(path), set_aside=lambda _: None)
    if config.backup is None:
        raise SystemExit("there is no [backup] any more")
    try:
        run_backup(config, config.backup, lambda: datetime.now(UTC), begun=begun)
    except Exception as error:  # noqa: BLE001 - all that can go wrong is told in one place
        raise SystemExit(describe_failure(error)) from None


if __name__ == "__main__":
    main()
