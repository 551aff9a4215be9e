"""A hub for production: what `init --production` asks and writes, and how the first certificate comes in."""

import os
import pty
import re
import shutil
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hub.cli import lienthong
from hub.cli.setup import production
from hub.config import read_config
from hub.journal import unit_registry
from hub.operations.accounts import passwords, users
from hub.operations.accounts.permissions import Role
from hub.security.certificate_request import list_server_names, normalise_server_name
from hub.security.certificates import hash_certificate
from hub.security.sample_pki import create_sample_ca
from hub.store import transactions
from tests.pki import DAY, Authority, authority, pem
from tests.waiting import PATIENCE

UNITS = "code,name,parent\nH55,Ủy ban nhân dân tỉnh,\nH55.13,Sở Khoa học và Công nghệ,H55\n"
ANSWERS = """\
province = "H55"
name = "Trục liên thông tỉnh"
organization = "Sở Khoa học và Công nghệ"
dns = ["truc.tinh.gov.vn", "10.0.0.4"]
administrator = "quantri"
soap-host = "127.0.0.1"
soap-port = 0
admin-port = 0
"""

Type = Callable[..., Result]


@pytest.fixture(autouse=True, scope="module")
def cheap() -> Iterator[None]:
    """Passwords are hashed at no cost."""
    with pytest.MonkeyPatch.context() as patch:
        cost = passwords.HashCost(n=4, r=8, p=1)
        patch.setattr(passwords, "hash_password", partial(passwords.hash_password, cost=cost))
        yield


def prepare(place: Path) -> None:
    (place / "answers.toml").write_text(ANSWERS, "utf-8")
    (place / "units.csv").write_text(UNITS, "utf-8")


def run(*words: object) -> Result:
    return CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(lienthong, list(map(str, words)))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Type:
    """Types a command in an empty directory that holds the answers and the units."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cheap: None) -> Path:
    place = tmp_path_factory.mktemp("made")
    prepare(place)
    answers, units = place / "answers.toml", place / "units.csv"
    done = run("init", place / "hub", "--production", "--answers", answers, "--units", units)
    assert done.exit_code == 0, done.output
    return place / "hub"


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A hub for production that waits for its certificate."""
    return Path(shutil.copytree(made, tmp_path / "hub"))


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority("production CA", now=datetime.now(UTC))


def certify(ca: Authority, home: Path, place: Path, *, names: tuple[str, ...] | None = None) -> Path:
    """Do what a CA does with the request of *home*; return the file that it mails back."""
    request = x509.load_pem_x509_csr((home / "pki/hub.csr").read_bytes())
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key())
        .serial_number(7)
        .not_valid_before(ca.now - DAY)
        .not_valid_after(ca.now + 100 * DAY)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.identity.key.public_key()), critical=False)
    )
    for extension in request.extensions:
        value = extension.value
        if names is not None and isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(value, critical=extension.critical)
    made = builder.sign(ca.identity.key, hashes.SHA256())
    (place / "hub.crt").write_bytes(pem(made))
    (place / "ca.crt").write_bytes(pem(ca.certificate))
    return place / "hub.crt"


# --- init ------------------------------------------------------------------------------------------------------------


def test_a_hub_for_production_holds_nothing_of_the_sample(home: Path) -> None:
    hub = tomllib.loads((home / "hub.toml").read_text("utf-8"))
    assert hub["province"] == "H55"
    assert hub["public-url"] == f"https://truc.tinh.gov.vn:{hub['soap']['port']}"
    assert "upstream" not in hub
    assert not list((home / "partners").iterdir())
    assert "SAMPLE" not in "".join(
        path.read_text("utf-8", "replace") for path in home.rglob("*") if path.is_file() and path.suffix != ".db"
    )


