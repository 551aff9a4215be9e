"""Writes what `lienthong init` creates: a small sample province that runs as it is. Nothing here is for production."""

import os
from datetime import datetime
from pathlib import Path

import attrs

from hub.config.database import parse_database_url
from hub.config.writing import quote_toml, write_partner_toml
from hub.domain.model import Unit, UnitMark
from hub.journal import unit_registry
from hub.runtime.free_ports import find_free_ports
from hub.security import encryption, sample_pki
from hub.store import transactions

PARTNERS = ("sotttt", "vpub", "vpcp")

_HUB = """\
# Cấu hình của trục liên thông.  Mọi khóa: docs/reference/configuration.md.  Đường dẫn tính từ thư mục của tệp này.
# The hub's configuration.  Every key: docs/reference/configuration.md.  Paths are relative to this file's directory.

name = "Trục liên thông tỉnh (mẫu)"
province = "H55"        # mã đơn vị của tỉnh / the code of the province
upstream = "vpcp"       # đối tác nhận mọi mã ngoài tỉnh / the partner for every code outside the province
data = "data"

[soap]
host = "127.0.0.1"
port = {soap_port}
body-limit = "40MB"     # tệp đính kèm 20 MB chiếm 37 MB / a 20 MB attachment takes 37 MB inline

[admin]
host = "127.0.0.1"
port = {admin_port}

# PKI mẫu: `check` và `twistd` không cho rời 127.0.0.1.  The sample PKI: kept on loopback by `check` and `twistd`.
[pki]
key = "pki/hub.key"
certificate = "pki/hub.crt"
anchors = ["pki/ca.crt"]
crls = ["pki/crl.pem"]

[database]
url = {database}

# Tra cứu: khóa niêm phong câu trả lời được lưu tạm.  Lookups: the key that seals the answers that are kept for a while.
[lookups]
key-file = "pki/lookups.key"
"""

#: The database of a province if no other is given.
SQLITE = "sqlite:///data/hub.db"

#: Code, name, level, kind, the partner that owns the unit, and its alias in the format of QCVN 102 or None. Codes and
#: names are made up. The units below a commune at the seat of a former district keep the codes that they had.
_UNITS = (
    ("H55", "Ủy ban nhân dân tỉnh (mẫu)", "province", "committee", "vpub", "000.00.00.H55"),
    ("H55.1", "Văn phòng Ủy ban nhân dân tỉnh (mẫu)", "province", "office", "vpub", "000.00.01.H55"),
    ("H55.1.1", "Trung tâm Phục vụ hành chính công (mẫu)", "province", "centre", "vpub", "000.01.01.H55"),
    ("H55.12", "Sở Nội vụ (mẫu)", "province", "department", "vpub", None),
    ("H55.13", "Sở Khoa học và Công nghệ (mẫu)", "province", "department", "sotttt", "000.00.13.H55"),
    ("H55.13.1", "Trung tâm Công nghệ thông tin (mẫu)", "province", "centre", "sotttt", "000.01.13.H55"),
    ("H55.13.2", "Phòng Chuyển đổi số (mẫu)", "province", "division", "sotttt", None),
    ("H55.14", "Sở Y tế (mẫu)", "province", "department", "sotttt", None),
    ("H55.14.1", "Bệnh viện Đa khoa tỉnh (mẫu)", "province", "health", "sotttt", None),
    ("H55.15", "Sở Giáo dục và Đào tạo (mẫu)", "province", "department", "sotttt", None),
    ("H55.32", "Ủy ban nhân dân phường A (mẫu)", "commune", "committee", "vpub", "000.00.32.H55"),
    ("H55.32.10", "Phòng Kinh tế phường A (mẫu)", "commune", "division", "vpub", "000.10.32.H55"),
    ("H55.32.21", "Ủy ban nhân dân xã A1 (mẫu)", "commune", "committee", "vpub", "000.21.32.H55"),
    ("H55.32.22", "Ủy ban nhân dân xã A2 (mẫu)", "commune", "committee", "vpub", None),
    ("H55.33", "Ủy ban nhân dân xã B (mẫu)", "commune", "committee", "sotttt", None),
    ("H55.33.21", "Ủy ban nhân dân xã B1 (mẫu)", "commune", "committee", "sotttt", None),
)


