"""[console.providers]: who may be asked, read whole, its mistakes named, its secret never said."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from hub.config import Config, describe_config_changes, read_config
from hub.domain.errors import ConfigurationFault, Mistake
from hub.node import check, init_province
from tests.pages import DOCS, fenced
from tests.pki import NOW
from tests.words import in_vietnamese

SSO = """
[console]
url = "https://hub.tinh.gov.vn:8444"

[console.providers.sso]
issuer = "https://sso.tinh.gov.vn/realms/tinh"
client-id = "lienthong"
client-secret-file = "secret"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that `init` wrote, with a secret."""
    home = tmp_path_factory.mktemp("made") / "tinh"
    init_province.write_province(home, init_province.ProvincePorts(8443, 8444, 9001, 9002), NOW)
    (home / "secret").write_text("geheim\n")
    (home / "secret").chmod(0o600)
    (home / "empty").write_text("\n")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "tinh"))


def with_lines(home: Path, lines: str, **environment: str) -> Config:
    path = home / "hub.toml"
    path.write_text(path.read_text("utf-8") + lines, "utf-8")
    return read_config(path, environment)


def mistakes_with(home: Path, lines: str) -> list[Mistake]:
    with pytest.raises(ConfigurationFault) as caught:
        with_lines(home, lines)
    return list(caught.value.mistakes)


def test_without_the_table_nobody_is_asked(home: Path) -> None:
    console = read_config(home / "hub.toml", {}).console
    assert (console.providers, console.url) == ({}, "")


def test_a_provider_with_its_defaults_and_with_everything(home: Path) -> None:
    old = read_config(home / "hub.toml", {})
    config = with_lines(home, SSO)
    provider = config.console.providers["sso"]
    assert (provider.name, provider.title, provider.client_secret) == ("sso", "sso", "geheim")
    assert (provider.scopes, provider.claim, provider.codes) == (("openid",), "sub", True)
    assert (provider.authorities, provider.hosts, provider.max_age) == ((), (), None)
    assert "geheim" not in repr(config)
    assert ("console.providers.sso.client-secret-file", home / "secret") in config.secrets
    assert describe_config_changes(old, config) == ["~ console"]
    more = (
        'title = "Cổng SSO"\nscopes = ["openid", "email"]\nclaim = "oid"\nca = "pki/ca.crt"\nhosts = ["a.example:1"]\n'
    )
    provider = with_lines(home, f'{more}codes = false\nmax-age = "8h"\n').console.providers["sso"]
    assert (provider.title, provider.scopes, provider.claim) == ("Cổng SSO", ("openid", "email"), "oid")
    assert (len(provider.authorities), provider.hosts) == (1, ("a.example:1",))
    assert (provider.codes, provider.max_age) == (False, timedelta(hours=8))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("https://sso", "http://sso", "providers.sso.issuer"),
        ("sso.tinh.gov.vn/", "me@sso.tinh.gov.vn/", "providers.sso.issuer"),
        ("sso.tinh.gov.vn/", "sso.tinh.gov.vn:99999/", "providers.sso.issuer"),
        ("realms/tinh", "realms/tinh?x=1", "providers.sso.issuer"),
        ("realms/tinh", "realms/tinh#x", "providers.sso.issuer"),
        ('issuer = "https://sso.tinh.gov.vn/realms/tinh"', "", "providers.sso.issuer"),
        ('client-id = "lienthong"', "", "providers.sso.client-id"),
        ('"secret"', '"absent"', "providers.sso.client-secret-file"),
        ('"secret"', '"empty"', "providers.sso.client-secret-file"),
        ('"secret"', '"secret"\nscopes = ["email"]', "providers.sso.scopes"),
        ('"secret"', '"secret"\nscopes = ["openid", "a b"]', "providers.sso.scopes"),
        ('"secret"', '"secret"\nclaim = "a b"', "providers.sso.claim"),
        ('"secret"', '"secret"\nca = "pki/hub.crt"', "providers.sso.ca"),
        ('"secret"', '"secret"\nca = "pki/absent.crt"', "providers.sso.ca"),
        ('"secret"', '"secret"\nhosts = ["https://a.example"]', "providers.sso.hosts"),
        ('"secret"', '"secret"\nhosts = ["a.example:99999"]', "providers.sso.hosts"),
        ('"secret"', '"secret"\nmax-age = "31d"', "providers.sso.max-age"),
        ('"secret"', '"secret"\nmax-age = "long"', "providers.sso.max-age"),
        ('"secret"', '"secret"\ncodes = "no"', "providers.sso.codes"),
        ('"secret"', '"secret"\nsecret = "geheim"', "providers.sso.secret"),
        ("providers.sso", "providers.Sso", "providers.Sso"),
        ("[console.providers.sso]", "providers.sso = 1\n[links]", "providers.sso"),
        (":8444", ":8444/console", "url"),
        ('url = "https://hub.tinh.gov.vn:8444"', "", "url"),
    ],
)
def test_a_mistake_is_named_where_it_stands_in_both_languages_and_says_no_secret(
    home: Path, old: str, new: str, key: str
) -> None:
    assert old in SSO
    mistake = mistakes_with(home, SSO.replace(old, new))[0]
    assert mistake.path == f"hub.toml: console.{key}"
    assert in_vietnamese(mistake.wrong)
    assert in_vietnamese(mistake.expected)
    assert "geheim" not in str(mistake)


def test_an_issuer_is_named_once_and_there_are_at_most_five(home: Path) -> None:
    _, _, inner = SSO.partition("[console.providers.sso]")
    (mistake,) = mistakes_with(home, f"{SSO}[console.providers.b]{inner}")
    assert mistake.path == "hub.toml: console.providers"
    more = "".join(f"[console.providers.p{n}]{inner.replace('sso.', f's{n}.')}" for n in range(5))
    (home / "hub.toml").write_text((home / "hub.toml").read_text("utf-8").partition(SSO)[0], "utf-8")
    (mistake,) = mistakes_with(home, f"{SSO}{more}")
    assert mistake.path == "hub.toml: console.providers"


def test_check_says_that_the_extra_is_missing_and_that_others_may_read_the_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secret").chmod(0o644)
    config = with_lines(home, SSO)
    assert list(check._check_providers(config)) == []
    assert [each.path for each in check._check_secrets(config)] == [
        "hub.toml: console.providers.sso.client-secret-file"
    ]
    monkeypatch.setattr(check, "find_spec", lambda _name: None)
    (mistake,) = check._check_providers(config)
    assert "lienthong[oidc]" in str(mistake.expected)


def test_what_the_page_shows_is_read(home: Path) -> None:
    (shown,) = [each for each in fenced((DOCS / "howto/operate.md").read_text("utf-8"), "toml") if "providers" in each]
    shown = shown.replace("pki/sso.secret", "secret").replace("pki/sso-ca.crt", "pki/ca.crt")
    assert with_lines(home, f"\n{shown}").console.providers["sso"].title == "Cổng SSO tỉnh"
