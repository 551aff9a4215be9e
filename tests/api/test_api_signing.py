"""What programs declare, and what officials sign, by the API: the same as on the pages, each order once."""

import hashlib
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from hub.api.operation import FILE_TYPE
from hub.api.service import BODY, FILE
from hub.domain.errors import SENTENCES
from hub.journal import blobs
from hub.journal.searching import message_reading
from hub.operations.accounts.permissions import Permission
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.store import transactions
from tests import pki
from tests.api_callers import Program
from tests.declaring import filled
from tests.officials import BINH, TWO, Tool, by_xmlsec, official, officials
from tests.province import NOW
from tests.signed_pdfs import by_pyhanko
from tests.stamps import TSA, stamp_document, trust

PERIOD = "2026-11"
REPORT = f"/reports/edoc/H55.13/{PERIOD}"
INSIDE = datetime(2026, 11, 10, 3, 0, tzinfo=UTC)


@pytest.fixture
def program(town):
    """A program of H55.13, whose unit has sent one document; An signs for it, Bình for another."""
    town.officials = officials(official(), official("binh", BINH, units=("H55.01",)))
    town.take(1, at=INSIDE)
    return Program(town, units=("H55.13",), name="bao-cao")


def close(program, status=200, **said):
    answer = program.post(f"{REPORT}/closing", said)
    assert answer.status == status, program.said
    return program.said


def document(program):
    answer = program.get(f"{REPORT}/document")
    assert answer.status == 200, program.said
    return answer.content


def hand_in(program, content, place=REPORT, **said):
    return program.post(f"{place}/document", content, content_type=FILE_TYPE, **said)


def codes(program):
    return [each["name"] for each in program.said["problems"]]


@pytest.mark.slow
def test_from_the_closed_numbers_to_the_signed_report(town, program):
    program.get(f"{REPORT}/life")
    assert (program.said["step"], program.said["revisions"], program.said["drafted"]) == ("ready", [], False)
    assert program.get(f"{REPORT}/document").status == 422
    assert codes(program) == ["report-not-closed"]
    made = close(program)
    assert (made["revision"], made["made"], made["behind"]) == (1, True, False)
    assert close(program) == made | {"made": False}
    octets = document(program)
    assert hashlib.sha256(octets).hexdigest() == made["sha256"]
    signed = by_xmlsec(octets)
    for key, again in (("k", None), ("k", "true"), (None, None)):
        answer = hand_in(program, signed, key=key)
        assert answer.status == 200, program.said
        assert answer.fields.get("Idempotency-Replayed") == again
        assert (program.said["official"], program.said["format"], program.said["stamp"]) == ("an", "xml", None)
    message = program.said["message"]
    program.get(f"{REPORT}/life")
    (revision,) = program.said["revisions"]
    assert (program.said["step"], revision["state"], revision["signing"]["message"]) == ("signed", "signed", message)
    with transactions.read_transaction(town.engine) as tx:
        assert blobs.read_blob(tx, message_reading.read_message(tx, message).sha256) == signed
    assert [each["by"] for each in town.told("report-closed", "report-signed")] == ["an/bao-cao"] * 2
    town.take(2, at=INSIDE)
    assert close(program)["behind"]
    assert close(program, reason="đến muộn")["revision"] == 2
    program.get(f"{REPORT}/life")
    (correction,) = program.said["corrections"]
    assert (correction["revision"], correction["by"], correction["reason"]) == (2, "an/bao-cao", "đến muộn")
    assert {"unit": "H55.13", "column": "sent", "was": 1, "now": 2} in correction["cells"]
    assert hand_in(program, signed, key="k").fields["Idempotency-Replayed"] == "true"
    assert program.said["message"] == message, "the kept answer, though another revision is the newest"
    assert hand_in(program, signed).status == 422
    assert codes(program) == ["report-other-revision"]


