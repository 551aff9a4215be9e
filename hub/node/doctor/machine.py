"""Examines the machine: clock, time zone, disk, memory, open files, and what systemd says of the service.

Pure rules on what was read; the readers below them are thin. Source of the clock's state: adjtimex(2).
"""

import ctypes
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState
from hub.runtime.disk_space import list_places

#: The state of a clock that nothing keeps: TIME_ERROR of adjtimex(2).
_UNSYNCHRONISED = 5
#: Seconds of one sync above which a disk makes partners wait.
_SLOW = 0.02
_SYNCS = 5
#: File systems on which SQLite's locks or its WAL do not work (sqlite.org/wal.html), and those that end with the machine.
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "ceph"})
_PASSING = frozenset({"tmpfs", "ramfs", "overlay"})
#: Octets of memory of a hub, and of each worker beside it (docs/explanation/capacity.md, Memory).
_HUB, _WORKER = 512 << 20, 100 << 20
#: Open files of a process that has all its connections: 4000 at each of two ports, and what it needs itself.
_FILES = 8256
UNIT = "lienthong.service"


def examine_machine(config: Config | None, now: datetime) -> Iterator[Diagnosis]:
    """Yield the findings about the machine; those about the places of *config* only if there is one."""
    yield judge_clock(read_clock_state())
    yield judge_time_zone(now)
    yield judge_memory(_read_memory(), config.workers if config else 1)
    if config is None:
        return
    place = config.data
    if not place.is_dir():
        return  # check has said so
    free, files = shutil.disk_usage(place).free, os.statvfs(place)
    yield judge_space(free, config.free_disk, files.f_favail, files.f_files)
    file = find_sqlite_file(config.database_url)
    written = place if file is None else file.parent
    yield judge_file_system(find_file_system(written, Path("/proc/mounts")), sqlite=file is not None)
    try:
        yield judge_sync(_measure_sync(place))
    except OSError as error:
        yield judge_unwritten(error)


# --- clock -----------------------------------------------------------------------------------------------------------


def judge_clock(state: int | None) -> Diagnosis:
    """Judge the state that the kernel gives for its clock; None: it could not be asked."""
    if state is None:
        return Diagnosis("clock", DiagnosisState.UNKNOWN, phrase("the system does not tell whether its clock is kept"))
    if state == _UNSYNCHRONISED:
        advice = phrase("start a time service, such as chrony; partners refuse messages of a wrong time")
        return Diagnosis("clock", DiagnosisState.WARNING, phrase("no time service keeps the clock"), advice)
    return Diagnosis("clock", DiagnosisState.OK, phrase("a time service keeps the clock"))


def read_clock_state() -> int | None:
    """Return what adjtimex(2) says, which changes nothing. Return None where it may not be asked."""
    room = ctypes.create_string_buffer(512)  # struct timex begins with `modes`, 0: read only
    try:
        state = int(ctypes.CDLL(None).adjtimex(room))
    except (OSError, AttributeError):
        return None
    return state if state >= 0 else None


def judge_time_zone(now: datetime) -> Diagnosis:
    """Judge the rules of the time zone by which days and months are counted."""
    try:
        right = now.astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).utcoffset() == timedelta(hours=7)
    except ZoneInfoNotFoundError:
        right = False
    if right:
        return Diagnosis("time-zone", DiagnosisState.OK, phrase("Hà Nội is 7 hours ahead of UTC"))
    advice = phrase("install tzdata anew: months would close at a wrong hour")
    return Diagnosis("time-zone", DiagnosisState.FAILED, phrase("the time zone of Hà Nội is missing or wrong"), advice)


# --- memory, disk, open files ----------------------------------------------------------------------------------------


def judge_memory(available: int | None, workers: int) -> Diagnosis:
    """Judge the memory that is available now, in octets."""
    needed = _HUB + (_WORKER * workers if workers > 1 else 0)
    if available is None:
        return Diagnosis("memory", DiagnosisState.UNKNOWN, phrase("the system does not tell how much memory is free"))
    found = phrase("{free} MiB of memory are available", free=available >> 20)
    if available < needed:
        advice = phrase("a hub needs {needed} MiB: more memory, or fewer workers", needed=needed >> 20)
        return Diagnosis("memory", DiagnosisState.WARNING, found, advice)
    return Diagnosis("memory", DiagnosisState.OK, found)


def _read_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)


