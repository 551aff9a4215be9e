"""`[pki]` says who the hub is: the key that signs, in a file or in a token, and the key of TLS."""

import re
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from hub.config import Config, describe_config_changes, read_config
from hub.domain.errors import ConfigurationFault
from hub.node import init_province
from hub.security.certificates import hash_certificate
from tests.words import in_vietnamese

URI = "pkcs11:token=truc;object=hub?module-path=/lib/none.so&pin-source=pki/pin"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("identities") / "tinh"
    init_province.write_province(made, init_province.ProvincePorts(8443, 8444, 9001, 9002), datetime.now(UTC))
    (made / "pki/pin").write_text("1234\n")
    return made


def config(home: Path, **pki: str) -> Config:
    """Return the configuration with these keys in [pki]; `_` stands for `-`."""
    text = (home / "hub.toml").read_text("utf-8")
    keys = {"key": "pki/hub.key", "certificate": "pki/hub.crt"} | {k.replace("_", "-"): v for k, v in pki.items()}
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    path = home / "other.toml"
    path.write_text(re.sub("(?m)^key = .*\ncertificate = .*\n", lambda _: lines, text), "utf-8")
    return read_config(path, {})


TLS = {"tls_key": "pki/partners/vpcp.key", "tls_certificate": "pki/partners/vpcp.crt"}


@pytest.fixture
def apart(home: Path) -> dict[str, str]:
    """Another key and certificate, which are no partner's."""
    made = home / "partners/vpcp.toml"
    if made.exists():
        made.unlink()
        text = (home / "hub.toml").read_text("utf-8")
        (home / "hub.toml").write_text(re.sub("(?m)^upstream = .*\n", "", text), "utf-8")
    return TLS


def mistakes(home: Path, **pki: str) -> dict[str, str]:
    with pytest.raises(ConfigurationFault) as caught:
        config(home, **pki)
    for each in caught.value.mistakes:
        assert in_vietnamese(each.wrong), each
        assert in_vietnamese(each.expected), each
    return {each.path.removeprefix("other.toml: pki."): str(each.wrong) for each in caught.value.mistakes}


def test_a_key_in_a_file_serves_tls_too(home: Path, apart: dict[str, str]) -> None:
    found = config(home)
    assert found.tls is found.identity
    assert [name for name, _ in found.own] == ["pki.certificate"]
    assert [secret for secret in found.secrets if secret[0].startswith("pki.")] == [("pki.key", home / "pki/hub.key")]


def test_tls_may_have_a_key_of_its_own(home: Path, apart: dict[str, str]) -> None:
    found = config(home, **apart)
    assert found.tls.certificate != found.identity.certificate
    assert [name for name, _ in found.own] == ["pki.certificate", "pki.tls-certificate"]
    assert ("pki.tls-key", home / "pki/partners/vpcp.key") in found.secrets


def test_a_key_in_a_token_is_not_looked_for_while_reading(home: Path, apart: dict[str, str]) -> None:
    found = config(home, key=URI, **apart)
    assert found.identity.waits
    assert found.secrets[0] == ("pki.key", home / "pki/pin")
    assert "1234" not in repr(found.identity)


def test_what_does_not_go_together_is_named(home: Path, apart: dict[str, str]) -> None:
    assert mistakes(home, key=URI) == {"tls-key": "is missing"}
    assert mistakes(home, tls_key="pki/hub.key") == {"tls-certificate": "is missing"}
    assert mistakes(home, tls_certificate="pki/hub.crt") == {"tls-key": "is missing"}
    assert mistakes(home, module="m.so") == {"module": "is set although the key is a file"}
    assert mistakes(home, key=URI, module="m.so", **apart) == {
        "key": "it contains module-path, and pki.module is set too"
    }
    assert mistakes(home, **apart | {"tls_key": "pki/hub.key"}) == {
        "tls-key": "hub.key is not the key of pki/partners/vpcp.crt"
    }


def test_a_pin_is_in_a_file_that_is_there(home: Path, apart: dict[str, str]) -> None:
    assert "it contains a PIN" in mistakes(home, key=URI.replace("pin-source", "pin-value"), **apart)["key"]
    assert "cannot be read" in mistakes(home, key=URI.replace("pki/pin", "pki/none"), **apart)["key"]


def test_neither_of_the_hubs_certificates_is_a_partners(home: Path, apart: dict[str, str]) -> None:
    vpub = {"tls_key": "pki/partners/vpub.key", "tls_certificate": "pki/partners/vpub.crt"}
    assert mistakes(home, **vpub) == {"partners/vpub.toml: certificates": "it is the hub's own certificate"}


def test_a_reload_tells_of_each(home: Path, apart: dict[str, str]) -> None:
    plain, two, token = config(home), config(home, **apart), config(home, key=URI, **apart)
    shown = f"~ pki.tls-certificate {hash_certificate(two.tls.certificate)[:16]}…"
    assert describe_config_changes(plain, two) == [shown]
    assert describe_config_changes(two, token) == ["~ pki.key"]
    assert describe_config_changes(token, config(home, key=URI, **apart)) == []
    assert describe_config_changes(token, config(home, key=URI.replace("object=hub", "id=%01"), **apart)) == [
        "~ pki.key"
    ]
    other = attrs.evolve(token, identity=two.tls)
    assert describe_config_changes(token, other) == [f"~ pki.certificate {hash_certificate(two.tls.certificate)[:16]}…"]
