"""`lienthong doctor`: each thing that breaks hubs is caused here, and named with what to do."""

import base64
import errno
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from click.testing import Result
from cryptography import x509

from hub.cli.screen import Screen
from hub.cli.setup.doctor import _print_diagnoses
from hub.config import read_config
from hub.config.upkeep.backup import BackupSettings
from hub.journal.nodes import Node, NodeState, PendingRestart, SeenNode
from hub.language.phrases import verbatim
from hub.node.doctor import examination, installation, machine, running
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState
from hub.node.doctor.examination import FileState
from hub.node.doctor.running import HubAnswer
from hub.runtime.pidfile import PidFileLock
from tests import homes, pki
from tests.releases.kept import list_releases

OK, WARNING, FAILED, UNKNOWN = DiagnosisState.OK, DiagnosisState.WARNING, DiagnosisState.FAILED, DiagnosisState.UNKNOWN
MIB = 1 << 20
NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's directory on a disk, wherever the tests have theirs."""
    monkeypatch.setattr(machine, "_PASSING", frozenset())
    return homes.begin(tmp_path / "tinh")


@pytest.fixture
def asked(home: Path) -> Callable[..., dict[str, list[dict[str, str]]]]:
    """Asks the doctor about the hub in *home*: the rows of each check."""

    def ask(code: int | None = None) -> dict[str, list[dict[str, str]]]:
        done: Result = homes.typing(home)("doctor", "--json")
        assert code is None or done.exit_code == code, done.output
        rows: dict[str, list[dict[str, str]]] = {}
        for line in done.stdout.splitlines():
            row = json.loads(line)
            rows.setdefault(row["check"], []).append(row)
        return rows

    return ask


def said(found: Diagnosis) -> str:
    return str(found.found)


# --- the whole, from the outside -------------------------------------------------------------------------------------


def test_nothing_has_failed_in_a_directory_as_init_writes_it(asked, home: Path) -> None:
    rows = asked(0)
    assert {"distribution", "libraries", "configuration", "clock", "disk", "files", "database", "hub"} <= rows.keys()
    assert [row["verdict"] for row in rows["hub"]] == ["warning"]  # it does not run
    assert all(row["advice"] for found in rows.values() for row in found if row["verdict"] in {"warning", "failed"})


def test_every_mistake_of_the_configuration_is_a_finding_and_the_rest_is_still_examined(asked, home: Path) -> None:
    (home / "partners/vpub.toml").write_text("host = 1\n")
    rows = asked(1)
    assert len([row for row in rows["configuration"] if row["verdict"] == "failed"]) > 1
    assert rows["database"][0]["verdict"] == "ok"


def test_a_key_that_others_may_read_and_a_lost_key_are_found(asked, home: Path) -> None:
    (home / "pki/hub.key").chmod(0o644)
    assert any("hub.key may be read by others" in row["found"] for row in asked(0)["configuration"])
    (home / "pki/hub.key").unlink()
    assert any("pki.key" in row["found"] for row in asked(1)["configuration"])


