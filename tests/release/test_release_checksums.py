"""Whoever has the releaser's public key can tell whether a file is the one that was released."""

import argparse
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.pages import DOCS, parts, typed
from tests.release import __main__ as release
from tests.release import checksums


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    key = tmp_path / "key.pem"
    command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    to = tmp_path / "2026.12.0"
    to.mkdir()
    (to / "lienthong.whl").write_bytes(b"code")
    checksums.sign_checksums(checksums.write_checksums(to.iterdir(), to), key)
    return to


def verify(folder: Path) -> int:
    """Type what docs/howto/install.md says."""
    script = typed(parts(DOCS / "howto/install.md")["Are the files those of the release"])
    assert script.count("\n") == 2
    own = script.replace("RELEASER.pub", "release.pub")
    return subprocess.run(["sh", "-eu", "-c", own], cwd=folder, check=False, capture_output=True).returncode


def test_what_was_released_verifies(signed: Path) -> None:
    assert verify(signed) == 0


@pytest.mark.parametrize("name", ["lienthong.whl", "SHA256SUMS"])
def test_what_was_changed_does_not(signed: Path, name: str) -> None:
    (signed / name).write_bytes((signed / name).read_bytes() + b"\n# more")
    assert verify(signed) == 1


def test_a_version_is_a_year_a_month_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no version"):
        release.prepare_release("v2")


def test_a_release_needs_a_checkout_without_changes_and_a_changelog(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = ["M hub/__init__.py", ""]
    monkeypatch.setattr(release, "git", lambda *_: status.pop(0))
    with pytest.raises(SystemExit, match="made from a commit"):
        release.refuse_unfinished("2026.12.0")
    (tmp_path / "newsfragments").mkdir()
    (tmp_path / "newsfragments/+one.feature.md").write_text("One.")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="1 fragments are in no changelog"):
        release.refuse_unfinished("2026.12.0")


def test_the_changelog_of_a_version_is_its_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(
        "# What\n\n## 2026.12.1 (x)\nnew\n\n## 2026.12.0 (y)\nold\n\n## 2026.11.0 (z)\n"
    )
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.read_changes("2026.12.0") == "## 2026.12.0 (y)\nold\n\n"
    with pytest.raises(SystemExit, match="says nothing of 2027"):
        release.read_changes("2027.1.0")


def test_both_distributions_get_the_version_and_name_each_other_by_it() -> None:
    written = [
        tomllib.loads(release.write_version((release.ROOT / name).read_text("utf-8"), "2027.1.0"))["project"]
        for name in ("pyproject.toml", "demo/pyproject.toml")
    ]
    assert [each["version"] for each in written] == ["2027.1.0"] * 2
    assert written[0]["optional-dependencies"]["demo"] == ["lienthong-demo==2027.1.0"]
    assert written[1]["dependencies"][0] == "lienthong==2027.1.0"


#: A builder of containers that says what it was told, and saves a file.
BUILDER = """#!/bin/sh
echo "$@" >>"$TOLD"
[ "$1" != save ] || : >"$3"
"""


def test_the_container_is_made_of_the_package_where_there_is_a_builder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to, programs = tmp_path / "2026.12.0", tmp_path / "programs"
    to.mkdir()
    programs.mkdir()
    (to / "lienthong_2026.12.0_amd64.deb").write_bytes(b"")
    monkeypatch.setenv("PATH", str(programs))
    assert release.make_container("debian", "2026.12.0", to) == "none of podman, docker is here"
    (programs / "docker").write_text(BUILDER)
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    assert "--base" in release.make_container(None, "2026.12.0", to)
    assert not (tmp_path / "told").exists()
    assert release.make_container("debian", "2026.12.0", to) == ""
    built, saved = (tmp_path / "told").read_text().splitlines()
    assert (
        built
        == f"build --build-arg BASE=debian --build-arg PACKAGE=lienthong_2026.12.0_amd64.deb --tag lienthong:2026.12.0 {to}"
    )
    assert saved.endswith("lienthong:2026.12.0")
    assert (to / "lienthong_2026.12.0_container.tar").exists()


def test_a_draft_gets_no_tag() -> None:
    said = argparse.Namespace(draft=True, tag=True)
    with pytest.raises(SystemExit, match="a draft gets no tag"):
        release.make_release(said)


def test_the_changelog_of_the_first_release_is_one_screen_and_names_the_internal_build() -> None:
    said = release.read_changes("2026.12.0")
    assert said.count("\n") <= 50
    assert "2026.11.0 was one, and no release" in said
