"""Counts the documents exchanged with other hubs, from the files of those hubs. Pure. Trusts neither side."""

import base64
from collections.abc import Collection, Iterable, Iterator

from lienthong_demo.protocol.reading import Reading, read_sample_packet
from lienthong_demo.tally.tally import Line, TalliedResult, tally_packet


def tally_gateway(lines: Iterable[Line], agencies: Collection[str]) -> Iterator[TalliedResult]:
    """Yield the results in the file of a hub with states (`partners.lgsp`, `partners.wso2`): accepted; done."""
    put: dict[str, Reading] = {}
    for line in lines:
        if line["what"] == "sent" and not line["code"] and line["type"] == "edoc":
            about = read_sample_packet(base64.b64decode(line["packet"]))
            yield from _received(about.sender, about.document_id, about.recipients, agencies)
        elif line["what"] == "waiting":
            put[line["id"]] = read_sample_packet(base64.b64decode(line["content"]))
        elif line["what"] == "state" and line["state"].lower() == "done":
            yield tally_packet(put[line["id"]])


def tally_bus(lines: Iterable[Line], agencies: Collection[str]) -> Iterator[TalliedResult]:
    """Yield the results in the file of a bus (`lienthong_demo.partners.bkav`): accepted, confirmed, shown.

    The bus numbers documents and statuses separately.
    """
    put: dict[str, Reading] = {}
    for line in lines:
        if line["what"] == "sent":
            yield from _received(line["sender"], line["document_id"], line["organs"], agencies)
        elif line["what"] == "waiting":
            about = read_sample_packet(base64.b64decode(line["content"]))
            alike = sum((each.kind == "status") == (about.kind == "status") for each in put.values()) + 1
            put[f"status {alike}" if about.kind == "status" else f"{alike}"] = about
        elif line["what"] in {"confirmed", "shown"}:
            yield tally_packet(put[line["id"]])


def _received(
    sender: str, document: str, recipients: Iterable[str], agencies: Collection[str]
) -> Iterator[TalliedResult]:
    for agency in recipients:
        if agency in agencies:
            yield TalliedResult(agency, "documents", (sender, document), "received")
