"""A stage: a fresh hub under `twistd`, with partners of every policy, made by the operator's own commands.

Knows `lienthong init`, `partners add` and `twistd`, and how to issue certificates, true and counterfeit.  Imports nothing of the hub.
"""

import contextlib
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.attacker.campaign import Campaign
from tests.attacker.honest import Identity
from tests.attacker.wire import Line, context

PROGRAMS = Path(sys.executable).parent  # where `lienthong` and `twistd` are
RECIPIENT_UNITS = [f"H55.9{number:02d}" for number in range(40)]

# role: unit, policies, kind of key
PARTNERS: dict[str, tuple[list[str], list[str], str]] = {
    "sender": (["H55.81"], [], "rsa"),
    "second": (["H55.82"], [], "rsa"),
    "packet": (["H55.83"], ["signature=packet"], "rsa"),
    "both": (["H55.84"], ["signature=both"], "rsa"),
    "elliptic": (["H55.85"], [], "ec"),
    "vxp": (["H55.86"], ["signature=packet", "vxp-signature=yes", "sha1=yes"], "rsa"),
    "three": (["H55.87"], [], "three"),
    "recipient": (RECIPIENT_UNITS, [], "rsa"),
}


def new_key(kind: str) -> Any:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(3 if kind == "three" else 65537, 2048)


def name(common: str, organisation: str = "Attack") -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def certify(
    key: Any,
    subject: x509.Name,
    issuer: x509.Name,
    issuer_key: Any,
    *,
    serial: int | None = None,
    since: timedelta = timedelta(days=-1),
    until: timedelta = timedelta(days=30),
    ca: bool = False,
    usages: list[x509.ObjectIdentifier] | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=not ca,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if not ca:
        usages = usages or [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        made = made.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def keep(folder: Path, called: str, key: Any, certificate: x509.Certificate, unit: str = "") -> Identity:
    folder.mkdir(parents=True, exist_ok=True)
    key_file, certificate_file = folder / f"{called}.key", folder / f"{called}.crt"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Identity(called, key, certificate, key_file, certificate_file, unit)


def counterfeits(folder: Path, victim: Identity, ca: x509.Certificate, ca_key: Any = None) -> dict[str, Identity]:
    """Identities that look like the victim.  With the CA's key, also ones that the CA issued and nobody registered."""
    key, false_key = new_key("rsa"), new_key("rsa")
    true, serial = victim.certificate, victim.certificate.serial_number
    made = {
        "selfsigned": certify(key, true.subject, true.subject, key),
        "twin": certify(key, true.subject, true.issuer, false_key, serial=serial),  # same subject, issuer and serial
        "otherca": certify(key, true.subject, name("Other CA"), false_key),
        "fakeca": certify(key, ca.subject, ca.subject, key, ca=True),
    }
    if ca_key is not None:
        made |= {
            "stranger": certify(key, name("stranger"), ca.subject, ca_key),
            "namesake": certify(key, true.subject, ca.subject, ca_key),
            "expired": certify(
                key, true.subject, ca.subject, ca_key, since=timedelta(days=-9), until=timedelta(days=-1)
            ),
            "early": certify(key, true.subject, ca.subject, ca_key, since=timedelta(days=1)),
            "serveronly": certify(key, true.subject, ca.subject, ca_key, usages=[ExtendedKeyUsageOID.SERVER_AUTH]),
        }
    return {called: keep(folder, called, key, certificate, victim.unit) for called, certificate in made.items()}


@contextlib.contextmanager
def fresh(folder: Path, tag: str = "atk", show: Any = lambda _: None, programs: Path = PROGRAMS) -> Iterator[Campaign]:
    """A campaign against a hub of its own, which runs as long as the context lasts."""
    hub = folder / "hub"
    init = [str(programs / "lienthong"), "init", str(hub), "--soap-port", "0", "--admin-port", "0"]
    subprocess.run(init, check=True, capture_output=True)
    ca = x509.load_pem_x509_certificate((hub / "pki/ca.crt").read_bytes())
    ca_key: Any = serialization.load_pem_private_key((hub / "pki/ca.key").read_bytes(), None)
    roles, crypt = {}, folder / "keys"
    for role, (units, policies, kind) in PARTNERS.items():
        key = new_key(kind)
        roles[role] = keep(crypt, role, key, certify(key, name(role), ca.subject, ca_key), units[0])
        words = [word for unit in units for word in ("--unit", unit)]
        words += [word for policy in policies for word in ("--policy", policy)]
        words += ["--fetch"] if role in {"recipient", "second"} else []
        made = [str(programs / "lienthong"), "-c", str(hub / "hub.toml"), "partners", "add", role]
        added = subprocess.run(
            [*made, "--certificate", str(roles[role].certificate_file), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if added.returncode and role == "three":  # a hub may well refuse to know such a key
            del roles[role]
            show(f"no partner with the exponent 3: {added.stderr.strip()}")
        elif added.returncode:
            raise RuntimeError(added.stdout + added.stderr)
    port = tomllib.loads((hub / "hub.toml").read_text())["soap"]["port"]
    url = f"https://127.0.0.1:{port}/soap/documents"
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [str(programs / "twistd"), "-n", "--pidfile=", "lienthong", "-c", "hub.toml"],
            cwd=hub,
            stdout=log,
            stderr=log,
        )
    try:
        wait(url, hub / "pki/ca.crt", roles["sender"], running)
        campaign = Campaign(
            url,
            hub / "pki/ca.crt",
            roles,
            units=list(RECIPIENT_UNITS),
            hub=hub,
            tag=tag,
            show=show,
            extras={
                "lienthong": [str(programs / "lienthong")],
                "counterfeits": counterfeits(crypt, roles["sender"], ca, ca_key),
                "ca": ca,
            },
        )
        with contextlib.closing(campaign):
            campaign.settle()
            yield campaign
    finally:
        running.terminate()
        running.wait(30)


def wait(url: str, ca: Path, identity: Identity, running: "subprocess.Popen[bytes]", patience: float = 60) -> None:
    line, end = Line(url, context(ca, identity.certificate_file, identity.key_file)), time.monotonic() + patience
    while time.monotonic() < end and running.poll() is None:
        try:
            line.connect().close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the hub does not listen (exit code {running.poll()})")