def test_a_second_person_signs_the_document_of_the_first_and_a_time_stamp_is_told(town, program):
    town.officials = attrs.evolve(TWO, stamping=trust(required=True))
    program = Program(town, units=("H55.13",))
    close(program)
    first = by_xmlsec(document(program), BINH, tool=Tool(name="1"))
    assert hand_in(program, first).status == 422
    assert codes(program) == ["stamp-missing"]
    assert hand_in(program, stamp_document(first)).status == 200, program.said
    assert program.said["stamp"]["certificate"] == hash_certificate(TSA.certificate)
    assert b"UnsignedProperties" in document(program)
    second = stamp_document(by_xmlsec(document(program), tool=Tool(name="2")))
    assert hand_in(program, second).status == 200, program.said
    program.get(f"{REPORT}/life")
    (revision,) = program.said["revisions"]
    assert (program.said["drafted"], program.said["stamped"], program.said["pdf"]) == (True, True, False)
    assert [revision[name]["official"] for name in ("drafting", "signing")] == ["binh", "an"]


@pytest.mark.slow
def test_a_signed_pdf_is_taken_too(town, program):
    town.now = datetime.now(UTC)  # a tool for PDF writes its own time
    authority = pki.authority("Persons", town.now)
    person = authority.issue("An of today")
    town.officials = officials(official(identity=person), anchors=Anchors([authority.certificate], committing=True))
    program = Program(town, units=("H55.13",))
    close(program)
    given = program.get(f"{REPORT}/file?format=pdf").content
    assert hand_in(program, by_pyhanko(given, person)).status == 200, program.said
    assert (program.said["format"], program.said["official"]) == ("pdf", "an")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda octets: octets, "report-unsigned"),
        (lambda octets: by_xmlsec(octets, BINH), "official-not-for-unit"),
        (lambda octets: by_xmlsec(octets.replace(b"Trung", b"Trang")), "report-changed"),
        (lambda octets: by_xmlsec(octets, at=NOW + timedelta(hours=1)), "signing-time"),
        (lambda octets: stamp_document(by_xmlsec(octets)), "stamp-untrusted"),
        (lambda _: b"", "not-well-formed"),
        (lambda _: b"%PDF-1.7", "report-changed"),
    ],
    ids=["unsigned", "another official", "changed", "in the future", "stamped", "empty", "another PDF"],
)
def test_what_will_not_do_is_refused_with_the_code_of_the_page(town, program, made, code):
    close(program)
    content = made(document(program))
    assert hand_in(program, content, key="k").status == 422
    assert (program.said["code"], codes(program)) == ("order-unfit", [code])
    assert SENTENCES[code].id in program.said["problems"][0]["detail"]
    (told,) = town.told("report-signature-refused")
    assert (told["by"], told["sha256"]) == ("an/bao-cao", hashlib.sha256(content).hexdigest())
    assert hand_in(program, by_xmlsec(document(program)), key="k").status == 200, "a refused order leaves no key"


def test_what_is_not_over_and_what_has_no_reason_is_not_closed(program):
    running = "/reports/edoc/H55.13/2026-12"
    assert program.post(f"{running}/closing", {}).status == 422
    assert codes(program) == ["period-not-ended"]
    close(program, 422, reason="  ")
    assert codes(program) == ["reason-missing"]


def test_nobody_signs_for_another_unit_or_without_the_scope(town, program):
    close(program)
    signed = by_xmlsec(document(program))
    other = Program(town, units=("H55.30",))
    for answer in (
        hand_in(other, signed),
        other.get(f"{REPORT}/document"),
        other.get(f"{REPORT}/life"),
        other.get(f"{REPORT}/declaration"),
        other.post(f"{REPORT}/closing", {}),
        other.post(f"{REPORT}/declaration", {"cells": [{"column": "sent_inside", "figure": 1}]}),
        other.post(f"{REPORT}/declaration/workbook", b"x", content_type=FILE_TYPE),
    ):
        assert answer.status == 404
    reader = Program(town, Permission.SEE_REPORTS)
    assert hand_in(reader, signed).status == 403
    assert reader.get(f"{REPORT}/life").status == 200
    assert town.told("report-signed", "report-declared", "report-signature-refused") == []


def test_a_file_has_its_own_media_type_and_limit(program):
    assert program.post(f"{REPORT}/document", b"x").status == 415
    assert hand_in(program, b"x" * (FILE + 1)).status == 413
    assert program.post(f"{REPORT}/closing", b"x" * (BODY + 1)).status == 413
    bearer, path = f"Bearer {program.token}", f"/api/v1{REPORT}/document".encode()
    limit = program.service.limit_body
    assert limit(bearer, path) == limit(bearer, path + b"?x=1") == FILE
    for authorization, target in (("", path), ("Bearer lt_00000000_x", path), (bearer, path[:-9] + b"/closing")):
        assert limit(authorization, target) == BODY


