"""Debian's package is well formed, the same each time it is built, and treats the operator's data as it says."""

import gzip
import json
import os
import re
import shutil
import subprocess
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import attrs
import pytest

from hatch_build import compile_catalogues
from tests.conftest import ROOT, cannot_be_had
from tests.release import bill, debian, environment, manuals
from tests.waiting import PROGRAM

EPOCH = 1_795_918_400
FACTS = debian.PackageFacts("2026.12.0", "all", "python3.13", "Nobody <nobody@localhost>", EPOCH)

#: What is made of the commands, in small.
WRITTEN = {"usr/share/man/vi/man1/lienthong.1": ".TH LIENTHONG 1\n", **manuals.write_completions()}


def run(*words: object, code: int = 0) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=PROGRAM)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def package(place: Path, version: str) -> Path:
    """Build a package with a small environment: two programs, one module and the documents."""
    tree = place / f"tree-{version}"
    inside = tree / "opt/lienthong"
    data = inside / "lib/python3.13/site-packages/hub/_data"
    for folder in (data / "docs/howto", data / "packaging", inside / "bin"):
        folder.mkdir(parents=True)
    (data.parent / "__init__.py").write_text(f'VERSION = "{version}"\n')
    (data / "docs/howto/install.md").write_text("How\n")
    for name in environment.SCRIPTS:
        (inside / "bin" / name).write_text(f"#!/bin/sh\necho {name} {version} as $(id -un)\n")
        (inside / "bin" / name).chmod(0o700)
    debian.fill_tree(tree, attrs.evolve(FACTS, version=version), f"## {version}\n", b"{}\n", WRITTEN)
    made = place / f"lienthong_{version}.deb"
    debian.build_package(tree, made, EPOCH)
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("dpkg-deb") is None:
        cannot_be_had("dpkg-deb", "this is no Debian")
    return package(tmp_path_factory.mktemp("package"), "2026.12.0")


def test_the_same_input_gives_the_same_package(built: Path, tmp_path: Path) -> None:
    assert package(tmp_path, "2026.12.0").read_bytes() == built.read_bytes()


def test_every_file_is_roots_and_nobody_else_may_write_it(built: Path) -> None:
    listed = [line.split() for line in run("dpkg-deb", "--contents", built).splitlines()]
    assert {each[1] for each in listed} == {"root/root"}
    assert {each[0][1:] for each in listed if not each[0].startswith("l")} == {"rwxr-xr-x", "rw-r--r--"}
    assert [each[5] for each in listed if each[5].startswith(("./etc", "./var", "./run"))] == []


