"""A journal with something behind the columns of any form, for tests of evidence files.  Knows how messages get in; not how files look."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

import attrs
from lxml import etree

from hub.audit.findings import AuditFinding
from hub.audit.sealed_file import audit_file
from hub.audit.seals import AuditTrust
from hub.domain.model import DOCUMENTS, Fact, PacketSignature, Record, SignatureStanding, Unit
from hub.formats.zip_archive import Packing
from hub.journal import events, messages, unit_registry
from hub.journal.effects import MessageEntry
from hub.report.form.column import MILESTONES
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.signed import manifest
from hub.security import signing
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.soap import documents_responses
from hub.store.transactions import Transaction
from hub.workload import evidence_file, unit_report
from tests import pki
from tests.conftest import ROOT
from tests.province import ROUTES

PERIOD = parse_period("2026-11")
BEGINS, ENDED, ENDS = datetime(2026, 9, 1, tzinfo=UTC), PERIOD.end + timedelta(days=1), datetime(2027, 9, 1, tzinfo=UTC)
CA = pki.authority("CA of the evidence", now=BEGINS, ends=ENDS)
HUB = CA.issue("hub of the evidence", begins=BEGINS, ends=ENDS)
PARTNER = CA.issue("partner of the evidence", begins=BEGINS, ends=ENDS)
UNITS = (Unit("H55.13", "Sở TT&TT"), Unit("H55.13.1", "Trung tâm CNTT", "H55.13"), Unit("H55.13.2", "Trống", "H55.13"))
FORMS = {form.id: form for form in read_form_folder() if form.service}  #: those that count facts
TRUST = AuditTrust(anchors=Anchors([CA.certificate]), now=ENDED, hub=(HUB.certificate,))
PACKET = signing.sign_packet((ROOT / "docs/examples/van-ban.edxml").read_bytes(), PARTNER)

Members = dict[str, bytes]


def facts(form: Form, keys: int = 3) -> Iterator[Fact]:
    """Yield a history of business keys of two units, made up so that steps are missing, come late, or lie in another period."""
    values = {
        condition.attribute: sorted(map(str, condition.values))
        for column in form.columns
        for condition in column.conditions
        if condition.attribute not in {"outside", "paper", "signature", "document_type", "counterpart"}
    }
    revised = next((column.revised for column in form.columns if column.revised), ())
    for place, unit in enumerate(("H55.13", "H55.13.1")):
        for key in range(keys):
            for step, milestone in enumerate(sorted(MILESTONES[form.service])):
                odd = step * 7 + key * 3 + place
                if odd % 5 == 0:
                    continue
                at = PERIOD.start - timedelta(days=10) + timedelta(days=odd * 3 % 48, minutes=odd)
                said = {
                    name: some[odd % (len(some) + 1)]
                    for name, some in values.items()
                    if odd % (len(some) + 1) < len(some)
                }
                if form.service == "incidents":
                    said["time"] = at.isoformat()
                said |= dict(zip(revised, (f"t{key % 2}", "", f"{step}"), strict=False))
                yield Fact(
                    unit=unit, service=form.service, key=f"khóa {key}", milestone=milestone, at=at, message="", counterpart="H55.01",
                    outside=odd % 2 == 0, paper=odd % 3 == 0, signature="valid" if odd % 4 else "unsigned",
                    due=date(2026, 11, 1 + odd % 20) if odd % 3 else None, day=at.date() if odd % 2 else None,
                    amount=1 + odd % 3 * (form.service != DOCUMENTS), attributes=tuple(sorted(said.items())),
                )  # fmt: skip


def fill(tx: Transaction, form: Form, identity: Identity = HUB, keys: int = 3, begin: int = 0) -> None:
    """Take a message for each of the facts, numbered from *begin*, number the events, and put the units into the registry."""
    unit_registry.write_registry_units(tx, UNITS)
    unsigned = form.service != DOCUMENTS
    for number, fact in enumerate(sorted(facts(form, keys), key=lambda fact: fact.at), begin):
        signed = not unsigned and fact.milestone == "sent" and PERIOD.start <= fact.at < PERIOD.end
        unsigned |= signed
        content = PACKET if signed else f"<thông-điệp số='{number}'/>".encode()
        take(tx, number, content, fact, identity, SignatureStanding.VALID if signed else SignatureStanding.UNSIGNED)
    while events.chain_events(tx):
        pass


def take(
    tx: Transaction, number: int, content: bytes, fact: Fact, identity: Identity, worth: SignatureStanding
) -> None:
    """Take one message, with a receipt of *identity*, that brings *fact*."""
    name, digest = f"00000000-0000-7000-8000-{number:012d}", hashlib.sha256(content).hexdigest()
    said = documents_responses.Receipt(document_id=name, message_id=f"gửi {number}", sha256=digest, time=fact.at)
    fact = attrs.evolve(fact, message=name)
    entry = MessageEntry(
        id=name, partner="sotttt", message_id=f"gửi {number}", service=fact.service, received_at=fact.at, content=content, sha256=digest,
        record=Record(kind="document", sender=fact.unit, keys=(fact.key,), facts=(fact,)),
        signature=PacketSignature(standing=worth) if fact.service == DOCUMENTS else None,
        receipt=signing.seal_canonical(documents_responses.write_receipt(said, f"urn:lienthong:{fact.service}:1"), identity),
    )  # fmt: skip
    assert messages.record_message(tx, entry, ROUTES).problems == ()


def written(
    tx: Transaction,
    form: str,
    *,
    octets: bool = True,
    identity: Identity = HUB,
    unit: str = "H55.13",
    period: str = PERIOD.text,
) -> bytes:
    """Return the evidence file of a report."""
    file = io.BytesIO()
    evidence_file.write_evidence_file(
        tx, unit_report.resolve_report_sources(tx, unit, period, form), ENDED, identity, file, octets=octets
    )
    return file.getvalue()


def found(content: bytes, trust: AuditTrust = TRUST) -> list[AuditFinding]:
    """Return all that is found of a file."""
    return list(audit_file(io.BytesIO(content), trust))


def false(content: bytes, trust: AuditTrust = TRUST) -> list[tuple[str, str]]:
    """Return what is false of a file: the check and the place."""
    return [(each.check, each.place) for each in found(content, trust) if each.holds is False]


def members(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: Members) -> bytes:
    file = io.BytesIO()
    packing = Packing(file)
    for name, octets in parts.items():
        packing.put(name, octets)
    packing.end()
    return file.getvalue()


def resealed(content: bytes, changes: Mapping[str, bytes | None] | None = None, identity: Identity = HUB) -> bytes:
    """Return the file with members changed (None: left out), and a manifest for them as if *identity* had made it so."""
    parts = members(content)
    said = manifest.read_manifest(etree.fromstring(parts.pop(manifest.MANIFEST)))
    for name, octets in (changes or {}).items():
        if octets is None:
            del parts[name]
        else:
            parts[name] = octets
    listed = {
        name: (len(octets), hashlib.sha256(octets).hexdigest())
        for name, octets in parts.items()
        if not name.startswith("octets/")
    }
    element = manifest.build_manifest_element(attrs.evolve(said, members=listed))
    return packed(parts | {manifest.MANIFEST: signing.seal_element(element, identity)})
