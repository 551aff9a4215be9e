"""The checks that BKAV's bus makes before it accepts a packet, with their error codes.

Knows header parts and files. Knows no call and no state. The bus has two checks: the one at run time, which needs a few
values, and the one of its XML, which needs every element of an organization and knows lengths and dates (standards 1.3
and 1.4). The codes have its prefixes: `N.` missing, `R.` out of range, `T.` wrong type, `M.` mismatch.
"""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from lxml import etree

from lienthong_demo.protocol.bus import find_elements, read_path_text

#: Required values, and the error code if one is missing (as in the bus's own checker).
NEEDED = {
    "N.From.OrganId": ("From", "OrganId"),
    "N.From.OrganName": ("From", "OrganName"),
    "N.To.OrganId": ("To", "OrganId"),
    "N.MessageHeader.Code": ("Code", "CodeNumber"),
    "N.Code.CodeNotation": ("Code", "CodeNotation"),
    "N.PromulgationInfo.PromulgationDate": ("PromulgationInfo", "PromulgationDate"),
    "N.DocumentType.Type": ("DocumentType", "Type"),
    "N.MessageHeader.Subject": ("Subject",),
}
ANSWERED = {"N.ResponseFor.OrganId": "OrganId", "N.ResponseFor.Code": "Code", "N.ResponseFor.DocumentId": "DocumentId"}
#: The elements of an organization with their greatest lengths. The check of the XML needs all, though most may be empty.
ORGANIZATION = {
    "OrganId": 50,
    "OrganizationInCharge": 500,
    "OrganName": 200,
    "OrganAdd": 500,
    "Email": 100,
    "Telephone": 20,
    "Fax": 20,
    "Website": 100,  # 20 is declared, its table has 100
}
#: The greatest lengths of other values. A DocumentId has 15 as declared, and 200 in its table.
LENGTHS = {
    ("Code", "CodeNumber"): 11,
    ("Code", "CodeNotation"): 30,
    ("PromulgationInfo", "Place"): 50,
    ("DocumentType", "TypeName"): 100,
    ("Subject",): 500,
    ("Content",): 500,
    ("SignerInfo", "Competence"): 100,
    ("SignerInfo", "Position"): 100,
    ("SignerInfo", "FullName"): 50,
    ("OtherInfo", "SphereOfPromulgation"): 100,
    ("OtherInfo", "TyperNotation"): 10,
}
DOCUMENT_ID = 200
TO_PLACE = 150
ORGAN_PARTS = 4
DATE = re.compile(r"\d{4}/\d{2}/\d{2}")
_HANOI = timedelta(hours=7)


def check_document_packet(
    message: etree._Element | None,
    manifest: etree._Element | None,
    files: Collection[str],
    receivers: Collection[str],
    *,
    whole: bool = True,
) -> list[str]:
    """Return the error codes for a document with the attachments *files*. *receivers* are the valid receiver codes.

    *whole*: the XML is checked too; otherwise only what the bus needs at run time.
    """
    wrong = [code for code, path in NEEDED.items() if not read_path_text(message, *path)]
    if not wrong and read_path_text(message, "DocumentType", "Type") not in {"1", "2"}:
        wrong.append("R.DocumentType.Type")
    names = {read_path_text(each, "ContentId").removeprefix("cid:") for each in find_elements(manifest, "Reference")}
    if manifest is None or names != set(files):
        wrong.append("M.Manifest.Reference")
    if not wrong and whole:
        wrong = list(dict.fromkeys(_check_xml(message)))
    if not wrong and not {read_path_text(each, "OrganId") for each in find_elements(message, "To")} & set(receivers):
        wrong.append("M.MessageHeader.To")
    return wrong


def check_status_packet(message: etree._Element | None) -> list[str]:
    """Return the error codes for a status."""
    answered = next(iter(find_elements(message, "ResponseFor")), None)
    wrong = [code for code, name in ANSWERED.items() if not read_path_text(answered, name)]
    return wrong if read_path_text(message, "StatusCode") else [*wrong, "N.StatusCode"]


def _check_xml(message: etree._Element | None) -> Iterator[str]:
    for role in ("From", "To"):
        for organization in find_elements(message, role):
            yield from _check_organization(role, organization)
    for path, most in LENGTHS.items():
        if len(read_path_text(message, *path)) > most:
            yield f"R.{'.'.join(path if len(path) > 1 else ('MessageHeader', *path))}"
    own = [each for each in message if etree.QName(each).localname == "DocumentId"] if message is not None else []
    if not any((each.text or "").strip() for each in own):
        yield "N.MessageHeader.DocumentId"
    if any(len((each.text or "").strip()) > DOCUMENT_ID for each in own):
        yield "R.MessageHeader.DocumentId"
    for places in find_elements(message, "ToPlaces"):
        if any(len((each.text or "").strip()) > TO_PLACE for each in find_elements(places, "Place")):
            yield "R.ToPlaces.Place"
    yield from _check_dates(message)


def _check_organization(role: str, organization: etree._Element) -> Iterator[str]:
    for name, most in ORGANIZATION.items():
        found = find_elements(organization, name)
        text = (found[0].text or "").strip() if found else ""
        if not found or (name in {"OrganId", "OrganName", "OrganizationInCharge"} and not text):
            yield f"N.{role}.{name}"
        if len(text) > most or (name == "OrganId" and len(text.split(".")) > ORGAN_PARTS):
            yield f"R.{role}.{name}"


def _check_dates(message: etree._Element | None) -> Iterator[str]:
    today = (datetime.now(UTC) + _HANOI).strftime("%Y/%m/%d")
    for code, path, may_be_later in (
        ("PromulgationInfo.PromulgationDate", ("PromulgationInfo", "PromulgationDate"), False),
        ("MessageHeader.DueDate", ("DueDate",), True),
    ):
        text = read_path_text(message, *path)
        if not text:
            continue
        if not DATE.fullmatch(text) or not _is_day(text):
            yield f"T.{code}"
        elif text > today and not may_be_later:
            yield f"R.{code}"


def _is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y/%m/%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
