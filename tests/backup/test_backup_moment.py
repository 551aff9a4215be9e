"""PostgreSQL leads the journal back to a moment, by the commands of the page; the hub then knows that it was put back."""

import os
import pwd
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from shutil import which

import pytest
import sqlalchemy as sa

from hub.config.database import parse_database_url
from hub.keeping.backups import lineage
from hub.keeping.backups.witness import Witness
from hub.keeping.eras import EraBeginning
from hub.security import age_files
from hub.store import transactions
from lienthong_demo.run.postgres import Absent, Server, find_postgres_programs
from tests.backup.test_witness import follow, missing, record
from tests.conftest import ROOT, cannot_be_had
from tests.pages import fenced, parts
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.soak]
#: The moment that the page names.
MOMENT = "2026-11-29 10:00:00+07"


def placed(text: str, place: Path) -> str:
    return text.replace("/sao-luu", str(place / "kept")).replace("/khoa/", f"{place}/key/")


def owned(place: Path) -> None:
    """Let the account of the server have *place* and all that is in it."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for each in [place, *place.rglob("*")]:
            os.chown(each, nobody.pw_uid, nobody.pw_gid)


def settings(text: str) -> dict[str, str]:
    return {name: value.strip("'") for name, value in re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE)}


def opened(server: Server) -> sa.Engine:
    return transactions.open_journal(parse_database_url(server.url("hub"), Path()), pooled=False)


def test_the_journal_is_led_back_to_a_moment_by_the_commands_of_the_page(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if which("age") is None:
        cannot_be_had("age", "the program is not installed; Debian: apt-get install age")
    try:
        programs = find_postgres_programs()
    except Absent as absent:
        cannot_be_had("PostgreSQL", str(absent))
    place = Path(os.path.realpath(f"/tmp/lienthong-moment-{os.getpid()}"))  # short, for the socket; open to its account
    try:
        led_back(place, programs)
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


def led_back(place: Path, programs: Path) -> None:
    page = parts(ROOT / "docs/howto/back-up.md")["To a moment, on PostgreSQL"]
    archive, recovery = (placed(each, place) for each in fenced(page, "conf"))
    copy, unpack = (placed(each, place) for each in fenced(page, "sh"))
    key = age_files.make_private_key()
    for folder in ("kept/wal", "key", "old", "new/data"):
        (place / folder).mkdir(parents=True)
    (place / "kept/khoa.pub").write_text(f"{key.recipient.text}\n")
    (place / "key/khoa-sao-luu.txt").write_text(f"{key.text}\n")
    owned(place)
    seen = Witness(place / "witness")

    def typed(commands: str, **more: str) -> None:
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PGUSER": "lienthong"} | more
        subprocess.run(["bash", "-euo", "pipefail", "-c", commands], env=environment, check=True)

    with Server.open(settings(archive), place / "old") as server:
        server.make("hub")
        engine = opened(server)
        transactions.upgrade_schema(engine)
        follow(engine, seen)
        record(engine, 1)
        typed(copy, PGHOST=str(place / "old"))
        record(engine, 2)
        time.sleep(1.1)  # the moment is given in whole seconds
        moment = datetime.now(UTC).replace(microsecond=0)
        record(engine, 3)
        follow(engine, seen)
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            last = str(connection.exec_driver_sql("SELECT pg_walfile_name(pg_switch_wal())").scalar())
        until((place / f"kept/wal/{last}.age").exists, "the log to be archived")
    typed(unpack, PGDATA=str(place / "new/data"))
    owned(place / "new")
    (place / "new/data").chmod(0o700)
    said = settings(recovery.replace(MOMENT, moment.isoformat(sep=" ")))
    assert MOMENT not in said["recovery_target_time"]
    with Server.open(said, place / "new") as server:
        engine = opened(server)
        until(lambda: not in_recovery(engine), "the server to have read its log")
        with transactions.read_transaction(engine) as tx:
            assert set(tx.exec_driver_sql("SELECT message_id FROM message").scalars()) == {"m1", "m2"}
            assert "it was put back" in str(lineage.find_put_back(tx, seen.read_last()))
        with transactions.write_transaction(engine) as tx:
            era, lost = lineage.begin_restored_era(tx, seen, moment, because=EraBeginning.ADOPTED, reason="x", by="me")
        assert (era.number, lost) == (2, 1)
        assert missing(engine) == {"m3": None}


def in_recovery(engine: sa.Engine) -> bool:
    with transactions.read_transaction(engine) as tx:
        return bool(tx.exec_driver_sql("SELECT pg_is_in_recovery()").scalar())