# --- declaring ----------------------------------------------------------------------------------------------------------


def declare(program, *cells, **said):
    return program.post(f"{REPORT}/declaration", {"cells": list(cells)} | said)


def test_figures_are_declared_and_read_beside_the_count(town, program):
    program.get(f"{REPORT}/declaration")
    assert "message" not in (program.said["declaration"] or {}), "nothing is declared"
    assert "sent_inside" in program.said["columns"]
    assert "H55.13" in program.said["units"]
    cells = [
        {"unit": "H55.13", "column": "sent_inside", "figure": 1},
        {"unit": "H55.13", "column": "not_signed", "figure": 3.0, "note": "đếm\ntay"},
    ]
    assert declare(program, *cells, note="thử").status == 200, program.said
    message = program.said["message"]
    assert declare(program, *cells, note="thử").status == 200
    assert program.said["message"] == message, "equal figures are one declaration"
    program.get(f"{REPORT}/declaration")
    said = program.said["declaration"]
    assert (said["message"], said["by"], said["note"], said["earlier"]) == (message, "an/bao-cao", "thử", 0)
    told = {each["column"]: (each["declared"], each["verdict"], each["note"]) for each in said["cells"]}
    assert told["sent_inside"][:2] == (1, "equal")
    assert told["not_signed"][0::2] == (3, "đếm tay")
    assert said["differing"] == 1
    (event,) = town.told("report-declared")
    assert (event["by"], event["unit"]) == ("an/bao-cao", "H55.13")


def test_the_workbook_is_filled_as_on_the_page(town, program):
    template = program.get(f"{REPORT}/declaration/workbook").content
    content = filled(template, {("H55.13", "sent_inside"): 1})
    assert program.post(f"{REPORT}/declaration/workbook", content, content_type=FILE_TYPE, key="k").status == 200
    program.get(f"{REPORT}/declaration")
    assert [each["declared"] for each in program.said["declaration"]["cells"]] == [1]
    wrong = filled(template, {("H55.13", "sent_inside"): "nhiều"})
    assert program.post(f"{REPORT}/declaration/workbook", wrong, content_type=FILE_TYPE).status == 422
    assert program.said["problems"]
    assert len(town.told("report-declared")) == 1


@pytest.mark.parametrize(
    ("cell", "status", "name"),
    [
        ({"column": "none", "figure": 1}, 422, "cells[0].column"),
        ({"column": "sent_inside", "figure": 1, "unit": "H55.01"}, 422, "cells[0].unit"),
        ({"column": "sent_inside", "figure": 1.5}, 422, "T.Figures[1].Cell[1].Number"),
        ({"column": "sent_inside", "figure": -1}, 422, "R.Figures[1].Cell[1].Number"),
        ({"column": "sent_inside", "figure": None}, 422, "N.Figures[1].Cell[1].Number"),
        ({"column": "sent_inside", "figure": "1"}, 400, "cells[0].figure"),
        ({"column": "sent_inside", "figure": True}, 400, "cells[0].figure"),
        ({"column": "sent_inside", "figure": 10**400}, 400, "cells[0].figure"),
        ({"column": "sent_inside"}, 400, "cells[0].figure"),
        ({"column": "sent_inside", "figure": 1, "x": 1}, 400, "cells[0].x"),
        ("x", 400, "cells[0]"),
    ],
    ids=["column", "unit", "fraction", "negative", "null", "text", "truth", "huge", "missing", "unknown", "no object"],
)
def test_a_figure_that_will_not_do_is_named_and_nothing_is_recorded(town, program, cell, status, name):
    assert declare(program, cell).status == status, program.said
    assert codes(program)[0] == name
    assert town.told("report-declared") == []


def test_nothing_is_no_declaration_and_many_figures_are_one(town, program):
    assert declare(program).status == 422
    assert codes(program) == ["N.Figures"]
    twice = {"column": "sent_inside", "figure": 1}
    assert declare(program, twice, twice).status == 422
    many = [{"column": "sent_inside", "figure": 1, "unit": "H55.01"}] * 500
    assert declare(program, *many).status == 422, "more than 200 are read"
    assert len(codes(program)) == 100
    assert town.told("report-declared") == []