def judge_space(free: int, needed: int, files: int, total: int) -> Diagnosis:
    """Judge the *free* octets of the data directory against `free-disk`, and the files that may still be made there.

    *total* is 0 where a file system has no fixed number of files.
    """
    found = phrase("{free} MiB are free for data", free=free >> 20)
    if free < needed:
        advice = phrase(
            "make room: the hub accepts no message (disk-low). docs/howto/incident-book.md, The disk is full"
        )
        return Diagnosis("disk", DiagnosisState.FAILED, found, advice)
    if total and files < 1000:
        return Diagnosis(
            "disk",
            DiagnosisState.FAILED,
            phrase("only {files} more files fit on the disk", files=files),
            phrase("delete files"),
        )
    if free < 4 * needed:
        advice = phrase("make room soon: below {needed} MiB the hub accepts no message", needed=needed >> 20)
        return Diagnosis("disk", DiagnosisState.WARNING, found, advice)
    return Diagnosis("disk", DiagnosisState.OK, found)


def find_file_system(place: Path, mounts: Path) -> str:
    """Return the type of the file system that holds *place*, of *mounts* (proc(5)); an empty text if it is not known."""
    best, found = -1, ""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, at, kind, *_ = line.split(" ")
        folder = Path(at.encode("utf-8", "surrogateescape").decode("unicode_escape"))
        if len(folder.parts) >= best and place.absolute().is_relative_to(folder):
            best, found = len(folder.parts), kind
    return found


def judge_file_system(kind: str, *, sqlite: bool) -> Diagnosis:
    """Judge the type of the file system that holds the journal (*sqlite*), or else the data directory."""
    found = phrase("the data are on {kind}", kind=kind or "?")
    if sqlite and kind in _REMOTE:
        advice = phrase("a disk of this machine: SQLite's locks do not work over a network")
        return Diagnosis("file-system", DiagnosisState.FAILED, found, advice)
    if kind in _PASSING:
        advice = phrase("a disk: what is here ends with the machine or the container")
        return Diagnosis("file-system", DiagnosisState.FAILED if sqlite else DiagnosisState.WARNING, found, advice)
    return Diagnosis("file-system", DiagnosisState.OK if kind else DiagnosisState.UNKNOWN, found)


def judge_unwritten(error: OSError) -> Diagnosis:
    """Judge why nothing can be written into the data directory."""
    found = phrase("nothing can be written into the data directory: {error}", error=name_system_error(error))
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            advice = phrase("make room: docs/howto/incident-book.md, The disk is full")
        case errno.EACCES | errno.EPERM:
            advice = phrase("the account of the hub must own the data directory: chown")
        case _:
            advice = phrase("look after the disk: the kernel's log (`dmesg`), `mount`, `smartctl`")
    return Diagnosis("sync", DiagnosisState.FAILED, found, advice)


def judge_sync(seconds: float) -> Diagnosis:
    """Judge how long the disk takes for one sync; each receipt waits for one."""
    found = phrase("a sync of the disk takes {ms} ms", ms=f"{seconds * 1000:.1f}")
    if seconds > _SLOW:
        return Diagnosis("sync", DiagnosisState.WARNING, found, phrase("a faster disk: every receipt waits for a sync"))
    return Diagnosis("sync", DiagnosisState.OK, found)


def _measure_sync(folder: Path) -> float:
    """Return the median of a few syncs of a small file in *folder*, in seconds. The file is taken away again.

    Raises OSError if nothing can be written there.
    """
    file, taken = folder / f".doctor.{os.getpid()}", []
    try:
        with file.open("wb", buffering=0) as writing:
            for _ in range(_SYNCS):
                begun = time.monotonic()
                writing.write(bytes(4096))
                os.fsync(writing.fileno())
                taken.append(time.monotonic() - begun)
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)
    return median(taken)


def judge_open_files(limit: int | None) -> Diagnosis:
    """Judge the number of files that the hub may have open; None: no limit."""
    if limit is None or limit >= _FILES:
        return Diagnosis("open-files", DiagnosisState.OK, phrase("{limit} files may be open", limit=limit or "∞"))
    found = phrase("only {limit} files may be open", limit=limit)
    advice = phrase("LimitNOFILE={needed} in the unit, or `ulimit -n`: fewer connections fit", needed=_FILES)
    return Diagnosis("open-files", DiagnosisState.WARNING, found, advice)


