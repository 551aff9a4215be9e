"""The journal's files and the data directory are the owner's alone: at their creation, at each start, and by a warning."""

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from twisted.internet.task import Clock

from hub.node.check import check_config
from hub.runtime.ports import DirectoryLockService
from hub.store import transactions
from tests import homes


def modes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in folder.glob("hub.db*")}


def test_a_new_journal_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    engine = transactions.open_journal(f"sqlite:///{tmp_path}/hub.db")
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.text("CREATE TABLE t (x)"))
    assert modes(tmp_path) == dict.fromkeys(("hub.db", "hub.db-wal", "hub.db-shm"), 0o600)
    engine.dispose()


def test_check_warns_of_what_others_may_read_and_a_start_takes_it_from_them(tmp_path: Path) -> None:
    home = homes.begin(tmp_path / "tinh")
    data, config = home / "data", home / "hub.toml"
    for name in ("hub.db-wal", "hub.db-shm"):
        (data / name).touch()
    for each in data.glob("hub.db*"):
        each.chmod(0o640)
    data.chmod(0o755)
    found = [str(each.wrong) for each in check_config(config, datetime.now(UTC)).warnings]
    named = {name for name in ("data ", "hub.db ") if any(f"{name}may be read" in each for each in found)}
    assert named == {"data ", "hub.db "}
    service = DirectoryLockService(data, data / "hub.db", lambda: None, Clock())
    service.startService()
    service.stopService()
    assert data.stat().st_mode & 0o777 == 0o700
    assert set(modes(data).values()) == {0o600}
    assert check_config(config, datetime.now(UTC)).warnings == ()
