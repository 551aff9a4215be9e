"""From `lienthong init` to a partner more: what an operator types on the first days, and what the answers are."""

import errno
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hub.cli import COMMANDS, lienthong
from hub.cli.demo import find_command
from hub.cli.person import name_person
from hub.config import read_config
from hub.domain.local_time import find_local_day
from hub.journal import unit_registry
from hub.node import init_province
from hub.runtime import pidfile
from hub.security import sample_pki
from hub.security.certificates import Identity
from hub.store import transactions
from hub.store.tables import message
from hub.units.unit_index import UnitIndex
from tests import homes
from tests.pki import DAY, NOW, Authority, authority, pem
from tests.pki import write as write_identity

Type = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.begin(tmp_path_factory.mktemp("made") / "tinh")


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tinh"))


@pytest.fixture
def typed(home: Path) -> Type:
    """Types a command in English for the hub at *home*."""

    def run(*words: object, lang: str = "en_US.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


@pytest.fixture
def ca(home: Path) -> sample_pki.Authority:
    """The sample CA of *home*, to issue more."""
    identity = Identity.read(home / "pki/ca.key", home / "pki/ca.crt")
    assert isinstance(identity.key, RSAPrivateKey)
    return sample_pki.Authority(identity.key, identity.certificate)


def issued(ca: sample_pki.Authority, directory: Path, name: str) -> Path:
    """Return the file of a new certificate of the sample CA."""
    _, certificate = ca.issue(name, today())
    path = directory / f"{name}.crt"
    path.write_bytes(pem(certificate))
    return path


def today() -> datetime:
    """The command line reads the clock, and so must what it is given."""
    return datetime.now(UTC)


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- init ----------------------------------------------------------------------------------------------------------


def test_init_writes_a_directory_that_check_finds_right(typed: Type) -> None:
    assert typed("check").exit_code == 0


def test_port_0_picks_free_ports_and_writes_them(made: Path) -> None:
    hub = tomllib.loads((made / "hub.toml").read_text("utf-8"))
    pushed = [tomllib.loads((made / f"partners/{code}.toml").read_text("utf-8"))["url"] for code in ("vpub", "vpcp")]
    ports = {hub["soap"]["port"], hub["admin"]["port"], *(int(url.split(":")[2].split("/")[0]) for url in pushed)}
    assert len(ports) == 4
    assert 0 not in ports


def test_init_refuses_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    refused = CliRunner().invoke(lienthong, ["init", str(tmp_path)])
    assert refused.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_init_takes_an_empty_directory_and_settable_ports(tmp_path: Path) -> None:
    done = CliRunner().invoke(lienthong, ["init", str(tmp_path), "--soap-port", "9443", "--admin-port", "0", "--json"])
    (written,) = lines(done)
    assert written["soap_port"] == 9443
    assert read_config(tmp_path / "hub.toml", {}).soap.port == 9443


def test_the_two_ports_must_differ(tmp_path: Path) -> None:
    wrong = CliRunner().invoke(lienthong, ["init", str(tmp_path / "x"), "--soap-port", "9443", "--admin-port", "9443"])
    assert wrong.exit_code == 2


# --- check ---------------------------------------------------------------------------------------------------------


def test_check_names_every_mistake_at_once_and_exits_78(home: Path, typed: Type) -> None:
    (home / "partners/vpub.toml").write_text('receive = "push"\nhost = "x"\n')
    hub = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(hub.replace("pki/hub.key", "pki/none.key"), "utf-8")
    refused = typed("check")
    assert refused.exit_code == 78
    for place in (
        "hub.toml: pki.key",
        "partners/vpub.toml: url",
        "partners/vpub.toml: host",
        "vpub.toml: certificates",
    ):
        assert place in refused.stderr


def test_check_json_has_one_object_a_mistake(home: Path, typed: Type) -> None:
    (home / "partners/vpub.toml").write_text("host = 1\n")
    refused = typed("check", "--json")
    found = [json.loads(line) for line in refused.stdout.splitlines()]
    assert refused.exit_code == 78
    assert {"kind", "path", "wrong", "expected"} == set(found[0])


def test_check_wants_the_database_of_this_version_and_names_the_command(home: Path, typed: Type) -> None:
    (home / "data/hub.db").unlink()
    refused = typed("check")
    assert refused.exit_code == 78
    assert "lienthong db upgrade" in refused.stderr
    assert typed("units", "list").exit_code == 78
    assert typed("db", "status").exit_code == 1
    assert typed("db", "upgrade").exit_code == 0
    assert typed("db", "status").exit_code == 0
    refused = typed("check")
    assert "partners/vpub.toml: units" in refused.stderr  # the registry is empty now


def test_check_names_a_port_that_another_process_holds(home: Path, typed: Type) -> None:
    port = read_config(home / "hub.toml", {}).soap.port
    with socket.create_server(("127.0.0.1", port)):
        refused = typed("check")
        assert refused.exit_code == 78
        assert "hub.toml: soap.port" in refused.stderr
        hold = pidfile.PidFileLock.acquire(home / "data")
        assert typed("check").exit_code == 0  # held by the hub that runs here
        hold.release()
    assert typed("check").exit_code == 0


def test_check_warns_of_a_revoked_partner_and_lets_the_others_work(
    home: Path, typed: Type, ca: sample_pki.Authority
) -> None:
    vpub = read_config(home / "hub.toml", {}).partners["vpub"].certificates[0]
    (home / "pki/crl.pem").write_bytes(pem(ca.revoke(vpub, now=today(), number=2)))
    warned = typed("check")
    assert warned.exit_code == 0
    assert "certificate-revoked" in warned.stderr


def test_check_refuses_a_partner_that_no_anchor_vouches_for(home: Path, typed: Type) -> None:
    stranger = authority("Stranger CA").issue("vpub", begins=NOW - DAY, ends=NOW + 10_000 * DAY)
    (home / "pki/partners/vpub.crt").write_bytes(pem(stranger.certificate))
    refused = typed("check")
    assert refused.exit_code == 78
    assert "partners/vpub.toml: certificates" in refused.stderr


def test_check_names_a_weak_certificate_and_a_weak_ca_and_lets_the_others_work(
    home: Path, typed: Type, ca: sample_pki.Authority
) -> None:
    weak = Authority(Identity(ca.key, ca.certificate), today()).issue("vpub", "rsa1024", label="weak")
    (home / "pki/partners/vpub.crt").write_bytes(pem(weak.certificate))
    old = authority("Old root", today()).subordinate("Old CA", "rsa1024")
    (home / "trust").mkdir(exist_ok=True)
    (home / "trust/old.crt").write_bytes(pem(old.certificate))
    warned = typed("check")
    assert warned.exit_code == 0, warned.stderr
    assert "partners/vpub.toml: certificates: certificate-weak: an RSA key of 1024 bits" in warned.stderr
    assert "CN=Old CA" in warned.stderr
    assert "has an RSA key of 1024 bits" in warned.stderr


def test_check_refuses_a_forged_crl(home: Path, typed: Type, ca: sample_pki.Authority) -> None:
    # sample keys of tests come one after another from a few: one of them is the CA's own
    keys = (sample_pki.create_sample_ca(NOW).key for _ in range(20))
    other = next(key for key in keys if key.public_key() != ca.certificate.public_key())
    forger = sample_pki.Authority(other, ca.certificate)
    (home / "pki/crl.pem").write_bytes(pem(forger.revoke(now=today())))
    assert typed("check").exit_code == 78


def test_check_connect_tells_who_cannot_be_reached(typed: Type) -> None:
    refused = typed("check", "--connect")
    assert refused.exit_code == 69
    assert os.strerror(errno.ECONNREFUSED) in refused.stderr


# --- partners ------------------------------------------------------------------------------------------------------


def test_partners_list_shows_who_is_connected(typed: Type) -> None:
    listed = {row["code"]: row for row in lines(typed("partners", "list", "--json"))}
    assert set(listed) == {"sotttt", "vpub", "vpcp"}
    assert listed["vpcp"]["upstream"] is True
    assert "sotttt" in typed("partners", "list").stdout


def test_a_partner_is_added_with_its_certificate_units_and_policy(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path
) -> None:
    certificate = issued(ca, tmp_path, "soyte")
    (row,) = lines(
        typed(
            *("partners", "add", "soyte", "--certificate", certificate, "--unit", "H55.88", "--unit", "000.00.99.H55"),
            *("--push", "https://127.0.0.1:9/x", "--policy", "timeout=5s", "--policy", "sha1=yes", "--json"),
        )
    )
    assert row["units_added"] == ["H55.88", "000.00.99.H55"]
    added = read_config(home / "hub.toml", {}).partners["soyte"]
    assert added.units == ("H55.88", "000.00.99.H55")
    assert added.policy.sha1
    certificate.unlink()
    assert typed("check").exit_code == 0
    marks = {row["code"]: row["mark"] for row in lines(typed("units", "list", "--json"))}
    assert marks["H55.88"] == "added"


def test_a_partner_may_send_for_any_unit_and_receive_for_none(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path
) -> None:
    certificate = issued(ca, tmp_path, "thu")
    assert typed("partners", "add", "thu", "--certificate", certificate, "--unit", "*").exit_code == 0
    added = read_config(home / "hub.toml", {}).partners["thu"]
    assert (added.units, added.receive) == (("*",), "none")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--unit", "H55.13", "--fetch"], 78),  # sotttt receives for it
        (["--unit", "000.00.13.H55", "--fetch"], 78),  # the same unit by its other code
        (["--push", "http://127.0.0.1/x"], 78),
        (["--policy", "timeout=soon"], 78),
        (["--policy", "relay=H55"], 78),
        (["--adapter", "telex"], 78),
        (["--policy", "timeout"], 2),
        (["--fetch", "--push", "https://127.0.0.1/x"], 2),
        (["--unknown"], 2),
    ],
)
def test_a_wrong_partner_is_refused_and_nothing_is_written(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, words: list[str], code: int
) -> None:
    before = sorted(home.rglob("*"))
    refused = typed("partners", "add", "x", "--certificate", issued(ca, tmp_path, "x"), *words)
    assert refused.exit_code == code, refused.output
    assert [path for path in sorted(home.rglob("*")) if path not in before and path.suffix in {".toml", ".crt"}] == []
    assert "x" not in {row["code"] for row in lines(typed("partners", "list", "--json"))}


