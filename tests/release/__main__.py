"""Makes a release: `./dev release`, in `dist/VERSION/`. `./dev release prepare VERSION` writes its version and changelog before.

A release is made from a commit: whoever has the commit, the lock and the same interpreter makes the same files again. The
container is made where there is a builder of containers, on a base that the releaser names.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.release import bill, checksums, debian, environment, manuals

ROOT = Path(__file__).parents[2]
#: Programs that build a container, the first that is here; all take the same words.
BUILDERS = ("podman", "docker")
LOCKS = ("requirements.lock", "requirements-package.lock")


def main() -> None:
    """Read the words of the command line and do what they ask."""
    words = argparse.ArgumentParser(prog="./dev release", description=__doc__, allow_abbrev=False)
    words.add_argument("act", nargs="?", choices=["build", "prepare"], default="build")
    words.add_argument("version", nargs="?", help="of `prepare`: the version to release, such as 2026.12.0")
    words.add_argument("--draft", action="store_true", help="also from a checkout with changes; for trying")
    words.add_argument("--key", type=Path, help="PEM file with the key that signs the checksums")
    words.add_argument(
        "--python", default="/usr/bin/python3.13", help="the interpreter of the target, for Debian's package"
    )
    words.add_argument("--maintainer", default="Lien Thong <lienthong@localhost>", help="of Debian's package")
    words.add_argument("--base", help="the image that the container stands on: REGISTRY/debian@sha256:…")
    words.add_argument("--tag", action="store_true", help="tag the commit with the version, when all is made")
    words.add_argument("--to", type=Path, default=ROOT / "dist", help="folder to write VERSION/ in")
    said = words.parse_args()
    if said.act == "prepare":
        prepare_release(said.version or words.error("which version?"))
    else:
        make_release(said)


def prepare_release(version: str) -> None:
    """Write *version* into pyproject.toml and the changelog from the fragments. The releaser reads and commits both."""
    if not re.fullmatch(r"20[0-9]{2}\.[0-9]{1,2}\.[0-9]+", version):
        raise SystemExit(f"{version} is no version: year.month.number")
    for project in (ROOT / "pyproject.toml", ROOT / "demo/pyproject.toml"):
        project.write_text(write_version(project.read_text("utf-8"), version), "utf-8")
    run_tool("towncrier", "build", "--yes", "--version", version)
    print("Read CHANGELOG.md, commit, then:  ./dev release --key KEY.pem --tag")


def write_version(text: str, version: str) -> str:
    """Return the text of a `pyproject.toml` with *version*, its own and that of the other distribution."""
    text = re.sub(r'^version = ".*"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE)
    return re.sub(r'"(lienthong|lienthong-demo)==[^"]*"', rf'"\1=={version}"', text)


def make_release(said: argparse.Namespace) -> None:
    """Build every file of the release, and say where they are."""
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])
    if not said.draft:
        refuse_unfinished(version)
    elif said.tag:
        raise SystemExit("a draft gets no tag")
    if said.draft:
        version += f"+draft.{git('rev-list', '--count', 'HEAD')}"
    epoch = int(git("log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    to = said.to / version
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    run_tool("hatchling", "build", "-d", str(to))
    run_tool("hatchling", "build", "-t", "wheel", "-d", str(to), folder="demo")
    for name in LOCKS:
        shutil.copy(ROOT / name, to)
    changes = read_changes(version)
    (to / "CHANGES.md").write_text(changes, "utf-8")
    [wheel] = to.glob("lienthong-*.whl")
    try_interpreters(wheel, draft=said.draft)
    make_package(said, version, epoch, wheel, to, changes)
    (to / "Containerfile").write_text((ROOT / "packaging/Containerfile").read_text("utf-8"), "utf-8")
    if lacking := make_container(said.base, version, to):
        print(f"NO CONTAINER: {lacking}", file=sys.stderr)
    sums = checksums.write_checksums([file for file in to.iterdir() if file.is_file()], to)
    if said.key is not None:
        checksums.sign_checksums(sums, said.key)
    else:
        print("NOT SIGNED: no --key", file=sys.stderr)
    if said.tag:
        git("tag", "--annotate", "--message", f"Liên Thông {version}", version)
    print(f"{to}:", *sorted(file.name for file in to.iterdir()), sep="\n  ")


def try_interpreters(wheel: Path, *, draft: bool) -> None:
    """Run a hub of *wheel* with the oldest and the newest Python promised; without one of them only a draft is made."""
    environ = os.environ | {"WHEEL": str(wheel)} | ({} if draft else {"CI": "true"})
    command = [sys.executable, "-m", "pytest", "-q", "tests/process/test_interpreters.py"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True)


def make_package(said: argparse.Namespace, version: str, epoch: int, wheel: Path, to: Path, changes: str) -> None:
    """Build Debian's package and the list of its parts."""
    if shutil.which(said.python) is None:
        raise SystemExit(f"{said.python} is not here: Debian's package needs the interpreter of its target (--python)")
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    interpreter = Path(said.python).name
    facts = debian.PackageFacts(version, architecture.strip(), interpreter, said.maintainer, epoch)
    with TemporaryDirectory(prefix="lienthong-release.") as place:
        tree = Path(place) / "tree"
        tree.mkdir()
        lock = ROOT / "requirements-package.lock"
        report = environment.build_environment(tree, said.python, lock, wheel, os.environ)
        [packages] = tree.glob("opt/lienthong/lib/python*/site-packages")
        listed = bill.write_bill(version, epoch, report, packages)
        (to / "sbom.cdx.json").write_bytes(listed)
        debian.fill_tree(tree, facts, changes, listed, manuals.write_texts(version))
        debian.build_package(tree, to / f"lienthong_{version}_{facts.architecture}.deb", epoch)


