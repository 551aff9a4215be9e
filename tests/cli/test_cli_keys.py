"""The hub's certificate is changed in steps: announced, taken into use after the overlap, and the old one retired."""

import json
import shlex
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub import config
from hub.domain.local_time import find_local_day
from hub.monitoring.integration.facts import gather_facts
from hub.security import sample_pki
from hub.security.certificates import Identity, hash_certificate
from tests import homes, pki
from tests.pages import DOCS


class Rotation:
    """A hub, and a new certificate of its CA."""

    def __init__(self, home, place):
        self.home, self.typed = home, homes.typing(home)
        self.key, self.certificate = self.issue("hub")
        self.files = self.write(place, "new", self.key, self.certificate)

    def issue(self, name):
        ca = Identity.read(self.home / "pki/ca.key", self.home / "pki/ca.crt")
        return sample_pki.Authority(cast("Any", ca.key), ca.certificate).issue(name, datetime.now(UTC))

    @staticmethod
    def write(place, name, key, certificate):
        (place / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (place / f"{name}.crt").write_bytes(pki.pem(certificate))
        return str(place / f"{name}.crt"), str(place / f"{name}.key")

    def rotate(self, *words):
        return self.typed("keys", "rotate", *words)

    @property
    def pki(self):
        return tomllib.loads((self.home / "hub.toml").read_text("utf-8"))["pki"]

    def read(self):
        return config.read_config(self.home / "hub.toml")

    def status(self):
        return json.loads(self.typed("status", "--json").stdout.splitlines()[0])["rotation"]

    def named(self):
        made = self.read()
        return dict(gather_facts(made, made.partners["sotttt"], ()).own)

    def events(self):
        lines = self.typed("events", "--kind", "key-rotation", "--json").stdout.splitlines()
        return [json.loads(line)["step"] for line in reversed(lines)]


@pytest.fixture
def rotation(tmp_path):
    return Rotation(homes.begin(tmp_path / "tinh"), tmp_path)


@pytest.mark.slow
def test_a_certificate_is_announced_then_used_then_the_old_one_retired(rotation):
    old = rotation.read().identity.certificate
    today = find_local_day(datetime.now(UTC))
    assert rotation.status() is None
    announced = rotation.rotate(*rotation.files, "--overlap", "7")
    assert announced.exit_code == 0, announced.output
    assert rotation.read().identity.certificate == old, "the old one stays in use"
    assert rotation.named() == {"hub.crt": old, "hub-next.crt": rotation.certificate}, "partners are told of both"
    assert (rotation.home / rotation.pki["next-key"]).stat().st_mode & 0o077 == 0
    assert rotation.status() == {"step": "switch", "due": str(today + timedelta(days=7))}
    before = (rotation.home / "hub.toml").read_bytes()
    assert rotation.rotate().exit_code == 3, "not before its day"
    assert rotation.rotate(*rotation.files).exit_code == 1, "one rotation at a time"
    assert (rotation.home / "hub.toml").read_bytes() == before
    assert rotation.rotate("--now").exit_code == 0
    made = rotation.read()
    assert made.identity.certificate == made.tls.certificate == rotation.certificate
    assert rotation.named() == {"hub.crt": rotation.certificate, "hub-previous.crt": old}
    assert rotation.status()["step"] == "retire"
    assert rotation.rotate().exit_code == 3
    assert rotation.rotate("--now").exit_code == 0
    assert rotation.named() == {"hub.crt": rotation.certificate}
    assert rotation.status() is None
    assert sorted(rotation.pki) == sorted({"key", "certificate", "anchors", "crls"} & set(rotation.pki))
    assert rotation.rotate().exit_code == 1, "there is nothing to go on with"
    assert rotation.events() == ["announce", "switch", "retire"]


def test_the_page_can_be_typed_as_it_stands(rotation):
    own = {"hub-2027.crt": rotation.files[0], "hub-2027.key": rotation.files[1]}
    own["tinh/pki/hub.crt"] = str(rotation.home / "pki/hub.crt")
    lines = (DOCS / "howto/change.md").read_text("utf-8").splitlines()
    typed = [shlex.split(line.partition("||")[0]) for line in lines if line.strip().startswith("lienthong ")]
    words = [[own.get(word, word) for word in line[3:]] for line in typed if line[3] == "keys"]
    found = [(line[1], rotation.typed(*line).exit_code) for line in words]
    assert found == [("rehearse", 3), ("rotate", 0), ("rotate", 3), ("rotate", 3)], "the next steps are not due yet"


def test_a_step_whose_day_has_come_is_made(rotation):
    assert rotation.rotate(*rotation.files, "--overlap", "0").exit_code == 0
    assert rotation.rotate().exit_code == 0
    assert rotation.read().identity.certificate == rotation.certificate


def test_what_would_break_is_not_announced(rotation, tmp_path):
    names = x509.SubjectAlternativeName([x509.DNSName("hub")])
    of_another_key = rotation.write(tmp_path, "other", rotation.key, rotation.read().identity.certificate)
    assert rotation.rotate(*of_another_key).exit_code == 78, "not the key of that certificate"
    ended = pki.authority(now=datetime.now(UTC)).issue("hub", ends=datetime.now(UTC) - timedelta(hours=1), names=names)
    refused = rotation.rotate(*rotation.write(tmp_path, "ended", ended.key, ended.certificate))
    assert refused.exit_code == 1
    assert "it is valid from" in refused.stderr
    assert "next-certificate" not in rotation.pki
    assert not list((rotation.home / "pki").glob("hub-*"))


def test_what_the_hub_itself_would_refuse_is_not_announced(rotation, tmp_path):
    unknown = pki.authority(now=datetime.now(UTC))
    names = rotation.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    stranger = unknown.issue("hub", names=names)
    refused = rotation.rotate(*rotation.write(tmp_path, "stranger", stranger.key, stranger.certificate))
    assert refused.exit_code == 78, refused.output
    assert "lienthong trust add" in refused.stderr
    assert "next-certificate" not in rotation.pki, "else partners have it, and the switch fails"


def test_a_certificate_comes_back_after_another_and_the_one_in_use_is_not_announced(rotation, tmp_path):
    old = rotation.write(tmp_path, "old", rotation.read().identity.key, rotation.read().identity.certificate)
    for files in (rotation.files, old, rotation.files):
        assert rotation.rotate(*files, "--overlap", "0").exit_code == 0
        assert rotation.rotate("--now").exit_code == 0
        assert rotation.rotate("--now").exit_code == 0
    assert rotation.read().identity.certificate == rotation.certificate
    again = rotation.rotate(*rotation.files)
    assert (again.exit_code, "uses this certificate already" in again.stderr) == (1, True)


def test_a_dry_run_writes_nothing_and_a_rehearsal_says_why_it_is_not_sure(rotation):
    shown = rotation.rotate(*rotation.files, "--dry-run", "--json")
    assert json.loads(shown.stdout)["certificate"] == hash_certificate(rotation.certificate)
    assert "next-certificate" not in rotation.pki
    rehearsed = rotation.typed("keys", "rehearse", rotation.files[0])
    assert rehearsed.exit_code == 3
    assert "nothing was seen of it in this time" in rehearsed.stdout


@pytest.mark.slow
def test_tls_with_a_certificate_of_its_own_is_changed_alone(rotation):
    text = (rotation.home / "hub.toml").read_text("utf-8")
    same = 'tls-key = "pki/partners/../tls.key"\ntls-certificate = "pki/tls.crt"\n'
    rotation.write(rotation.home / "pki", "tls", *rotation.issue("tls"))
    (rotation.home / "hub.toml").write_text(text.replace("[pki]\n", "[pki]\n" + same), "utf-8")
    (rotation.home / "pki/tls.key").chmod(0o600)
    assert rotation.rotate(*rotation.files).exit_code == 2, "which one?"
    signer = rotation.read().identity.certificate
    assert rotation.rotate(*rotation.files, "--use", "tls", "--overlap", "0").exit_code == 0
    assert rotation.rotate().exit_code == 0
    made = rotation.read()
    assert (made.identity.certificate, made.tls.certificate) == (signer, rotation.certificate)