def test_a_certificate_of_another_partner_or_of_a_stranger_is_refused(home: Path, typed: Type, tmp_path: Path) -> None:
    shared = home / "pki/partners/vpub.crt"
    assert typed("partners", "add", "x", "--certificate", shared).exit_code == 78
    write_identity(tmp_path, "stranger", authority("Stranger CA").issue("stranger"))
    refused = typed("partners", "add", "x", "--certificate", tmp_path / "stranger.crt")
    assert refused.exit_code == 78
    assert "certificate" in refused.stderr
    assert typed("partners", "add", "x", "--certificate", tmp_path / "absent.crt").exit_code == 2


@pytest.mark.parametrize("kind", ["rsa1024", "p224", "k256"])
def test_neither_a_partner_nor_a_ca_with_a_weak_key_is_added(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, kind: str
) -> None:
    sample = Authority(Identity(ca.key, ca.certificate), today())
    write_identity(tmp_path, "weak", sample.issue("x", kind, label=f"weak {kind}"))
    refused = typed("partners", "add", "x", "--certificate", tmp_path / "weak.crt")
    assert refused.exit_code == 78
    assert "certificate-weak" in refused.stderr
    (tmp_path / "ca.crt").write_bytes(pem(authority("Old root", today()).subordinate("Old CA", kind).certificate))
    refused = typed("trust", "add", tmp_path / "ca.crt")
    assert refused.exit_code == 78
    assert "it has a" in refused.stderr
    assert list((home / "trust").iterdir()) == []


