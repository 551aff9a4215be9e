"""Keeps a release: `python -m tests.releases WHEEL DEMO_WHEEL` runs its demo on each database and packs what it leaves.

Needs PostgreSQL's programs, pg_dump among them.  Run it in an environment with the libraries of that release.
"""

import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from lienthong_demo.run import postgres
from tests.releases.kept import HERE

#: What makes the journal fuller than the demo leaves it: a paused partner, a plan of replays that has run.
DEEDS = (
    ("pause", "vpub", "--reason", "bảo trì"),
    ("replay", "--delivery-state", "dead", "--reason", "trục nhận lại", "--yes"),
)


def main(wheel: Path, demo: Path) -> None:
    """Keep *wheel* and its journals in a folder named by its version; *demo* is the wheel of the sample partners."""
    folder = HERE / wheel.name.split("-")[1]
    folder.mkdir()
    shutil.copy(wheel, folder)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # PostgreSQL runs under an account of its own
        program = Path(place) / "program"
        for each in (wheel, demo):
            with zipfile.ZipFile(each) as packed:
                packed.extractall(program)
        for database in ("sqlite", "postgresql"):
            home = play(program, database, Path(place) / database)
            pack(home, folder / f"{database}.tar.xz")


def play(program: Path, database: str, place: Path) -> Path:
    """Run the demo of *program* in *place*; return the directory of the hub of its day with what is kept of it."""
    place.mkdir()
    env = os.environ | {"PYTHONPATH": str(program), "LANG": "en_US.UTF-8"}
    said = place / "demo.jsonl"
    command = [sys.executable, "-m", "hub.cli"]
    with said.open("w") as out:
        demo = subprocess.Popen([*command, "demo", "--keep", "--database", database], stdout=out, cwd=place, env=env)
    while '"lost"' not in said.read_text():
        if demo.poll() is not None:
            sys.exit(f"the demo ended with {demo.returncode}")
        time.sleep(0.5)
    (config,) = place.glob("var/demo/*/day/hub/hub.toml")

    def run(*words: str) -> str:
        whole = [*command, "-c", str(config), *words]
        return subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=True, env=env, cwd=place).stdout

    for deed in DEEDS:
        run(*deed)
    time.sleep(5)  # the hub makes those deliveries
    home = place / "kept/hub"
    shutil.copytree(config.parent, home, ignore=shutil.ignore_patterns("data"))
    (home / "data").mkdir(mode=0o700)
    text = config.read_text()
    if database == "sqlite":
        run("db", "backup", str(home / "data/hub.db"))
    else:
        url = text.partition('url = "')[2].partition('"')[0]
        (socket,) = parse_qs(urlsplit(url).query)["host"]
        dump = postgres.find_postgres_programs() / "pg_dump"
        options = ["-h", socket, "-U", "lienthong", "--no-owner", "--no-privileges", "-f", str(home / "journal.sql")]
        subprocess.run([str(dump), *options, "day"], check=True)
        (home / "hub.toml").write_text(text.replace(url, "postgresql://lienthong@/lienthong"))
    demo.send_signal(signal.SIGINT)
    demo.wait()
    return home


def pack(home: Path, to: Path) -> None:
    """Write the directory into one small file."""
    with lzma.open(to, "wb", preset=9 | lzma.PRESET_EXTREME) as plain, tarfile.open(fileobj=plain, mode="w") as packed:
        packed.add(home, "hub")


if __name__ == "__main__":
    main(*(Path(word).absolute() for word in sys.argv[1:]))
