"""Examines the program itself: whether every file is as it was installed, and which libraries it runs with.

Other distributions install packages named `hub`, `adapters` and `tap` too: `pip install adapters` overwrites the hub's
folder of that name, and removing it again takes the hub's files away. Therefore this module imports only Python's own
library and the words of the hub, and is asked first.
"""

import base64
import csv
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path

import hub
from hub.language.phrases import phrase
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState

OWN = "lienthong"
#: What the distribution installs beside its metadata.
_OWN_PLACES = re.compile(r"(hub|adapters)/|tap\.py$|twisted/plugins/lienthong_plugin\.py$")
#: Files that a finding names; the rest is counted.
_NAMED = 3
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^ ;\\]+)( *;)?")
_APART = phrase("install lienthong in an environment of its own: docs/howto/install.md")


def examine_distribution(path: Sequence[str] | None = None) -> Iterator[Diagnosis]:
    """Yield whether the installed files are those of the distribution, and which others claim the same names.

    *path*: where distributions are looked for, as `sys.path`.
    """
    everyone = list(distributions(path=list(sys.path if path is None else path)))
    own = [each for each in everyone if _normalise_name(each) == OWN]
    others = sorted(
        {_normalise_name(each) for each in everyone if _normalise_name(each) != OWN and _claims_own_places(each)}
    )
    if others:
        found = phrase("{names} have files of the names `hub`, `adapters` or `tap` too", names=", ".join(others))
        yield Diagnosis("distribution", DiagnosisState.FAILED, found, _APART)
    if not own:
        yield Diagnosis("distribution", DiagnosisState.UNKNOWN, phrase("it is not installed as a distribution"))
        return
    records = _read_records(own[0])
    if "hub/__init__.py" not in records:
        yield Diagnosis("distribution", DiagnosisState.OK, phrase("a checkout: its files are not compared"))
        return
    root = Path(str(own[0].locate_file("")))
    wrong = find_changed_files(root, records)
    if Path(hub.__file__).resolve().parent.parent != root.resolve() and path is None:
        found = phrase("`hub` is {place}, not that of the distribution", place=Path(hub.__file__).parent)
        yield Diagnosis("distribution", DiagnosisState.FAILED, found, _APART)
    elif wrong:
        named = ", ".join(wrong[:_NAMED]) + (" …" if len(wrong) > _NAMED else "")
        found = phrase("{count} files are not as they were installed: {named}", count=len(wrong), named=named)
        yield Diagnosis("distribution", DiagnosisState.FAILED, found, _APART)
    elif not others:
        yield Diagnosis("distribution", DiagnosisState.OK, phrase("{count} files as installed", count=len(records)))


def find_changed_files(root: Path, records: Mapping[str, str]) -> list[str]:
    """Return the files below *root* that are missing, have other octets than *records* say, or are not in it.

    *records*: path -> SHA-256 in base64 as wheels write it (the binary distribution format, RECORD).
    """
    wrong = [name for name, hashed in records.items() if _hash_file(root / name) != hashed]
    there = (str(file.relative_to(root)) for folder in ("hub", "adapters") for file in (root / folder).rglob("*.py"))
    return sorted([*wrong, *(name for name in there if name not in records)])


def _normalise_name(found: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", str(found.metadata["Name"] or "")).lower()


def _claims_own_places(found: Distribution) -> bool:
    return any(_OWN_PLACES.match(line) for line in (found.read_text("RECORD") or "").splitlines())


def _read_records(found: Distribution) -> dict[str, str]:
    """Return the hash of each own file that the distribution installed; empty for a checkout."""
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    return {
        row[0]: row[1].removeprefix("sha256=") for row in rows if len(row) > 1 and _OWN_PLACES.match(row[0]) and row[1]
    }


def _hash_file(file: Path) -> str:
    """Return the hash of *file* as in a RECORD; an empty text if it cannot be read."""
    try:
        hashed = hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return ""
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


# --- libraries -------------------------------------------------------------------------------------------------------


def examine_libraries() -> Iterator[Diagnosis]:
    """Yield Python's version, and whether the libraries are those that the hub was tested with."""
    running = ".".join(map(str, sys.version_info[:3]))
    yield Diagnosis("python", DiagnosisState.OK, phrase("Python {version}", version=running))
    lock = _find_lock()
    if lock is None:
        yield Diagnosis("libraries", DiagnosisState.UNKNOWN, phrase("requirements.lock is not there"))
        return
    pins = read_pins(lock.read_text("utf-8"))
    yield compare_libraries(pins, {name: _find_version(name) for name, _, _ in pins})


def read_pins(lock: str) -> list[tuple[str, str, bool]]:
    """Return name and version of each library in *lock*, and whether it is for certain machines only."""
    found = (_PIN.match(line) for line in lock.splitlines())
    return [(met[1], met[2], met[3] is not None) for met in found if met]


def compare_libraries(pins: Sequence[tuple[str, str, bool]], installed: Mapping[str, str | None]) -> Diagnosis:
    """Return whether each library of *pins* is installed in its version."""
    missing = [name for name, _, apart in pins if installed[name] is None and not apart]
    other = [f"{name} {installed[name]} ({pin})" for name, pin, _ in pins if installed[name] not in {None, pin}]
    advice = phrase("pip install --require-hashes -r requirements.lock")
    if missing:
        found = phrase("not installed: {names}", names=", ".join(missing))
        return Diagnosis("libraries", DiagnosisState.FAILED, found, advice)
    if other:
        found = phrase("not in the tested version: {names}", names=", ".join(other))
        return Diagnosis("libraries", DiagnosisState.WARNING, found, advice)
    return Diagnosis(
        "libraries", DiagnosisState.OK, phrase("{count} libraries, all in the tested version", count=len(pins))
    )


def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _find_lock() -> Path | None:
    package = Path(hub.__file__).parent
    places: Iterable[Path] = (package / "_data/requirements.lock", package.parent / "requirements.lock")
    return next((place for place in places if place.is_file()), None)
