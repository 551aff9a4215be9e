"""Which inputs are kept: the smallest ones that together reach every line, step between lines and answer that all of them reach.

What an input reaches is measured here, line by line, without atheris: so what is kept does not depend on it.
"""

import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from tests.conftest import ROOT
from tests.fuzz import archive, kept, load, told

PLACE = ROOT / "var" / "fuzz"  #: the whole corpus of this machine, and what libFuzzer said
FOUND = "found-"  #: begins the name of what was a finding once
MOST = 64 * 1024  #: octets kept of one target
_TOOL = 4
MONITORING: Any = getattr(sys, "monitoring", None)  #: since Python 3.12
_OURS = (str(ROOT / "hub"), str(ROOT / "adapters"))

Reached = frozenset[Any]


def name(content: bytes) -> str:
    """Return the name of the file for *content*."""
    return hashlib.sha256(content).hexdigest()[:16]


def reached(judge: Callable[[bytes], None], content: bytes) -> Reached:
    """Return what *judge* reaches with *content*.  Needs Python 3.12; raises whatever *judge* raises."""
    found: set[Any] = set()
    last = [0]

    def line(code: CodeType, number: int) -> Any:
        if not code.co_filename.startswith(_OURS):
            return MONITORING.DISABLE
        found.add((code.co_filename, last[0], number))
        last[0] = number
        return None

    MONITORING.use_tool_id(_TOOL, "keeping")
    MONITORING.register_callback(_TOOL, MONITORING.events.LINE, line)
    MONITORING.set_events(_TOOL, MONITORING.events.LINE)
    told.LISTENERS.append(found.add)
    try:
        judge(content)
    finally:
        told.LISTENERS.remove(found.add)
        MONITORING.set_events(_TOOL, 0)
        MONITORING.free_tool_id(_TOOL)
    return frozenset(found)


def choose(inputs: Iterable[tuple[bytes, Reached]], most: int = MOST) -> list[bytes]:
    """Return the inputs to keep, of *most* octets together: the smallest first, each for something no earlier one reached."""
    chosen, seen, size = [], set[Any](), 0
    for content, found in sorted(inputs, key=lambda each: (len(each[0]), each[0])):
        if not found <= seen and size + len(content) <= most:
            chosen.append(content)
            seen |= found
            size += len(content)
    return chosen


def keep(target: str, folders: Iterable[Path]) -> int:
    """Write the kept corpus of *target* anew, from what is kept already and what lies in *folders*; return how many inputs were chosen.

    What was a finding once stays.
    """
    module = load(target)
    before = kept(target)
    contents = set(before.values())
    contents |= {path.read_bytes() for folder in folders for path in folder.iterdir() if path.is_file()}
    chosen = choose((content, reached(module.judge, content)) for content in contents)
    findings = {called: content for called, content in before.items() if called.startswith(FOUND)}
    write(target, findings | {name(content): content for content in chosen})
    return len(chosen)


def keep_finding(target: str, content: bytes) -> str:
    """Add *content*, which was found just now, to the kept corpus of *target*; return its name there."""
    called = FOUND + name(content)
    write(target, kept(target) | {called: content})
    return called


def write(target: str, inputs: Mapping[str, bytes]) -> None:
    """Make *inputs*, by name, the kept corpus of *target*: whole or not at all, and untouched where it holds just these.

    The same inputs always make the same archive: in the order of their names, with no time and no owner.
    """
    if archive(target).exists() and kept(target) == inputs:
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    written = PLACE / archive(target).name
    with written.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as packed:
            for called, content in sorted(inputs.items()):
                member = tarfile.TarInfo(called)
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
        file.flush()
        os.fsync(file.fileno())
    archive(target).parent.mkdir(parents=True, exist_ok=True)
    written.replace(archive(target))
