"""A token that needs no hardware: SoftHSM2 in a folder of its own, filled by the tools that an operator has.

Knows SoftHSM and OpenSC; nothing of the hub's own way with PKCS#11.
"""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import NameOID

from hub.security.sample_pki import MARK, Authority
from tests.conftest import cannot_be_had
from tests.waiting import PROGRAM

PIN = "482915"
_PLACES = ("/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm")


def module() -> Path:
    """Return where SoftHSM's library is."""
    for tool, package in (("softhsm2-util", "softhsm2"), ("pkcs11-tool", "opensc")):
        if shutil.which(tool) is None:
            cannot_be_had(tool, f"it is not installed; Debian: apt-get install {package}")
    found = next((path for place in _PLACES if (path := Path(place) / "libsofthsm2.so").exists()), None)
    if found is None:
        cannot_be_had("SoftHSM", "libsofthsm2.so is in none of the usual places")
    return found


class SoftToken:
    """One token, with the PIN in a file beside it."""

    def __init__(self, folder: Path, label: str = "truc") -> None:
        self.module, self.label = module(), label
        self.store, self.pin_file = folder / "tokens", folder / "pin"
        self.store.mkdir(parents=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.store}\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration)}
        self.pin_file.write_text(f"{PIN}\n")
        self.pin_file.chmod(0o600)
        words = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "739152"]
        self._run("softhsm2-util", *words)

    def uri(self, label: str, **other: str) -> str:
        """Return the URI of a key; *other* attributes stand in for those of this token."""
        path = {"token": self.label, "object": label, **{k: v for k, v in other.items() if "-" not in k}}
        query = {"module-path": str(self.module), "pin-source": str(self.pin_file)}
        query |= {key: value for key, value in other.items() if "-" in key}
        named = ";".join(f"{key}={quote(value)}" for key, value in path.items() if value)
        return f"pkcs11:{named}?" + "&".join(f"{key}={value}" for key, value in query.items())

    def generate(self, label: str, kind: str, number: str = "01") -> RSAPublicKey | EllipticCurvePublicKey:
        """Make a key in the token, of an OpenSC *kind* such as `rsa:2048` or `EC:prime256v1`; return its public half."""
        self.tool("--keypairgen", "--key-type", kind, "--label", label, "--id", number)
        made = load_der_public_key(self.tool("--read-object", "--type", "pubkey", "--label", label))
        assert isinstance(made, RSAPublicKey | EllipticCurvePublicKey)
        return made

    def tool(self, *words: str) -> bytes:
        """Run OpenSC's pkcs11-tool, logged in; return what it prints."""
        login = ["--module", str(self.module), "--token-label", self.label, "--login", "--pin", PIN]
        return self._run("pkcs11-tool", *login, *words)

    def _run(self, *command: str) -> bytes:
        ran = subprocess.run(
            command, capture_output=True, env=os.environ | self.environment, check=False, timeout=PROGRAM
        )
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
        return ran.stdout

    def pull_out(self) -> None:
        """The token is gone."""
        self.store.rename(self.store.with_name("elsewhere"))

    def put_back(self) -> None:
        """It is there again."""
        self.store.with_name("elsewhere").rename(self.store)


def certify(authority: Authority, public: RSAPublicKey | EllipticCurvePublicKey, path: Path) -> x509.Certificate:
    """Let the sample CA write a certificate for a public key into *path*."""
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARK),
        x509.NameAttribute(NameOID.COMMON_NAME, "hub, by its token"),
    ]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(authority.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )
    made = builder.sign(authority.key, hashes.SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return made
