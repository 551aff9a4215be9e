"""A configuration with mistakes: what can be read all the same is shown, `check` names everything, and no other partner is locked."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hub.security import sample_pki
from hub.security.certificates import Identity
from tests import homes
from tests.homes import Type
from tests.pki import pem


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.begin(tmp_path_factory.mktemp("made") / "tinh")


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tinh"))


@pytest.fixture
def typed(home: Path) -> Type:
    return homes.typing(home)


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def issue(home: Path, name: str) -> str:
    """Return the file of a new certificate of the sample CA of *home*."""
    identity = Identity.read(home / "pki/ca.key", home / "pki/ca.crt")
    assert isinstance(identity.key, RSAPrivateKey)
    _, certificate = sample_pki.Authority(identity.key, identity.certificate).issue(name, datetime.now(UTC))
    path = home.parent / f"{name}.crt"
    path.write_bytes(pem(certificate))
    return str(path)


# --- hub.toml --------------------------------------------------------------------------------------------------------

#: What an operator slips into hub.toml: the text that goes, what comes in its place, and where the mistake is told.
SLIPS = {
    "a line that is not TOML": ('province = "H55"', 'province = "H55"\ncolour = red', "hub.toml: colour"),
    "a key without its quote": ('province = "H55"', 'province = "H55', "hub.toml: province"),
    "an unknown key": ('province = "H55"', 'province = "H55"\ncolour = "red"', "hub.toml: colour"),
    "a table that is not TOML": ("[pki]", "[backup]\nfolder = /srv\n[pki]", "hub.toml: backup"),
    "a header without its bracket": ("[pki]", "[pki", "hub.toml: pki"),
    "a port that is none": ("[pki]", "[syslog]\nport = 99999\n[pki]", "hub.toml: syslog.port (line 20)"),
    "a key that is not there": ("pki/hub.key", "pki/none.key", "hub.toml: pki.key"),
    "a CA that is none": ("[pki]", "[pki]\nmodule = 7", "hub.toml: pki.module"),
}
#: Commands that only show what the journal has.
SHOWS: list[tuple[tuple[str, ...], int]] = [
    (("messages",), 0),
    (("messages", "--count", "--json"), 0),
    (("show", "x"), 4),
    (("trace", "x"), 4),
    (("compare", "x", "y"), 4),
    (("status",), 69),  # no hub runs
    (("failures",), 0),
    (("events",), 0),
    (("alerts", "list"), 0),
    (("late",), 0),
    (("links",), 0),
    (("replays", "list"), 0),
    (("report", "H55.13", "2026-11"), 0),
    (("report", "state", "H55.13", "2026-11"), 0),
    (("units", "list"), 0),
    (("users", "list"), 0),
    (("tokens", "list"), 0),
    (("categories",), 0),
    (("db", "status"), 0),
    (("partners", "list"), 0),
    (("partners", "grants"), 0),
]


@pytest.mark.slow
@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_hub_toml_takes_no_command_away_that_only_reads(home: Path, typed: Type, slip: str) -> None:
    old, new, place = SLIPS[slip]
    rewrite(home / "hub.toml", old, new)
    for words, code in SHOWS:
        asked = typed(*words)
        assert asked.exit_code == code, (words, asked.output)
        assert f"Warning: {place}" in asked.stderr, (words, asked.stderr)
        assert place not in asked.stdout
    for words in (("check",), ("pause", "vpub", "--reason", "x"), ("give-up", "--partner", "vpub", "--reason", "x")):
        assert typed(*words).exit_code == 78, words  # what changes something needs every line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[database]", "[database"),
        ("url = ", "url = oops "),
        ("[database]", "[databse]"),
        ("[database]\nurl", "[database]\nurll"),
    ],
)
def test_a_hub_whose_database_is_not_certain_shows_nothing(home: Path, typed: Type, old: str, new: str) -> None:
    rewrite(home / "hub.toml", old, new)
    asked = typed("messages")
    assert (asked.exit_code, asked.stdout) == (78, ""), asked.output
    assert "hub.toml: data" in asked.stderr


def test_a_report_is_not_counted_by_a_setting_that_cannot_be_read(home: Path, typed: Type) -> None:
    (home / "hub.toml").write_text((home / "hub.toml").read_text("utf-8") + "\n[reports]\nforms = 7\n", "utf-8")
    assert typed("report", "H55.13", "2026-11").exit_code == 78
    assert typed("messages").exit_code == 0


def test_reload_finds_the_hub_although_its_file_has_a_mistake(home: Path, typed: Type) -> None:
    rewrite(home / "hub.toml", 'province = "H55"', 'province = "H55')
    assert typed("reload").exit_code == 69  # no hub runs here


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_names_all_mistakes_at_once_whatever_finds_them(home: Path, typed: Type) -> None:
    rewrite(home / "hub.toml", "[pki]", "[backup]\nfolder = /srv\n[tracing]\nurl = oops\n[pki]")
    rewrite(home / "partners/vpub.toml", "calls = [", 'calls = ["nothing", ')
    rewrite(home / "partners/vpcp.toml", "receive", "recieve")
    refused = typed("check")
    assert refused.exit_code == 78
    assert refused.stdout == ""
    for place in ("hub.toml: backup", "hub.toml: tracing", "partners/vpub.toml: calls", "partners/vpcp.toml: recieve"):
        assert refused.stderr.count(place) == 1, refused.stderr
    assert "is missing" not in refused.stderr.replace("url: is missing", "")
    assert "4 mistakes" in refused.stderr or "5 mistakes" in refused.stderr


def test_a_part_that_is_not_toml_is_told_with_its_line_and_without_what_follows_from_it(
    home: Path, typed: Type
) -> None:
    rewrite(home / "hub.toml", "[pki]", "[pki]\nkey = oops")
    line = (home / "hub.toml").read_text("utf-8").split("\n").index("key = oops") + 1
    refused = typed("check")
    assert "1 mistake:" in refused.stderr, refused.stderr
    assert re.search(rf"hub\.toml: pki: is not TOML: .*line {line}\b", refused.stderr)


def test_check_has_one_verdict(home: Path, typed: Type) -> None:
    assert "Everything is right." in typed("check").stdout
    (home / "pki/hub.key").chmod(0o644)
    warned = typed("check")
    assert warned.exit_code == 0
    assert "pki.key" in warned.stderr
    assert "Everything is right" not in warned.output
    assert "No mistake: the hub can start. 1 warning is above." in warned.stdout
    assert "Mọi thứ đều đúng" not in typed("check", language="vi").output
    assert [json.loads(line)["kind"] for line in typed("check", "--json").stdout.splitlines()] == ["warning", "ok"]


# --- partners --------------------------------------------------------------------------------------------------------


def spoil_mapping(home: Path) -> None:
    """Let the partner `vpub` have a mapping that is not finished."""
    path = home / "partners/vpub.toml"
    path.write_text(path.read_text("utf-8") + '\n[settings]\nmapping = "vpub/mapping.toml"\n', "utf-8")
    (home / "partners/vpub").mkdir()
    (home / "partners/vpub/mapping.toml").write_text("[wsdl]\nsha256 = 7\n", "utf-8")


def test_partners_list_shows_the_good_ones_names_the_bad_and_exits_3(home: Path, typed: Type) -> None:
    (home / "partners/vpub.toml").write_text("colour = red\n", "utf-8")
    listed = typed("partners", "list", "--json")
    assert listed.exit_code == 3
    assert {json.loads(line)["code"] for line in listed.stdout.splitlines()} == {"sotttt", "vpcp"}
    assert "partners/vpub.toml: is not TOML" in listed.stderr
    assert typed("partners", "show", "vpcp").exit_code == 0
    assert typed("partners", "show", "vpub").exit_code == 78
    assert typed("partners", "show", "nobody").exit_code == 4


def in_other_words(home: Path) -> list[tuple[str, ...]]:
    certificate = issue(home, "soyte")
    return [
        ("add", "soyte", "--certificate", certificate, "--fetch", "--unit", "H55.81"),
        ("add", "vpcp", "--replace", "--name", "VPCP"),
        ("set", "vpcp", "policy.timeout=9s"),
        ("certificate", "add", "vpcp", issue(home, "vpcp-2")),
        ("kit", "vpcp", "-o", str(home.parent / "kit.zip")),
        ("remove", "soyte", "--reason", "x", "--yes"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [spoil_mapping, lambda home: (home / "partners/vpub.toml").write_text("x = y")])
def test_the_unfinished_file_of_one_partner_locks_no_other(
    home: Path, typed: Type, spoil: Callable[[Path], object]
) -> None:
    words = in_other_words(home)
    _ = spoil(home)
    for each in words:
        done: Result = typed("partners", *each)
        assert done.exit_code == 0, (each, done.output)
    assert typed("partners", "add", "vpub", "--replace", "--name", "VPUB").exit_code == 78
    assert typed("partners", "set", "vpub", "name=VPUB").exit_code == 78


def test_a_change_is_refused_for_what_it_does_to_another_partner(home: Path, typed: Type) -> None:
    spoil_mapping(home)
    refused = typed("partners", "add", "anew", "--certificate", issue(home, "anew"), "--fetch", "--unit", "H55.13")
    assert refused.exit_code == 78
    assert "sotttt.toml: units" in refused.stderr
    assert not (home / "partners/anew.toml").exists()
