"""Writes what `lienthong init --production` creates: a hub of a province, without anything that is made up.

The key and the request for its certificate are made here; the certificate comes from a CA, and `take_certificate` takes
it in. Until then the hub does not start.
"""

import os
import tomllib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import attrs
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.config.database import find_sqlite_file, parse_database_url
from hub.config.editing import FileEdit, undo_edits, write_edits
from hub.config.files import parse_certificates, read_key_file
from hub.config.table import ConfigTable
from hub.config.writing import quote_toml, write_atomically
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import find_local_day
from hub.domain.model import RevocationRule, Unit, UnitMark
from hub.journal import unit_registry
from hub.language.phrases import Phrase, phrase
from hub.node.trust_editor import plan_trust_files
from hub.operations.accounts import accounts
from hub.operations.accounts.users import User
from hub.security import encryption
from hub.security.anchors import Anchors, Purpose, Untrusted
from hub.security.certificate_request import list_server_names, make_certificate_request
from hub.security.sample_pki import KeyType, is_sample, make_key, write_secret
from hub.store import transactions
from hub.units import units_csv

KEY, REQUEST, CERTIFICATE = "pki/hub.key", "pki/hub.csr", "pki/hub.crt"
_LOOKUPS = "pki/lookups.key"

_HUB = """\
# Cấu hình của trục liên thông.  Mọi khóa: docs/reference/configuration.md.  Đường dẫn tính từ thư mục của tệp này.
# The hub's configuration.  Every key: docs/reference/configuration.md.  Paths are relative to this file's directory.

name = {name}
province = {province}
public-url = {public_url}
data = {data}

[soap]
host = {soap_host}
port = {soap_port}

[admin]
host = {admin_host}
port = {admin_port}

# Chứng thư do CA cấp theo pki/hub.csr.  The certificate comes from the CA, for pki/hub.csr: `lienthong enroll FILE`.
# Các CA được tin ở trust/.  The trusted CAs are in trust/: `lienthong trust add FILE`.
[pki]
key = "pki/hub.key"
certificate = "pki/hub.crt"
anchors = []

[database]
url = {database}
{password_file}
# Tra cứu: khóa niêm phong câu trả lời được lưu tạm.  Lookups: the key that seals the answers that are kept for a while.
[lookups]
key-file = "pki/lookups.key"
"""


@attrs.frozen(kw_only=True)
class TrustGiven:
    """What a person says of the CAs: their certificates and CRLs, and where revocations are published."""

    authorities: Sequence[x509.Certificate] = ()
    crls: Sequence[x509.CertificateRevocationList] = ()
    crl_urls: Sequence[str] = ()
    ocsp_urls: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class ProductionAnswers:
    """All that a hub of a province needs to be told."""

    name: str  #: of the hub, for display
    province: str
    organization: str  #: the subject of the certificate: the agency that answers for the hub
    country: str = "VN"
    servers: Sequence[str]  #: host names and IP addresses by which partners call it, the first in `public-url`
    data: str  #: a path as it stands in hub.toml
    soap: tuple[str, int]  #: address and port
    admin: tuple[str, int]
    database: str  #: a URL as it stands in hub.toml
    password_file: Path | None = None
    key_type: KeyType = KeyType.RSA
    trust: TrustGiven = TrustGiven()
    units: tuple[str, bytes] | None = None  #: name and content of a CSV file as for `units import`
    administrator: User
    password: str = attrs.field(repr=False)  #: the hash of the administrator's password


class AlreadyThere(Exception):
    """A hub is there already, or a database that is not empty. The argument is a `Phrase`."""


def _fill_database(
    engine: sa.Engine, answers: ProductionAnswers, units: Sequence[Unit], now: datetime, by: str
) -> None:
    """Make the tables, and write the units and the first administrator."""
    transactions.upgrade_schema(engine)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, units)
        if answers.units is not None:
            unit_registry.record_unit_import(tx, units, (), source=answers.units[0], by=by, now=now)
        accounts.make_account(tx, answers.administrator, answers.password, configured=(), by=by, now=now)