def test_keys_and_the_journal_are_for_their_owner_alone(home: Path) -> None:
    for name in ("pki", "data"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700
    for name in ("pki/hub.key", "pki/lookups.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_the_request_names_the_hub_as_its_partners_call_it(home: Path) -> None:
    request = x509.load_pem_x509_csr((home / "pki/hub.csr").read_bytes())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=truc.tinh.gov.vn,O=Sở Khoa học và Công nghệ,C=VN"
    assert list_server_names(request) == {"truc.tinh.gov.vn", "10.0.0.4"}


def test_the_registry_and_the_first_administrator_are_there(typed: Type, tmp_path: Path) -> None:
    done = typed("init", "hub", "--production", "--answers", "answers.toml", "--units", "units.csv")
    password = done.stdout.strip()
    engine = transactions.open_journal(f"sqlite:///{tmp_path}/hub/data/hub.db", pooled=False)
    with transactions.read_transaction(engine) as tx:
        user = users.find_user(tx, "quantri")
        codes = [unit.code for unit in unit_registry.list_unit_histories(tx)]
        hashed = users.read_password_hash(tx, "quantri")
    engine.dispose()
    assert codes == ["H55", "H55.13"]
    assert user is not None
    assert (user.role, user.must_change) == (Role.ADMINISTRATOR, True)
    assert hashed is not None
    assert passwords.matches_hash(password, hashed)


def test_check_finds_only_what_is_still_to_come_from_the_ca(typed: Type, home: Path) -> None:
    refused = typed("-c", home / "hub.toml", "check")
    assert refused.exit_code == 78
    (count, mistake) = refused.stderr.strip().splitlines()
    assert count == "1 mistake:"
    assert mistake.startswith("hub.toml: pki.certificate: has not come from the CA yet")
    assert "`lienthong enroll FILE` takes it in" in mistake


def test_without_a_terminal_everything_that_is_missing_is_named_at_once(typed: Type, tmp_path: Path) -> None:
    refused = typed("init", "hub", "--production", "--province", "H55")
    assert refused.exit_code == 2
    assert "--production needs --name, --organization, --dns, --administrator" in refused.stderr
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--province=h55", "--province: 'h55' is not a code"),
        ("--dns=localhost", "--dns: 'localhost' is neither"),
        ("--dns=*.tinh.gov.vn", "--dns: '*.tinh.gov.vn' is neither"),
        ("--admin-host=here", "--admin-host: here is not an IP address"),
        ("--country=Vietnam", "--country: 'Vietnam'"),
        ("--organization=" + "x" * 65, "--organization has at most 64 characters"),
        ("--administrator=Quản trị", "is not a valid name"),
        ("--database=postgresql://u:secret@h/d", "it contains a password"),
        ("--crl-url=http://crl.example/x", "go with --ca"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_nothing_is_written(
    typed: Type, tmp_path: Path, wrong: str, said: str
) -> None:
    refused = typed("init", "hub", "--production", "--answers", "answers.toml", wrong)
    assert refused.exit_code == 2, refused.output
    assert said in refused.stderr
    assert "secret" not in refused.stderr
    assert not (tmp_path / "hub").exists()


def test_a_typing_error_in_the_answers_is_a_mistake(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "answers.toml").write_text('provnce = "H55"\n')
    refused = typed("init", "hub", "--production", "--answers", "answers.toml")
    assert refused.exit_code == 2
    assert "there is no option --provnce" in refused.stderr


def test_beside_a_configuration_of_the_system_the_data_lie_where_systems_keep_them(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "_SYSTEM", tmp_path / "etc")
    monkeypatch.setattr(production, "_SYSTEM_DATA", str(tmp_path / "var"))
    (tmp_path / "var").mkdir(mode=0o750)  # by the package
    assert typed("init", "etc", "--production", "--answers", "answers.toml").exit_code == 0
    hub = tomllib.loads((tmp_path / "etc/hub.toml").read_text("utf-8"))
    assert (hub["data"], hub["database"]["url"]) == (f"{tmp_path}/var", f"sqlite:///{tmp_path}/var/hub.db")
    assert (tmp_path / "var/hub.db").exists()


def test_units_that_are_made_up_are_refused_and_no_file_stays(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("code,name,mark\nH55,Tỉnh mẫu,synthetic\n", "utf-8")
    refused = typed("init", "hub", "--production", "--answers", "answers.toml", "--units", "units.csv")
    assert refused.exit_code == 78
    assert "H55 is marked as made up" in refused.stderr
    assert not (tmp_path / "hub").exists()


def test_a_hub_that_is_there_is_never_written_over(typed: Type, home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    refused = typed("init", "hub", "--production", "--answers", "answers.toml")
    assert refused.exit_code == 1
    assert "hub.toml is there already" in refused.stderr
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_after_a_disk_error_the_files_that_were_written_are_gone(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/README").write_text("precious")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "hub.db")

    monkeypatch.setattr(transactions, "upgrade_schema", full)
    refused = typed("init", "hub", "--production", "--answers", "answers.toml")
    assert (refused.exit_code, refused.stderr) == (1, "Error: hub.db: No space left on device\n")
    assert [path.name for path in (tmp_path / "hub").iterdir()] == ["README"]


def test_what_an_operator_had_put_into_trust_stays_when_it_fails(
    typed: Type, tmp_path: Path, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.crt").write_bytes(pem(ca.certificate))
    stem = hash_certificate(ca.certificate)[:16]
    own = tmp_path / "hub/trust" / f"{stem}.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'# của tỉnh\nissuer = "trust/{stem}.crt"\ncrl-urls = ["http://crl.ca.example/old.crl"]\n')
    before = own.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "hub.db")

    monkeypatch.setattr(transactions, "upgrade_schema", broken)
    given = (
        "--production",
        "--answers",
        "answers.toml",
        "--ca",
        "ca.crt",
        "--crl-url",
        "http://crl.ca.example/new.crl",
    )
    assert typed("init", "hub", *given).exit_code
    assert own.read_bytes() == before
    assert not own.with_suffix(".crt").exists()


def test_the_database_may_be_on_a_server_and_must_be_empty(typed: Type, postgresql, tmp_path: Path) -> None:
    with postgresql.database(empty=True) as url:
        shown = url.replace("+psycopg", "")
        (tmp_path / "secret").write_text("of no use to a server that trusts\n")
        (tmp_path / "secret").chmod(0o600)
        words = ("--production", "--answers", "answers.toml", "--database", shown, "--database-password-file", "secret")
        first = typed("init", "hub", *words)
        assert first.exit_code == 0, first.output
        assert tomllib.loads((tmp_path / "hub/hub.toml").read_text("utf-8"))["database"] == {
            "url": shown,
            "password-file": f"{tmp_path}/secret",
        }
        second = typed("init", "other", *words)
        assert (second.exit_code, "is not empty" in second.stderr) == (1, True), second.output
        assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_on_a_terminal_a_person_is_asked_for_all_of_it(tmp_path: Path) -> None:
    """Enter takes what is offered; what does not fit is asked again."""
    typed = ("h55", "H55", "Trục", "Sở", "localhost", "truc.tinh.gov.vn, 10.0.0.4", "quantri", "", "", "", "", "", "")
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "hub.cli", "init", "hub", "--production", "--soap-port", "0", "--admin-port", "0"]
    environment = os.environ | {"LANG": "en_US.UTF-8"}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment) as asking:
        os.close(theirs)
        said = bytearray()

        def read() -> None:
            try:
                while octets := os.read(ours, 4096):
                    said.extend(octets)
            except OSError:  # the other end is closed
                return

        reader = threading.Thread(target=read)
        reader.start()
        os.write(ours, "".join(f"{line}\n" for line in typed).encode())
        assert asking.wait(PATIENCE) == 0, said.decode()
        reader.join(PATIENCE)
    os.close(ours)
    shown = said.decode()
    for question in (
        "'h55' is not a code",
        "'localhost' is neither",
        "Code of the province",
        "Data directory [data]",
        "CSV file of the units (empty: later)",
    ):
        assert question in shown
    hub = tomllib.loads((tmp_path / "hub/hub.toml").read_text("utf-8"))
    assert (hub["soap"]["host"], hub["admin"]["host"]) == ("0.0.0.0", "127.0.0.1")
    assert hub["database"]["url"] == "sqlite:///data/hub.db"


@pytest.mark.parametrize(
    "name", ["localhost", "*.tinh.gov.vn", "a..b", "-a.b", "1.2.3.4.5", "tinh.gov.vn.", "trục.vn", "x" * 64 + ".vn"]
)
def test_what_is_no_name_of_a_server_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name.lower())):
        normalise_server_name(name)


# --- enroll ----------------------------------------------------------------------------------------------------------


def test_the_certificate_of_the_ca_makes_the_hub_ready_to_start(
    typed: Type, home: Path, tmp_path: Path, ca: Authority
) -> None:
    file = certify(ca, home, tmp_path)
    url = "http://crl.example/ca.crl"
    done = typed("-c", home / "hub.toml", "enroll", file, "--ca", tmp_path / "ca.crt", "--crl-url", url)
    assert (done.exit_code, done.stderr) == (0, "Everything is right.\n"), done.output
    assert typed("-c", home / "hub.toml", "check").exit_code == 0
    config = read_config(home / "hub.toml", {})
    assert (config.sample, config.authorities) == (False, (ca.certificate,))
    assert [source.crl_urls for source in config.sources] == [(url,)]


def test_the_chain_may_come_in_any_order_and_the_root_stays_out(
    typed: Type, home: Path, tmp_path: Path, ca: Authority
) -> None:
    below = ca.subordinate("production sub-CA")
    file = certify(below, home, tmp_path)
    file.write_bytes(pem(ca.certificate) + pem(below.certificate) + file.read_bytes())
    (tmp_path / "root.crt").write_bytes(pem(ca.certificate))
    done = typed("-c", home / "hub.toml", "enroll", file, "--ca", tmp_path / "root.crt")
    assert done.exit_code == 0, done.output
    config = read_config(home / "hub.toml", {})
    assert config.tls.chain == (below.certificate,)


def test_every_reason_against_a_certificate_is_named_and_nothing_is_written(
    typed: Type, home: Path, tmp_path: Path, ca: Authority
) -> None:
    file = certify(ca, home, tmp_path, names=("truc.tinh.gov.vn",))
    other = authority("another CA", now=ca.now)
    (tmp_path / "ca.crt").write_bytes(pem(other.certificate))
    refused = typed("-c", home / "hub.toml", "enroll", file, "--ca", tmp_path / "ca.crt")
    assert refused.exit_code == 78
    assert "it does not name 10.0.0.4" in refused.stderr
    assert "certificate-untrusted" in refused.stderr
    assert not (home / "pki/hub.crt").exists()
    assert not list((home / "trust").iterdir())


def test_a_certificate_of_another_key_is_refused(typed: Type, home: Path, tmp_path: Path, ca: Authority) -> None:
    (tmp_path / "other.crt").write_bytes(pem(ca.issue("other").certificate))
    refused = typed("-c", home / "hub.toml", "enroll", tmp_path / "other.crt")
    assert (refused.exit_code, "it is not for the key" in refused.stderr) == (78, True)


def test_a_ca_must_be_named_before_a_certificate_is_taken(
    typed: Type, home: Path, tmp_path: Path, ca: Authority
) -> None:
    refused = typed("-c", home / "hub.toml", "enroll", certify(ca, home, tmp_path))
    assert (refused.exit_code, "no CA is trusted yet" in refused.stderr) == (78, True)


def test_a_sample_ca_does_not_get_into_production(typed: Type, home: Path, tmp_path: Path, ca: Authority) -> None:
    sample = create_sample_ca(datetime.now(UTC)).certificate
    (tmp_path / "sample.crt").write_bytes(sample.public_bytes(Encoding.PEM))
    refused = typed("-c", home / "hub.toml", "enroll", certify(ca, home, tmp_path), "--ca", tmp_path / "sample.crt")
    assert (refused.exit_code, "it is of a sample PKI" in refused.stderr) == (78, True)
    assert not list((home / "trust").iterdir())


def test_a_second_certificate_is_no_first_one(typed: Type, home: Path, tmp_path: Path, ca: Authority) -> None:
    file = certify(ca, home, tmp_path)
    words = ("-c", home / "hub.toml", "enroll", file, "--ca", tmp_path / "ca.crt")
    assert typed(*words).exit_code == 0
    refused = typed(*words)
    assert (refused.exit_code, "is there already" in refused.stderr) == (78, True)


def test_the_key_may_have_gone_to_systemd_before(
    typed: Type, home: Path, tmp_path: Path, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (home / "pki/hub.key").rename(tmp_path / "credentials/hub.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    text = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(text.replace('"pki/hub.key"', '"${CREDENTIALS_DIRECTORY}/hub.key"'), "utf-8")
    file = certify(ca, home, tmp_path, names=("truc.tinh.gov.vn",))
    words = ("-c", home / "hub.toml", "enroll", file, "--ca", tmp_path / "ca.crt")
    assert "it does not name 10.0.0.4" in typed(*words).stderr, "the request is where init left it"
    certify(ca, home, tmp_path)
    assert typed(*words).exit_code == 0


def test_a_configuration_that_is_no_toml_is_named(typed: Type, home: Path, tmp_path: Path, ca: Authority) -> None:
    file = certify(ca, home, tmp_path)
    (home / "hub.toml").write_text("[pki\n")
    refused = typed("-c", home / "hub.toml", "enroll", file)
    assert (refused.exit_code, "hub.toml: is not TOML" in refused.stderr) == (78, True)


def test_the_units_may_come_later(typed: Type, tmp_path: Path, ca: Authority) -> None:
    done = typed("init", "hub", "--production", "--answers", "answers.toml")
    assert "units import FILE" in done.stderr
    home = tmp_path / "hub"
    enrolled = typed("-c", home / "hub.toml", "enroll", certify(ca, home, tmp_path), "--ca", tmp_path / "ca.crt")
    assert enrolled.exit_code == 0, enrolled.output
    assert typed("-c", home / "hub.toml", "units", "import", "units.csv").exit_code == 0
    assert typed("-c", home / "hub.toml", "check").exit_code == 0