def test_a_partner_is_replaced_only_when_asked(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path
) -> None:
    new = issued(ca, tmp_path, "sotttt2")
    words = (
        "partners",
        "add",
        "sotttt",
        "--certificate",
        home / "pki/partners/sotttt.crt",
        "--certificate",
        new,
        "--fetch",
    )
    assert typed(*words).exit_code == 1
    assert typed(*words, "--replace").exit_code == 0
    assert len(read_config(home / "hub.toml", {}).partners["sotttt"].certificates) == 2


#: A partner's file as an operator keeps it, comments and all.
KEPT = """\
# Sở Y tế: gọi anh Nam trước khi đổi gì (ĐT 0208…)
name = "Hệ thống văn bản Sở Y tế"
certificates = ["partners/soyte.crt"]  # hết hạn 2027-01
units = [
    "H55.81",
    "H55.82",  # bệnh viện
    "H55.83",
    "H55.84",
    "H55.85",
    "H55.86",
    "H55.87",
    "H55.88",
]
receive = "fetch"

[policy]
timeout = "5s"   # mạng chậm
max-age = "600s"
"""


@pytest.fixture
def kept(home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path) -> Path:
    """Return the file of a partner that the operator has written into."""
    units = [word for number in range(81, 89) for word in ("--unit", f"H55.{number}")]
    certificate = issued(ca, tmp_path, "soyte")
    assert typed("partners", "add", "soyte", "--certificate", certificate, "--fetch", *units).exit_code == 0
    (home / "partners/soyte.toml").write_text(KEPT, "utf-8")
    return home / "partners/soyte.toml"


def test_a_certificate_is_changed_and_nothing_else_of_the_file(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, kept: Path
) -> None:
    old, new = (home / "partners/soyte.crt").read_bytes(), issued(ca, tmp_path, "soyte-2027")
    both = ("--certificate", home / "partners/soyte.crt", "--certificate", new)
    (row,) = lines(typed("partners", "add", "soyte", *both, "--replace", "--json"))
    assert kept.read_text("utf-8") == KEPT.replace(
        '["partners/soyte.crt"]', '["partners/soyte.crt", "partners/soyte-2.crt"]'
    )
    assert [str(line) for line in cast("list[str]", row["diff"])[3:] if line[:1] in "+-"] == [
        '-certificates = ["partners/soyte.crt"]  # hết hạn 2027-01',
        '+certificates = ["partners/soyte.crt", "partners/soyte-2.crt"]  # hết hạn 2027-01',
    ]
    assert row["kept"] == [str(kept.with_name("soyte.toml.old"))]
    assert kept.with_name("soyte.toml.old").read_text("utf-8") == KEPT
    assert typed("partners", "add", "soyte", "--certificate", new, "--replace").exit_code == 0
    assert kept.read_text("utf-8") == KEPT
    assert (home / "partners/soyte.crt").read_bytes() == new.read_bytes()
    assert (home / "partners/soyte.crt.old").read_bytes() == old
    found = read_config(home / "hub.toml", {}).partners["soyte"]
    assert (found.name, len(found.units), found.policy.timeout.seconds) == ("Hệ thống văn bản Sở Y tế", 8, 5)
    assert typed("check").exit_code == 0


def test_a_certificate_that_the_file_names_stays_where_it_stands(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, kept: Path
) -> None:
    first, new = home / "partners/soyte.crt", issued(ca, tmp_path, "soyte-2027")
    second, old = home / "partners/soyte-2.crt", first.read_bytes()
    assert typed("partners", "add", "soyte", "--certificate", first, "--certificate", new, "--replace").exit_code == 0
    assert typed("partners", "add", "soyte", "--certificate", second, "--replace").exit_code == 0
    assert kept.read_text("utf-8") == KEPT.replace('["partners/soyte.crt"]', '["partners/soyte-2.crt"]')
    assert (first.read_bytes(), second.read_bytes()) == (old, new.read_bytes()), "the old one is there to go back to"


