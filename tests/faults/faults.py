"""The faults.  Each is struck while the load runs, and mended; knows how to hurt a town, not what must hold afterwards."""

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs

from lienthong_demo.run.postgres import Absent, Server
from tests.faults.town import TIMEOUT, Town
from tests.running import PATIENCE, until


@attrs.frozen
class Fault:
    """One fault: what it does to a town, from its beginning to its end."""

    name: str
    strike: Callable[[Town, random.Random], None]


def kill_node(town: Town, chance: random.Random) -> None:
    """SIGKILL of a node, and its start."""
    node = chance.choice(town.nodes)
    node.kill()
    time.sleep(chance.uniform(0, 0.5))
    node.start()
    until(node.listens, "the node to listen again")


def stop_node(town: Town, chance: random.Random) -> None:
    """SIGTERM under load: it must end by itself, and in time."""
    node = chance.choice(town.nodes)
    assert node.stop() == -signal.SIGTERM
    assert not (broken := [line for line in node.said().splitlines() if "Traceback" in line]), broken
    node.start()
    until(node.listens, "the node to listen again")


def freeze_node(town: Town, chance: random.Random) -> None:
    """SIGSTOP of a node for longer than it is believed alive, then SIGCONT: the stale answers move nothing."""
    node = chance.choice(town.nodes)
    node.freeze()
    time.sleep(chance.uniform(15, 18))
    node.thaw()


def kill_server(server: Server) -> Callable[[Town, random.Random], None]:
    """SIGKILL of PostgreSQL, and its start."""

    def strike(town: Town, chance: random.Random) -> None:
        crash(server)
        time.sleep(chance.uniform(0.2, 1.5))
        start_again(server)

    return strike


def crash(server: Server) -> None:
    """Kill the postmaster; its children see it and end by themselves, a moment later."""
    process = server._process
    assert process is not None
    process.kill()
    process.wait(PATIENCE)
    server._process = None


def start_again(server: Server) -> None:
    """Start it, as soon as the children of the one before are gone."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            server.start()
        except Absent:
            server._process = None
            if time.monotonic() > limit:
                raise
            time.sleep(0.3)
        else:
            return


def ill(mode: str, *, seconds: float, delay: float = 0.5) -> Callable[[Town, random.Random], None]:
    """A partner behaves so for some seconds, then well again."""

    def strike(town: Town, chance: random.Random) -> None:
        partner = chance.choice([code for code in town.partners if code != "hong"])
        town.mode(partner, mode, delay)
        time.sleep(seconds * chance.uniform(0.8, 1.2))
        town.mode(partner, "ok")

    return strike


LATE = ill("late", seconds=4, delay=TIMEOUT + 1)
GARBAGE = ill("garbage", seconds=3)
SLOW = ill("slow", seconds=4, delay=TIMEOUT * 0.6)
RESET = ill("reset", seconds=3)
DOWN = ill("down", seconds=3)


def step_clock(file: Path) -> Callable[[Town, random.Random], None]:
    """The nodes' clock steps an hour ahead, back to where it was, an hour behind, and back again."""

    def strike(town: Town, chance: random.Random) -> None:
        for step in chance.sample(["+3600", "-3600"], 2):
            set_clock(file, step)
            time.sleep(chance.uniform(3, 4))
            set_clock(file, "+0")
            town.flow(10, f"after a step of {step} s and back")

    return strike


def set_clock(file: Path, step: str) -> None:
    """Set the clock of whoever reads *file*."""
    new = file.with_suffix(".new")
    new.write_text(f"{step}\n")
    new.replace(file)


def fill_disk(folder: Path) -> Callable[[Town, random.Random], None]:
    """No octet is free where SQLite's file lies; then the space comes back.  The nodes run on."""

    def strike(town: Town, chance: random.Random) -> None:
        with (folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (1 << 22, 1 << 16, 4096):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue
            time.sleep(chance.uniform(2.5, 4))
        (folder / "ballast").unlink()

    return strike


def tear_wal(town: Town, chance: random.Random) -> None:
    """SIGKILL, and a write-ahead log that ends in what a power cut leaves: half a transaction, half a frame, noise."""
    (node,) = town.nodes
    node.kill()
    wal = Path(town.url.removeprefix("sqlite:///") + "-wal")
    whole = wal.read_bytes()
    header, frame = 32, 24 + int.from_bytes(whole[8:12], "big")
    frames = (len(whole) - header) // frame
    assert frames > 1, "a write-ahead log with something in it"
    torn = bytearray(whole[header : header + frame * chance.randint(1, min(frames, 8))])
    for at in range(0, len(torn), frame):
        torn[at + 4 : at + 8] = bytes(4)  # no commit mark: its transaction never came to an end
    torn = torn[: len(torn) - chance.randint(1, frame - 1)] + bytearray(chance.randbytes(300))
    with wal.open("ab") as file:
        file.write(torn)
    node.start()
    until(node.listens, "the node to listen again")


def back_up(town: Town, to: Path) -> None:
    """Copy the journal while it is used, as SQLite's own `.backup` does."""
    with closing(sqlite3.connect(town.url.removeprefix("sqlite:///"))) as live, closing(sqlite3.connect(to)) as copy:
        live.backup(copy, pages=200, sleep=0.01)


def tear_journal(town: Town) -> None:
    """Overwrite pages all over the file, and cut it short."""
    path = Path(town.url.removeprefix("sqlite:///"))
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    size, chance = path.stat().st_size, random.Random(1)
    with path.open("r+b") as file:
        for _ in range(40):
            file.seek(4096 * chance.randrange(1, size // 4096))
            file.write(chance.randbytes(4096))
        file.truncate(size * 3 // 4)


def restore(town: Town, backup: Path) -> None:
    """Put the backup where the journal was, with nothing left of the torn one."""
    path = Path(town.url.removeprefix("sqlite:///"))
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    path.write_bytes(backup.read_bytes())
