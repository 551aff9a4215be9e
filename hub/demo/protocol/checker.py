"""The checks that BKAV's bus makes before it accepts a packet, with their error codes.

Knows header parts and files. Knows no call and no state.
"""

from collections.abc import Collection

from lxml import etree

from hub.demo.partners.bus import find_elements, read_path_text

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


def check_document_packet(
    message: etree._Element | None, manifest: etree._Element | None, files: Collection[str], receivers: Collection[str]
) -> list[str]:
    """Return the error codes for a document with the attachments *files*. *receivers* are the valid receiver codes."""
    wrong = [code for code, path in NEEDED.items() if not read_path_text(message, *path)]
    if not wrong and read_path_text(message, "DocumentType", "Type") not in {"1", "2"}:
        wrong.append("R.DocumentType.Type")
    names = {read_path_text(each, "ContentId").removeprefix("cid:") for each in find_elements(manifest, "Reference")}
    if manifest is None or names != set(files):
        wrong.append("M.Manifest.Reference")
    if not wrong and not {read_path_text(each, "OrganId") for each in find_elements(message, "To")} & set(receivers):
        wrong.append("M.MessageHeader.To")
    return wrong


def check_status_packet(message: etree._Element | None) -> list[str]:
    """Return the error codes for a status."""
    answered = next(iter(find_elements(message, "ResponseFor")), None)
    wrong = [code for code, name in ANSWERED.items() if not read_path_text(answered, name)]
    return wrong if read_path_text(message, "StatusCode") else [*wrong, "N.StatusCode"]