def test_what_is_named_and_has_its_value_already_stays_as_it_is_written(home: Path, typed: Type, kept: Path) -> None:
    units = read_config(home / "hub.toml", {}).partners["soyte"].units
    words = [word for unit in units for word in ("--unit", unit)]
    (row,) = lines(typed("partners", "add", "soyte", *words, "--policy", "timeout=5s", "--replace", "--json"))
    assert (row["diff"], row["kept"], kept.read_text("utf-8")) == ([], [], KEPT)


def test_only_what_is_named_changes_and_a_dry_run_changes_nothing(home: Path, typed: Type, kept: Path) -> None:
    words = ("partners", "add", "soyte", "--replace", "--policy", "timeout=9s", "--calls", "documents,mail")
    before = sorted(home.rglob("*"))
    planned = typed(*words, "--dry-run")
    assert planned.exit_code == 0
    assert '+calls = ["documents", "mail"]' in planned.stdout
    assert '+timeout = "9s"   # mạng chậm' in planned.stdout
    assert "\x1b" not in planned.stdout
    assert (kept.read_text("utf-8"), sorted(home.rglob("*"))) == (KEPT, before)
    assert typed(*words).exit_code == 0
    expected = KEPT.replace('"5s"', '"9s"').replace('"fetch"\n', '"fetch"\ncalls = ["documents", "mail"]\n')
    assert kept.read_text("utf-8") == expected
    assert typed("partners", "add", "soyte", "--replace", "--calls", "none", "--tells", "*").exit_code == 0
    assert "it fetches, and may not call GetPendingDocumentIds" in typed("check").stderr
    found = read_config(home / "hub.toml", {}).partners["soyte"]
    assert (found.calls, found.tells) == ((), True)
    assert typed("partners", "add", "soyte", "--replace", "--calls", "default", "--tells", "none").exit_code == 0
    assert kept.read_text("utf-8") == expected.replace('["documents", "mail"]', '["documents"]')


def test_a_new_partner_may_use_documents_and_what_is_named_and_nothing_else(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path
) -> None:
    certificate = issued(ca, tmp_path, "x")
    told = typed("partners", "add", "a", "--certificate", certificate, "--unit", "H55.81")
    assert "documents" in told.stderr
    assert typed("partners", "add", "b", "--certificate", issued(ca, tmp_path, "y"), "--tells", "*").exit_code == 0
    words = ("--certificate", issued(ca, tmp_path, "z"), "--tells", "*", "--calls", "mail,work.TellWork")
    assert typed("partners", "add", "c", *words).exit_code == 0
    none = ("--certificate", issued(ca, tmp_path, "n"), "--calls", "none", "--unit", "H55.82")
    assert typed("partners", "add", "d", *none).exit_code == 0
    found = read_config(home / "hub.toml", {}).partners
    assert [found[code].calls for code in "abcd"] == [("documents",), ("documents",), ("mail", "work.TellWork"), ()]
    assert 'calls = ["documents"]\n' in (home / "partners/a.toml").read_text("utf-8")


def test_a_file_without_calls_goes_on_and_check_names_what_it_grants(home: Path, typed: Type, kept: Path) -> None:
    checked = typed("check")
    assert checked.exit_code == 0
    assert "partners/soyte.toml: calls" in checked.stderr
    assert "dossiers" in checked.stderr
    assert all(f"partners/{code}.toml" not in checked.stderr for code in init_province.PARTNERS)
    assert typed("partners", "add", "soyte", "--replace", "--name", "Sở Y tế").exit_code == 0
    assert read_config(home / "hub.toml", {}).partners["soyte"].calls is None
    assert typed("partners", "set", "soyte", "calls=documents").exit_code == 0
    assert typed("check").stderr == ""
    assert typed("partners", "set", "soyte", "--unset", "calls").exit_code == 2
    assert read_config(home / "hub.toml", {}).partners["soyte"].calls == ("documents",)


def test_a_partner_that_may_send_for_any_unit_is_added_at_once_and_warned_of(
    typed: Type, ca: sample_pki.Authority, tmp_path: Path
) -> None:
    told = typed("partners", "add", "x", "--certificate", issued(ca, tmp_path, "x"), "--unit", "*")
    assert told.exit_code == 0
    assert "the partner may send for any unit" in told.stderr
    again = typed("partners", "add", "x", "--replace", "--name", "X")
    assert "any unit" not in again.stderr, "it may already"
    assert typed("partners", "set", "sotttt", "units+=*").exit_code == 0


def test_how_a_partner_receives_is_changed_in_its_place(home: Path, typed: Type, kept: Path) -> None:
    assert typed("partners", "add", "soyte", "--replace", "--push", "https://127.0.0.1:9/x").exit_code == 0
    assert read_config(home / "hub.toml", {}).partners["soyte"].url == "https://127.0.0.1:9/x"
    assert typed("partners", "add", "soyte", "--replace", "--fetch").exit_code == 0
    assert kept.read_text("utf-8") == KEPT


def test_a_file_that_is_no_toml_is_left_as_it_is(home: Path, typed: Type, kept: Path) -> None:
    kept.write_text(KEPT + "nonsense\n", "utf-8")
    assert typed("partners", "add", "soyte", "--replace", "--name", "x").exit_code == 78
    assert kept.read_text("utf-8") == KEPT + "nonsense\n"