def test_a_damaged_journal_is_found(asked, home: Path) -> None:
    with (home / "data/hub.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    rows = asked(1)
    assert any(row["verdict"] == "failed" for row in [*rows["configuration"], *rows.get("database", [])])


def test_a_running_hub_that_does_not_answer_is_found(asked, home: Path) -> None:
    lock = PidFileLock.acquire(home / "data")
    try:
        rows = asked(1)
    finally:
        lock.release()
    assert rows["hub"][0]["verdict"] == "ok"
    assert [rows[port][0]["verdict"] for port in ("soap", "admin")] == ["failed", "failed"]


def test_it_leaves_nothing_behind(asked, home: Path) -> None:
    before = sorted(path for path in home.rglob("*") if not path.name.startswith("hub.db-"))
    asked()
    assert sorted(path for path in home.rglob("*") if not path.name.startswith("hub.db-")) == before


# --- the program -----------------------------------------------------------------------------------------------------


def distribution(place: Path, name: str, files: dict[str, str]) -> None:
    """Install a distribution into *place*, as pip does."""
    lines = []
    for file, text in files.items():
        path = place / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={hashed},{len(text)}")
    about = place / f"{name}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (about / "RECORD").write_text("\n".join(lines))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment with a small hub in it."""
    files = {"hub/__init__.py": "", "hub/a.py": "1", "adapters/__init__.py": "2", "tap.py": "3", "README.md": "4"}
    distribution(tmp_path, "lienthong", files)
    return tmp_path


def examine(place: Path) -> list[Diagnosis]:
    return list(installation.examine_distribution([str(place)]))


def test_a_program_as_it_was_installed_is_whole(installed: Path) -> None:
    (found,) = examine(installed)
    assert (found.verdict, said(found)) == (OK, "4 files as installed")


def test_another_distribution_that_has_overwritten_the_adapters_is_named(installed: Path) -> None:
    distribution(installed, "adapters", {"adapters/__init__.py": "import torch", "adapters/lora.py": ""})
    claimed, changed = examine(installed)
    assert (claimed.verdict, changed.verdict) == (FAILED, FAILED)
    assert said(claimed).startswith("adapters have files")
    assert "adapters/__init__.py, adapters/lora.py" in said(changed)


def test_files_that_another_distribution_took_away_with_it_are_missed(installed: Path) -> None:
    (installed / "tap.py").unlink()
    (found,) = examine(installed)
    assert (found.verdict, "tap.py" in said(found)) == (FAILED, True)


def test_a_checkout_is_not_compared(tmp_path: Path) -> None:
    distribution(tmp_path, "lienthong", {"hub/_data/docs/glossary.md": ""})
    (found,) = examine(tmp_path)
    assert found.verdict is OK


def test_libraries_are_compared_with_the_lock() -> None:
    pins = installation.read_pins("a==1 \\\n    --hash=sha256:0\n# c==3\nb==2 ; platform_system == 'x' \\\n")
    assert pins == [("a", "1", False), ("b", "2", True)]
    compare = installation.compare_libraries
    assert compare(pins, {"a": "1", "b": None}).verdict is OK
    other = compare(pins, {"a": "1.1", "b": "2"})
    assert (other.verdict, said(other)) == (WARNING, "not in the tested version: a 1.1 (1)")
    assert compare(pins, {"a": None, "b": "2"}).verdict is FAILED


# --- the machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (machine.judge_clock(0), OK),
        (machine.judge_clock(5), WARNING),
        (machine.judge_clock(None), UNKNOWN),
        (machine.judge_time_zone(NOW), OK),
        (machine.judge_memory(513 * MIB, 1), OK),
        (machine.judge_memory(513 * MIB, 2), WARNING),
        (machine.judge_memory(None, 1), UNKNOWN),
        (machine.judge_space(255 * MIB, 256 * MIB, 10_000, 100_000), FAILED),
        (machine.judge_space(257 * MIB, 256 * MIB, 10_000, 100_000), WARNING),
        (machine.judge_space(9999 * MIB, 256 * MIB, 10_000, 100_000), OK),
        (machine.judge_space(9999 * MIB, 256 * MIB, 999, 100_000), FAILED),
        (machine.judge_space(8888 * MIB, 256 * MIB, 0, 0), OK),  # btrfs counts no files
        (machine.judge_file_system("ext4", sqlite=True), OK),
        (machine.judge_file_system("nfs4", sqlite=True), FAILED),
        (machine.judge_file_system("nfs4", sqlite=False), OK),
        (machine.judge_file_system("overlay", sqlite=True), FAILED),
        (machine.judge_file_system("tmpfs", sqlite=False), WARNING),
        (machine.judge_file_system("", sqlite=True), UNKNOWN),
        (machine.judge_sync(0.001), OK),
        (machine.judge_sync(0.05), WARNING),
        (machine.judge_unwritten(OSError(errno.EIO, "")), FAILED),
        (machine.judge_open_files(None), OK),
        (machine.judge_open_files(1024), WARNING),
    ],
    ids=lambda value: f"{value.check} {value.found}" if isinstance(value, Diagnosis) else str(value),
)
def test_what_a_machine_says_is_judged(found: Diagnosis, verdict: DiagnosisState) -> None:
    assert found.verdict is verdict
    assert (found.advice is not None) == (verdict in {WARNING, FAILED})


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "make room"), (errno.EACCES, "chown")], ids=["full", "not its own"]
)
def test_what_to_do_where_nothing_can_be_written_depends_on_why(number: int, words: str) -> None:
    """Of a full disk it said that the directory had another owner."""
    found = machine.judge_unwritten(OSError(number, ""))
    assert words in str(found.advice)