@attrs.frozen
class ProvincePorts:
    """The loopback ports of a sample province."""

    soap: int
    admin: int
    vpub: int
    vpcp: int


def choose_ports(soap: int, admin: int) -> ProvincePorts:
    """Return the ports to write. 0 is replaced by a free port; all ports differ."""
    free = [port for port in find_free_ports(6) if port not in {soap, admin}]
    return ProvincePorts(soap or free.pop(), admin or free.pop(), free.pop(), free.pop())


def make_sample_units() -> list[Unit]:
    """Return the synthetic units of the sample province, parents before children."""
    top = _UNITS[0][0]
    return [
        Unit(
            code,
            name,
            # communes stand below the province, whatever their code says
            None if code == top else top if kind == "committee" else code.rpartition(".")[0],
            aliases=(alias,) if alias else (),
            mark=UnitMark.SYNTHETIC,
            level=level,
            kind=kind,
        )
        for code, name, level, kind, _partner, alias in _UNITS
    ]


class DatabaseTaken(Exception):
    """The given database already has tables."""


def write_province(
    directory: Path,
    ports: ProvincePorts,
    now: datetime,
    database: str = SQLITE,
    key_type: sample_pki.KeyType = sample_pki.KeyType.RSA,
) -> None:
    """Write a sample province into *directory*, and create the tables in *database*, a URL as in `hub.toml`.

    The directory is created if it does not exist. *key_type* is that of the hub's key.

    Raises `FileExistsError` if the directory is not empty, `DatabaseTaken` if the database is not empty,
    `DatabaseUrlUnfit` if *database* is not a usable URL, and SQLAlchemy's errors if the database does not answer. In
    all these cases nothing is written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(directory)
    engine = transactions.open_journal(parse_database_url(database, directory.absolute()), pooled=False)
    if database != SQLITE and transactions.read_schema_version(engine) is not None:
        raise DatabaseTaken(database)
    for name in (".", "data", "partners", "pki", "trust"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "data").chmod(0o700)
    sample_pki.write_sample_pki(directory / "pki", PARTNERS, now, key_type)
    key = directory / "pki" / "lookups.key"
    key.touch(0o600)
    key.write_text(encryption.write_key_text(os.urandom(encryption.KEY)), "ascii")
    hub = _HUB.format(soap_port=ports.soap, admin_port=ports.admin, database=quote_toml(database))
    (directory / "hub.toml").write_text(hub, "utf-8")
    for code, text in _partner_files(ports).items():
        (directory / "partners" / f"{code}.toml").write_text(text, "utf-8")
    transactions.upgrade_schema(engine)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, make_sample_units())
    engine.dispose()


def _partner_files(ports: ProvincePorts) -> dict[str, str]:
    def units(partner: str) -> list[str]:
        return [unit[0] for unit in _UNITS if unit[4] == partner]

    def url(port: int) -> str:
        return f"https://127.0.0.1:{port}/soap/documents"

    return {
        "sotttt": write_partner_toml(
            comment="Hệ thống văn bản của một sở: tự lấy về.  A department's document system: it fetches.",
            name="Hệ thống văn bản của sở (mẫu)",
            certificates=["pki/partners/sotttt.crt"],
            units=units("sotttt"),
            calls=("documents", "dossiers", "incidents", "lookups", "mail", "reports"),
            receive="fetch",
        ),
        "vpub": write_partner_toml(
            comment="Văn phòng UBND tỉnh: trục đẩy tới.  The province office: it is pushed to.",
            name="Hệ thống văn bản của Văn phòng UBND tỉnh (mẫu)",
            certificates=["pki/partners/vpub.crt"],
            units=units("vpub"),
            calls=(
                "categories",
                "documents",
                "dossiers",
                "incidents",
                "mail",
                "reports",
                "verdicts",
            ),
            receive="push",
            url=url(ports.vpub),
        ),
        "vpcp": write_partner_toml(
            comment="Trục liên thông văn bản quốc gia: mọi mã ngoài tỉnh.  The national axis: every code outside the province.",
            name="Trục liên thông văn bản quốc gia (mẫu)",
            certificates=["pki/partners/vpcp.crt"],
            calls=("documents",),
            receive="push",
            url=url(ports.vpcp),
        ),
    }
