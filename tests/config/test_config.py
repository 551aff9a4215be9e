"""A configuration is read whole, and every mistake of it is named at once: where, what is wrong, what is expected."""

import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import Config, describe_config_changes, read_config
from hub.config.officials import SignaturePlace
from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.domain.model import Receive, Unit
from hub.node import check, init_province
from hub.node.consistency import find_expiring_certificates
from hub.node.doctor import examination
from hub.security import sample_pki
from hub.security.certificates import hash_certificate
from hub.units.province import Province
from tests.pki import DAY, NOW, authority, pem
from tests.pki import write as write_identity
from tests.words import in_vietnamese

Rewrite = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that `init` wrote."""
    home = tmp_path_factory.mktemp("made") / "tinh"
    init_province.write_province(home, init_province.ProvincePorts(8443, 8444, 9001, 9002), NOW)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "tinh"))


@pytest.fixture
def rewrite(home: Path) -> Rewrite:
    """Puts one text for another in a file."""

    def do(name: str, old: str, new: str) -> None:
        path = home / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    return do


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def config_of(home: Path, **environment: str) -> Config:
    return read_config(home / "hub.toml", environment)


def mistakes_of(home: Path) -> dict[str, Mistake]:
    with pytest.raises(ConfigurationFault) as caught:
        config_of(home)
    assert all(in_vietnamese(mistake.wrong) for mistake in caught.value.mistakes), caught.value
    return {mistake.path: mistake for mistake in caught.value.mistakes}


@pytest.mark.slow
def test_codes_of_a_merged_province_are_the_provinces_too(home: Path) -> None:
    """A code of the other province that is not imported is unknown, and no more sent upstream, nor taken from there."""
    units = [*init_province.make_sample_units(), Unit("H97", "Tỉnh cũ", "H55"), Unit("H97.1", "Sở cũ", "H97")]
    day = date(2026, 11, 28)
    before = Province.of(config_of(home), units).routes
    assert before.route("H97.2", day).partner == "vpcp"
    with (home / "hub.toml").open("a", encoding="utf-8") as file:
        file.write('[units]\nmerged-provinces = ["H97", "H98"]\n')
    routes = Province.of(config_of(home), units).routes
    assert routes.route("H97.1", day).partner == "vpub"  # through its parent
    for code in ("H97.2", "000.00.02.H97", "H98"):
        with pytest.raises(Rejected) as caught:
            routes.route(code, day)
        assert [each.code for each in caught.value.problems] == ["unit-unknown"]
    assert not routes.may_send("vpcp", "H97.2")
    assert routes.route("H41", day).partner == "vpcp"


def test_a_merged_province_has_another_code(home: Path) -> None:
    with (home / "hub.toml").open("a", encoding="utf-8") as file:
        file.write('[units]\nmerged-provinces = ["H55", "h97"]\n')
    assert set(mistakes_of(home)) == {"hub.toml: units.merged-provinces"}


def test_what_init_writes_is_read_as_the_design_says(home: Path) -> None:
    config = config_of(home)
    assert (config.province, config.upstream) == ("H55", "vpcp")
    assert (config.soap.host, config.soap.port, config.soap.body_limit) == ("127.0.0.1", 8443, 40_000_000)
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 8444)
    assert config.sample
    assert config.data == home / "data"
    assert config.database_url == f"sqlite:///{home}/data/hub.db"
    receive = {code: partner.receive for code, partner in config.partners.items()}
    assert receive == {"sotttt": Receive.FETCH, "vpub": Receive.PUSH, "vpcp": Receive.PUSH}
    assert config.partners["vpcp"].units == ()
    assert config.partners["vpub"].url == "https://127.0.0.1:9001/soap/documents"
    owned = {*config.partners["sotttt"].units, *config.partners["vpub"].units}
    assert owned == {unit.code for unit in init_province.make_sample_units()}
    assert len(owned) >= 12


def test_a_certificate_that_cannot_be_read_to_its_end_is_a_mistake_of_who_names_it(home: Path) -> None:
    dated = authority().issue("dated", ends=datetime(2055, 1, 1, tzinfo=UTC)).certificate.public_bytes(Encoding.DER)
    version = dated.index(b"\xa0\x03\x02\x01\x02")
    for broken in (dated.replace(b"20550101", b"00000101"), dated[: version + 4] + b"\x07" + dated[version + 5 :]):
        (home / "pki/partners/vpub.crt").write_bytes(broken)
        assert mistakes_of(home).keys() == {"partners/vpub.toml: certificates"}


def test_the_sample_certificates_serve_and_call_on_loopback(home: Path) -> None:
    config = config_of(home)
    for certificate in (config.identity.certificate, *config.partners["vpub"].certificates):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        config.anchors.check(certificate, NOW)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in home.rglob("*.key"))


def test_relative_paths_count_from_the_directory_of_hub_toml(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_config(Path("tinh/hub.toml"), {})
    assert config.path == home / "hub.toml"
    assert config.data == home / "data"


def test_the_environment_overrides_hub_toml_but_not_the_partners(home: Path) -> None:
    config = config_of(home, LIENTHONG_SOAP_PORT="18443", LIENTHONG_DATA="elsewhere", LIENTHONG_URL="https://x/")
    assert config.soap.port == 18443
    assert config.data == home / "elsewhere"
    assert config.partners["sotttt"].url is None


@pytest.fixture
def credentials(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys as systemd passes them: a folder of the service, in which the group's bits are those of an access list."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    (home / "pki/hub.key").rename(folder / "hub.key").chmod(0o440)
    return folder


def test_a_key_may_be_one_of_systemds_credentials(home: Path, rewrite: Rewrite, credentials: Path) -> None:
    rewrite("hub.toml", '"pki/hub.key"', '"${CREDENTIALS_DIRECTORY}/hub.key"')
    assert ("pki.key", credentials / "hub.key") in config_of(home).secrets
    assert check.check_config(home / "hub.toml", NOW).mistakes == ()
    judged = {state.path for state in examination._list_files(config_of(home))}
    assert home / "hub.toml" in judged
    assert credentials / "hub.key" not in judged, "`lienthong doctor` cannot read access lists"


def test_so_may_the_secret_of_an_adapter(home: Path, credentials: Path) -> None:
    (credentials / "secret").write_text("mat khau\n", "utf-8")
    append(home / "partners/vpub.toml", '\n[settings]\nsecret-file = "${CREDENTIALS_DIRECTORY}/secret"\n')
    (home / "pki/hub.key").symlink_to(credentials / "hub.key")
    assert config_of(home).partners["vpub"].secrets == {"secret": "mat khau"}


def test_credentials_that_are_not_there_are_named(
    home: Path, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite("hub.toml", '"pki/hub.key"', '"${CREDENTIALS_DIRECTORY}/hub.key"')
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert str(mistakes_of(home)["hub.toml: pki.key"].wrong) == "CREDENTIALS_DIRECTORY is not set"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(home))
    rewrite("hub.toml", "}/hub.key", "}/pki/hub.key")
    assert str(mistakes_of(home)["hub.toml: pki.key"].expected) == "the name of a credential"


def test_every_mistake_is_named_at_once(home: Path, rewrite: Rewrite) -> None:
    rewrite("hub.toml", 'province = "H55"', 'province = "h55"\ncolour = "red"')
    rewrite("hub.toml", "port = 8444", 'port = "8444"')
    rewrite("hub.toml", 'body-limit = "40MB"', 'body-limit = "40"')
    rewrite("hub.toml", 'crls = ["pki/crl.pem"]', 'crls = ["pki/none.pem"]')
    rewrite("partners/vpub.toml", 'receive = "push"', 'receive = "pull"')
    (home / "partners/sotttt.toml").write_text("name = \n", "utf-8")
    rewrite("partners/vpcp.toml", "https:", "http:")
    append(home / "partners/vpcp.toml", '\n[policy]\ntimeout = "soon"\nrelay = "x"\n')
    found = mistakes_of(home)
    assert {
        "hub.toml: province",
        "hub.toml: colour",
        "hub.toml: admin.port",
        "hub.toml: soap.body-limit",
        "hub.toml: pki.crls",
        "partners/vpub.toml: receive",
        "partners/sotttt.toml",
        "partners/vpcp.toml: url",
        "partners/vpcp.toml: policy.timeout",
        "partners/vpcp.toml: policy.relay",
    } <= found.keys()
    assert all(str(mistake.wrong) and str(mistake.expected) for mistake in found.values())


@pytest.mark.parametrize(
    "content", [b"", b"name = 1", b"soap = 3\n", b"[soap]\nport = true\n", b"\xff\xfe", b"[[soap]]"]
)
def test_no_file_however_wrong_ends_in_a_traceback(home: Path, content: bytes) -> None:
    (home / "hub.toml").write_bytes(content)
    assert mistakes_of(home)


def test_a_broken_upstream_is_one_mistake_not_two(home: Path) -> None:
    (home / "partners/vpcp.toml").write_text("name =", "utf-8")
    assert mistakes_of(home).keys() == {"partners/vpcp.toml"}


def test_postgresql_is_named_by_its_url_and_its_password_by_a_file(home: Path) -> None:
    (home / "secret").write_text("geheim\n")
    toml = home / "hub.toml"
    asked = "url = 'postgresql://hub@db.example:5433/hub?sslmode=verify-full'\npassword-file = 'secret'"
    toml.write_text(toml.read_text("utf-8").replace('url = "sqlite:///data/hub.db"', asked), "utf-8")
    config = read_config(toml, {})
    assert config.database_url == "postgresql+psycopg://hub@db.example:5433/hub?sslmode=verify-full"
    assert config.password_file == home / "secret"


def test_a_password_in_the_url_is_never_said(home: Path) -> None:
    toml = home / "hub.toml"
    secret = "postgresql://hub:geheim@db.example/hub"
    toml.write_text(toml.read_text("utf-8").replace("sqlite:///data/hub.db", secret), "utf-8")
    (mistake,) = mistakes_of(home).values()
    assert "geheim" not in str(mistake)
    assert "password-file" in str(mistake.expected)


def test_a_missing_hub_toml_is_named(tmp_path: Path) -> None:
    (mistake,) = mistakes_of(tmp_path).values()
    assert mistake.path == "hub.toml"
    assert "init" in str(mistake.expected)


@pytest.mark.parametrize(
    ("name", "old", "new", "path"),
    [
        ("hub.toml", 'host = "127.0.0.1"\nport = 8443', 'host = "hub.example"\nport = 8443', "hub.toml: soap.host"),
        ("hub.toml", "port = 8443", "port = 0", "hub.toml: soap.port"),
        ("hub.toml", "port = 8444", "port = 8443", "hub.toml: admin.port"),
        ("hub.toml", 'upstream = "vpcp"', 'upstream = "nobody"', "hub.toml: upstream"),
        ("hub.toml", '"pki/hub.key"', '"pki/partners/vpub.key"', "hub.toml: pki.key"),
        ("hub.toml", '"pki/hub.key"', '"pki/hub.crt"', "hub.toml: pki.key"),
        ("hub.toml", '"pki/hub.crt"', '"pki/absent.crt"', "hub.toml: pki.certificate"),
        ("hub.toml", '"pki/ca.crt"', '"pki/hub.crt"', "hub.toml: pki.anchors"),
        ("hub.toml", "sqlite:///", "mysql://", "hub.toml: database.url"),
        ("hub.toml", "sqlite:///data/hub.db", "postgresql://host", "hub.toml: database.url"),
        ("hub.toml", "sqlite:///data/hub.db", "postgresql://host:port/hub", "hub.toml: database.url"),
        ("hub.toml", "sqlite:///data/hub.db", "postgresql://me:geheim@host/hub", "hub.toml: database.url"),
        ("hub.toml", "sqlite:///data/hub.db", "postgresql://host/hub?password=geheim", "hub.toml: database.url"),
        ("hub.toml", "[database]", "[database]\npassword-file = 'pki/hub.key'", "hub.toml: database.password-file"),
        (
            "hub.toml",
            'url = "sqlite:///data/hub.db"',
            "url = 'postgresql://host/hub'\npassword-file = 'absent'",
            "hub.toml: database.password-file",
        ),
        ("hub.toml", 'data = "data"', 'data = "data"\npublic-url = "http://x"', "hub.toml: public-url"),
        ("partners/vpub.toml", "https:", "http:", "partners/vpub.toml: url"),
        ("partners/vpub.toml", "https://", "https://me:secret@", "partners/vpub.toml: url"),
        ("partners/vpub.toml", "url =", "# url =", "partners/vpub.toml: url"),
        ("partners/vpub.toml", '"H55.1",', '"H55.13",', "partners/vpub.toml: units"),
        ("partners/vpub.toml", '"H55.1",', '"H55.1", "H55.1",', "partners/vpub.toml: units"),
        ("partners/vpub.toml", '"H55.1",', '"H55 1",', "partners/vpub.toml: units"),
        ("partners/vpub.toml", "vpub.crt", "vpcp.crt", "partners/vpub.toml: certificates"),
        ("partners/vpub.toml", "pki/partners/vpub.crt", "pki/hub.crt", "partners/vpub.toml: certificates"),
        ("partners/vpub.toml", '["pki/partners/vpub.crt"]', "[]", "partners/vpub.toml: certificates"),
        ("partners/vpub.toml", "name =", "nane =", "partners/vpub.toml: nane"),
        ("partners/vpcp.toml", "units = []", 'units = ["H55.99"]', "partners/vpcp.toml: units"),
        ("partners/vpcp.toml", "units = []", "units = ['*']", "partners/vpcp.toml: units"),
        (
            "partners/sotttt.toml",
            'receive = "fetch"',
            'receive = "fetch"\nurl = "https://x"',
            "partners/sotttt.toml: url",
        ),
    ],
)
def test_a_mistake_is_named_where_it_stands(
    home: Path, rewrite: Rewrite, name: str, old: str, new: str, path: str
) -> None:
    rewrite(name, old, new)
    assert path in mistakes_of(home)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::"])
def test_the_sample_pki_stays_on_loopback(home: Path, rewrite: Rewrite, host: str) -> None:
    rewrite("hub.toml", 'host = "127.0.0.1"\nport = 8444', f'host = "{host}"\nport = 8444')
    assert mistakes_of(home).keys() == {"hub.toml: admin.host"}


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_any_loopback_address_will_do(home: Path, rewrite: Rewrite, host: str) -> None:
    rewrite("hub.toml", 'host = "127.0.0.1"\nport = 8444', f'host = "{host}"\nport = 8444')
    assert config_of(home).admin.host == host.replace("localhost", "127.0.0.1")


def test_certificates_of_ones_own_may_listen_anywhere(tmp_path: Path) -> None:
    hub, sotttt = authority().issue("hub"), authority().issue("sotttt")
    for name, identity in (("hub", hub), ("sotttt", sotttt)):
        write_identity(tmp_path, name, identity)
    (tmp_path / "ca.crt").write_bytes(pem(authority().certificate))
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners/sotttt.toml").write_text('certificates = ["sotttt.crt"]\n')
    (tmp_path / "hub.toml").write_text(
        'province = "H55"\n[soap]\nhost = "0.0.0.0"\n[pki]\nkey = "hub.key"\ncertificate = "hub.crt"\nanchors = ["ca.crt"]\n'
    )
    config = config_of(tmp_path)
    assert not config.sample
    assert config.partners["sotttt"].receive is Receive.NONE
    assert (config.soap.port, config.admin.port, config.upstream) == (8443, 8444, "")


def test_whatever_stands_in_trust_is_trusted_too(home: Path) -> None:
    other = authority("Other CA")
    (home / "trust/other.crt").write_bytes(pem(other.certificate))
    (home / "trust/other.crl").write_bytes(pem(other.crl()))
    config = config_of(home)
    assert hash_certificate(other.certificate) in map(hash_certificate, config.authorities)
    config.anchors.check(other.issue("someone").certificate, NOW)
    (home / "trust/broken.crt").write_bytes(b"no certificate")
    assert mistakes_of(home).keys() == {"trust/broken.crt"}


def test_a_candidate_is_judged_with_the_partners_that_are_there(home: Path) -> None:
    candidate = 'certificates = ["pki/partners/vpub.crt"]\nreceive = "fetch"\nunits = ["H55.13"]\n'
    with pytest.raises(ConfigurationFault) as caught:
        read_config(home / "hub.toml", {}, {"copy": candidate})
    assert {mistake.path for mistake in caught.value.mistakes} == {
        "partners/vpub.toml: certificates",
        "partners/sotttt.toml: units",
    }
    assert set(config_of(home).partners) == {"sotttt", "vpub", "vpcp"}


#: Fields of which others are made, and those whose changes are told in words of their own: tests beside them have these.
TOLD_APART = {"path", "secrets", "anchors", "sample", "identity", "tls", "rotation", "authorities", "crls", "sources"}


@pytest.mark.parametrize(
    "field",
    [each.name for each in attrs.fields(Config) if each.name not in TOLD_APART | {"reports", "partners", "services"}],
)
def test_a_reload_names_every_part_that_changed(made: Path, field: str) -> None:
    config = config_of(made)
    changed = attrs.evolve(config, **cast("Any", {field: object()}))
    (told,) = describe_config_changes(config, changed)
    assert told[0] in "~!"


def test_a_reload_names_the_tables_that_it_took(made: Path) -> None:
    before = config_of(made)
    after = attrs.evolve(before, backup=cast("Any", "another"), witness=made, free_disk=1)
    assert describe_config_changes(before, after) == ["! backup.witness", "~ backup", "~ limits.free-disk"]


def test_each_reload_tells_what_needs_a_restart_until_it_is_again_as_at_the_start(home: Path, rewrite: Rewrite) -> None:
    started = config_of(home)
    rewrite("hub.toml", "port = 8443", "port = 9443")
    changed = config_of(home)
    assert describe_config_changes(started, changed, started) == ["! soap"]
    rewrite("hub.toml", 'upstream = "vpcp"', "")
    again = config_of(home)
    assert describe_config_changes(changed, again, started) == ["! soap", "~ upstream"], (
        "the first one is not forgotten"
    )
    rewrite("hub.toml", "port = 9443", "port = 8443")
    assert describe_config_changes(again, config_of(home), started) == []


def test_a_reload_tells_what_changed(home: Path, rewrite: Rewrite) -> None:
    old = config_of(home)
    assert describe_config_changes(old, old) == []
    assert describe_config_changes(old, config_of(home)) == []
    rewrite("partners/vpub.toml", "9001", "9003")
    append(home / "partners/vpub.toml", '\n[policy]\ntimeout = "5s"\n')
    rewrite("hub.toml", "port = 8443", "port = 9443")
    rewrite("hub.toml", 'upstream = "vpcp"', "")
    (home / "partners/vpcp.toml").unlink()
    other = authority("Other CA")
    (home / "trust/other.crt").write_bytes(pem(other.certificate))
    (home / "trust/other.crl").write_bytes(pem(other.crl()))
    _, certificate = sample_pki.Authority(old.tls.key, old.authorities[0]).issue("new", NOW)  # type: ignore[arg-type]
    (home / "partners/new.crt").write_bytes(pem(certificate))
    (home / "partners/new.toml").write_text('certificates = ["partners/new.crt"]')
    assert describe_config_changes(old, config_of(home)) == [
        "! soap",
        "~ upstream",
        f"+ trust {hash_certificate(other.certificate)[:16]}…",
        "~ crls",
        "+ partners/new",
        "- partners/vpcp",
        "~ partners/vpub: url, policy.timeout",
    ]
    assert attrs.evolve(old.partners["vpub"].policy, timeout=timedelta(seconds=5)) != old.partners["vpub"].policy


def test_every_key_is_in_the_manual(home: Path, rewrite: Rewrite) -> None:
    manual = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text("utf-8")
    hub = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(re.sub(r"^\[(.+)\]$", r"[\1]\nx = 1", f"x = 1\n{hub}", flags=re.MULTILINE), "utf-8")
    for partner in ("vpub", "sotttt"):
        append(home / f"partners/{partner}.toml", "x = 1\n[policy]\nx = 1\n")
    unknown = [mistake for mistake in mistakes_of(home).values() if str(mistake.wrong) == "unknown key"]
    assert len(unknown) == 10
    for mistake in unknown:
        for key in str(mistake.expected).removeprefix("one of ").split(", "):
            assert f"`{key}`" in manual or f"[{key}]" in manual, key


SOURCE = 'issuer = "pki/ca.crt"\ncrl-urls = ["http://crl.example/ca.crl"]\nocsp-urls = ["https://ocsp.example/"]\n'


def test_where_a_ca_is_asked_stands_in_trust(home: Path) -> None:
    (home / "trust").mkdir(exist_ok=True)
    (home / "trust/ca.toml").write_text(SOURCE)
    (source,) = config_of(home).sources
    assert source.issuer in config_of(home).authorities
    assert source.crl_urls == ("http://crl.example/ca.crl",)
    assert source.ocsp_urls == ("https://ocsp.example/",)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("pki/ca.crt", "pki/hub.crt", "trust/ca.toml: issuer"),
        ("pki/ca.crt", "pki/none.crt", "trust/ca.toml: issuer"),
        ("http://crl", "ftp://crl", "trust/ca.toml: crl-urls"),
        ("https://ocsp", "https://user:word@ocsp", "trust/ca.toml: ocsp-urls"),
        ("crl-urls", "colour", "trust/ca.toml: colour"),
        (
            'crl-urls = ["http://crl.example/ca.crl"]\nocsp-urls = ["https://ocsp.example/"]\n',
            "",
            "trust/ca.toml: crl-urls",
        ),
    ],
)
def test_a_mistake_about_where_a_ca_is_asked_is_named(home: Path, old: str, new: str, place: str) -> None:
    (home / "trust").mkdir(exist_ok=True)
    (home / "trust/ca.toml").write_text(SOURCE.replace(old, new))
    assert set(mistakes_of(home)) == {place}


def test_a_ca_has_one_file_of_places(home: Path) -> None:
    (home / "trust").mkdir(exist_ok=True)
    for name in ("a", "b"):
        (home / f"trust/{name}.toml").write_text(SOURCE)
    assert set(mistakes_of(home)) == {"trust/b.toml: issuer"}


def test_the_cas_between_a_partner_and_an_anchor_may_stand_in_its_file(home: Path) -> None:
    path = home / "pki/partners/sotttt.crt"
    path.write_bytes(path.read_bytes() + (home / "pki/ca.crt").read_bytes())
    partner = config_of(home).partners["sotttt"]
    assert len(partner.certificates) == 1
    assert partner.chain == config_of(home).authorities


@pytest.mark.parametrize("relay", ["sotttt", "nobody"])
def test_a_relay_is_another_partner(home: Path, relay: str) -> None:
    append(home / "partners/sotttt.toml", f'[policy]\nrelay = "{relay}"\n')
    assert set(mistakes_of(home)) == {"partners/sotttt.toml: policy.relay"}


PERSON = 'name = "An"\ncertificates = ["officials/an.crt"]\nunits = ["H55.13"]\n'


@pytest.fixture
def persons(home: Path) -> Path:
    """A hub with one official, and the folder of officials."""
    folder = home / "officials"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(pem(authority("Persons").certificate))
    (folder / "an.crt").write_bytes(pem(authority("Persons").issue("An").certificate))
    (folder / "an.toml").write_text(PERSON)
    append(home / "hub.toml", '\n[officials]\nanchors = ["officials/ca.crt"]\n')
    return folder


def test_who_may_sign_stands_in_officials(home: Path, persons: Path) -> None:
    append(persons / "an.toml", "below = true\nsince = 2026-01-01\nuntil = 2026-12-31\n")
    found = config_of(home).officials
    assert found is not None
    (an,) = found.people.values()
    assert (found.required, an.code, an.units, an.below) == (True, "an", ("H55.13",), True)
    assert (str(an.since), str(an.until)) == ("2026-01-01", "2026-12-31")
    assert found.certificates == an.certificates
    optional = config_of(home, LIENTHONG_OFFICIALS_SIGNATURE="optional").officials
    assert optional is not None
    assert not optional.required
    assert describe_config_changes(config_of(home), config_of(home)) == []
    assert describe_config_changes(config_of(home), attrs.evolve(config_of(home), officials=optional)) == [
        "~ officials"
    ]


def test_which_reports_two_persons_sign_and_at_which_place_each(home: Path, persons: Path, rewrite: Rewrite) -> None:
    append(home / "hub.toml", 'drafted = ["ii06a"]\n')
    assert list(mistakes_of(home)) == ["hub.toml: officials.drafted"]
    drafter = PERSON.replace("an.crt", "chi.crt") + 'signs-as = ["drafter"]\n'
    (persons / "chi.crt").write_bytes(pem(authority("Persons").issue("Chi").certificate))
    (persons / "chi.toml").write_text(drafter)
    found = config_of(home).officials
    assert found is not None
    assert [found.needs_drafter(form) for form in ("ii06a", "edoc")] == [True, False]
    assert found.people["an"].signs_as == {SignaturePlace.HEAD}
    rewrite("hub.toml", 'drafted = ["ii06a"]', 'drafted = ["*"]')
    every = config_of(home).officials
    assert every is not None
    assert every.needs_drafter("edoc")
    append(persons / "an.toml", 'signs-as = ["drafter", "chief"]\n')
    assert list(mistakes_of(home)) == ["officials/an.toml: signs-as"]


def test_whose_time_stamps_are_trusted_stands_in_a_table_of_its_own(
    home: Path, persons: Path, rewrite: Rewrite
) -> None:
    found = config_of(home).officials
    assert found is not None
    assert found.stamping is None
    (persons / "tsa.crt").write_bytes(pem(authority("Times").certificate))
    append(home / "hub.toml", '[officials.timestamps]\nanchors = ["officials/tsa.crt"]\n')
    trusting = config_of(home).officials
    assert trusting is not None
    assert trusting.stamping is not None
    assert (trusting.stamping.authorities, trusting.stamping.required) == ((authority("Times").certificate,), False)
    assert authority("Times").certificate in trusting.everybody
    demanding = config_of(home, LIENTHONG_OFFICIALS_TIMESTAMPS_REQUIRED="true").officials
    assert demanding is not None
    assert demanding.stamping is not None
    assert demanding.stamping.required
    changed = attrs.evolve(config_of(home), officials=demanding)
    assert describe_config_changes(config_of(home), changed) == ["~ officials"]
    rewrite("hub.toml", 'anchors = ["officials/tsa.crt"]', "required = true")
    assert list(mistakes_of(home)) == ["hub.toml: officials.timestamps.anchors"]


def test_authorities_of_officials_and_of_time_stamps_are_told_of_before_they_end(home: Path, persons: Path) -> None:
    times = authority("Times")
    (persons / "tsa.crt").write_bytes(pem(times.certificate))
    (persons / "tsa.crl").write_bytes(pem(times.crl(ends=NOW - DAY / 2)))
    append(
        home / "hub.toml",
        '[officials.timestamps]\nanchors = ["officials/tsa.crt"]\ncrls = ["officials/tsa.crl"]\n',
    )
    told = [each.path for each in find_expiring_certificates(config_of(home), NOW + DAY)]
    assert {place for place in told if "officials." in place} == {
        *(
            "hub.toml: officials.anchors",
            "hub.toml: officials.timestamps.anchors",
            "hub.toml: officials.timestamps.crls",
        ),
    }


def test_without_the_table_nobody_signs(home: Path) -> None:
    assert config_of(home).officials is None


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('name = "An"', "", "officials/an.toml: name"),
        ("officials/an.crt", "officials/none.crt", "officials/an.toml: certificates"),
        ('"H55.13"', '"*"', "officials/an.toml: units"),
        ('units = ["H55.13"]', 'units = ["H55.13"]\nsince = "hôm nay"', "officials/an.toml: since"),
        (
            'units = ["H55.13"]',
            'units = ["H55.13"]\nsince = 2026-02-01\nuntil = 2026-01-01',
            "officials/an.toml: until",
        ),
        ('units = ["H55.13"]', 'units = ["H55.13"]\nx = 1', "officials/an.toml: x"),
        ('name = "An"', 'name = "An', "officials/an.toml"),
    ],
)
def test_a_mistake_about_an_official_is_named(home: Path, persons: Path, old: str, new: str, place: str) -> None:
    (persons / "an.toml").write_text(PERSON.replace(old, new))
    assert list(mistakes_of(home)) == [place]


def test_a_certificate_is_one_person_s_and_the_anchor_is_a_ca(home: Path, persons: Path, rewrite: Rewrite) -> None:
    (persons / "binh.toml").write_text(PERSON)
    assert list(mistakes_of(home)) == ["officials/binh.toml: certificates"]
    (persons / "binh.toml").unlink()
    rewrite("hub.toml", "officials/ca.crt", "officials/an.crt")
    assert list(mistakes_of(home)) == ["hub.toml: officials.anchors"]
    rewrite("hub.toml", '[officials]\nanchors = ["officials/an.crt"]', "")
    assert list(mistakes_of(home)) == ["hub.toml: officials.anchors"], "persons, and nothing to lead them to"
