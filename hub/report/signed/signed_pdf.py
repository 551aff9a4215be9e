"""Verifies the PDF of a report that an official has signed (PAdES) against the PDF that was given out. Knows no journal
and no clock.

A signed PDF is the PDF that was given out, octet for octet, and after it one incremental update (ISO 32000-2, 7.5.6) that
adds the signature and nothing else. The signature covers the whole file but itself (ISO 32000-2, 12.8.1). pyHanko, the
extra `pades`, reads the update and tells what it changes; the signature itself is verified by `hub.security.cms`, as any
other of the hub.

The signature may have an appearance, which its signer draws. So that it hides no number, it must be small and stand on the
last page, where people sign.
"""

import re
import zlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from cryptography import x509

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.model import Problem
from hub.formats import ber
from hub.language.phrases import Phrase, phrase
from hub.security import cms, time_stamps
from hub.security.algorithms import Unverified
from hub.security.cms import CmsSigner
from hub.security.time_stamps import TimeStamp
from hub.security.xades import Signed

BEGINS = b"%PDF-"
#: Maximum octets of the update: a signature with its certificates, and a picture.
_UPDATE = 1 << 20
#: Maximum octets of all its streams together, once unpacked.
_UNPACKED = 8 << 20
#: Maximum width and height of the appearance, in points: 92 and 46 mm.
_WIDTH, _HEIGHT = 260, 130
_KINDS = ("/ETSI.CAdES.detached", "/adbe.pkcs7.detached")
_STREAM = re.compile(rb"stream\r?\n")
_FILTER = re.compile(rb"/Filter\s*(?:\[\s*)?(/?\w*)(?:\s*\])?")
#: Filters of streams, and the name that a signature has for who makes it, such as `/Adobe.PPKLite`.
_FILTERS = {b"/FlateDecode", b"/DCTDecode", b"/Adobe"}
_ESCAPED = re.compile(rb"/\w*#[0-9A-Fa-f]{2}")


def is_pades_installed() -> bool:
    """Tell whether signed PDF can be verified here."""
    try:
        import pyhanko.pdf_utils.reader  # noqa: F401
    except ImportError:
        return False
    return True