def make_container(base: str | None, version: str, to: Path) -> str:
    """Build the container of the package in *to* on the image *base*, and save it there. Return why it was not; empty: it was."""
    builder = next(filter(None, map(shutil.which, BUILDERS)), None)
    if builder is None:
        return f"none of {', '.join(BUILDERS)} is here"
    if base is None:
        return "--base names no image for it to stand on"
    [package], name = to.glob("*.deb"), f"lienthong:{version.replace('+', '-')}"
    values = ["--build-arg", f"BASE={base}", "--build-arg", f"PACKAGE={package.name}"]
    subprocess.run([builder, "build", *values, "--tag", name, str(to)], check=True)
    subprocess.run([builder, "save", "--output", str(to / f"lienthong_{version}_container.tar"), name], check=True)
    return ""


def refuse_unfinished(version: str) -> None:
    """Exit where the checkout is not a release: it has changes, or fragments that no changelog has taken."""
    if git("status", "--porcelain"):
        raise SystemExit("the checkout has changes: a release is made from a commit (--draft to try)")
    left = [file.name for file in (ROOT / "newsfragments").glob("*.md") if file.name != "README.md"]
    if left:
        raise SystemExit(f"{len(left)} fragments are in no changelog: ./dev release prepare {version}")


def read_changes(version: str) -> str:
    """Return what the changelog says of *version*; of a draft, what the fragments say."""
    if "+draft" in version:
        return run_tool("towncrier", "build", "--draft", "--version", version)
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.search(rf"^## {re.escape(version)} .*?(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"CHANGELOG.md says nothing of {version}: ./dev release prepare {version}")
    return found[0]


def run_tool(name: str, *words: str, folder: str = ".") -> str:
    """Run a program of this environment in a folder of the checkout; return what it printed."""
    command = [str(Path(sys.executable).with_name(name)), *words]
    return subprocess.run(command, cwd=ROOT / folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def git(*words: str) -> str:
    """Return what git prints of the checkout."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