def test_what_a_partner_may_call_is_shown_and_a_wrong_name_is_a_mistake(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, kept: Path
) -> None:
    certificate = issued(ca, tmp_path, "soc")
    assert typed("partners", "add", "soc", "--certificate", certificate, "--tells", "*").exit_code == 0
    soc = home / "partners/soc.toml"
    soc.write_text(soc.read_text("utf-8").replace('calls = ["documents"]\n', ""), "utf-8")
    (shown,) = lines(typed("partners", "show", "soc", "--json"))
    assert (shown["tells"], shown["units"]) == ("*", [])
    assert shown["granted"] == ["incidents", "mail", "verdicts", "work.TellWork"]  # JudgeWork is granted by name only
    (own,) = lines(typed("partners", "show", "soyte", "--json"))
    assert set(cast("list[str]", own["granted"])) >= {"documents", "dossiers", "mail", "reports"}
    assert "lookups" not in cast("list[str]", own["granted"])
    assert "documents" in typed("partners", "show", "soyte").stdout
    assert typed("partners", "show", "nobody").exit_code == 4
    assert {row["code"] for row in lines(typed("partners", "grants", "--json"))} == {
        "soc",
        "soyte",
        *init_province.PARTNERS,
    }
    wrong = typed("partners", "add", "soyte", "--replace", "--calls", "lookups.VerifyCitizens")
    assert wrong.exit_code == 78
    assert "lookups.VerifyCitizens" in wrong.stderr
    assert "lookups.VerifyCitizen," in wrong.stderr
    kept.write_text(KEPT.replace("receive", 'calls = ["telex"]\nreceive'), "utf-8")
    assert "partners/soyte.toml: calls: there is no service or operation telex" in typed("check").stderr
    kept.write_text(KEPT.replace("receive", 'tells = "H55"\nreceive'), "utf-8")
    assert "partners/soyte.toml: tells" in typed("check").stderr


def test_grants_are_proposed_from_what_was_done_and_written_when_told_so(home: Path, typed: Type, kept: Path) -> None:
    def row(number: int, service: str, kind: str) -> dict[str, object]:
        done = {"service": service, "kind": kind, "state": "accepted", "received_at": today(), "sha256": "0", "size": 0}
        return {"id": f"{number:036}", "partner": "soyte", **done}

    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        for number, done in enumerate([("mail", "usage"), ("lookups", "verify-citizen"), ("mail", "usage")]):
            tx.execute(message.insert().values(row(number, *done)))
    engine.dispose()
    planned = {row["code"]: row for row in lines(typed("partners", "grants", "--propose", "--json"))}
    assert planned["soyte"]["proposed"] == ["documents", "lookups.VerifyCitizen", "mail"]  # it fetches: documents too
    assert '+calls = ["documents", "lookups.VerifyCitizen", "mail"]' in cast("list[str]", planned["soyte"]["diff"])
    assert {code for code, row in planned.items() if row["proposed"] is None} == set(init_province.PARTNERS)
    assert kept.read_text("utf-8") == KEPT
    told = typed("partners", "grants", "soyte", "--propose", "--yes")
    assert told.exit_code == 0
    assert "dossiers" in told.stderr  # which it may no longer call
    assert read_config(home / "hub.toml", {}).partners["soyte"].calls == ("documents", "lookups.VerifyCitizen", "mail")
    assert kept.with_name("soyte.toml.old").read_text("utf-8") == KEPT
    (again,) = lines(typed("partners", "grants", "soyte", "--propose", "--yes", "--json"))
    assert (again["diff"], again["written"]) == ([], False)
    assert typed("partners", "grants", "--yes").exit_code == 2


def test_where_a_ca_is_asked_is_changed_in_its_place(home: Path, typed: Type) -> None:
    anchor = home / "pki/ca.crt"
    assert typed("trust", "add", anchor, "--crl-url", "http://ca.example/1.crl").exit_code == 0
    (asked,) = (home / "trust").glob("*.toml")
    asked.write_text("# của Ban Cơ yếu\n" + asked.read_text("utf-8"), "utf-8")
    before = asked.read_text("utf-8")
    changed = lines(typed("trust", "add", anchor, "--ocsp-url", "http://ca.example/ocsp", "--json"))[-1]
    assert asked.read_text("utf-8") == before.replace("ocsp-urls = []", 'ocsp-urls = ["http://ca.example/ocsp"]')
    assert changed["kept"] == f"{asked}.old"
    assert Path(f"{asked}.old").read_text("utf-8") == before


@pytest.mark.parametrize("code", ["../x", "a/b", "a b", "", ".x"])
def test_a_code_that_is_no_file_name_is_refused(
    home: Path, typed: Type, ca: sample_pki.Authority, tmp_path: Path, code: str
) -> None:
    assert typed("partners", "add", code, "--certificate", issued(ca, tmp_path, "x")).exit_code == 78
    assert not list(home.parent.glob("x.toml"))


@pytest.mark.parametrize("unit", ["000.00.00.G22", "000.00.00.Z01"])
def test_a_partner_may_have_any_agency_of_the_country_and_check_still_finds_a_way_up(
    typed: Type, ca: sample_pki.Authority, tmp_path: Path, unit: str
) -> None:
    certificate = issued(ca, tmp_path, "vpcp2")
    assert typed("partners", "add", "vpcp2", "--certificate", certificate, "--unit", unit, "--fetch").exit_code == 0
    checked = typed("check")
    assert (checked.exit_code, checked.stderr) == (0, ""), checked.output


