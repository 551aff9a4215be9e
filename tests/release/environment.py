"""Builds the environment that Debian's package carries: Python's own `venv` with the hashed libraries and the wheel.

Knows pip, `venv` and the files of installed distributions. Does not know Debian.
"""

import base64
import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PREFIX = Path("/opt/lienthong")  #: where the environment will lie
SCRIPTS = ("lienthong", "twistd")  #: what stays of the scripts of all distributions


def build_environment(stage: Path, python: str, lock: Path, wheel: Path, environ: Mapping[str, str]) -> list[Any]:
    """Build the environment for `PREFIX` below *stage* with the interpreter *python* of the target.

    Returns pip's report of each library that *lock* names (https://pip.pypa.io/en/stable/reference/installation-report/).
    Raises `CalledProcessError`. Nothing in it names *stage*.
    """
    place = stage / PREFIX.relative_to("/")
    _run([python, "-m", "venv", "--without-pip", place], environ)
    report = stage / "report.json"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        place / "bin/python",
        "install",
        "-q",
        "--no-compile",
    ]
    hashed: list[str | Path] = ["--require-hashes", "--only-binary", ":all:", "--report", report, "-r", lock]
    _run([*pip, *hashed], environ)
    _run([*pip, "--no-deps", "--no-index", wheel], environ)
    # Twisted's list of plugins, which the hub's account cannot write there.
    list_plugins = "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))"
    _run([place / "bin/python", "-I", "-B", "-c", list_plugins], environ)
    found = json.loads(report.read_bytes())["install"]
    report.unlink()
    settle_environment(place, python)
    _run(
        [
            *(python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"),
            *("-s", stage, "-p", "/", place / "lib"),
        ],
        environ,
    )
    return list(found)


def settle_environment(place: Path, python: str) -> None:
    """Make the environment in *place* one of `PREFIX`: its settings, its scripts, and what its distributions record."""
    home = Path(python).parent
    settings = f"home = {home}\ninclude-system-site-packages = false\nexecutable = {python}\n"
    (place / "pyvenv.cfg").write_text(settings, "utf-8")
    for script in (place / "bin").iterdir():
        if not script.name.startswith("python") and script.name not in SCRIPTS:
            script.unlink()
    for name in SCRIPTS:
        script = place / "bin" / name
        _, _, rest = script.read_text("utf-8").partition("\n")
        script.write_text(f"#!{PREFIX}/bin/python -I\n{rest}", "utf-8")
        script.chmod(0o755)
    for folder in ("include", "lib64", "share"):
        gone = place / folder
        if gone.is_symlink():
            gone.unlink()
        elif gone.is_dir():
            shutil.rmtree(gone)
    for record in place.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        (record.parent / "direct_url.json").unlink(missing_ok=True)
        _write_record(record)


def _write_record(record: Path) -> None:
    """Write the RECORD of a distribution anew by the files that are there (PEP 376)."""
    packages = record.parent.parent
    lines = io.StringIO()
    write = csv.writer(lines, lineterminator="\n")
    for name, digest, size in csv.reader(record.read_text("utf-8").splitlines()):
        file = packages / name
        if not file.exists():
            continue
        if digest:
            octets = file.read_bytes()
            digest = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).decode().rstrip("=")  # noqa: PLW2901 - of the file as it is now
            size = str(len(octets))  # noqa: PLW2901 - the same
        write.writerow([name, digest, size])
    record.write_text(lines.getvalue(), "utf-8")


def _run(command: Sequence[str | Path], environ: Mapping[str, str]) -> None:
    subprocess.run([str(word) for word in command], env=dict(environ), check=True, stdin=subprocess.DEVNULL)