def test_a_time_zone_of_another_offset_closes_months_at_a_wrong_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ZoneInfo", lambda _name: UTC)
    assert machine.judge_time_zone(NOW).verdict is FAILED


def test_the_deepest_mount_holds_a_place(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "rootfs / overlay rw 0 0\n/dev/b /var ext4 rw 0 0\nserver:/x /var/d\\040a nfs4 rw 0 0\n/dev/c /va xfs rw 0 0\n"
    )
    assert machine.find_file_system(Path("/var/lib"), mounts) == "ext4"
    assert machine.find_file_system(Path("/var/d a/hub"), mounts) == "nfs4"
    assert machine.find_file_system(Path("/srv"), mounts) == "overlay"
    assert machine.find_file_system(Path("/srv"), tmp_path / "none") == ""


def test_the_limit_of_a_process_is_read_as_the_kernel_writes_it() -> None:
    assert machine.read_open_files_limit(Path("/proc/self/limits").read_text()) is not None
    assert machine.read_open_files_limit("Max open files            1024      4096      files\n") == 4096
    assert machine.read_open_files_limit("Max open files            unlimited unlimited files\n") is None


UNIT = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "NeedDaemonReload": "no",
    "NRestarts": "0",
}


@pytest.mark.parametrize(
    ("changed", "verdict", "words"),
    [
        ({}, OK, "enabled and active"),
        ({"LoadState": "not-found"}, WARNING, "there is no unit"),
        ({"UnitFileState": "disabled"}, WARNING, "does not start with the machine"),
        ({"ActiveState": "failed"}, FAILED, "the unit is failed"),
        ({"NeedDaemonReload": "yes"}, WARNING, "the unit was changed"),
        ({"NRestarts": "3"}, WARNING, "started again 3 times"),
    ],
)
def test_what_systemd_says_of_the_unit_is_judged(changed: dict[str, str], verdict: DiagnosisState, words: str) -> None:
    found = machine.judge_service(UNIT | changed)
    assert (found.verdict, words in said(found)) == (verdict, True)


PACKAGED = UNIT | {
    "ProtectSystem": "strict",
    "ReadWritePaths": "/etc/lienthong -/mnt/kept",
    "BindPaths": "/dev/shm/a:/shown:rbind",
    "StateDirectory": "lienthong",
    "ConfigurationDirectory": "lienthong",
}


@pytest.mark.parametrize(
    ("unit", "folder", "verdict"),
    [
        (PACKAGED, "/var/lib/lienthong", OK),
        (PACKAGED, "/etc/lienthong/data", OK),
        (PACKAGED, "/mnt/kept/backups", OK),
        (PACKAGED, "/shown", OK),
        (PACKAGED, "/mnt/keptelsewhere", FAILED),
        (PACKAGED, "/var/lib", FAILED),
        (UNIT, "/mnt/keptelsewhere", OK),
    ],
)
def test_a_folder_in_which_the_unit_may_not_write_is_named(
    unit: dict[str, str], folder: str, verdict: DiagnosisState
) -> None:
    found = machine.judge_service(unit, [Path("/var/lib/lienthong"), Path(folder)])
    assert found.verdict is verdict
    assert verdict is OK or f"ReadWritePaths={folder}," in str(found.advice)


# --- files -----------------------------------------------------------------------------------------------------------