#: What an operator slips into a partner's file, and what tells where.
SLIPS = {
    "colour = red\n# hết": "partners/vpub.toml: is not TOML",
    "[policy]\ntimeout = 'soon'": "partners/vpub.toml: policy.timeout (line ",
    "colour = 'red'": "partners/vpub.toml: colour (line ",
}
#: Commands that ask the database alone.
ASKS_THE_JOURNAL: list[tuple[tuple[str, ...], int]] = [
    (("messages",), 0),
    (("messages", "--count", "--json"), 0),
    (("show", "x"), 4),
    (("trace", "x"), 4),
    (("db", "verify"), 0),
    (("db", "status"), 0),
    (("resume", "vpub"), 0),
    (("pause", "vpub", "--reason", "x"), 0),
    (("give-up", "--partner", "vpub", "--reason", "x"), 4),
    (("report", "H55.13", "2026-11"), 0),
    (("report", "state", "H55.13", "2026-11"), 0),
    (("units", "list"), 0),
    (("users", "list"), 0),
    (("links",), 0),
    (("trust", "list"), 0),
]


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_partners_file_takes_no_command_away_that_needs_the_journal_alone(
    home: Path, typed: Type, slip: str
) -> None:
    path = home / "partners/vpub.toml"
    path.write_text(path.read_text("utf-8") + slip + "\n", "utf-8")
    for words, code in ASKS_THE_JOURNAL:
        asked = typed(*words)
        assert asked.exit_code == code, (words, asked.output)
        assert SLIPS[slip] in asked.stderr, words
        assert "line" in asked.stderr
        assert "partners/" not in asked.stdout
    assert typed("partners", "list").exit_code == 3  # in part
    for words in (("check",), ("replay", "--partner", "vpub", "--reason", "x")):
        assert typed(*words).exit_code == 78, words  # what gives a message its way needs every partner


# --- trust ---------------------------------------------------------------------------------------------------------


def test_an_anchor_is_added_and_its_crl_replaced_by_a_newer_one(home: Path, typed: Type, tmp_path: Path) -> None:
    other = authority("Other CA", today())
    (tmp_path / "ca.crt").write_bytes(pem(other.certificate))
    (tmp_path / "1.crl").write_bytes(pem(other.crl(begins=today() - 2 * DAY)))
    (tmp_path / "2.crl").write_bytes(pem(other.crl(other.issue("gone"), begins=today() - DAY)))
    assert typed("trust", "add", tmp_path / "ca.crt", "--crl", tmp_path / "1.crl").exit_code == 0
    assert typed("trust", "add", tmp_path / "ca.crt", "--crl", tmp_path / "2.crl").exit_code == 0
    assert len(list((home / "trust").iterdir())) == 2
    listed = lines(typed("trust", "list", "--json"))
    assert [row["revoked"] for row in listed] == [0, 1]
    older = typed("trust", "add", tmp_path / "ca.crt", "--crl", tmp_path / "1.crl")
    assert older.exit_code == 78


def test_what_is_no_anchor_is_not_trusted(home: Path, typed: Type, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "forged.crl").write_bytes(pem(authority("Stranger CA").crl()))
    for words in (
        (home / "pki/hub.crt",),
        (tmp_path / "text",),
        (home / "pki/ca.crt", "--crl", tmp_path / "forged.crl"),
        (home / "pki/ca.crt", "--crl", tmp_path / "text"),
    ):
        assert typed("trust", "add", *words).exit_code == 78
    assert list((home / "trust").iterdir()) == []


# --- units ---------------------------------------------------------------------------------------------------------


def test_units_are_imported_added_changed_or_left_as_they_are(home: Path, typed: Type, tmp_path: Path) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text(
        "\ufeffname,code,parent,since,until,aliases\n"
        "Sở Mới,H55.77,H55,2025-07-01,,000.00.77.H55 77.H55\n"
        '"Sở Y tế, mới",H55.14,H55,,,\n'
        "Ủy ban nhân dân tỉnh (mẫu),H55,,,,000.00.00.H55\n",
        "utf-8",
    )
    assert typed("units", "import", listed, "--dry-run").exit_code == 0
    assert "H55.77" not in {row["code"] for row in lines(typed("units", "list", "--json"))}
    planned = typed("units", "import", listed)
    assert planned.exit_code == 1  # it would change units that are there
    assert "--yes" in planned.stderr
    assert "H55.77" not in {row["code"] for row in lines(typed("units", "list", "--json"))}
    assert [(row["unit"], row["change"]) for row in lines(typed("units", "import", listed, "--json", "--yes"))] == [
        ("H55.77", "added"),
        ("H55.14", "changed"),
        ("H55", "changed"),  # it is no sample any more
    ]
    units = {row["code"]: row for row in lines(typed("units", "list", "--json"))}
    assert units["H55.77"]["aliases"] == ["000.00.77.H55", "77.H55"]
    assert units["H55.77"]["partner"] == "vpub"  # through its parent
    assert lines(typed("units", "import", listed, "--json")) == []


