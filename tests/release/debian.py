"""Builds the Debian package of a release with `dpkg-deb`: its tree, its control files, its archive.

Knows Debian's policy for packages. Does not know how the environment in the tree was made.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.release.environment import PREFIX

PACKAGING = Path(__file__).parents[2] / "packaging"
SCRIPTS = ("postinst", "prerm", "postrm")


@attrs.frozen
class PackageFacts:
    """What the control file says of one package."""

    version: str
    architecture: str  #: as `dpkg --print-architecture` names it
    interpreter: str  #: `python3.13`: its package is the only Python that the environment runs with
    maintainer: str
    epoch: int  #: seconds since 1970 that every file of the package has as its time


def fill_tree(tree: Path, facts: PackageFacts, changes: str, bill: bytes, written: Mapping[str, str]) -> None:
    """Lay what Debian needs around the environment in *tree*: units, the command, documents, control files.

    *changes* says what is new, *bill* is the list of what the package is made of, *written* are the texts that are made of
    the commands (`tests.release.manuals`), by their place.
    """
    units, documents = tree / "usr/lib/systemd/system", tree / "usr/share/doc/lienthong"
    for folder in (units, documents, tree / "usr/bin", tree / "DEBIAN"):
        folder.mkdir(parents=True)
    for unit in sorted((PACKAGING / "systemd").iterdir()):
        shutil.copy(unit, units)
    shutil.copy(PACKAGING / "debian/lienthong", tree / "usr/bin")
    shutil.copy(PACKAGING / "debian/copyright", documents)
    (documents / "changelog.gz").write_bytes(gzip.compress(changes.encode(), 9, mtime=facts.epoch))
    (documents / "sbom.cdx.json").write_bytes(bill)
    _link_data(tree, documents)
    for place, text in written.items():
        _write_text(tree / place, text.encode(), facts.epoch)
    for script in SCRIPTS:
        shutil.copy(PACKAGING / "debian" / script, tree / "DEBIAN")
    _settle_modes(tree, facts.epoch)
    files = sorted(file for file in tree.rglob("*") if file.is_file() and not file.is_symlink())
    owned = [file for file in files if not file.is_relative_to(tree / "DEBIAN")]
    sums = "".join(f"{_hash_file(file)}  {file.relative_to(tree)}\n" for file in owned)
    (tree / "DEBIAN/md5sums").write_text(sums, "utf-8")
    size = sum(file.stat().st_size for file in owned) // 1024
    (tree / "DEBIAN/control").write_text(write_control(facts, size), "utf-8")


def write_control(facts: PackageFacts, size: int) -> str:
    """Return the control file of a package whose files have *size* KiB."""
    major, minor = facts.interpreter.removeprefix("python").split(".")
    return f"""\
Package: lienthong
Version: {facts.version}
Architecture: {facts.architecture}
Maintainer: {facts.maintainer}
Installed-Size: {size}
Depends: {facts.interpreter}, python3 (>= {major}.{minor}), adduser, init-system-helpers, tzdata, libc6 (>= 2.28)
Recommends: systemd, time-daemon, ca-certificates
Suggests: postgresql-client, prometheus, softhsm2
Section: net
Priority: optional
Description: integration hub of a Vietnamese province
 A SOAP/XML hub: it receives, verifies, validates, journals, routes and
 delivers documents between the systems of a province, and counts from its
 journal what reports need.
 .
 The package carries the libraries of the hub in {PREFIX}, in the
 versions that it was tested with. Nothing is fetched when it is installed.
"""


def build_package(tree: Path, to: Path, epoch: int) -> None:
    """Write the package of *tree* to the file *to*. Its files are root's. Raises `CalledProcessError`."""
    command = ["dpkg-deb", "--root-owner-group", "--build", "-Zzstd", str(tree), str(to)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)


def _write_text(file: Path, content: bytes, epoch: int) -> None:
    """Write a text; a page of the manual is compressed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if "man" in file.parts:
        file, content = file.with_name(f"{file.name}.gz"), gzip.compress(content, 9, mtime=epoch)
    file.write_bytes(content)


def _link_data(tree: Path, documents: Path) -> None:
    """Show what lies in the environment where an operator of Debian looks for it."""
    [data] = tree.glob(f"{PREFIX.relative_to('/')}/lib/python*/site-packages/hub/_data")
    inside = Path("/") / data.relative_to(tree)
    (documents / "docs").symlink_to(inside / "docs")
    shared = tree / "usr/share/lienthong"
    shared.mkdir(parents=True)
    (shared / "packaging").symlink_to(inside / "packaging")


def _settle_modes(tree: Path, epoch: int) -> None:
    """Give each file the rights of an installed one and a time of *epoch*: Twisted's list of plugins is newer than they are."""
    for file in sorted(tree.rglob("*"), reverse=True):
        if file.is_symlink():
            os.utime(file, (epoch - 2, epoch - 2), follow_symlinks=False)
            continue
        runs = file.is_dir() or file.stat().st_mode & 0o100
        file.chmod(0o755 if runs else 0o644)
        time = epoch if file.name == "dropin.cache" else epoch - 2
        os.utime(file, (time, time))
    tree.chmod(0o755)


def _hash_file(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
