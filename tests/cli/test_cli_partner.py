"""One partner at the command line: shown whole, changed key by key, its certificates, its removal; and a CA that is trusted no longer."""

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from sqlalchemy.engine.default import DefaultDialect

from hub.cli.partner import writing
from hub.cli.screen import CommandStop
from hub.config import read_config
from hub.config.editing import FileEdit, write_edits
from hub.journal import event_index, messages
from hub.journal.event_index import EventFilter
from hub.journal.replays import replay
from hub.journal.searching.message_filter import MessageFilter
from hub.runtime import pidfile
from hub.runtime.pidfile import ReloadVerdict
from hub.security import sample_pki
from hub.security.certificates import Identity, hash_certificate
from hub.store import transactions
from tests import homes
from tests.homes import Type
from tests.pki import authority, pem
from tests.province import ROUTES, document, entry

#: A partner's file as an operator keeps it, comments and all.
KEPT = """\
# Sở Y tế: gọi anh Nam trước khi đổi gì (ĐT 0208…)
name = "Hệ thống văn bản Sở Y tế"
certificates = ["partners/soyte.crt"]  # hết hạn 2027-01
units = [
    "H55.81",
    "H55.82",  # bệnh viện
    "H55.83",
]
receive = "fetch"

[policy]
timeout = "5s"   # mạng chậm
max-age = "600s"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the partner of `KEPT`."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    certificate = issue(home, home.parent, "soyte")
    words = ("partners", "add", "soyte", "--certificate", str(certificate), "--fetch", "--unit", "H55.81")
    added = homes.typing(home)(*words, "--unit", "H55.82", "--unit", "H55.83")
    assert added.exit_code == 0, added.output
    (home / "partners/soyte.toml").write_text(KEPT, "utf-8")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tinh"))


@pytest.fixture
def typed(home: Path) -> Type:
    return homes.typing(home)


def issue(home: Path, folder: Path, name: str) -> Path:
    """Return the file of a new certificate of the sample CA of *home*."""
    identity = Identity.read(home / "pki/ca.key", home / "pki/ca.crt")
    assert isinstance(identity.key, RSAPrivateKey)
    _, certificate = sample_pki.Authority(identity.key, identity.certificate).issue(name, datetime.now(UTC))
    path = folder / f"{name}.crt"
    path.write_bytes(pem(certificate))
    return path


def row(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def told(home: Path, name: str) -> list[dict[str, Any]]:
    """Return the events of that name, newest first."""
    engine = homes.engine_of(home)
    with transactions.read_transaction(engine) as tx:
        found = event_index.find_events(tx, EventFilter(name=name), 10).found
    engine.dispose()
    return [dict(each.fields) for each in found]


def text_of(home: Path) -> str:
    return (home / "partners/soyte.toml").read_text("utf-8")


# --- show ------------------------------------------------------------------------------------------------------------


def test_a_partner_is_shown_with_the_origin_of_each_setting(typed: Type) -> None:
    shown = row(typed("partners", "show", "soyte", "--json"))
    settings = {each["key"]: each for each in shown["settings"]}
    assert settings["policy.timeout"] == {"key": "policy.timeout", "value": "5s", "default": "30s", "line": 12}
    assert settings["policy.rate"] == {"key": "policy.rate", "value": "none", "default": "none", "line": None}
    assert settings["units"]["value"] == ["H55.81", "H55.82", "H55.83"]
    (certificate,) = shown["certificates"]
    assert (certificate["file"], certificate["problem"]) == ("partners/soyte.crt", None)
    assert certificate["days_left"] > 3000
    assert shown["deliveries"]["waiting"] == 0
    page = typed("partners", "show", "soyte").stdout
    assert "partners/soyte.toml, line 12; default 30s" in page
    assert certificate["sha256"] in page, "whole: it is compared by telephone"
    some = row(typed("partners", "show", "soyte", "--changed", "--json"))["settings"]
    assert [each["key"] for each in some] == ["name", "receive", "units", "policy.max-age", "policy.timeout"]


# --- set -------------------------------------------------------------------------------------------------------------


def test_keys_are_set_and_unset_and_every_other_word_stays(home: Path, typed: Type) -> None:
    words = ("policy.timeout=9s", "units+=H55.84", "units-=H55.82", "--unset", "policy.max-age", "--reason", "mạng mới")
    done = row(typed("partners", "set", "soyte", *words, "--json"))
    expected = KEPT.replace('"5s"', '"9s"').replace('    "H55.82",  # bệnh viện\n', "")
    expected = expected.replace('    "H55.83",\n', '    "H55.83",\n    "H55.84",\n').replace('max-age = "600s"\n', "")
    assert text_of(home) == expected
    assert done["changes"] == ["units: - H55.82, + H55.84", "policy.max-age: 10m → 15m", "policy.timeout: 5s → 9s"]
    assert (done["units_added"], done["kept"]) == (["H55.84"], [str(home / "partners/soyte.toml.old")])
    assert (home / "partners/soyte.toml.old").read_text("utf-8") == KEPT
    (event,) = told(home, "partner-changed")
    assert (event["partner"], event["reason"], event["changes"]) == ("soyte", "mạng mới", done["changes"])
    assert typed("check").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["policy.timeout=soon"], 78, "policy.timeout"),
        (["receive=push"], 78, "url"),
        (["units+=H55.13"], 78, "already receives"),
        (["calls=telex"], 78, "telex"),
        (["adapter=telex"], 78, "telex"),
        (["settings.colour=red"], 78, "settings.colour"),
        (["colour=red"], 2, "there is no key colour"),
        (["certificates=x.crt"], 2, "certificate add"),
        (["name="], 2, "--unset name"),
        (["name+=x"], 2, "no list"),
        (["policy.timeout=1s", "policy.timeout=2s"], 2, "given twice"),
        (["nonsense"], 2, "KEY=VALUE"),
        ([], 2, "say what to change"),
    ],
)
def test_a_wrong_change_writes_nothing(home: Path, typed: Type, words: list[str], code: int, said: str) -> None:
    before = {path: path.read_bytes() for path in (home / "partners").iterdir()}
    refused = typed("partners", "set", "soyte", *words)
    assert refused.exit_code == code, refused.output
    assert said in refused.stderr
    assert {path: path.read_bytes() for path in (home / "partners").iterdir()} == before
    assert told(home, "partner-changed") == []


def test_what_has_its_value_already_changes_nothing_and_a_dry_run_only_shows(home: Path, typed: Type) -> None:
    same = row(typed("partners", "set", "soyte", "policy.timeout=5s", "--json"))
    assert (same["written"], same["diff"]) == (False, [])
    planned = row(typed("partners", "set", "soyte", "policy.timeout=6s", "--dry-run", "--json"))
    assert (planned["written"], planned["changes"]) == (False, ["policy.timeout: 5s → 6s"])
    assert text_of(home) == KEPT
    assert typed("partners", "set", "nobody", "name=x").exit_code == 4
    assert typed("partners", "set", "../soyte", "name=x").exit_code == 4


def test_a_mistake_that_was_there_before_does_not_forbid_another_change_and_a_broken_file_is_mended(
    home: Path, typed: Type
) -> None:
    stranger, right = authority("Stranger CA").issue("soyte"), (home / "partners/soyte.crt").read_bytes()
    (home / "partners/soyte.crt").write_bytes(pem(stranger.certificate))  # it leads to no anchor, and it has expired
    assert typed("partners", "set", "soyte", "name=Sở Y tế").exit_code == 0
    (home / "partners/soyte.crt").write_bytes(right)
    (home / "partners/soyte.toml").write_text(KEPT.replace('"5s"', '"soon"'), "utf-8")
    assert typed("partners", "set", "soyte", "name=x").exit_code == 78
    assert typed("partners", "set", "soyte", "policy.timeout=7s").exit_code == 0


def test_a_refused_reload_takes_the_change_back(home: Path, typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pidfile, "request_reload", lambda _data: ReloadVerdict(ok=False))
    refused = typed("partners", "set", "soyte", "policy.timeout=9s", "--reload")
    assert refused.exit_code == 78
    assert text_of(home) == KEPT
    monkeypatch.setattr(pidfile, "request_reload", lambda _data: ReloadVerdict(ok=True, changes=("~ partners/soyte",)))
    taken = typed("partners", "set", "soyte", "policy.timeout=9s", "--reload")
    assert taken.exit_code == 0
    assert "~ partners/soyte" in taken.stderr


def test_an_event_that_cannot_be_recorded_takes_the_change_back(home: Path) -> None:
    path = home / "partners/soyte.toml"
    edits = [FileEdit(path, KEPT.encode(), b"name = 'x'"), FileEdit(home / "partners/new.crt", None, b"new")]

    def fail(_tx: object) -> None:
        raise RuntimeError("the disk of the journal is full")

    engine = homes.engine_of(home)
    with pytest.raises(RuntimeError):
        writing.write_and_record(home, edits, engine, fail)
    assert text_of(home) == KEPT
    assert not (home / "partners/new.crt").exists()
    write_edits(home, edits)
    with pytest.raises(CommandStop, match=r"soyte\.toml"):
        writing.write_and_record(home, edits, engine, fail)


def test_a_change_that_is_recorded_stays_although_the_standby_may_not_have_the_record(
    home: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DefaultDialect.do_commit

    def commit(self: DefaultDialect, connection: Any) -> None:
        real(self, connection)
        if connection.total_changes:
            raise transactions.Unconfirmed("canceling wait for synchronous replication")

    monkeypatch.setattr(DefaultDialect, "do_commit", commit)
    said = typed("partners", "set", "soyte", "policy.timeout=9s")
    assert said.exit_code == 69, said.output
    assert "the standby may not have it: canceling wait" in said.stderr
    assert 'timeout = "9s"' in text_of(home)


# --- certificates ------------------------------------------------------------------------------------------------------


def test_a_certificate_is_rotated_with_both_in_force_in_between(home: Path, typed: Type, tmp_path: Path) -> None:
    old = read_config(home / "hub.toml").partners["soyte"].certificates[0]
    new = issue(home, tmp_path, "soyte-2027")
    added = row(typed("partners", "certificate", "add", "soyte", str(new), "--json"))
    assert '"partners/soyte.crt", "partners/soyte-2.crt"]  # hết hạn 2027-01' in text_of(home)
    both = read_config(home / "hub.toml").partners["soyte"].certificates
    assert both[0] == old
    assert len(both) == 2
    assert added["changes"] == [f"certificates: + {hash_certificate(both[1])[:16]}…", "+ partners/soyte-2.crt"]
    again = row(typed("partners", "certificate", "add", "soyte", str(new), "--json"))
    assert again["written"] is False
    assert typed("partners", "certificate", "remove", "soyte", "ffffffff").exit_code == 4
    assert typed("partners", "certificate", "remove", "soyte", hash_certificate(old)[:7]).exit_code == 4
    fingerprint = ":".join(hash_certificate(old).upper()[at : at + 2] for at in range(0, 64, 2))
    assert typed("partners", "certificate", "remove", "soyte", fingerprint).exit_code == 0
    assert read_config(home / "hub.toml").partners["soyte"].certificates == (both[1],)
    assert (home / "partners/soyte.crt").exists()
    assert typed("check").exit_code == 0
    last = typed("partners", "certificate", "remove", "soyte", "partners/soyte-2.crt")
    assert last.exit_code == 1
    assert "the last certificate of soyte" in last.stderr
    assert typed("partners", "certificate", "remove", "soyte", "partners/soyte-2.crt", "--last").exit_code == 78
    assert typed("partners", "set", "soyte", "policy.transport=tls").exit_code == 0
    assert typed("partners", "certificate", "remove", "soyte", "partners/soyte-2.crt", "--last").exit_code == 0


def test_a_certificate_that_proves_nothing_or_is_another_partners_is_refused(
    home: Path, typed: Type, tmp_path: Path
) -> None:
    (tmp_path / "stranger.crt").write_bytes(pem(authority("Stranger CA").issue("stranger").certificate))
    (tmp_path / "none.crt").write_text("no certificate")
    shared = home / "pki/partners/vpub.crt"
    for file in (tmp_path / "stranger.crt", tmp_path / "none.crt", shared):
        refused = typed("partners", "certificate", "add", "soyte", str(file))
        assert refused.exit_code == 78, refused.output
    assert text_of(home) == KEPT
    assert sorted(path.name for path in (home / "partners").glob("soyte*")) == ["soyte.crt", "soyte.toml"]


# --- removal -----------------------------------------------------------------------------------------------------------


def test_a_partner_is_removed_only_when_nothing_waits_for_it_or_when_told(home: Path, typed: Type) -> None:
    engine = homes.engine_of(home)
    with transactions.write_transaction(engine) as tx:
        for number in (1, 2):
            messages.record_message(tx, entry(document(document_id=f"D{number}"), number, at=datetime.now(UTC)), ROUTES)
        given_up = replay.plan_give_up(tx, MessageFilter(ids=("m1",)))
        dead = [delivery for _, delivery in given_up.moves]
        replay.give_up_deliveries(tx, dead, reason="x", by="an", now=datetime.now(UTC))
    words = ("partners", "remove", "vpub", "--reason", "bỏ", "--yes", "--json")
    refused = row(typed(*words), 1)
    assert (refused["undelivered"], refused["written"]) == ({"waiting": 1, "dead": 1}, False)
    done = row(typed(*words, "--leave-deliveries"))
    assert done["kept"] == [str(home / "partners/vpub.toml.old")]
    assert not (home / "partners/vpub.toml").exists()
    (event,) = told(home, "partner-removed")
    assert (event["partner"], event["deliveries"], event["reason"]) == ("vpub", 2, "bỏ")
    assert typed("show", "m1").exit_code == 0
    assert len(typed("messages", "--json").stdout.splitlines()) == 2
    assert typed("partners", "show", "vpub").exit_code == 4
    assert typed("check").exit_code == 0
    (home / "partners/vpub.toml.old").rename(home / "partners/vpub.toml")
    assert row(typed("partners", "show", "vpub", "--json"))["deliveries"]["waiting"] == 1
    engine.dispose()


def test_a_partner_that_is_still_named_is_not_removed(home: Path, typed: Type) -> None:
    planned = row(typed("partners", "remove", "soyte", "--reason", "x", "--json"))
    assert (planned["written"], planned["units"]) == (False, ["H55.81", "H55.82", "H55.83"])
    assert (home / "partners/soyte.toml").exists()
    upstream = typed("partners", "remove", "vpcp", "--reason", "x", "--yes")
    assert upstream.exit_code == 78
    assert "upstream" in upstream.stderr
    relayed = typed("partners", "set", "vpub", "policy.relay=soyte")
    assert relayed.exit_code == 0, relayed.output
    assert typed("partners", "remove", "soyte", "--reason", "x", "--yes").exit_code == 78
    assert typed("partners", "remove", "soyte", "--reason", " ").exit_code == 2
    assert typed("partners", "remove", "nobody", "--reason", "x").exit_code == 4


# --- trust -------------------------------------------------------------------------------------------------------------


def test_a_ca_is_removed_and_says_first_whose_certificates_need_it(home: Path, typed: Type, tmp_path: Path) -> None:
    other = authority("Other CA", datetime.now(UTC))
    (tmp_path / "ca.crt").write_bytes(pem(other.certificate))
    (tmp_path / "ca.crl").write_bytes(pem(other.crl()))
    words = ("trust", "add", str(tmp_path / "ca.crt"), "--crl", str(tmp_path / "ca.crl"))
    assert typed(*words, "--crl-url", "http://ca.example/1.crl").exit_code == 0
    sha256 = hash_certificate(other.certificate)
    free = row(typed("trust", "remove", sha256, "--json"))
    assert (free["partners"], free["written"], len(free["files"])) == ([], False, 3)
    (tmp_path / "soyte.crt").write_bytes(
        pem(other.issue("soyte", ends=datetime.now(UTC) + timedelta(days=3650)).certificate)
    )
    assert typed("partners", "certificate", "add", "soyte", str(tmp_path / "soyte.crt")).exit_code == 0
    needed = row(typed("trust", "remove", sha256[:16], "--json"), 1)
    assert needed["partners"] == ["soyte"]
    assert "certificate-untrusted" in needed["lost"][0]["wrong"]
    assert typed("check").exit_code == 0
    removed = row(typed("trust", "remove", sha256[:16], "--yes", "--reason", "CA đã ngừng", "--json"))
    assert sorted(path.suffix for path in (home / "trust").iterdir()) == [".old"] * 3
    assert len(removed["kept"]) == 3
    (event,) = told(home, "trust-removed")
    assert (event["certificate"], event["partners"], event["reason"]) == (sha256, ["soyte"], "CA đã ngừng")
    assert "certificate-untrusted" in typed("check").stderr


def test_the_ca_of_the_hub_itself_stays_and_one_that_hub_toml_names_is_taken_out_of_it(
    home: Path, typed: Type, tmp_path: Path
) -> None:
    own = typed("trust", "remove", "pki/ca.crt", "--yes")
    assert own.exit_code == 78
    assert "hub.toml: pki.certificate" in own.stderr
    (home / "pki/other.crt").write_bytes(pem(authority("Other CA", datetime.now(UTC)).certificate))
    before = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(before.replace('["pki/ca.crt"]', '["pki/ca.crt", "pki/other.crt"]'), "utf-8")
    assert "pki/other.crt" in (home / "hub.toml").read_text("utf-8")
    assert typed("trust", "remove", "pki/other.crt", "--yes").exit_code == 0
    assert (home / "hub.toml").read_text("utf-8") == before
    assert (home / "pki/other.crt").exists()
    assert typed("trust", "remove", "ffffffff").exit_code == 4


def test_the_files_of_a_mapping_are_shown_and_stay_when_the_partner_goes(home: Path, typed: Type) -> None:
    (home / "partners/soyte").mkdir()
    wsdl, path = b"<definitions/>", home / "partners/soyte/dichvu.wsdl"
    path.write_bytes(wsdl)
    sha256 = hashlib.sha256(wsdl).hexdigest()
    (home / "partners/soyte/mapping.toml").write_text(f'[wsdl.sha256]\n"dichvu.wsdl" = "{sha256}"\n', "utf-8")
    toml = home / "partners/soyte.toml"
    toml.write_text(f'{KEPT}\n[settings]\nmapping = "soyte/mapping.toml"\n', "utf-8")
    shown = json.loads(typed("partners", "show", "soyte", "--json").stdout)
    assert [each["path"] for each in shown["files"]] == ["partners/soyte/mapping.toml", "partners/soyte/dichvu.wsdl"]
    assert shown["files"][1] == {"path": "partners/soyte/dichvu.wsdl", "octets": len(wsdl), "sha256": sha256}
    assert sha256 in typed("partners", "show", "soyte").stdout
    gone = typed("partners", "remove", "soyte", "--reason", "bỏ", "--yes")
    assert gone.exit_code == 0, gone.output
    assert "partners/soyte stays" in gone.output
    assert path.read_bytes() == wsdl
    assert (home / "partners/soyte.toml.old").exists()
