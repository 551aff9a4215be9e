"""The demo's recount: it finds what is missing, whoever lost it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from lienthong_demo.protocol.notebook import hash_content
from lienthong_demo.protocol.signing import PartnerIdentity, seal_packet
from lienthong_demo.tally.recount import Planted, Statements, recount_day
from tests import pki

_NS = "http://www.mic.gov.vn/TBT/QCVN_102_2016"


def _packet(header: str, traces: str = "") -> bytes:
    return (
        f'<edXML xmlns="{_NS}"><edXMLEnvelope><edXMLHeader><MessageHeader>{header}</MessageHeader>{traces}'
        "</edXMLHeader></edXMLEnvelope></edXML>"
    ).encode()


def _document(sender: str, *recipients: str, traces: str = "") -> bytes:
    to = "".join(f"<To><OrganId>{code}</OrganId></To>" for code in recipients)
    return _packet(f"<From><OrganId>{sender}</OrganId></From>{to}<DocumentId>d1</DocumentId>", traces)


DOCUMENT = _document("H55.13", "000.00.01.H55", "G22")
STATUS = _packet(
    "<From><OrganId>H55.1</OrganId></From><ResponseFor><OrganId>H55.13</OrganId><DocumentId>d1</DocumentId></ResponseFor>"
    "<StatusCode>03</StatusCode>"
)


def _sent(message_id: str, document_id: str, content: bytes) -> list[dict[str, Any]]:
    note = {"message_id": message_id, "sha256": hash_content(content)}
    answer = {"accepted": True, "document_id": document_id, "receipt": f"<Receipt>{document_id}</Receipt>"}
    return [{"what": "sending", **note}, {"what": "sent", **note, **answer}]


def _received(document_id: str, content: bytes, *, first: bool = True) -> dict[str, Any]:
    return {"what": "received", "document_id": document_id, "sha256": hash_content(content), "first": first}


def _row(number: str, partner: str, message_id: str, content: bytes) -> dict[str, Any]:
    row = {"id": number, "partner": partner, "message_id": message_id, "state": "accepted", "signature": "unsigned"}
    return row | {"sha256": hash_content(content)}


def _fact(message_id: str, unit: str, milestone: str) -> dict[str, Any]:
    return {"message_id": message_id, "unit": unit, "milestone": milestone}


def _delivery(recipient: str, partner: str, state: str = "delivered") -> dict[str, Any]:
    return {"recipient": recipient, "partner": partner, "state": state, "reason": None}


def _report(*rows: dict[str, Any]) -> dict[str, Any]:
    others = dict.fromkeys(("recalls", "updates", "replacements", "refused", "completed"), 0)
    full = [others | row for row in rows]
    return {"rows": full, "total": {key: sum(row[key] for row in full) for key in full[0] if key != "unit"}}


def honest() -> Statements:
    """One document to the office and to the axis, answered by one status; everything is where it should be."""
    return Statements(
        messages=[
            _row("1", "sotttt", "m1", DOCUMENT),
            _row("2", "vpub", "m2", STATUS),
            {"id": "3", "partner": "sotttt", "message_id": "m3", "state": "refused", "sha256": ""},
        ],
        contents={"1": DOCUMENT, "2": STATUS},
        deliveries={"1": [_delivery("H55.1", "vpub"), _delivery("G22", "vpcp")], "2": [_delivery("H55.13", "sotttt")]},
        facts=[
            _fact("m1", "H55.13", "sent"),
            _fact("m1", "H55.1", "received"),
            _fact("m1", "G22", "received"),
            _fact("m2", "H55.1", "status-03"),
        ],
        report=_report(
            {"unit": "H55.13", "sent": 1, "received": 0, "acknowledged": 0},
            {"unit": "H55.1", "sent": 0, "received": 1, "acknowledged": 1},
        ),
        notebooks={
            "sotttt": [*_sent("m1", "1", DOCUMENT), _received("2", STATUS)],
            "vpub": [_received("1", DOCUMENT), _received("1", DOCUMENT, first=False), *_sent("m2", "2", STATUS)],
            "vpcp": [_received("1", DOCUMENT)],
        },
        planted=[Planted("unknown unit", frozenset({"unit-unknown"}), ("unit-unknown",), False)],
        province="H55",
        upstream="vpcp",
        aliases={"000.00.01.H55": "H55.1"},
    )


def test_an_honest_run_is_clean() -> None:
    """Nothing lost, nothing to explain, every number counted."""
    verdict = recount_day(honest())
    assert verdict.is_clean, (verdict.lost, verdict.differences)
    numbers = (verdict.accepted, verdict.refused, verdict.delivered, verdict.dead, verdict.facts)
    assert numbers == (2, 1, 3, 0, 4)


def _without_row(said: Statements) -> Statements:
    return attrs.evolve(said, messages=said.messages[1:])


def _with_other_hash(said: Statements) -> Statements:
    return attrs.evolve(said, messages=[{**said.messages[0], "sha256": "0" * 64}, *said.messages[1:]])


def _with_other_bytes(said: Statements) -> Statements:
    return attrs.evolve(said, contents={**said.contents, "1": DOCUMENT + b" "})


def _without_reception(said: Statements) -> Statements:
    return attrs.evolve(said, notebooks={**said.notebooks, "vpcp": []})


def _with_other_reception(said: Statements) -> Statements:
    return attrs.evolve(said, notebooks={**said.notebooks, "vpcp": [_received("1", b"other")]})


def _without_delivery(said: Statements) -> Statements:
    return attrs.evolve(said, deliveries={**said.deliveries, "1": said.deliveries["1"][:1]})


def _with_unknown_receipt(said: Statements) -> Statements:
    notes = [*said.notebooks["sotttt"], *_sent("m9", "9", b"<a/>")]
    return attrs.evolve(said, notebooks={**said.notebooks, "sotttt": notes})


@pytest.mark.parametrize(
    "lose",
    [
        _without_row,
        _with_other_hash,
        _with_other_bytes,
        _without_reception,
        _with_other_reception,
        _without_delivery,
        _with_unknown_receipt,
    ],
)
def test_whatever_was_promised_and_is_not_there_is_lost(lose: Callable[[Statements], Statements]) -> None:
    """A receipt without its message, a delivery without its reception, other bytes: each counts as lost."""
    assert recount_day(lose(honest())).lost


def _waiting(said: Statements) -> Statements:
    late = [said.deliveries["1"][0], _delivery("G22", "vpcp", "waiting")]
    return attrs.evolve(said, deliveries={**said.deliveries, "1": late})


def _fact_missing(said: Statements) -> Statements:
    return attrs.evolve(said, facts=said.facts[1:])


def _fact_twice(said: Statements) -> Statements:
    return attrs.evolve(said, facts=[*said.facts, said.facts[0]])


def _fact_invented(said: Statements) -> Statements:
    return attrs.evolve(said, facts=[*said.facts, _fact("m1", "H55.14", "received")])


def _accepted_what_was_planted(said: Statements) -> Statements:
    return attrs.evolve(said, planted=[Planted("unsigned", frozenset({"unsigned"}), (), True)])


def _refused_for_another_reason(said: Statements) -> Statements:
    return attrs.evolve(said, planted=[Planted("unsigned", frozenset({"unsigned"}), ("hub-error",), False)])


def _another_receipt(said: Statements) -> Statements:
    again = [{**note, "receipt": "<Receipt/>"} for note in _sent("m1", "1", DOCUMENT)]
    return attrs.evolve(said, notebooks={**said.notebooks, "sotttt": [*said.notebooks["sotttt"], *again]})


def _delivered_elsewhere(said: Statements) -> Statements:
    more = [*said.deliveries["1"], _delivery("H55.14", "vpub")]
    return attrs.evolve(said, deliveries={**said.deliveries, "1": more})


def _report_wrong(said: Statements) -> Statements:
    return attrs.evolve(
        said,
        report=_report(
            {"unit": "H55.13", "sent": 2, "received": 0, "acknowledged": 0},
            {"unit": "H55.1", "sent": 0, "received": 1, "acknowledged": 1},
        ),
    )


def _total_wrong(said: Statements) -> Statements:
    return attrs.evolve(said, report={**said.report, "total": {**said.report["total"], "sent": 7}})


def _never_sent(said: Statements) -> Statements:
    notes = [note for note in said.notebooks["sotttt"] if note["what"] != "sending"]
    return attrs.evolve(said, notebooks={**said.notebooks, "sotttt": notes})


@pytest.mark.parametrize(
    "differ",
    [
        _waiting,
        _fact_missing,
        _fact_twice,
        _fact_invented,
        _accepted_what_was_planted,
        _refused_for_another_reason,
        _another_receipt,
        _never_sent,
        _delivered_elsewhere,
        _report_wrong,
        _total_wrong,
    ],
)
def test_every_other_disagreement_is_told(differ: Callable[[Statements], Statements]) -> None:
    """A waiting delivery, a fact too many or too few, a planted call that got through: nothing lost, and not clean."""
    verdict = recount_day(differ(honest()))
    assert not verdict.lost
    assert verdict.differences


def test_a_fact_of_a_repeated_document_is_counted_once() -> None:
    """The same document under two message ids is one result: whichever came first carries it."""
    said = honest()
    twin = attrs.evolve(
        said,
        messages=[*said.messages, _row("4", "sotttt", "m4", DOCUMENT)],
        contents={**said.contents, "4": DOCUMENT},
        deliveries={**said.deliveries, "4": said.deliveries["1"]},
        notebooks={
            "sotttt": [*said.notebooks["sotttt"], *_sent("m4", "4", DOCUMENT)],
            "vpub": [*said.notebooks["vpub"], _received("4", DOCUMENT)],
            "vpcp": [*said.notebooks["vpcp"], _received("4", DOCUMENT)],
        },
    )
    assert recount_day(twin).is_clean


def test_what_the_axis_sends_to_others_is_no_duty() -> None:
    """Of a packet from the axis only the province's recipients get deliveries."""
    down = _document("G22", "H55.1", "H14")
    said = Statements(
        messages=[_row("1", "vpcp", "m1", down)],
        contents={"1": down},
        deliveries={"1": [_delivery("H55.1", "vpub")]},
        facts=[_fact("m1", "G22", "sent"), _fact("m1", "H55.1", "received")],
        report=_report({"unit": "H55.1", "sent": 0, "received": 1, "acknowledged": 0}),
        notebooks={"vpcp": _sent("m1", "1", down), "vpub": [_received("1", down)]},
        planted=[],
        province="H55",
        upstream="vpcp",
    )
    assert recount_day(said).is_clean
    assert recount_day(attrs.evolve(said, upstream="vpub")).lost