def write_production(directory: Path, answers: ProductionAnswers, now: datetime, by: str) -> list[Unit]:
    """Write a hub for production into *directory*, and the tables, units and first administrator into its database.

    Other files of the directory stay. Return the units of the registry. *by*: the account of the person.

    Raises `AlreadyThere`, `ConfigurationFault` with the mistakes in the answers, `DatabaseUrlUnfit`, OSError, and
    SQLAlchemy's errors if the database does not answer. In all these cases the files that were written are taken away
    again.
    """
    home = directory.absolute()
    for name in ("hub.toml", KEY, REQUEST, CERTIFICATE, _LOOKUPS):
        if (home / name).exists():
            raise AlreadyThere(phrase("{path} is there already", path=home / name))
    units = _read_units(answers, now)
    trusted = _plan_trust(home, answers.trust, now)
    url = parse_database_url(answers.database, home)
    made = _make_folders(home, home / answers.data)
    written: list[Path] = []
    engine = transactions.open_journal(url, password_file=answers.password_file, pooled=False)
    try:
        _require_empty_database(engine, url)
        if file := find_sqlite_file(url):
            written += (Path(f"{file}{end}") for end in ("", "-wal", "-shm"))
        key = make_key(answers.key_type)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for name, content in (
            (KEY, secret),
            (_LOOKUPS, encryption.write_key_text(os.urandom(encryption.KEY)).encode()),
        ):
            written.append(home / name)
            write_secret(home / name, content)
        request = make_certificate_request(key, answers.servers, answers.organization, answers.country)
        written += [home / REQUEST, home / "hub.toml"]
        write_atomically(home / REQUEST, request.public_bytes(Encoding.PEM))
        _ = write_edits(home, trusted)
        _fill_database(engine, answers, units, now, by)
        write_atomically(home / "hub.toml", _write_hub_toml(answers).encode())
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        undo_edits(home, trusted)  # of them, some may have been there before
        for folder in reversed(made):
            _remove_if_empty(folder)
        raise
    finally:
        engine.dispose()
    return units


def _make_folders(home: Path, data: Path) -> list[Path]:
    """Make the folders of a hub; return those that were not there."""
    made: list[Path] = []
    private = (home / "pki", data)
    for folder in (home, *(home / name for name in ("partners", "officials", "trust", "pki")), data):
        for each in reversed((folder, *folder.parents)):
            if not each.exists():
                each.mkdir(mode=0o700 if each in private else 0o755)
                made.append(each)
    return made


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _require_empty_database(engine: sa.Engine, url: str) -> None:
    """Raise `AlreadyThere` if the database has tables, and `ConfigurationFault` if it would lose what it commits."""
    if file := find_sqlite_file(url):
        if file.exists():
            raise AlreadyThere(phrase("{path} is there already", path=str(file)))
        return  # opening it would make it
    with transactions.read_transaction(engine) as tx:
        if transactions.select_schema_version(tx) is not None:
            raise AlreadyThere(phrase("the database {database} is not empty", database=url))
        if unsafe := list(transactions.find_unsafe_settings(tx)):
            raise ConfigurationFault([Mistake("database", *problem) for problem in unsafe])


def _read_units(answers: ProductionAnswers, now: datetime) -> list[Unit]:
    if answers.units is None:
        return []
    name, content = answers.units
    units, mistakes = units_csv.read_units_csv(
        content, name, (), provinces=(answers.province,), today=find_local_day(now)
    )
    mistakes += (
        Mistake(name, phrase("{code} is marked as made up", code=unit.code), phrase("the units of the province"))
        for unit in units
        if unit.mark == UnitMark.SYNTHETIC
    )
    if mistakes:
        raise ConfigurationFault(mistakes)
    return units


def _plan_trust(home: Path, given: TrustGiven, now: datetime) -> list[FileEdit]:
    """Return the files that make the hub trust what is given. Raises ConfigurationFault."""
    if not given.authorities:
        return []
    if any(map(is_sample, given.authorities)):
        raise ConfigurationFault([_refuse_sample("trust")])
    edits, _ = plan_trust_files(home, given.authorities, given.crls, given.crl_urls, given.ocsp_urls, now)
    return edits


def _write_hub_toml(answers: ProductionAnswers) -> str:
    host = answers.servers[0]
    shown = f"[{host}]" if ":" in host else host
    secret = f"password-file = {quote_toml(str(answers.password_file.absolute()))}\n" if answers.password_file else ""
    return _HUB.format(
        name=quote_toml(answers.name),
        province=quote_toml(answers.province),
        public_url=quote_toml(f"https://{shown}:{answers.soap[1]}"),
        data=quote_toml(answers.data),
        soap_host=quote_toml(answers.soap[0]),
        soap_port=answers.soap[1],
        admin_host=quote_toml(answers.admin[0]),
        admin_port=answers.admin[1],
        database=quote_toml(answers.database),
        password_file=secret,
    )


# --- the first certificate -------------------------------------------------------------------------------------------