def owned(uid: int, mode: int = 0o700) -> os.stat_result:
    return os.stat_result((0o040000 | mode, 0, 0, 2, uid, uid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("file", "verdict"),
    [
        (FileState(Path("hub.key"), 105, 105, 0o600, written=False), OK),
        (FileState(Path("hub.key"), 0, 0, 0o600, written=False), FAILED),
        (FileState(Path("hub.toml"), 0, 0, 0o644, written=False), OK),
        (FileState(Path("hub.key"), 0, 105, 0o640, written=False), OK),
        (FileState(Path("hub.db-wal"), 0, 0, 0o644, written=True), FAILED),  # somebody typed a command as root
    ],
    ids=["own", "of root", "for all", "by group", "journal of root"],
)
def test_the_account_that_owns_the_data_must_be_able_to_use_each_file(file: FileState, verdict: DiagnosisState) -> None:
    found = examination.judge_files([file], owned(105), 0)
    assert found.verdict is verdict
    assert verdict is OK or str(file.path) in said(found)


def test_commands_are_typed_as_the_account_of_the_hub() -> None:
    assert examination.judge_files([], owned(105), 1000).verdict is FAILED
    assert examination.judge_files([], owned(105), 105).verdict is OK
    assert examination.judge_files([], owned(105, 0o755), 105).verdict is WARNING
    assert examination.judge_files([], owned(105, 0o750), 105).verdict is OK
    assert examination.judge_files([], owned(0), 0).verdict is WARNING
    assert examination.judge_files([], None, 0).verdict is FAILED


def test_variables_that_change_the_configuration_are_named() -> None:
    (found,) = examination.judge_overrides({"LIENTHONG_SOAP_PORT": "1", "LIENTHONG_CONFIG": "x", "PATH": "/"})
    assert said(found) == "the environment overrides hub.toml: LIENTHONG_SOAP_PORT"


# --- certificate, database, running hub ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.authority("doctor CA", now=NOW)


@pytest.mark.parametrize(
    ("names", "days", "verdict"),
    [
        (["truc.example"], 100, OK),
        (["*.example"], 100, OK),
        (["other.example"], 100, FAILED),
        (["truc.example"], 29, WARNING),
    ],
    ids=["named", "wildcard", "not named", "ends soon"],
)
def test_the_certificate_must_name_the_hub_and_have_days_left(
    home: Path, ca: pki.Authority, names: list[str], days: int, verdict: DiagnosisState
) -> None:
    identity = ca.issue(
        "hub",
        names=x509.SubjectAlternativeName([x509.DNSName(name) for name in names]),
        ends=NOW + timedelta(days=days, hours=1),
    )
    config = attrs.evolve(
        read_config(home / "hub.toml", {}), public_url="https://truc.example:8443", tls=identity, sample=False
    )
    assert examination.judge_hub_certificate(config, NOW).verdict is verdict


def test_a_ca_of_which_no_revocation_is_heard_is_named(home: Path) -> None:
    config = read_config(home / "hub.toml", {})
    assert list(examination.judge_revocation(config)) == []
    (found,) = examination.judge_revocation(attrs.evolve(config, crls=(), sources=()))
    assert (found.verdict, "--crl-url" in str(found.advice)) == (WARNING, True)


def backed_up(every: timedelta | None = None) -> BackupSettings:
    return BackupSettings(
        folder=Path("/b"), recipients=(), every=every, at=timedelta(), keep=1, configuration=True, keys=False
    )


@pytest.mark.parametrize(
    ("age", "settings", "verdict"),
    [
        (timedelta(hours=30), backed_up(), OK),
        (timedelta(days=3), backed_up(timedelta(days=1)), WARNING),
        (timedelta(days=3), backed_up(timedelta(days=7)), OK),
        (None, backed_up(), WARNING),
        (None, None, WARNING),
    ],
    ids=["of yesterday", "too old", "weekly", "none yet", "not set up"],
)
def test_the_age_of_the_newest_backup_is_judged(
    age: timedelta | None, settings: BackupSettings | None, verdict: DiagnosisState
) -> None:
    assert examination.judge_backup(None if age is None else NOW - age, NOW, settings).verdict is verdict


def test_a_database_server_of_another_time_is_named() -> None:
    assert not list(examination.judge_server_clock(timedelta(seconds=0.5)))
    (found,) = examination.judge_server_clock(timedelta(seconds=-90))
    assert (found.verdict, "-90.0 s apart" in said(found)) == (WARNING, True)


def test_a_database_server_is_described(postgresql, home: Path) -> None:
    config = read_config(home / "hub.toml", {})
    with postgresql.database() as url:
        found, seen = examination.examine_database(attrs.evolve(config, database_url=url), lambda: datetime.now(UTC))
    assert (found[0].verdict, said(found[0]).startswith("PostgreSQL "), seen) == (OK, True, [])


def test_a_journal_of_an_earlier_release_is_not_called_damaged(home: Path, tmp_path: Path) -> None:
    """That it must be upgraded, says `check`."""
    (first, *_) = list_releases()
    journal = first.unpack_journal("sqlite", tmp_path) / "data/hub.db"
    config = attrs.evolve(read_config(home / "hub.toml", {}), database_url=f"sqlite:///{journal}")
    ((found,), seen) = examination.examine_database(config, lambda: datetime.now(UTC))
    assert (found.verdict, said(found).startswith("SQLite "), seen) == (OK, True, None)


def test_a_database_server_that_is_away_is_a_failure(home: Path) -> None:
    config = attrs.evolve(read_config(home / "hub.toml", {}), database_url="postgresql+psycopg://u@127.0.0.1:1/d")
    ((found,), seen) = examination.examine_database(config, lambda: datetime.now(UTC))
    assert (found.verdict, seen) == (FAILED, None)


def test_a_hub_with_a_certificate_of_yesterday_needs_a_reload(ca: pki.Authority) -> None:
    old, new = ca.issue("yesterday").certificate, ca.issue("today").certificate
    (found,) = running.judge_answer("soap", HubAnswer(old), new)
    assert (found.verdict, str(found.advice)) == (WARNING, "lienthong reload")
    (found,) = running.judge_answer("soap", HubAnswer(None, error="refused"), new)
    assert found.verdict is FAILED
    port, ready = running.judge_answer("admin", HubAnswer(new, {"disk": "low", "schema": "ok"}), new)
    assert (port.verdict, ready.verdict, said(ready)) == (OK, FAILED, "/readyz: disk low")
    _, ready = running.judge_answer("admin", HubAnswer(new, {"receipts": "awaited"}, ready=True), new)
    assert (ready.verdict, said(ready)) == (WARNING, "/readyz: receipts awaited"), "the hub serves"


def seen(state: NodeState = NodeState.ALIVE, version: str = "2", settings: tuple[str, ...] = ()) -> SeenNode:
    node = Node(name="a@b", host="b", version=version, schema="1", started_at=NOW)
    pending = PendingRestart(settings=settings, since=NOW if settings else None)
    return SeenNode(node=node, state=state, seen_at=NOW, until=NOW, stopped_at=None, holds=0, pending=pending)


@pytest.mark.parametrize(
    ("node", "verdict"),
    [
        (seen(), OK),
        (seen(NodeState.LAPSED), FAILED),
        (seen(version="1"), WARNING),
        (seen(settings=("soap.port",)), WARNING),
    ],
    ids=["well", "silent", "old version", "restart pending"],
)
def test_the_row_of_the_running_node_is_judged(node: SeenNode, verdict: DiagnosisState) -> None:
    (found,) = running.judge_node(node, "2")
    assert found.verdict is verdict


def test_moments_are_said_in_ha_noi() -> None:
    assert said(examination.judge_backup(NOW, NOW, backed_up())) == "the newest backup is of 29/11/2026 15:00:00"
    (well,) = running.judge_node(seen(), "2")
    (silent,) = running.judge_node(seen(NodeState.LAPSED), "2")
    assert said(well) == "version 2 since 29/11/2026 15:00:00"
    assert said(silent) == "its last sign of life in the journal is of 29/11/2026 15:00:00"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_says_nothing_is_given_up(home: Path, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PATIENCE", 0.2)
    listen = attrs.evolve(read_config(home / "hub.toml", {}).soap, port=silent)
    answer = running._ask_running_hub(listen, ready=False)
    assert (answer.certificate, "timed out" in answer.error) == (None, True)


def test_what_a_server_says_on_two_lines_stands_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    """As libpq does; the break and the tab were printed as signs that no terminal has."""
    _print_diagnoses(Screen(), Diagnosis("database", FAILED, verbatim("No such file\n\tIs the server running?"), None))
    assert capsys.readouterr().out.endswith("database       No such file Is the server running?\n")