def test_a_recall_is_a_result_of_its_own() -> None:
    """It shares the document's id, and its bytes tell it apart."""
    said = honest()
    recall = _document(
        "H55.13",
        "H55.1",
        traces="<TraceHeaderList><Bussiness><BussinessDocType>1</BussinessDocType></Bussiness></TraceHeaderList>",
    )
    said = attrs.evolve(
        said,
        messages=[*said.messages, _row("4", "sotttt", "m4", recall)],
        contents={**said.contents, "4": recall},
        deliveries={**said.deliveries, "4": [_delivery("H55.1", "vpub")]},
        facts=[*said.facts, _fact("m4", "H55.13", "sent-recall"), _fact("m4", "H55.1", "received")],
        report=_report(
            {"unit": "H55.13", "sent": 1, "received": 0, "acknowledged": 0, "recalls": 1},
            {"unit": "H55.1", "sent": 0, "received": 2, "acknowledged": 1},
        ),
        notebooks={
            **said.notebooks,
            "sotttt": [*said.notebooks["sotttt"], *_sent("m4", "4", recall)],
            "vpub": [*said.notebooks["vpub"], _received("4", recall)],
        },
    )
    verdict = recount_day(said)
    assert verdict.is_clean, (verdict.lost, verdict.differences)


def test_the_senders_own_status_goes_to_the_documents_recipients() -> None:
    """Taking back (13) names only its sender; where it goes is read from the document."""
    said = honest()
    back = _packet(
        "<From><OrganId>H55.13</OrganId></From><ResponseFor><OrganId>H55.13</OrganId><DocumentId>d1</DocumentId>"
        "</ResponseFor><StatusCode>13</StatusCode>"
    )
    asked = attrs.evolve(
        said,
        messages=[*said.messages, _row("4", "sotttt", "m4", back)],
        contents={**said.contents, "4": back},
        deliveries={**said.deliveries, "4": said.deliveries["1"]},
        facts=[*said.facts, _fact("m4", "H55.13", "status-13")],
        notebooks={
            "sotttt": [*said.notebooks["sotttt"], *_sent("m4", "4", back)],
            "vpub": [*said.notebooks["vpub"], _received("4", back)],
            "vpcp": [*said.notebooks["vpcp"], _received("4", back)],
        },
    )
    verdict = recount_day(asked)
    assert verdict.is_clean, (verdict.lost, verdict.differences)
    assert recount_day(attrs.evolve(asked, deliveries=said.deliveries)).lost


def test_a_packet_signature_is_called_what_another_verifier_calls_it():
    signer = pki.authority().issue("sotttt", ends=datetime(2999, 1, 1, tzinfo=UTC))  # the other verifier asks the clock
    assert isinstance(signer.key, RSAPrivateKey)
    sealed = seal_packet(DOCUMENT, PartnerIdentity(signer.key, signer.certificate))
    changed = sealed.replace(b"<OrganId>G22<", b"<OrganId>G23<")
    for content, worth, agreed in (
        (sealed, "valid", True),
        (sealed, "unsigned", False),
        (changed, "valid", False),
        (changed, "invalid", True),
        (DOCUMENT, "valid", False),
    ):
        row = _row("1", "sotttt", "m1", content) | {"signature": worth}
        facts = [_fact("m1", "H55.13", "sent") | {"message": "1", "signature": worth}]
        said = attrs.evolve(
            honest(),
            messages=[row],
            contents={"1": content},
            facts=facts,
            certificates={"sotttt": signer.certificate},
        )
        complaints = [each for each in recount_day(said).differences if "signature" in each]
        assert (complaints == []) is agreed, (worth, complaints)