def verify_signed_pdf(candidates: Sequence[bytes], uploaded: bytes, certificates: Sequence[x509.Certificate]) -> Signed:
    """Return the signature in *uploaded*, which must be one of *candidates* with that signature and no other change.

    *candidates*: the PDF as it is given out, in each language. *certificates*: those of all officials. Raises Rejected:
    `report-changed`, `report-unsigned`, `report-signatures`, `signature-incomplete`, `signature-invalid`,
    `algorithm-refused`, `official-unknown`, `stamp-invalid`, `stamp-untrusted`; `pdf-unsupported` without the extra `pades`.
    """
    given = next((each for each in candidates if uploaded.startswith(each)), None)
    if given is None:
        raise _make_changed_refusal(phrase("it is not the PDF that the hub gives out for this revision now"))
    update = uploaded[len(given) :]
    if not update.strip():
        raise Rejected(Problem("report-unsigned"))
    _check_bounds(update)
    if not is_pades_installed():
        raise Rejected(Problem("pdf-unsupported"))
    try:
        return _read_signature(uploaded, certificates)
    except (Rejected, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a reader of PDF says of a broken file
        raise Unverified("signature-invalid", shorten_detail(f"{type(error).__name__}: {error}", 300)) from None


def _check_bounds(update: bytes) -> None:
    """Refuse an update that is large, or that grows when it is unpacked."""
    if len(update) > _UPDATE:
        raise _make_changed_refusal(phrase("the signature adds {count} octets", count=len(update)))
    filters = {found[1] for found in _FILTER.finditer(update)}
    if not filters <= _FILTERS or _ESCAPED.search(update):
        raise _make_changed_refusal(phrase("a stream with an unusual filter"))
    left = _UNPACKED
    for found in _STREAM.finditer(update):
        reader = zlib.decompressobj()
        try:
            left -= len(reader.decompress(update[found.end() :], left + 1))
        except zlib.error:
            continue  # not packed, or packed otherwise
        if left < 0:
            raise _make_changed_refusal(phrase("its streams are too large"))


def _read_signature(uploaded: bytes, certificates: Sequence[x509.Certificate]) -> Signed:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    reader = PdfFileReader(BytesIO(uploaded), strict=True)
    found = reader.embedded_signatures
    if len(found) != 1:
        raise Rejected(
            Problem("report-signatures" if found else "report-unsigned", phrase("{count} signatures", count=len(found)))
        )
    (signature,) = found
    kind = str(signature.sig_object.get("/SubFilter", ""))
    if str(signature.sig_object_type) != "/Sig" or kind not in _KINDS:
        raise Unverified("signature-incomplete", phrase("SubFilter {kind}", kind=kind[:100]))
    if signature.evaluate_signature_coverage() is not SignatureCoverageLevel.ENTIRE_FILE:
        raise _make_changed_refusal(phrase("the signature does not cover the whole file"))
    _check_changes(reader, signature)
    _check_appearance(signature)
    begin, middle, rest, end = (int(each) for each in signature.byte_range)
    content = uploaded[begin : begin + middle] + uploaded[rest : rest + end]
    try:
        written = cms.read_cms(ber.cut_padding(bytes(signature.pkcs7_content)))
        signer, certificate = cms.verify_cms_signer(written, certificates, content)
    except Unverified as refused:
        if refused.problems[0].code != "certificate-unknown":
            raise
        subject = signature.signer_cert.subject.human_friendly
        raise Rejected(Problem("official-unknown", shorten_detail(str(subject), 300))) from None
    at = signature.self_reported_timestamp
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise Unverified("signature-incomplete", phrase("no signing time with a zone"))
    return Signed(certificate=certificate, chain=(), at=at.astimezone(UTC), stamps=_read_stamps(signer))


def _read_stamps(signer: CmsSigner) -> tuple[TimeStamp, ...]:
    """Return the time stamps on the value of a signature (EN 319 142-1, 5.3, PAdES-B-T). Raises Unverified."""
    tokens = signer.list_unsigned_values(time_stamps.SIGNATURE_TIME_STAMP)
    if len(tokens) > time_stamps.MOST:
        told = phrase("{many} time stamps; at most {most} are accepted", many=len(tokens), most=time_stamps.MOST)
        raise Unverified("stamp-invalid", told)
    return tuple(time_stamps.verify_time_stamp(token, signer.value) for token in tokens)


def _check_changes(reader: Any, signature: Any) -> None:
    """Check that the second revision only adds the signature to the first.

    Of the objects of the first revision it may replace the catalogue, which gets the form with the signature, the last
    page, which gets the widget of the signature, and the file's title, dates and authors, which are no content. New objects show
    nothing unless one of these leads to them.
    """
    if reader.xrefs.total_revisions != 2:
        raise _make_changed_refusal(phrase("{count} updates of the file", count=reader.xrefs.total_revisions - 1))
    before, known = reader.get_historical_resolver(0), reader.xrefs.explicit_refs_in_revision(0)
    if reader.xrefs.refs_freed_in_revision(1):
        raise _make_changed_refusal(phrase("objects are removed"))
    field = signature.sig_field
    widgets = [each.reference for each in field.get("/Kids", ())] or [field.container_ref]
    trailer = before.trailer_view
    root, information = (trailer.raw_get(name).reference for name in ("/Root", "/Info"))
    free = {information, before.root.raw_get("/Metadata").reference}
    if reader.trailer.raw_get("/Root").reference != root:
        raise _make_changed_refusal(phrase("object {number} is replaced", number=root.idnum))
    last = reader.find_page_for_modification(int(reader.root["/Pages"]["/Count"]) - 1)[0].reference
    annotations = reader.get_object(last).raw_get("/Annots") if "/Annots" in reader.get_object(last) else None
    for reference in reader.xrefs.explicit_refs_in_revision(1):
        if reference not in known or reference in free:
            continue
        if reference not in {root, last}:
            raise _make_changed_refusal(phrase("object {number} is replaced", number=reference.idnum))
        was, now = before.get_object(reference), reader.get_object(reference)
        added = {"/AcroForm", "/Extensions", "/Version"} if reference == root else {"/Annots"}
        if added & set(was) or _write_entries(was) != _write_entries(now, added):
            raise _make_changed_refusal(phrase("object {number} is changed", number=reference.idnum))
    form = reader.root["/AcroForm"]
    if set(form) - {"/Fields", "/SigFlags", "/DA", "/DR", "/Type"} or [each.reference for each in form["/Fields"]] != [
        field.container_ref
    ]:
        raise _make_changed_refusal(phrase("the form has more than the signature"))
    shown = [] if annotations is None else [each.reference for each in annotations.get_object()]
    if not set(shown) <= set(widgets):
        raise _make_changed_refusal(phrase("the last page has more than the signature"))


def _write_entries(value: Any, without: Collection[str] = ()) -> list[tuple[str, bytes]]:
    """Return the entries of a dictionary of a PDF as they are written."""
    found = []
    for name in sorted(set(value) - set(without)):
        octets = BytesIO()
        value.raw_get(name).write_to_stream(octets, None)
        found.append((str(name), octets.getvalue()))
    return found


def _check_appearance(signature: Any) -> None:
    """Check that the signature has one small appearance, without an action. It stands on the last page, the only one that
    may change.
    """
    field = signature.sig_field
    widgets = [each.get_object() for each in field.get("/Kids", ())] or [field]
    if len(widgets) > 1 or any({"/A", "/AA"} & set(each) for each in (field, *widgets)):
        raise _make_changed_refusal(phrase("the form has more than the signature"))
    for widget in widgets:
        left, lower, right, upper = (float(each) for each in widget.get("/Rect", (0, 0, 0, 0)))
        if abs(right - left) > _WIDTH or abs(upper - lower) > _HEIGHT:
            raise _make_changed_refusal(phrase("its appearance is larger than 92 × 46 mm"))


def _make_changed_refusal(why: Phrase) -> Rejected:
    return Rejected(Problem("report-changed", why))