def read_open_files_limit(limits: str) -> int | None:
    """Return the hard limit of open files in *limits*, the text of `/proc/PID/limits`; None: no limit."""
    line = next((line for line in limits.splitlines() if line.startswith("Max open files")), "")
    hard = line.split()[4] if len(line.split()) > 4 else "unlimited"
    return int(hard) if hard.isdigit() else None


# --- the service -----------------------------------------------------------------------------------------------------


def examine_service(config: Config | None) -> Diagnosis:
    """Return what systemd says of the service, and whether it may write where *config* says that the hub writes."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        return Diagnosis("service", DiagnosisState.UNKNOWN, phrase("systemd does not run here"))
    keys = (
        "LoadState,UnitFileState,ActiveState,NeedDaemonReload,NRestarts,"
        "ExecStart,ProtectSystem,ReadWritePaths,BindPaths,StateDirectory,ConfigurationDirectory"
    )
    command = ["systemctl", "show", UNIT, f"--property={keys}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 - these words only
    except (OSError, subprocess.SubprocessError) as error:
        return Diagnosis("service", DiagnosisState.UNKNOWN, phrase("systemctl does not answer: {error}", error=error))
    unit = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    serves = config is not None and str(config.path.absolute()) in unit.get("ExecStart", "").split()
    return judge_service(unit, _list_written_folders(config) if config is not None and serves else ())


def _list_written_folders(config: Config) -> Iterator[Path]:
    """Yield the folders in which the running hub writes: data, journal, witness, archive files and backups."""
    yield from list_places(config)
    if config.witness is not None:
        yield config.witness
    yield config.archive
    if config.backup is not None:
        yield config.backup.folder


def find_locked_folder(unit: Mapping[str, str], folders: Iterable[Path]) -> Path | None:
    """Return the first of *folders* in which the unit may not write, by systemd.exec(5); None: it may write in each.

    Only `ProtectSystem=strict` is judged, which the unit of the package has.
    """
    if unit.get("ProtectSystem") != "strict":
        return None
    free = [Path(name.lstrip("-+")) for name in unit.get("ReadWritePaths", "").split()]
    free += [Path(place) for name in unit.get("BindPaths", "").split() for place in name.split(":")[1:2]]
    free += [Path("/var/lib", name.split(":")[0]) for name in unit.get("StateDirectory", "").split()]
    free += [Path("/etc", name.split(":")[0]) for name in unit.get("ConfigurationDirectory", "").split()]
    return next((folder for folder in folders if not any(folder.is_relative_to(each) for each in free)), None)


def judge_service(unit: Mapping[str, str], folders: Iterable[Path] = ()) -> Diagnosis:
    """Judge the properties of the unit as `systemctl show` prints them. The hub writes in *folders*."""
    if unit.get("LoadState") != "loaded":
        return Diagnosis("service", DiagnosisState.WARNING, phrase("there is no unit {unit}", unit=UNIT), _UNIT_ADVICE)
    if unit.get("NeedDaemonReload") == "yes":
        return Diagnosis(
            "service",
            DiagnosisState.WARNING,
            phrase("the unit was changed"),
            phrase("systemctl daemon-reload, then a restart"),
        )
    if (locked := find_locked_folder(unit, folders)) is not None:
        found = phrase("the unit may not write in {folder}", folder=locked)
        advice = phrase(
            "`systemctl edit {unit}` with [Service] and ReadWritePaths={folder}, then a restart",
            unit=UNIT,
            folder=locked,
        )
        return Diagnosis("service", DiagnosisState.FAILED, found, advice)
    if unit.get("UnitFileState") not in {"enabled", "enabled-runtime"}:
        found = phrase("the unit does not start with the machine")
        return Diagnosis("service", DiagnosisState.WARNING, found, phrase("systemctl enable {unit}", unit=UNIT))
    if unit.get("ActiveState") != "active":
        found = phrase("the unit is {state}", state=unit.get("ActiveState", "?"))
        return Diagnosis(
            "service", DiagnosisState.FAILED, found, phrase("systemctl start {unit}; journalctl -u {unit}", unit=UNIT)
        )
    if unit.get("NRestarts", "0") != "0":
        found = phrase("the service was started again {count} times", count=unit["NRestarts"])
        return Diagnosis("service", DiagnosisState.WARNING, found, phrase("journalctl -u {unit} says why", unit=UNIT))
    return Diagnosis("service", DiagnosisState.OK, phrase("the unit is enabled and active"))


_UNIT_ADVICE = phrase("docs/howto/install.md, Under systemd")
