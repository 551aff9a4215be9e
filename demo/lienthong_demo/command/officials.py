"""The officials in `lienthong demo`: who may sign for which unit, and how a report is signed and imported.

Knows files, commands and the signing program. An official's key lies outside the hub's directory.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.cli.screen import t
from hub.security import sample_pki
from lienthong_demo.command.operator import Operator
from lienthong_demo.run.stage import Child, Site, StageFailed

_HUB = """
[officials]
anchors = ["pki/ca.crt"]
crls = ["pki/crl.pem"]
"""
_FILE = """name = "{name}"
certificates = ["officials/{unit}.crt"]
units = ["{unit}"]
"""
_PATIENCE = 60.0  #: seconds


def enrol_officials(site: Site, units: Iterable[str]) -> None:
    """Issue a certificate of the sample CA to one official of each of *units*, and register that official for the unit."""
    key = load_pem_private_key(site.pki("ca.key").read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    authority = sample_pki.Authority(key, x509.load_pem_x509_certificate(site.pki("ca.crt").read_bytes()))
    folder = site.directory / "officials"
    folder.mkdir()
    _home(site).mkdir()
    for unit in dict.fromkeys(units):
        name = f"Người ký mẫu {unit}"
        secret, certificate = authority.issue(name, datetime.now(UTC))
        written = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        sample_pki.write_secret(_home(site) / f"{unit}.key", written)
        for place in (folder, _home(site)):
            (place / f"{unit}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{unit}.toml").write_text(_FILE.format(name=name, unit=unit), "utf-8")
    site.config.write_text(site.config.read_text("utf-8") + _HUB, "utf-8")


def sign_unit_report(site: Site, operator: Operator, unit: str, period: str, form: str, *more: str) -> None:
    """Export a report, let the unit's official sign it, and import it. Raises StageFailed, CommandStop.

    *more* are further arguments of the export, such as a reason.
    """
    asked = (unit, period, "--form", form)
    given, signed = (_home(site) / f"{form}_{unit}{end}" for end in (".xml", ".signed.xml"))
    given.write_bytes(operator.run_command("report", "show", *asked, "--format", "xml", *more))
    home, words = _home(site), [*_list_signing_words(site, unit), str(given), str(signed)]
    tool = Child.start("official", words, home / "official.log", cwd=home)
    try:
        ended = tool.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        ended = None
    finally:
        tool.stop()
    if ended != 0:
        raise StageFailed(f"the tool of the official of {unit} ended with {ended}; see {tool.log}")
    operator.run_command("report", "import-signed", *asked, str(signed))


def write_signing_command(site: Site, unit: str) -> str:
    """Return the command by which the official of *unit* signs a file, for a shell."""
    return " ".join((shlex.join(_list_signing_words(site, unit)), t("FILE"), t("SIGNED-FILE")))


def _list_signing_words(site: Site, unit: str) -> list[str]:
    key, certificate = (str(_home(site) / f"{unit}.{kind}") for kind in ("key", "crt"))
    return [sys.executable, "-m", "lienthong_demo.partners.official", "--key", key, "--certificate", certificate]


def _home(site: Site) -> Path:
    """Return the directory where the officials keep their keys and documents."""
    return site.directory.parent / "persons"