def test_what_is_exported_can_be_imported_and_changes_nothing(home: Path, typed: Type, tmp_path: Path) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text(
        "code,name,parent,since,until,aliases,successors,mark\n"
        "H55.70,Xã cũ,H55,,2025-07-01,70.H55,H55.71,\nH55.71,Xã mới,H55,2025-07-01,,,,added\n",
        "utf-8",
    )
    assert typed("units", "import", listed).exit_code == 0
    (row,) = [row for row in lines(typed("units", "list", "--json")) if row["code"] == "H55.70"]
    assert (row["successors"], row["until"]) == (["H55.71"], "2025-07-01")
    (written,) = lines(typed("units", "export", "-o", listed, "--json"))
    assert written["units"] == 18
    assert typed("units", "export").stdout_bytes == listed.read_bytes()
    assert lines(typed("units", "import", listed, "--json")) == []
    listed.write_text("code,name,parent,since,aliases\nH55.70,Xã cũ,H55,,\nH55.72,Xã khác,H55,,70.H55\n", "utf-8")
    assert typed("units", "import", listed, "--yes").exit_code == 0  # an alias may change hands
    rows = {row["code"]: row for row in lines(typed("units", "list", "--json"))}
    assert (rows["H55.70"]["successors"], rows["H55.70"]["aliases"], rows["H55.72"]["aliases"]) == (
        ["H55.71"],
        [],
        ["70.H55"],
    )


@pytest.mark.slow
def test_the_made_up_province_is_printed_and_can_be_imported(home: Path, typed: Type, tmp_path: Path) -> None:
    listed = tmp_path / "seed.csv"
    (written,) = lines(typed("units", "seed", "-o", listed, "--json"))
    assert written["units"] == 989
    assert typed("units", "import", listed, "--yes").exit_code == 0
    assert len(lines(typed("units", "list", "--json"))) == 989
    assert typed("check").exit_code == 0