def test_the_units_start_what_the_package_has(built: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", built, tmp_path)
    unit = RawConfigParser(strict=False)
    unit.read(tmp_path / "usr/lib/systemd/system/lienthong.service", "utf-8")
    program = unit["Service"]["ExecStart"].split()[0]
    assert os.access(tmp_path / program.lstrip("/"), os.X_OK)
    assert program.startswith(f"{environment.PREFIX}/bin/")
    shown = (tmp_path / "usr/share/doc/lienthong/docs").readlink()
    assert (tmp_path / str(shown).lstrip("/") / "howto/install.md").is_file()


def test_it_brings_the_manual_and_the_completion_of_three_shells(built: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", built, tmp_path)
    page = gzip.decompress((tmp_path / "usr/share/man/vi/man1/lienthong.1.gz").read_bytes())
    assert page == b".TH LIENTHONG 1\n"
    for place in manuals.COMPLETIONS:
        assert "lienthong" in (tmp_path / place).read_text()


def test_its_sums_are_those_of_its_files(built: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "--raw-extract", built, tmp_path / "raw")
    sums = (tmp_path / "raw/DEBIAN/md5sums").read_text().splitlines()
    assert len(sums) > 10
    subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path / "raw", check=True)


def test_no_script_of_it_asks_the_network(built: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "--control", built, tmp_path / "control")
    for name in debian.SCRIPTS:
        text = (tmp_path / "control" / name).read_text()
        assert re.findall(r"\b(?:pip|uv|curl|wget|apt|apt-get|python3?)\b", text) == []
        run("sh", "-n", tmp_path / "control" / name)


@attrs.frozen
class PrivateRoot:
    """The system of this machine with every change in memory: what a package installs here, nobody else sees."""

    place: Path

    def run(self, script: str) -> str:
        """Run *script* there as root; the changes are gone afterwards."""
        around = """
            mount --make-rprivate / && mount -t tmpfs memory "$1" && cd "$1" && mkdir upper work root
            mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
            mount -t tmpfs memory root/run && mount --rbind /proc root/proc && mount --rbind /dev root/dev
            mkdir -p root/packages && mount --bind "$2" root/packages
            exec chroot root sh -eu -c "$3"
        """
        return run("unshare", "--mount", "sh", "-eu", "-c", around, "sh", self.place, self.place.parent, script)


@pytest.fixture
def private_root(tmp_path: Path) -> PrivateRoot:
    if os.geteuid() != 0:
        cannot_be_had("a root of one's own", "only root may mount")
    if shutil.which("adduser") is None:
        cannot_be_had("adduser", "it is not installed; Debian: apt-get install adduser")
    place = tmp_path / "root"
    place.mkdir()
    return PrivateRoot(place)


@pytest.mark.slow
def test_a_package_comes_stays_and_goes_and_the_data_stay(private_root: PrivateRoot, tmp_path: Path) -> None:
    """Installed, used, upgraded, removed and purged, by its own scripts."""
    for version in ("2026.12.0", "2027.1.0"):
        package(tmp_path, version)
    said = private_root.run("""
        dpkg --force-depends -i /packages/lienthong_2026.12.0.deb 2>&1
        stat -c '%n %U %a' /etc/lienthong /var/lib/lienthong
        lienthong
        echo 'a journal' >/var/lib/lienthong/hub.db
        dpkg --force-depends -i /packages/lienthong_2027.1.0.deb 2>&1
        lienthong
        ls /run
        dpkg --remove lienthong 2>&1
        ! ls /opt/lienthong /usr/bin/lienthong 2>&1
        cat /var/lib/lienthong/hub.db
        dpkg --purge lienthong 2>&1
        ! ls /etc/lienthong /var/lib/lienthong 2>&1
        cat /var/backups/lienthong-*/lib/hub.db
        stat -c '%U %a' /var/backups/lienthong-*
        getent passwd lienthong
    """)
    assert "/etc/lienthong lienthong 750\n/var/lib/lienthong lienthong 750\n" in said
    assert "Next:  lienthong init /etc/lienthong --production" in said
    assert "lienthong 2026.12.0 as lienthong\n" in said, "root's commands are the hub's"
    assert "lienthong 2027.1.0 as lienthong\n" in said
    assert "lienthong.upgrading" not in said
    assert said.count("a journal\n") == 2
    assert "root 700\n" in said


@pytest.mark.slow
def test_a_database_of_the_release_before_is_not_touched(private_root: PrivateRoot, tmp_path: Path) -> None:
    """`lienthong db status` ends with 1 then; the operator is told, and begins the change."""
    tree = tmp_path / "tree-2026.12.0"
    package(tmp_path, "2026.12.0")
    (tree / "opt/lienthong/bin/lienthong").write_text('#!/bin/sh\necho "$@" >>/tmp/asked\nexit 1\n')
    debian.build_package(tree, tmp_path / "behind.deb", EPOCH)
    said = private_root.run("""
        mkdir -p /etc/lienthong && : >/etc/lienthong/hub.toml
        rm -f /tmp/asked && install -m 666 /dev/null /tmp/asked
        dpkg --force-depends -i /packages/behind.deb 2>&1
        cat /tmp/asked
    """)
    assert "NOT STARTED" in said
    assert said.endswith("--config /etc/lienthong/hub.toml db status\n")


def test_an_environment_names_only_the_place_where_it_will_lie(tmp_path: Path) -> None:
    """Its scripts run its own Python, its record holds what is there, and nothing leads back to where it was built."""
    packages = tmp_path / "lib/python3.13/site-packages"
    info = packages / "one-1.dist-info"
    for folder in (tmp_path / "bin", info):
        folder.mkdir(parents=True)
    for name in (*environment.SCRIPTS, "activate", "other", "python"):
        (tmp_path / "bin" / name).write_text(f"#!{tmp_path}/bin/python\nprint()\n")
    (info / "direct_url.json").write_text(f'{{"url": "file://{tmp_path}"}}')
    rows = ["../../../bin/lienthong,sha256=x,1", "../../../bin/other,sha256=x,1", "one-1.dist-info/RECORD,,"]
    (info / "RECORD").write_text("\n".join([*rows, "one-1.dist-info/direct_url.json,sha256=x,1"]) + "\n")
    environment.settle_environment(tmp_path, "/usr/bin/python3.13")
    assert {file.name for file in (tmp_path / "bin").iterdir()} == {*environment.SCRIPTS, "python"}
    assert (tmp_path / "bin/lienthong").read_text() == "#!/opt/lienthong/bin/python -I\nprint()\n"
    written = (info / "RECORD").read_text().splitlines()
    assert [line.split(",")[0] for line in written] == ["../../../bin/lienthong", "one-1.dist-info/RECORD"]
    assert written[0].endswith(f",{len((tmp_path / 'bin/lienthong').read_bytes())}")
    assert str(tmp_path) not in "".join(
        file.read_text() for file in tmp_path.rglob("*") if file.is_file() and file.name != "python"
    )


def library(name: str, **said: object) -> dict[str, object]:
    return {
        "metadata": {"name": name, "version": "1.0", **said},
        "download_info": {"archive_info": {"hashes": {"sha256": "ab" * 32}}},
    }


def test_the_list_of_parts_names_each_library_its_licence_and_what_is_compiled_into_it(tmp_path: Path) -> None:
    """CycloneDX 1.6: `bomFormat`, `specVersion`, unique `bom-ref`; PEP 770 for what a wheel says of itself."""
    lists = tmp_path / "one_part-1.0.dist-info/sboms"
    lists.mkdir(parents=True)
    part = {"type": "library", "name": "openssl", "version": "4.0.3", "purl": "pkg:generic/openssl@4.0.3"}
    (lists / "s.json").write_text(
        json.dumps({"components": [{**part, "bom-ref": "x"}, {"name": "one-part", "version": "1"}]})
    )
    report = [
        library("Two", classifier=["License :: OSI Approved :: MIT License"]),
        library("one-part", license_expression="MIT"),
    ]
    written = bill.write_bill("2026.12.0", EPOCH, report, tmp_path)
    said = json.loads(written)
    assert (said["bomFormat"], said["specVersion"], said["metadata"]["timestamp"]) == (
        "CycloneDX",
        "1.6",
        "2026-11-29T02:13:20Z",
    )
    one, two = said["components"]
    assert (one["purl"], one["licenses"]) == ("pkg:pypi/one-part@1.0", [{"expression": "MIT"}])
    assert one["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert [each["name"] for each in one["components"]] == ["openssl"]
    assert two["licenses"] == [{"license": {"name": "MIT License"}}]
    assert written == bill.write_bill("2026.12.0", EPOCH, report, tmp_path)


def test_the_package_carries_a_library_for_each_extra_of_a_node() -> None:
    """Nothing can be installed beside it. Its versions are those that developers test."""
    node, carried, tested = (
        set(re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", (ROOT / name).read_text(), flags=re.MULTILINE))
        for name in ("requirements.lock", "requirements-package.lock", "requirements-dev.lock")
    )
    assert node < carried < tested
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {re.split(r"[>=<]", each)[0] for name, wanted in extras.items() if name != "demo" for each in wanted}
    assert needed <= {each.split("==")[0] for each in carried}


def test_the_container_has_no_base_of_its_own() -> None:
    lines = (ROOT / "packaging/Containerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith(("ARG BASE", "FROM"))] == ["ARG BASE", "FROM ${BASE}"]
    assert "USER lienthong" in lines


def test_a_catalogue_says_no_time_of_its_compilation(tmp_path: Path) -> None:
    """Else no two wheels of one commit would be the same."""
    folder = tmp_path / "hub/language/locale/vi/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "x.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "a"\nmsgstr "b"\n'
    )
    compile_catalogues(tmp_path)
    assert set(re.findall(rb"Date: (\d{4}-\d\d-\d\d)", (folder / "x.mo").read_bytes())) == {b"2026-01-01"}


def test_a_catalogue_that_is_compiled_again_is_whole_for_whoever_reads_it_meanwhile(tmp_path: Path) -> None:
    """A test builds the wheel in the checkout while others start programs that read the catalogue."""
    folder = tmp_path / "hub/language/locale/vi/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "x.po").write_text('msgid ""\nmsgstr ""\n\nmsgid "a"\nmsgstr "b"\n')
    compile_catalogues(tmp_path)
    with (folder / "x.mo").open("rb") as read:
        compile_catalogues(tmp_path)
        assert os.fstat(read.fileno()).st_ino != (folder / "x.mo").stat().st_ino, "another file takes its place"
    assert sorted(path.name for path in folder.iterdir()) == ["x.mo", "x.po"]
