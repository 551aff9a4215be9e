"""The evidence file of a report holds together down to the octets, for every form; and whatever is changed in one is found and named."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub import audit
from hub.audit.seals import AuditTrust
from hub.domain.model import Fact, SignatureStanding
from hub.formats import zip_archive
from hub.journal import unit_registry
from hub.language.catalogues import say_both
from hub.report.counting import lines
from hub.report.counting.counting import COUNTING
from hub.report.form import definition
from hub.report.form.book import read_shipped_book
from hub.security import signing
from hub.security.anchors import Anchors
from hub.store import tables, transactions
from hub.workload import closing, closing_plan, evidence_file, unit_report
from tests import databases, stranger
from tests.conftest import ROOT, cannot_be_had
from tests.databases import few_on_postgresql
from tests.evidencing import (
    BEGINS,
    CA,
    ENDED,
    ENDS,
    FORMS,
    HUB,
    PARTNER,
    PERIOD,
    TRUST,
    UNITS,
    false,
    fill,
    found,
    members,
    packed,
    resealed,
    take,
    written,
)
from tests.examples import at_most
from tests.officials import Tool, by_signxml, by_xmlsec
from tests.pki import authority, pem, unreadable
from tests.stamps import issue_tsa, stamp, stamp_document


@cache
def made(form: str, place: str, keys: int = 3) -> bytes:
    """Return the evidence of the report *form*, made once, with octets."""
    engine = transactions.open_journal(databases.sqlite(Path(place) / f"{form}-{keys}.db"))
    with transactions.write_transaction(engine) as tx:
        fill(tx, FORMS[form], keys=keys)
    with transactions.read_transaction(engine) as tx:
        content = written(tx, form)
    engine.dispose()
    return content


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("evidence"))


@pytest.fixture
def edoc(place: str) -> bytes:
    return made("edoc", place, 2)


def with_lines(content: bytes, name: str, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """Return the lines of a member, changed."""
    return b"".join(change(members(content)[name].splitlines(keepends=True)))


def first(content: bytes, folder: str) -> str:
    return next(name for name in members(content) if name.startswith(f"{folder}/") and members(content)[name])


# --- it holds together -------------------------------------------------------------------------------------------------------


#: Forms whose facts differ most: with signatures, with days and attributes, with divided rows.
FEW = {"edoc", "dossiers", "ii06a"}


@few_on_postgresql("form", FORMS, FEW)
@pytest.mark.slow
def test_the_evidence_of_every_form_holds_together(tx, form):
    fill(tx, FORMS[form])
    content = written(tx, form)
    assert false(content) == []
    holds = {each.check for each in found(content) if each.holds}
    assert {"container", "seal", "sealer", "manifest", "sum", "form", "message", "receipt", "event"} <= holds
    assert {"list", "cell", "column", "octets"} <= holds
    assert "signature" in holds or form != "edoc"


def test_what_happened_since_changes_nothing_for_the_period(tx):
    fill(tx, FORMS["edoc"])
    assert written(tx, "edoc") == written(tx, "edoc"), "of the same journal at the same moment there is one file"


@pytest.mark.slow
def test_without_messages_it_says_so_and_holds_all_the_same(tx):
    fill(tx, FORMS["edoc"])
    content = written(tx, "edoc", octets=False)
    assert false(content) == []
    assert [each.check for each in found(content) if "--with-messages" in str(each.text)] == ["octets"]
    assert not [name for name in members(content) if name.startswith("octets/")]


def test_octets_that_are_not_kept_are_said_not_to_be(tx):
    fill(tx, FORMS["links"])
    gone = tx.scalars(sa.select(tables.message.c.sha256).order_by(tables.message.c.id.desc())).first()
    tx.execute(sa.delete(tables.content).where(tables.content.c.sha256 == gone))
    content = written(tx, "links")
    said = [json.loads(line) for line in members(content)["messages.jsonl"].splitlines()]
    assert {each["octets"] for each in said if each["sha256"] == gone} <= {"not-kept"}
    assert false(content) == []


def test_a_report_without_facts_has_evidence_too(tx):
    fill(tx, FORMS["edoc"])
    content = written(tx, "edoc", unit="H55.13.2")
    assert false(content) == []
    assert members(content)["rows.jsonl"] == b""


def test_events_without_number_are_only_told(tx):
    fill(tx, FORMS["links"])
    tx.execute(sa.update(tables.event).values(number=None, hash=None))
    content = written(tx, "links")
    assert false(content) == []
    assert any("had no number yet" in str(each.text) for each in found(content))


def test_too_many_facts_for_one_file_are_said_to_be(tx, monkeypatch):
    fill(tx, FORMS["edoc"])
    monkeypatch.setattr(evidence_file, "MOST_FACTS", 3)
    with pytest.raises(evidence_file.TooMany, match="facts > 3"):
        evidence_file.write_evidence_file(
            tx, unit_report.resolve_report_sources(tx, "H55.13", PERIOD.text, "edoc"), ENDED, HUB, io.BytesIO()
        )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_each_column_lists_facts_that_add_up_to_its_cells(place, form):
    """By JSON and by hand: no rule of the form, nothing of the hub."""
    parts = members(made(form, place))
    report: Any = etree.fromstring(parts["report.xml"])
    for column in FORMS[form].columns:
        if column.kind not in COUNTING:
            continue
        listed = [json.loads(line) for line in parts[f"columns/{column.key}.jsonl"].splitlines()]
        (cell,) = [each for each in report.find("{*}Total") if each.get("column") == column.key]
        assert sum(fact[13] for fact in listed) == int(cell.text), column.key


# --- closed periods --------------------------------------------------------------------------------------------------------------


def close(tx: transactions.Transaction, form: str, last: str) -> None:
    """Close each month of *form* up to *last*, each as soon as it may be."""
    while (following := closing_plan.find_next_month_to_close(tx, read_shipped_book(), form)) is not None and following[
        1
    ].text <= last:
        period = following[1]
        closing.close_month(
            tx, read_shipped_book(), form, period, closing_plan.find_earliest_closing_time(period), "an"
        )


@pytest.mark.slow
@few_on_postgresql("form", FORMS, FEW)
def test_the_evidence_of_a_closed_month_and_of_a_quarter_put_together_holds(tx, form):
    fill(tx, FORMS[form])
    close(tx, form, PERIOD.text)
    for period in (PERIOD.text, "2026-Q4", "2026-H2"):
        content = written(tx, form, period=period)
        assert false(content) == [], period
        said = json.loads(members(content)["periods.json"])
        assert any(is_closed for *_, is_closed in said["parts"])
        assert said["closed"]


@pytest.mark.slow
def test_a_fact_that_came_late_counts_in_the_later_month_and_the_evidence_says_so(tx):
    fill(tx, FORMS["dossiers"])
    close(tx, "dossiers", "2026-11")
    before = written(tx, "dossiers", period="2026-11")
    at = PERIOD.end + timedelta(days=3)
    late = Fact(
        unit="H55.13", service="dossiers", key="muộn", milestone="received", at=at, message="", day=PERIOD.last,
        attributes=(("channel", "online"),),
    )  # fmt: skip
    take(tx, 999, b"<muon/>", late, HUB, SignatureStanding.UNSIGNED)
    assert members(written(tx, "dossiers", period="2026-11"))["report.xml"] == members(before)["report.xml"]
    after = written(tx, "dossiers", period="2026-12")
    assert false(after) == []
    assert "muộn".encode() in members(after)["columns/received_online.jsonl"]
    unknowing = members(after)["periods.json"].replace(b'"closed":[[', b'"closed":[],"x":[[', 1)
    assert false(resealed(after, {"periods.json": unknowing})) == [("period", "periods.json")]
    nothing_closed = lines.write_compact_json({"parts": [["2026-12", "2026-11-15", "2026-12-14", False]], "closed": []})
    assert "cell" in {check for check, _ in false(resealed(after, {"periods.json": nothing_closed}))}


def test_evidence_that_is_no_longer_what_was_closed_is_told_and_does_not_hold(tx):
    fill(tx, FORMS["edoc"])
    close(tx, "edoc", PERIOD.text)
    tx.execute(sa.delete(tables.fact).where(tables.fact.c.milestone == "sent"))
    file = io.BytesIO()
    done = evidence_file.write_evidence_file(
        tx, unit_report.resolve_report_sources(tx, "H55.13", PERIOD.text, "edoc"), ENDED, HUB, file
    )
    assert "H55.13.1" in {each.unit for each in done.wrong}
    assert {"cell", "column"} <= {check for check, _ in false(file.getvalue())}


# --- whatever is changed is found ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=at_most(60))
@given(data=st.data())
@pytest.mark.slow
def test_no_octet_of_the_file_can_be_another_one(place, data):
    content = bytearray(made("links", place))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert false(bytes(content))


@pytest.mark.slow
@settings(deadline=None, max_examples=at_most(60))
@given(data=st.data())
def test_no_octet_of_any_member_can_be_another_one_though_the_zip_is_made_again(place, data):
    parts = members(made("links", place))
    name = data.draw(st.sampled_from([each for each in parts if parts[each]]))
    octets = bytearray(parts[name])
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    assert false(packed(parts | {name: bytes(octets)}))


@pytest.mark.slow
def test_a_changed_member_is_named(edoc):
    parts = members(edoc)
    for name in ("facts/000001.jsonl", "events.jsonl", "messages.jsonl", "form.json", "rows.jsonl"):
        assert ("manifest", name) in false(packed(parts | {name: parts[name][:-3] + b"x]\n"}))
    name = first(edoc, "octets")
    assert ("octets", name) in false(packed(parts | {name: b"x"}))
    changed = parts["report.xml"].replace(b">0<", b">7<", 1)
    assert {("seal", "report.xml"), ("manifest", "report.xml")} <= set(false(packed(parts | {"report.xml": changed})))


def test_a_digit_of_the_report_is_found_though_the_hub_itself_had_sealed_it(edoc):
    """A hub that reports a number it has no facts for: the seal holds, and three other checks do not."""
    root: Any = etree.fromstring(members(edoc)["report.xml"])
    root.remove(root[-1])
    (cell,) = [each for each in root.find("{*}Rows")[0] if each.get("column") == "recalls"]
    cell.text = str(int(cell.text) + 1)
    told = false(resealed(edoc, {"report.xml": signing.seal_element(root, HUB)}))
    unit = root.find("{*}Rows")[0].get("unit")
    assert ("sum", "H55.13 recalls") in told
    assert ("cell", f"{unit} recalls") in told
    assert ("column", f"{unit} recalls") in told


def test_a_total_that_is_not_that_of_the_rows_is_found_in_the_report_alone(edoc):
    root: Any = etree.fromstring(members(edoc)["report.xml"])
    root.remove(root[-1])
    (cell,) = [each for each in root.find("{*}Total") if each.get("column") == "sent_inside"]
    cell.text = str(int(cell.text) + 1)
    told = false(b'<?xml version="1.0" encoding="UTF-8"?>\n' + signing.seal_element(root, HUB))
    assert set(told) == {("sum", "H55.13 sent"), ("sum", "H55.13 sent_inside")}


@pytest.mark.slow
def test_a_fact_taken_away_added_changed_or_moved_is_found(edoc):
    name = first(edoc, "facts")
    line = members(edoc)[name].splitlines(keepends=True)[0]
    other = lines.write_fact_line(attrs.evolve(lines.read_fact_line(line), key="khác"))
    for change in (
        lambda every: every[1:],
        lambda every: [*every, other],
        lambda every: [other, *every[1:]],
        lambda every: [every[1], every[0], *every[2:]],
        lambda every: [every[0], *every],
    ):
        told = false(resealed(edoc, {name: with_lines(edoc, name, change)}))
        assert ("list", name) in told, "the hash of its row is another one"


def test_an_amount_is_found_that_no_event_tells_of(place):
    content = made("mail", place)
    name = first(content, "facts")
    line = members(content)[name].splitlines(keepends=True)[0]
    fact = lines.read_fact_line(line)
    more = lines.write_fact_line(attrs.evolve(fact, amount=fact.amount + 1))
    told = false(resealed(content, {name: with_lines(content, name, lambda every: [more, *every[1:]])}))
    assert ("list", f"{name}: {fact.key} {fact.milestone}") in told
    assert "cell" in {check for check, _ in told}


def test_a_column_that_lists_less_more_or_something_else_is_found(edoc):
    name = first(edoc, "columns")
    for change in (lambda every: every[1:], lambda every: [*every, every[0]], lambda every: [*every, b"[]\n"]):
        told = false(resealed(edoc, {name: with_lines(edoc, name, change)}))
        assert "column" in {check for check, _ in told}


def test_a_list_that_belongs_to_nothing_is_found(edoc):
    told = false(resealed(edoc, {"facts/000099.jsonl": b"", "columns/nothing.jsonl": b"", "more.txt": b""}))
    assert {("list", "facts/000099.jsonl"), ("column", "columns/nothing.jsonl")} <= set(told)


@pytest.mark.slow
def test_an_event_whose_text_hash_or_place_is_another_one_is_found(edoc):
    def edited(**words: object) -> Callable[[list[bytes]], list[bytes]]:
        def change(every: list[bytes]) -> list[bytes]:
            said = json.loads(every[2])
            return [*every[:2], lines.write_compact_json(said | words), *every[3:]]

        return change

    text = json.loads(members(edoc)["events.jsonl"].splitlines()[2])["text"]
    for words in (
        {"text": text + " "},
        {"hash": "0" * 64},
        {"previous": "1" * 64},
        {"number": 1},
        {"number": -1},
        {"number": "x"},
    ):
        told = false(resealed(edoc, {"events.jsonl": with_lines(edoc, "events.jsonl", edited(**words))}))
        assert "event" in {check for check, _ in told}, words


@pytest.mark.slow
def test_an_event_left_out_of_order_or_twice_is_found(edoc):
    for change in (
        lambda every: every[1:],
        lambda every: [*every, every[0]],
        lambda every: [every[0], *every],
        lambda every: every[::-1],
        lambda every: every[:0],
    ):
        told = false(resealed(edoc, {"events.jsonl": with_lines(edoc, "events.jsonl", change)}))
        assert "event" in {check for check, _ in told}


@pytest.mark.slow
def test_a_message_or_receipt_that_says_otherwise_is_found(edoc):
    def edited(**words: object) -> Callable[[list[bytes]], list[bytes]]:
        return lambda every: [lines.write_compact_json(json.loads(every[0]) | words), *every[1:]]

    second = json.loads(members(edoc)["messages.jsonl"].splitlines()[1])
    expected = (
        ({"sha256": "0" * 64}, "receipt"),
        ({"sha256": "0" * 64}, "event"),
        ({"receipt": second["receipt"]}, "receipt"),
        ({"receipt": "<Receipt/>"}, "receipt"),
        ({"receipt": second["receipt"].replace("Sha256", "Sha512")}, "receipt"),
        ({"size": 7}, "octets"),
        ({"id": "9"}, "message"),
        ({"size": "7"}, "message"),
        ({"received_at": "gestern"}, "message"),
    )
    for words, check in expected:
        told = false(resealed(edoc, {"messages.jsonl": with_lines(edoc, "messages.jsonl", edited(**words))}))
        assert check in {each for each, _ in told}, words


def test_octets_that_are_missing_or_are_nobodys_are_found(edoc):
    name = first(edoc, "octets")
    assert ("octets", name) in false(resealed(edoc, {name: None}))
    stray = f"octets/{'0' * 64}"
    assert ("octets", stray) in false(resealed(edoc, {stray: b"x"}))


def test_a_packet_that_is_not_signed_as_the_hub_says_is_found(edoc):
    """The hub says that the signature of a packet is valid; the octets say otherwise."""

    def edited(every: list[bytes]) -> list[bytes]:
        return [lines.write_compact_json(json.loads(line) | {"signature": "valid"}) for line in every]

    told = false(resealed(edoc, {"messages.jsonl": with_lines(edoc, "messages.jsonl", edited)}))
    assert "signature" in {check for check, _ in told}


def test_a_packet_that_shows_a_certificate_without_a_readable_name_keeps_nothing_from_being_judged(tx):
    unit_registry.write_registry_units(tx, UNITS)
    fact = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=PERIOD.start, message="")
    packet = signing.sign_packet((ROOT / "docs/examples/van-ban.edxml").read_bytes(), unreadable(PARTNER))
    take(tx, 1, packet, fact, HUB, SignatureStanding.UNVERIFIABLE)
    told = found(written(tx, "edoc"))
    assert [each.place for each in told if each.holds is False] == []
    assert any(each.check == "signature" and each.holds is None for each in told)
    assert told[-1].check == "sealer", "it was judged to its end"


def test_another_form_than_the_reports_is_found(edoc):
    form = FORMS["edoc"]
    columns = tuple(attrs.evolve(each, conditions=()) for each in form.columns)
    told = found(resealed(edoc, {"form.json": definition.write_definition(attrs.evolve(form, columns=columns))}))
    assert [each.check for each in told if each.holds is None and "not included in this program" in str(each.text)] == [
        "form"
    ]
    assert "cell" in {each.check for each in told if each.holds is False}
    other = resealed(edoc, {"form.json": definition.write_definition(FORMS["mail"])})
    assert false(other) == [("form", "form.json")]
    assert false(resealed(edoc, {"form.json": b"[" * 100_000})) == [("form", "form.json")]


# --- whose seal it is ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_seal_of_a_partner_of_the_same_ca_is_somebody_elses(edoc):
    assert false(resealed(edoc, identity=PARTNER)) == [("sealer", "manifest.xml")]
    anyone = attrs.evolve(TRUST, hub=())
    assert false(resealed(edoc, identity=PARTNER), anyone) == [("sealer", "")], "two who sealed are one too many"
    assert false(edoc, anyone) == []
    assert any("--hub-certificate" in str(each.text) for each in found(edoc, anyone))


def test_a_seal_of_another_ca_proves_nothing(edoc):
    forger = authority("A forger's CA", now=BEGINS, ends=ENDS).issue("hub of the evidence", begins=BEGINS, ends=ENDS)
    assert false(resealed(edoc, identity=forger)) == [("seal", "manifest.xml")]
    stranger_to_us = AuditTrust(anchors=Anchors([authority("Nobody's CA").certificate]), now=ENDED)
    assert ("seal", "manifest.xml") in false(edoc, stranger_to_us)


def test_a_renewed_certificate_of_the_hub_is_the_hubs(edoc):
    again = CA.issue("hub of the evidence", label="another key", begins=BEGINS, ends=ENDS)
    assert false(edoc, attrs.evolve(TRUST, hub=(again.certificate,))) == []


def test_a_certificate_that_is_over_was_good_then_and_it_is_said(edoc):
    late = attrs.evolve(TRUST, now=ENDS.replace(year=2030))
    assert false(edoc, late) == []
    assert any("certificate expired at" in str(each.text) for each in found(edoc, late))


# --- hostile files ---------------------------------------------------------------------------------------------------------------


def hostile(edoc: bytes) -> Iterator[tuple[str, bytes]]:
    parts = members(edoc)
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in parts.items():
            archive.writestr(zipfile.ZipInfo(name), octets, zipfile.ZIP_DEFLATED)
    yield "compressed", deflated.getvalue()
    up = io.BytesIO()
    with zipfile.ZipFile(up, "w") as archive:
        archive.writestr("../../etc/passwd", b"x")
    yield "a path", up.getvalue()
    yield "nothing", b""
    yield "two letters", b"PK"
    yield "the end of a ZIP alone", zipfile_end()
    yield "half", edoc[: len(edoc) // 2]
    yield "more", edoc + b"x"
    yield "no manifest", packed({name: octets for name, octets in parts.items() if name != "manifest.xml"})
    yield "no report", packed({name: octets for name, octets in parts.items() if name != "report.xml"})
    yield "another order", packed(dict(reversed(parts.items())))
    doctype = b'<!DOCTYPE x [<!ENTITY a "&b;&b;"><!ENTITY b "c">]>'
    yield "a DTD", packed(parts | {"report.xml": parts["report.xml"].replace(b"?>", b"?>" + doctype, 1)})
    yield (
        "a DTD in the manifest",
        packed(parts | {"manifest.xml": parts["manifest.xml"].replace(b"?>", b"?>" + doctype, 1)}),
    )
    bomb = b"<!DOCTYPE x ["
    for depth in range(12):
        bomb += b'<!ENTITY a%d "%s">' % (depth, b"&a%d;" % (depth - 1) * 10 if depth else b"x" * 10)
    laughing = parts["report.xml"].replace(b"?>", b"?>" + bomb + b"]>", 1).replace(b'unit="', b'unit="&a11;', 1)
    yield "a billion laughs in an attribute", packed(parts | {"report.xml": laughing})
    yield "the same alone", laughing
    yield (
        "a comment",
        packed(parts | {"manifest.xml": parts["manifest.xml"].replace(b"<MadeAt", b"<!-- --><MadeAt", 1)}),
    )
    deep, long, number = b"[" * 200_000 + b"\n", b"[" + b"1" * 9_000_000 + b"]\n", b"[" + b"9" * 10_000 + b"]\n"
    for name in ("messages.jsonl", "events.jsonl", "rows.jsonl", first(edoc, "facts"), first(edoc, "columns")):
        for what, octets in (
            ("deep", deep),
            ("long", long),
            ("number", number),
            ("binary", b"\xff\0\n\n\n"),
            ("NaN", b"[NaN]\n"),
        ):
            yield f"{what} {name}", resealed(edoc, {name: octets})
    text = json.dumps({"number": 1, "previous": "0" * 64, "hash": "0" * 64, "text": '"\\ud800"'}).encode() + b"\n"
    said = json.loads(parts["messages.jsonl"].splitlines()[0])
    half = json.dumps(said | {"receipt": "\ud800", "id": "\x1b[2J"}).encode() + b"\n"
    yield "half a character in a message", resealed(edoc, {"messages.jsonl": half})
    yield "half a character", resealed(edoc, {"events.jsonl": text})
    name = first(edoc, "facts")
    yield "amounts whose sum nobody can write", resealed(edoc, {name: with_lines(edoc, name, huge)})
    last = re.sub(rb' to="[^"]*"', b' to="9999-12-31"', parts["report.xml"], count=1)
    yield "a period until the last day", packed(parts | {"report.xml": last})
    yield "no document", b"<?xml version='1.0'?><x/>"
    yield "no XML", b"\x89PNG"
    yield "a report of nothing", b'<Report xmlns="urn:lienthong:report:1"/>'
    yield "a receipt of nothing", b'<Receipt xmlns="urn:lienthong:documents:1"/>'
    for time in (
        "2026-11-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-10:00",
        "2026",
        "",
        "\u0662026-11-01",
    ):
        for name, tag in (("report.xml", "MadeAt"), ("manifest.xml", "MadeAt")):
            yield f"{name} at {time}", packed(parts | {name: at_another_time(parts[name], tag, time)})
        receipt = json.loads(parts["messages.jsonl"].splitlines()[0])["receipt"].encode()
        yield f"a report at {time}", at_another_time(parts["report.xml"], "MadeAt", time)
        yield f"a receipt at {time}", at_another_time(receipt, "Time", time)
    yield "deep XML", b"<a>" * 100_000


def huge(rows: list[bytes]) -> list[bytes]:
    """Return the facts, each with the largest amount that can be written."""
    said = [json.loads(row) for row in rows]
    return [lines.write_compact_json([*each[:13], 10**4300 - 1, each[14]]) for each in said]


def at_another_time(document: bytes, tag: str, time: str) -> bytes:
    """Return a sealed document, sealed again with the time that it says changed."""
    root: Any = etree.fromstring(document)
    root.remove(root[-1])
    root.find(f"{{*}}{tag}").text = time
    return signing.seal_element(root, HUB)


def zipfile_end() -> bytes:
    return b"PK\x05\x06" + b"\xff" * 18


@pytest.mark.slow
def test_a_hostile_file_is_a_finding_with_its_name_and_never_an_exception(edoc):
    for what, content in hostile(edoc):
        told = found(content)
        assert any(each.holds is False for each in told), what
        assert max(len(said) for each in told for said in say_both(each.text)) < 5_000, what


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_nothing_is_well_that_is_not_what_it_claims(content):
    assert false(content)
    assert false(b"PK\x03\x04" + content)


def test_what_is_too_large_to_be_held_says_so(edoc, monkeypatch):
    monkeypatch.setattr(audit.documents, "LARGEST", 40_000)
    assert ("container", "report.xml") in false(edoc) or ("container", "form.json") in false(edoc) or not false(edoc)
    monkeypatch.setattr(audit.documents, "LARGEST", 100)
    assert false(edoc) == [("container", "report.xml")]
    assert false(members(edoc)["report.xml"]) == [("document", "")]


# --- documents alone -------------------------------------------------------------------------------------------------------------


def test_a_sealed_report_alone_holds_and_says_what_was_not_checked(edoc):
    content = members(edoc)["report.xml"]
    assert false(content) == []
    assert any(each.check == "facts" and each.holds is None for each in found(content))


def test_a_receipt_alone_holds_and_says_of_what_it_is(edoc):
    said = json.loads(members(edoc)["messages.jsonl"].splitlines()[0])
    receipt = said["receipt"].encode()
    assert false(receipt) == []
    assert any(said["sha256"] in str(each.text) and said["message_id"] in str(each.text) for each in found(receipt))
    assert false(receipt.replace(said["sha256"].encode(), b"0" * 64)) == [("receipt", "")]


# --- what an official signed ---------------------------------------------------------------------------------------------------------


PERSONS = authority("CA of persons", now=BEGINS, ends=ENDS)
AN = PERSONS.issue("Nguyễn Văn An", begins=BEGINS, ends=ENDS)
KNOWS_AN = attrs.evolve(TRUST, persons=Anchors([PERSONS.certificate], committing=True))


@pytest.mark.parametrize("sign", [by_signxml, by_xmlsec])
def test_a_report_that_an_official_signed_holds_and_says_who_and_when(edoc, sign):
    content = sign(members(edoc)["report.xml"], AN, ENDED)
    told = found(content, KNOWS_AN)
    assert [each.check for each in told if each.holds is False] == []
    (who,) = [each for each in told if each.check == "official"]
    assert "Nguyễn Văn An" in str(who.text)
    assert {"seal", "sum", "sealer"} <= {each.check for each in told if each.holds}
    assert false(content) == [("official", "")], "a CA that the reader did not name"
    stamps = PERSONS.issue("stamps", begins=BEGINS, ends=ENDS, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    assert false(sign(members(edoc)["report.xml"], stamps, ENDED), KNOWS_AN) == [("official", "")], "for something else"


def test_a_time_stamp_on_a_signature_is_judged_by_the_cas_that_the_reader_names(edoc):
    times = authority("CA of times", now=BEGINS, ends=ENDS)
    tsa = issue_tsa("Tem thời gian", times, begins=BEGINS, ends=ENDS)
    content = stamp_document(by_xmlsec(members(edoc)["report.xml"], AN, ENDED), partial(stamp, tsa=tsa, at=ENDED))
    both = attrs.evolve(TRUST, persons=Anchors([PERSONS.certificate, times.certificate], committing=True))
    for trust, holds in ((both, True), (KNOWS_AN, None)):
        told = found(content, trust)
        (one,) = [each for each in told if each.check == "stamp"]
        assert (one.holds, "Tem thời gian" in str(one.text)) == (holds, True)
        assert [each for each in told if each.holds is False] == []
    assert false(content.replace(b"EncapsulatedTimeStamp>MII", b"EncapsulatedTimeStamp>MIJ", 1), both) == [
        ("official", "")
    ]


def test_a_signature_of_the_last_moment_there_is_is_a_finding(edoc):
    last = datetime(
        9999, 12, 31, 23, 59, 59, tzinfo=UTC
    )  # what RFC 5280, 4.1.2.5, has for a certificate without an end
    persons = authority("CA without an end", now=BEGINS, ends=last)
    content = by_xmlsec(members(edoc)["report.xml"], persons.issue("An", begins=BEGINS, ends=last), last)
    assert false(content, attrs.evolve(TRUST, persons=Anchors([persons.certificate], committing=True))) == [
        ("official", "")
    ]


def test_what_is_changed_in_a_signed_report_is_found(edoc):
    content = by_xmlsec(members(edoc)["report.xml"], AN, ENDED)
    assert {("official", ""), ("seal", "")} <= set(false(content.replace(b">0<", b">1<", 1), KNOWS_AN))
    assert ("official", "") in false(content.replace(b"SigningTime>2026", b"SigningTime>2025"), KNOWS_AN)
    assert ("official", "") in false(content.replace(b"<MadeAt", b"<!-- --><MadeAt", 1), KNOWS_AN)
    assert ("official", "") in false(by_xmlsec(content, AN, ENDED), KNOWS_AN)


def test_the_evidence_has_what_was_signed_and_it_must_be_the_same_report(edoc):
    report = members(edoc)["report.xml"]
    with_it = with_signed(edoc, by_signxml(report, AN, ENDED))
    told = found(with_it, KNOWS_AN)
    assert [each.place for each in told if each.holds and each.check == "official"] == ["signed.xml"]
    assert [each for each in told if each.holds is False] == []
    root: Any = etree.fromstring(report)
    root.remove(root[-1])
    (cell,) = [each for each in root.find("{*}Total") if each.get("column") == "recalls"]
    cell.text = str(int(cell.text) + 1)
    other = by_signxml(signing.seal_element(root, HUB), AN, ENDED)
    assert false(with_signed(edoc, other), KNOWS_AN) == [("official", "signed.xml")]


def test_of_two_signatures_each_is_judged(edoc):
    binh = PERSONS.issue("Trần Thị Bình", begins=BEGINS, ends=ENDS)
    stranger = authority("CA of others", now=BEGINS, ends=ENDS).issue("Lạ", begins=BEGINS, ends=ENDS)
    report = members(edoc)["report.xml"]
    drafted = by_xmlsec(report, binh, ENDED, Tool(name="1"))
    told = found(with_signed(edoc, by_signxml(drafted, AN, ENDED)), KNOWS_AN)
    said = [str(each.text) for each in told if each.holds and each.check == "official"]
    assert ["Bình" in each for each in said] == [True, False]
    assert [each for each in told if each.holds is False] == []
    for document in (by_signxml(drafted, stranger, ENDED), by_signxml(by_xmlsec(report, stranger, ENDED), AN, ENDED)):
        assert false(document, KNOWS_AN) == [("official", "")]
    assert found(drafted, KNOWS_AN)[0].holds


def with_signed(content: bytes, document: bytes) -> bytes:
    """Return the file with the signed report in its place."""
    parts = members(content)
    before = {name: parts.pop(name) for name in ("mimetype", "report.xml")}
    return resealed(packed(before | {"signed.xml": document} | parts))


# --- a stranger agrees --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stranger_with_the_page_and_standard_tools_finds_the_same(edoc, tmp_path):
    if not stranger.has_xmlsec1():
        cannot_be_had("xmlsec1", "apt-get install xmlsec1")
    ca, file = tmp_path / "ca.crt", tmp_path / "evidence.zip"
    ca.write_bytes(pem(CA.certificate))
    parts = members(edoc)
    name, stray = first(edoc, "facts"), first(edoc, "octets")
    changed: list[bytes] = [
        packed(parts | {name: parts[name][:-3] + b"x]\n"}),
        packed(parts | {"report.xml": parts["report.xml"].replace(b">0<", b">7<", 1)}),
        packed(parts | {"events.jsonl": parts["events.jsonl"].replace(b"sotttt", b"sottts", 1)}),
        resealed(edoc, {"events.jsonl": parts["events.jsonl"].replace(b"sotttt", b"sottts", 1)}),
        resealed(edoc, {name: with_lines(edoc, name, lambda every: every[1:])}),
        resealed(edoc, {"columns/recalls.jsonl": b""}),
        resealed(edoc, {stray: None}),
        packed(parts | {"manifest.xml": parts["manifest.xml"].replace(b"edoc", b"edox")}),
        packed({key: value for key, value in parts.items() if key != "rows.jsonl"}),
        edoc[:-40],
        next(hostile(edoc))[1],
    ]
    assert parts["columns/recalls.jsonl"], "there is something to take away"
    for number, content in enumerate([edoc, *changed]):
        file.write_bytes(content)
        theirs = stranger.wrong(file, ca, Path(tmp_path))
        assert bool(theirs) == bool(false(content)) == bool(number), (number, theirs, false(content))


def test_every_member_of_the_bundle_is_seen_by_both(edoc):
    ours = {member.name for member in zip_archive.read_zip_members(io.BytesIO(edoc))}
    assert ours == set(members(edoc))