def test_the_national_list_is_known_by_name_and_stays_outside(
    home: Path, typed: Type, tmp_path: Path, ca: sample_pki.Authority
) -> None:
    listed = tmp_path / "list.json"
    rows = [{"id": 1, "pid": None, "code": "G22", "name": "Văn phòng Chính phủ"}]
    rows += [{"id": 2, "pid": 1, "code": "G22.1", "name": "Cục A"}, {"id": 3, "pid": 1, "code": "H55.13", "name": "Sở"}]
    listed.write_text(json.dumps(rows), "utf-8")
    done = [(row["unit"], row["change"]) for row in lines(typed("units", "import", "--national", listed, "--json"))]
    assert done == [("G22", "added"), ("G22.1", "added"), ("H55.13", "left-out")]
    assert len(lines(typed("units", "list", "--json"))) == 16
    (agency,) = [row for row in lines(typed("units", "list", "--outside", "--json")) if row["code"] == "G22.1"]
    assert (agency["name"], agency["parent"], agency["mark"], agency["partner"]) == ("Cục A", "G22", "national", None)
    assert typed("check").exit_code == 0
    certificate = issued(ca, tmp_path, "cuc")
    both = ("--unit", "G22.1", "--unit", "H55.99")
    refused = typed("partners", "add", "cuc", "--certificate", certificate, *both, "--fetch")
    assert refused.exit_code == 78  # a hub outside has no unit of ours
    assert "outside the province" in refused.stderr
    (row,) = lines(typed("partners", "add", "cuc", "--certificate", certificate, "--unit", "G22.1", "--json"))
    assert row["units_added"] == []  # it may send for it, being trusted to by name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agencies", "octets"), [(11_100, 2_000_000), pytest.param(111_000, 12_000_000, marks=pytest.mark.soak)]
)
def test_a_national_list_is_imported_exported_and_looked_up(
    home: Path, typed: Type, tmp_path: Path, agencies: int, octets: int
) -> None:
    """docs/howto/units.md has what was measured."""
    listed, everything = tmp_path / "list.json", tmp_path / "all.csv"
    codes = [f"{'ABCDEGHK'[n % 8]}{60 + n // 8 % 40}.{n // 320}" for n in range(agencies)]
    rows = [{"id": n, "pid": n // 12 or None, "code": code, "name": f"Xã số {n}"} for n, code in enumerate(codes)]
    listed.write_text(json.dumps(rows), "utf-8")
    assert typed("units", "import", "--national", listed).exit_code == 0
    assert typed("units", "export", "--outside", "-o", everything).exit_code == 0
    assert lines(typed("units", "import", everything, "--json")) == []
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        roll = unit_registry.read_unit_index(tx, find_local_day(datetime.now(UTC)))
    assert len(roll) == agencies + 16
    gc.collect()
    tracemalloc.start()
    kept = UnitIndex.of(roll)
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] < octets
    tracemalloc.stop()
    assert all(kept.get(code) is not None for code in codes)


def test_a_list_with_a_mistake_changes_nothing(home: Path, typed: Type, tmp_path: Path) -> None:
    listed = tmp_path / "units.csv"
    listed.write_text("code,name,parent\nH55.76,Sở Được,H55\nH55.77,Sở Sai,H56\n", "utf-8")
    refused = typed("units", "import", listed)
    assert refused.exit_code == 1
    assert "units.csv:3: parent" in refused.stderr
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        assert unit_registry.list_unit_histories(tx) == sorted(
            init_province.make_sample_units(), key=lambda unit: unit.code
        )


def test_a_merger_is_imported_ahead_listed_by_day_and_recorded(home: Path, typed: Type, tmp_path: Path) -> None:
    listed, day = tmp_path / "sapnhap.csv", find_local_day(datetime.now(UTC)) + timedelta(days=14)
    listed.write_text(f"code,name,parent,level,from\nH55.32.10,Phòng khu vực,H55,province,{day}\n", "utf-8")
    before = typed("units", "list").stdout
    refused = typed("units", "import", listed)
    assert refused.exit_code == 1
    assert f"from {day:%d/%m/%Y}, unit above: H55.32 → H55" in refused.stdout
    (row,) = lines(typed("units", "import", listed, "--yes", "--json"))
    assert [
        (each["version"], each["field"], each["after"]) for each in cast("list[dict[str, str]]", row["values"])
    ] == [
        (str(day), "name", "Phòng khu vực"),
        (str(day), "parent", "H55"),
        (str(day), "level", "province"),
    ]
    assert typed("units", "list").stdout == before
    (then,) = [row for row in lines(typed("units", "list", "--on", str(day), "--json")) if row["code"] == "H55.32.10"]
    assert (then["name"], then["parent"], then["level"]) == ("Phòng khu vực", "H55", "province")
    yesterday = str(find_local_day(datetime.now(UTC)) - timedelta(days=1))
    known = lines(typed("units", "list", "--on", str(day), "--known", yesterday, "--json"))
    assert all(row["name"] != "Phòng khu vực" for row in known)
    (event,) = [row for row in lines(typed("events", "--json")) if row["event"] == "units-imported"]
    assert (event["source"], event["added"], event["changed"]) == ("sapnhap.csv", 0, 1)
    assert event["by"] == name_person()
    assert f"H55.32.10 {day} parent: H55.32 → H55" in cast("list[str]", event["changes"])
    exported = typed("units", "export", "-o", tmp_path / "all.csv")
    assert exported.exit_code == 0
    assert lines(typed("units", "import", tmp_path / "all.csv", "--json")) == []


# --- demo ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en_US.UTF-8", "vi_VN.UTF-8"])
def test_without_its_distribution_the_demo_says_how_to_install_it(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hub.cli.demo.find_spec", lambda _name: None)
    monkeypatch.setattr("hub.cli.demo.demo", find_command())
    for words in ([], ["--keep"], ["--database", "postgresql", "--full"]):
        refused = typed("demo", *words, lang=lang)
        assert refused.exit_code == 69
        said = "the sample systems are not installed" if lang.startswith("en") else "chưa cài các hệ thống mẫu"
        assert f"{said}: pip install 'lienthong[demo]'" in refused.stderr
    assert not (tmp_path / "var").exists()


# --- reload, and the command line itself ---------------------------------------------------------------------------


def test_reload_exits_69_when_no_hub_runs_here(home: Path, typed: Type) -> None:
    assert typed("reload").exit_code == 69
    (home / "data/hub.pid").write_text(f"{os.getpid()}\n")  # a number left behind
    assert typed("reload").exit_code == 69


@pytest.mark.parametrize("words", [["nonsense"], ["check", "--nonsense"], ["init"], ["units", "import", "/nowhere"]])
def test_a_wrong_word_exits_2(typed: Type, words: list[str]) -> None:
    assert typed(*words).exit_code == 2


def test_the_configuration_is_found_by_option_environment_or_place(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIENTHONG_CONFIG", raising=False)
    invoke = CliRunner().invoke
    assert invoke(lienthong, ["partners", "list"]).exit_code == 78
    assert invoke(lienthong, ["partners", "list", "-c", "tinh/hub.toml"]).exit_code == 0
    assert invoke(lienthong, ["-c", "tinh/hub.toml", "partners", "list"]).exit_code == 0
    assert invoke(lienthong, ["partners", "list"], env={"LIENTHONG_CONFIG": "tinh/hub.toml"}).exit_code == 0
    monkeypatch.chdir(home)
    assert invoke(lienthong, ["partners", "list"]).exit_code == 0


def test_every_command_has_help_an_example_and_json(typed: Type) -> None:
    for name in COMMANDS:
        shown = typed(name, "--help")
        assert shown.exit_code == 0, shown.output
        assert "--json" in shown.output
        assert "--config" in shown.output


@pytest.mark.slow
def test_the_command_line_speaks_vietnamese_unless_lang_begins_with_en() -> None:
    def run(lang: str) -> str:
        environment = os.environ | {"LANG": lang}
        words = [sys.executable, "-m", "hub.cli", "--help"]
        return subprocess.run(
            words, env=environment, check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout

    assert "Liệt kê thông điệp" in run("vi_VN.UTF-8")
    assert "Liệt kê thông điệp" in run("C.UTF-8")
    assert "List messages" in run("en_GB.UTF-8")


def test_the_command_line_imports_nothing_heavy_to_start() -> None:
    words = "import sys, hub.cli; heavy = {'sqlalchemy', 'zeep', 'rich', 'lxml', 'cryptography', 'twisted', 'OpenSSL'}; print(*heavy & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True).stdout
    assert out.strip() == ""


@pytest.mark.slow
def test_a_check_imports_nothing_of_the_network() -> None:
    words = (
        "import sys, hub.node.check; print(*{'twisted', 'structlog', 'rich', 'zeep', 'xmlschema'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True).stdout
    assert out.strip() == ""
