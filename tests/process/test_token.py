"""The hub's key lies in a token (SoftHSM2): it signs there, is told of when it cannot, and never leaves it."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hub.cli.documents_client import DocumentsClient, HubUnavailable
from hub.node.check import check_config
from hub.security import pkcs11
from hub.security.algorithms import METHODS
from hub.security.pkcs11_uri import parse_pkcs11_uri
from hub.security.token_key import VAULT
from tests.interop.toolkits import verified_by_xmlsec1
from tests.packets import document
from tests.running import PATIENCE, until
from tests.tokens import PIN, SoftToken, certify
from tests.warm import BIN
from tests.words import in_vietnamese

pytestmark = pytest.mark.slow

UNIT = "H55.12"  #: receives through vpub, which is pushed to
CERTIFICATE = "pki/token.crt"


@pytest.fixture
def token(tmp_path, monkeypatch) -> Iterator[SoftToken]:
    made = SoftToken(tmp_path / "token")
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    yield made
    VAULT.close()


def configure(hub, uri, certificate=CERTIFICATE):
    """Let *hub* sign with the key at *uri*, and keep its TLS as it was."""
    text = hub.config.read_text("utf-8")
    lines = f'key = "{uri}"\ncertificate = "{certificate}"\ntls-key = "pki/hub.key"\ntls-certificate = "pki/hub.crt"\n'
    changed = re.sub(r"^key = .*\ncertificate = .*\n(tls-.*\n)*", lambda _: lines, text, flags=re.MULTILINE)
    assert changed.count("tls-key") == 1
    hub.config.write_text(changed, "utf-8")


@pytest.fixture
def in_token(hub, token):
    """Return a way to make a key in the token, and its certificate, and to let the hub sign with it."""

    def made(kind="rsa:2048"):
        certificate = certify(hub.authority(), token.generate("hub", kind), hub.home / CERTIFICATE)
        configure(hub, token.uri("hub"))
        return certificate

    return made


def client(hub, certificate, partner="sotttt"):
    files = hub.files(partner)
    return DocumentsClient(hub.soap, **files, now=lambda: datetime.now(UTC), signers=[certificate])


def check(hub, language):
    """Return what `check` says, and its exit code."""
    environment = os.environ | {"LANG": language}
    words = [str(BIN / "lienthong"), "-c", str(hub.config), "check"]
    ran = subprocess.run(words, capture_output=True, env=environment, check=False, timeout=PATIENCE)
    return ran.returncode, ran.stderr.decode()


@pytest.mark.parametrize("kind", ["rsa:2048", "EC:secp384r1"])
def test_replies_receipts_and_pushes_are_signed_by_the_token(hub, in_token, tmp_path, kind):
    certificate = in_token(kind)
    hub.cli("check")
    if kind.startswith("rsa"):  # the sample letterbox knows no other method
        hub.letterbox("vpub").signer = certificate
    hub.start()
    assert json.loads(hub.get("/readyz")[1])["reasons"]["keys"] == "ok"
    with client(hub, certificate) as caller:
        sent = caller.send(document(to=UNIT), "m-1")
    assert verified_by_xmlsec1(sent.receipt, hub.home / CERTIFICATE, tmp_path)
    assert not verified_by_xmlsec1(sent.receipt, hub.home / "pki/hub.crt", tmp_path)
    if kind.startswith("rsa"):
        until(lambda: hub.received("vpub"), "the push")
    assert hub.stop() is not None
    report = hub.home / "report.xml"
    hub.cli("report", "H55", "2026-12", "--format", "xml", "-o", report)
    assert verified_by_xmlsec1(report.read_bytes(), hub.home / CERTIFICATE, tmp_path)


def test_the_command_line_at_hand_knows_who_signs_and_others_are_told(hub, in_token, tmp_path):
    in_token()
    hub.start()
    packet = tmp_path / "packet.edxml"
    packet.write_bytes(document(to=UNIT))
    hub.cli("send", packet, "--as", "sotttt")
    away = ["send", packet, "--url", hub.soap]
    away += [word for option, file in hub.files("sotttt").items() for word in (f"--{option}", file)]
    hub.cli(*away, config=False, code=69)  # the certificate of TLS signs nothing here
    hub.cli(*away, "--hub-certificate", hub.home / CERTIFICATE, config=False)


def test_a_hub_that_goes_into_the_background_opens_the_token_there(hub, in_token):
    """Twistd forks after it has checked everything; a session does not live through that."""
    certificate = in_token()
    pid = hub.home / "twistd.pid"
    words = [BIN / "twistd", f"--pidfile={pid}", f"--logfile={hub.log}", "lienthong", "-c", hub.config]
    subprocess.run([str(word) for word in words], cwd=hub.home, check=True, timeout=PATIENCE)
    try:
        until(lambda: hub.get("/readyz")[0] == 200, "the hub to be ready")
        with client(hub, certificate) as caller:
            caller.send(document(to=UNIT))
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)
        until(lambda: not pid.exists(), "the hub to end")


def test_a_token_that_is_lost_costs_nobody_a_message(hub, in_token, token):
    certificate = in_token()
    hub.start()
    with client(hub, certificate) as caller:
        first = caller.send(document(to=UNIT), "m-1")
        token.pull_out()
        with pytest.raises(HubUnavailable, match="key-unavailable") as unavailable:
            caller.send(document(to=UNIT), "m-2")
        assert unavailable.value.retry_after
        assert str(token.store) not in str(unavailable.value)
        _, reasons = until(lambda: (found := hub.get("/readyz"))[0] == 503 and found, "readyz to say so")
        assert json.loads(reasons)["reasons"]["keys"] == "unusable"
        assert "does not load" in hub.log.read_text()
        assert hub.get("/healthz")[0] == 200
        hub.cli("reload", code=78)
        token.put_back()
        until(hub.is_ready, "the hub to sign again")
        caller.send(document(to=UNIT), "m-2")
        assert caller.send(document(to=UNIT), "m-1").receipt == first.receipt
    assert "hub-unready" in hub.log.read_text()
    assert len(hub.cli("messages", "--json")) == 2


def test_a_reload_moves_the_key_into_the_token_and_back(hub, token):
    hub.start()
    before = hub.config.read_text("utf-8")
    certificate = certify(hub.authority(), token.generate("hub", "EC:prime256v1"), hub.home / CERTIFICATE)
    with hub.client("sotttt") as old:
        old.send(document(to=UNIT), "m-1")
        configure(hub, token.uri("hub"))
        assert [row["what"].split()[0] for row in hub.cli("reload", "--json")] == ["pki.certificate"]
        with client(hub, certificate) as new:
            new.send(document(to=UNIT), "m-2")
        hub.config.write_text(before, "utf-8")
        hub.cli("reload")
        old.send(document(to=UNIT), "m-3")


def test_each_mistake_is_told_in_both_languages(hub, in_token, token, tmp_path):
    in_token()
    wrong = tmp_path / "wrong"
    wrong.write_text("000000")
    wrong.chmod(0o600)
    token.generate("other", "rsa:2048", "02")
    token.generate("curve", "EC:prime256v1", "03")
    told = {
        token.uri("hub", **{"pin-source": str(wrong)}): (
            f"the token token=truc refuses the PIN in {wrong} (the PIN of the token's user;",
            f"thiết bị token=truc không nhận mã PIN trong {wrong} (mã PIN của người dùng thiết bị;",
        ),
        token.uri("hub", token="cuc"): (
            "there is no token token=cuc (one of truc)",
            "không có thiết bị token=cuc (một trong: truc)",
        ),
        token.uri("hop"): (
            "the token token=truc holds no private key object=hop (one of object=curve;id=03, object=hub;id=01, object=other;id=02)",
            "thiết bị token=truc không có khóa riêng object=hop (một trong: object=curve",
        ),
        token.uri("hub", **{"module-path": "/usr/lib/none.so"}): (
            "/usr/lib/none.so does not load: PKCS11Error",
            "không nạp được /usr/lib/none.so: PKCS11Error",
        ),
        token.uri("other"): (
            "the key object=other is not the key of CN=hub\\, by its token",
            "khóa object=other không phải khóa của CN=hub\\, by its token",
        ),
        token.uri("curve"): (
            "the key object=curve is of another type than the certificate's key (the key of both)",
            "khóa object=curve khác loại với khóa của chứng thư (cùng một khóa)",
        ),
    }
    for uri, sentences in told.items():
        configure(hub, uri)
        (mistake,) = check_config(hub.config, datetime.now(UTC)).mistakes
        english = f"{mistake.path}: {mistake.wrong} ({mistake.expected})"
        said = [english, f"{mistake.path}: {in_vietnamese(mistake.wrong)} ({in_vietnamese(mistake.expected)})"]
        for sentence, whole in zip(sentences, said, strict=True):
            assert whole.startswith(f"hub.toml: pki.key: {sentence}")
    configure(hub, token.uri("hub", **{"pin-source": str(wrong)}))
    code, warned = check(hub, "vi_VN.UTF-8")
    assert code == 78
    assert f"hub.toml: pki.key: thiết bị token=truc không nhận mã PIN trong {wrong}" in warned
    words = [str(BIN / "twistd"), "-n", "--pidfile=", "lienthong", "-c", str(hub.config)]
    environment = os.environ | {"LANG": "en_US.UTF-8"}
    ran = subprocess.run(words, capture_output=True, cwd=hub.home, env=environment, check=False, timeout=PATIENCE)
    assert ran.returncode == 78
    assert b"refuses the PIN" in ran.stderr
    assert b"000000" not in ran.stderr


def test_the_key_cannot_be_taken_out(hub, in_token, token):
    in_token()
    said = token.tool("--list-objects", "--type", "privkey").decode()
    assert "sensitive, always sensitive, never extractable, local" in said
    code, warned = check(hub, "en_US.UTF-8")
    assert (code, warned) == (0, "")
    everything = b"".join(path.read_bytes() for path in hub.home.rglob("*") if path.is_file())
    assert PIN.encode() not in everything


def test_a_key_that_the_token_would_give_away_is_warned_of(hub, in_token, token):
    in_token()
    secret = hub.home / "pki/hub.key"
    token.tool("--write-object", str(secret), "--type", "privkey", "--label", "loose", "--id", "09", "--extractable")
    configure(hub, token.uri("loose"), "pki/hub.crt")
    code, warned = check(hub, "en_US.UTF-8")
    assert code == 0
    assert "the token would export the key object=loose" in warned


METHODS_OF = {
    "rsa:2048": [name for name, method in METHODS.items() if method.padding is not None],
    "EC:prime256v1": [name for name in METHODS if name.endswith("ecdsa-sha256")],
    "EC:secp384r1": [name for name in METHODS if name.endswith("ecdsa-sha384")],
}


@pytest.mark.parametrize("kind", METHODS_OF)
def test_a_real_token_signs_by_every_method_of_its_key(token, kind):
    public = token.generate("hub", kind)
    opened = pkcs11.open_key(parse_pkcs11_uri(token.uri("hub"), Path("/")), PIN)
    try:
        for name in METHODS_OF[kind]:
            method = METHODS[name]
            value = opened.sign(method, b"content")
            if isinstance(public, EllipticCurvePublicKey):
                half = len(value) // 2
                value = encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))
                public.verify(value, b"content", ECDSA(method.hash))
            else:
                public.verify(value, b"content", method.padding, method.hash)
    finally:
        opened.close()
