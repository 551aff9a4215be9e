"""Does what makes a file, and kills itself at the sync of the disk with the number given: `AT WHAT hub.toml WORD...`."""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from hub.cli import main
from hub.config import read_config
from hub.config.writing import write_atomically
from hub.keeping import upgrade
from hub.keeping.archive.writing import ArchiveChoice, write_archive
from hub.store import transactions


def kill_at(number: int) -> None:
    """Let the sync with this *number*, and every later one, be the end of this process."""
    left, sync = number, os.fsync

    def end(handle: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = end  # type: ignore[assignment]


def make(what: str, config: Path, words: list[str]) -> None:
    """Make the file."""
    found = read_config(config)
    if what == "upgrade":
        upgrade.place_copy(found.database_url, "0042").make()
    if what == "configuration":
        write_atomically(found.path, found.path.read_bytes())
    if what == "archive":
        found.archive.mkdir(exist_ok=True)
        engine = transactions.open_journal(found.database_url, pooled=False)
        with transactions.read_transaction(engine) as tx:
            chosen = ArchiveChoice(period="2026-11", messages=words)
            write_archive(tx, chosen, found.archive, found.identity, datetime.now(UTC))


if __name__ == "__main__":
    at, what, config, *words = sys.argv[1:]
    kill_at(int(at))
    if what == "command":
        sys.argv = ["lienthong", "-c", config, *words]
        main()
    else:
        make(what, Path(config), words)