def take_certificate(path: Path, content: bytes, trust: TrustGiven, now: datetime) -> x509.Certificate:
    """Take in the first certificate of the hub that *path* (hub.toml) configures, and what is given of its CA; return it.

    *content*: PEM (the certificate and the CAs above it, in any order) or DER. All of it is written, or nothing.

    Raises ConfigurationFault with every reason against it, and OSError.
    """
    home = path.absolute().parent
    mistakes: list[Mistake] = []
    try:
        content_of = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        wrong_toml = phrase("is not TOML: {error}", error=error)
        raise ConfigurationFault([Mistake(path.name, wrong_toml, phrase("TOML in UTF-8"))]) from error
    pki = ConfigTable(content_of, path.name, mistakes, os.environ).table("pki")
    key_file, file = home / pki.text("key", KEY), home / pki.text("certificate", CERTIFICATE)
    if mistakes:
        raise ConfigurationFault(mistakes)
    if file.exists():
        raise _refuse_certificate(
            phrase("{path} is there already", path=file),
            phrase("a hub without a certificate; the next one is taken in by `lienthong keys rotate`"),
        )

    def wrong(what: Phrase, expected: Phrase) -> None:
        mistakes.append(Mistake("pki.key", what, expected))

    key = read_key_file(key_file, wrong)
    try:
        shown = parse_certificates(content)
    except (ValueError, TypeError) as error:
        raise _refuse_certificate(phrase("it cannot be used: {error}", error=error), _EXPECTED) from error
    if key is None:
        raise ConfigurationFault(mistakes)
    own = next((each for each in shown if each.public_key() == key.public_key()), None)
    if own is None:
        raise _refuse_certificate(phrase("it is not for the key {key}", key=key_file), _EXPECTED)
    chain = [each for each in shown if each is not own and each.subject != each.issuer]
    edits = _plan_trust(home, trust, now)
    try:
        known = [*trust.authorities, *_read_trusted(home)]
        request = _read_request(key_file.with_suffix(".csr"), home / REQUEST)
    except ValueError as error:
        raise _refuse_certificate(phrase("a file beside it cannot be used: {error}", error=error), _EXPECTED) from error
    mistakes += _judge_certificate(own, chain, known, trust.crls, request, now)
    if mistakes:
        raise ConfigurationFault(mistakes)
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in (own, *chain))
    _ = write_edits(home, [*edits, FileEdit(file, None, pem)])
    return own


_EXPECTED = phrase("the certificate that the CA issued for pki/hub.csr, PEM or DER")


def _judge_certificate(
    own: x509.Certificate,
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    crls: Sequence[x509.CertificateRevocationList],
    request: x509.CertificateSigningRequest | None,
    now: datetime,
) -> Iterable[Mistake]:
    """Yield every reason why the hub could not work with the certificate *own*."""
    if is_sample(own):
        yield _refuse_sample("certificate")
    lacks = list_server_names(request) - list_server_names(own) if request is not None else frozenset()
    if lacks:
        yield Mistake(
            "certificate",
            phrase("it does not name {names}", names=", ".join(sorted(lacks))),
            phrase("every name of the request: partners would refuse the connection"),
        )
    if not anchors:
        yield Mistake(
            "trust", phrase("no CA is trusted yet"), phrase("the certificate of the CA: --ca FILE, or `trust add`")
        )
        return
    trusted = Anchors(tuple(anchors), tuple(crls))
    said: set[str] = set()
    for purpose in (Purpose.SERVER, Purpose.CLIENT, Purpose.SIGN):
        try:
            _ = trusted.check(own, now, tuple(chain), purpose=purpose, unknown=RevocationRule.ALLOW)
        except Untrusted as untrusted:
            problem = untrusted.problems[0]
            if str(problem) not in said:
                said.add(str(problem))
                yield Mistake(
                    "certificate",
                    phrase("{code}: {detail}", code=problem.code, detail=problem.detail),
                    phrase("a certificate that is valid now, chains to an anchor, and is for servers and clients"),
                )


def _read_trusted(home: Path) -> list[x509.Certificate]:
    """Return the CAs in `trust/` of *home*. Raises OSError, ValueError."""
    files = [path for path in sorted((home / "trust").glob("*")) if path.suffix in {".crt", ".pem"}]
    return [each for path in files for each in parse_certificates(path.read_bytes())]


def _read_request(*places: Path) -> x509.CertificateSigningRequest | None:
    """Return the request in the first of the files *places* that exists. Return None without one: it was made elsewhere.

    Raises OSError, ValueError.
    """
    found = next((path for path in places if path.exists()), None)
    return x509.load_pem_x509_csr(found.read_bytes()) if found is not None else None


def _refuse_certificate(wrong: Phrase, expected: Phrase) -> ConfigurationFault:
    return ConfigurationFault([Mistake("certificate", wrong, expected)])


def _refuse_sample(place: str) -> Mistake:
    return Mistake(place, phrase("it is of a sample PKI"), phrase("certificates of a CA of your own"))
