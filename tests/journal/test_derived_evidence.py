"""The evidence of a form that takes its numbers from others holds down to the octets, through theirs; what is changed is found and named."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree

from hub.journal import blobs
from hub.language.catalogues import say_both
from hub.report.counting import evidence
from hub.report.form import definition
from hub.report.form.book import read_shipped_book
from hub.report.form.column import Column
from hub.report.form.folder import read_form_folder
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from hub.store import tables, transactions
from hub.units.province import Province
from hub.workload import closing, closing_plan, evidence_file, report_sources, submission, unit_report
from tests import databases, stranger
from tests.conftest import cannot_be_had
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
    false,
    fill,
    found,
    members,
    packed,
    resealed,
    written,
)
from tests.officials import official, officials
from tests.pki import authority, pem
from tests.province import ROUTES

DERIVED = {form.id: form for form in read_form_folder() if not form.service}
#: forms that count facts, one for each service that the summaries take from
FILLED = ("edoc", "ii06a", "mail")
EDOC = "bases/edoc.zip"


def fill_all(tx: transactions.Transaction, forms: Iterable[str] = FILLED, keys: int = 2) -> None:
    for place, form in enumerate(forms):
        fill(tx, FORMS[form], keys=keys, begin=1000 * place)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Evidence of one journal: `tonghop` and `qd766`; of `edoc` by period and by unit; and of `mail` and `links`."""
    engine = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("derived") / "hub.db"))
    with transactions.write_transaction(engine) as tx:
        fill_all(tx, keys=1)
    with transactions.read_transaction(engine) as tx:
        made = {form: written(tx, form) for form in ("tonghop", "qd766", "mail", "links")}
        made |= {unit: written(tx, "edoc", unit=unit) for unit in ("H55.13", "H55.13.1")}
        made["2026-10"] = written(tx, "edoc", period="2026-10")
    engine.dispose()
    return made


@pytest.fixture
def summary(files: dict[str, bytes]) -> bytes:
    return files["tonghop"]


# --- it holds together -------------------------------------------------------------------------------------------------------


@few_on_postgresql("form", DERIVED, {"tonghop"})
@pytest.mark.slow
def test_the_evidence_of_a_form_that_takes_its_numbers_from_others_holds_down_to_the_octets(tx, form):
    fill_all(tx, keys=1)
    content = written(tx, form)
    told = found(content)
    assert [each for each in told if each.holds is False] == []
    own = {each.check for each in told if each.holds and not each.place.startswith("bases/")}
    assert {"container", "seal", "sealer", "manifest", "sum", "form", "cell", "list"} <= own
    for base in DERIVED[form].bases:
        theirs = {each.check for each in told if each.holds and each.place.startswith(f"bases/{base}.zip")}
        assert {"container", "seal", "manifest", "form", "event", "list", "cell", "column", "base"} <= theirs, base
    assert written(tx, form) == content, "of the same journal at the same moment there is one file"


@pytest.mark.slow
def test_its_numbers_are_not_all_nought_and_its_facts_are_listed(files):
    for form in ("tonghop", "qd766"):
        report = read_sealed_report(members(files[form])["report.xml"])
        assert report.facts > 0, form
        assert any(report.report.total.numbers.values()), form


@pytest.mark.slow
def test_what_is_inside_is_the_very_evidence_that_each_base_has_alone(tx):
    fill_all(tx, keys=1)
    parts = members(written(tx, "tonghop"))
    inside = {name for name in parts if name.startswith("bases/")}
    assert inside == {f"bases/{base}.zip" for base in DERIVED["tonghop"].bases}
    for base in DERIVED["tonghop"].bases:
        assert parts[f"bases/{base}.zip"] == written(tx, base), "taken out, it is verified alone"
        assert false(parts[f"bases/{base}.zip"]) == []


def test_without_messages_the_bases_have_none_and_say_so(tx):
    fill_all(tx, ("edoc",), keys=1)
    told = found(written(tx, "suckhoe", octets=False))
    assert [each for each in told if each.holds is False] == []
    assert {each.place for each in told if "--with-messages" in str(each.text)} == {
        f"bases/{base}.zip" for base in DERIVED["suckhoe"].bases
    }


def close(tx: transactions.Transaction, form: str, last: str) -> None:
    book = read_shipped_book()
    while (following := closing_plan.find_next_month_to_close(tx, book, form)) is not None and following[
        1
    ].text <= last:
        closing.close_month(tx, book, form, following[1], closing_plan.find_earliest_closing_time(following[1]), "an")


@pytest.mark.slow
def test_of_closed_months_and_of_a_quarter_put_together_it_holds(tx):
    fill_all(tx)
    for form in FILLED:
        close(tx, form, PERIOD.text)
    for period in (PERIOD.text, "2026-Q4"):
        assert false(written(tx, "tonghop", period=period)) == [], period


def test_a_closed_month_whose_facts_are_no_longer_those_is_told_and_does_not_hold(tx):
    fill_all(tx, ("edoc",), keys=1)
    close(tx, "edoc", PERIOD.text)
    tx.execute(sa.delete(tables.fact).where(tables.fact.c.milestone == "sent"))
    file = io.BytesIO()
    asked = unit_report.resolve_report_sources(tx, "H55.13", PERIOD.text, "tonghop")
    done = evidence_file.write_evidence_file(tx, asked, ENDED, HUB, file)
    assert done.wrong
    assert len(set(done.wrong)) == len(done.wrong), "each unit once, though two lists were made"
    assert ("cell", EDOC) in {(check, place.partition(": ")[0]) for check, place in false(file.getvalue())}


@pytest.mark.slow
def test_the_revision_that_was_given_out_is_the_one_in_the_file(tx):
    fill_all(tx, keys=1)
    asked = unit_report.resolve_report_sources(tx, "H55.13", PERIOD.text, "tonghop")
    counted = submission.CountedReport(
        report=asked.count(ENDED), names=dict(asked.names), lines=evidence.EvidenceSummary(*summary_of(asked))
    )
    config = SimpleNamespace(partners={}, identity=HUB, province="H55", officials=officials(official()))
    province = cast("Province", SimpleNamespace(config=config, routes=ROUTES))
    kept = submission.issue_report(tx, province, counted, reason="", by="clerk", now=ENDED)
    file = io.BytesIO()
    done = evidence_file.write_evidence_file(tx, asked, ENDED, HUB, file)
    assert done.revision == kept.said.revision == 1
    assert members(file.getvalue())["report.xml"] == blobs.read_blob(tx, kept.message.sha256)
    assert false(file.getvalue()) == []


def summary_of(asked: report_sources.ReportSources) -> tuple[int, str]:
    with asked.open_evidence(ENDED) as gathered:
        return gathered.listing.summary.facts, gathered.listing.summary.sha256


def test_a_base_with_too_many_facts_for_one_file_is_too_much_for_this_one(tx, monkeypatch):
    fill_all(tx, ("edoc",), keys=1)
    asked = unit_report.resolve_report_sources(tx, "H55.13", PERIOD.text, "suckhoe")
    own = len(list(asked.facts))
    listed, _ = summary_of(asked)
    assert listed < own
    monkeypatch.setattr(evidence_file, "MOST_FACTS", listed)
    with pytest.raises(evidence_file.TooMany, match="facts >"):
        evidence_file.write_evidence_file(tx, asked, ENDED, HUB, io.BytesIO())


# --- whatever is changed is found and named ----------------------------------------------------------------------------------


def with_kind(content: bytes, kind: str) -> bytes:
    """Return the definition in the file with another kind of the column `accounts`, which still says what it is taken from."""
    form = json.loads(members(content)["form.json"])
    next(column for column in form["columns"] if column["key"] == "accounts")["kind"] = kind
    return (json.dumps(form, ensure_ascii=False, indent=1) + "\n").encode()


def with_cells(content: bytes, cells: Iterable[tuple[str, str, str]], kind: tuple[str, str] | None = None) -> bytes:
    """Return the file with cells of its report changed (unit, or "" for the total; column; text), or the kind of a column, as if
    the hub had made it so.
    """
    root: Any = etree.fromstring(members(content)["report.xml"])
    root.remove(root[-1])
    for column in root.find("{*}Columns"):
        if kind is not None and column.get("key") == kind[0]:
            column.set("kind", kind[1])
    for unit, column, text in cells:
        rows = [root.find("{*}Total")] if not unit else [r for r in root.find("{*}Rows") if r.get("unit") == unit]
        (cell,) = [each for row in rows for each in row if each.get("column") == column]
        cell.text = text
    return resealed(content, {"report.xml": signing.seal_element(root, HUB)})


def number(content: bytes, unit: str, column: str) -> int:
    report = read_sealed_report(members(content)["report.xml"]).report
    rows = {"": report.total} | {row.unit: row for row in report.rows}
    return int(rows[unit].numbers[column] or 0)


def with_form(content: bytes, change: Callable[[Column], Column]) -> bytes:
    form = definition.read_definition(members(content)["form.json"])
    other = attrs.evolve(form, columns=tuple(map(change, form.columns)))
    assert other != form
    return resealed(content, {"form.json": definition.write_definition(other)})


def test_a_cell_that_is_not_that_of_the_form_it_is_taken_from_is_found_though_the_hub_had_sealed_it(summary):
    unit, column = "H55.13.2", "accounts"
    more = [(unit, column, str(number(summary, unit, column) + 1)), ("", column, str(number(summary, "", column) + 1))]
    told = false(with_cells(summary, more))
    assert ("cell", f"{unit} {column}") in told
    assert {check for check, _ in told} <= {"cell", "sum"}, "the rest of the file holds"
    assert not [place for _, place in told if place.startswith("bases/")]


@pytest.mark.slow
def test_points_that_do_not_follow_from_the_cells_taken_are_found_which_no_report_alone_shows(files):
    changed = with_cells(files["qd766"], [("H55.13", "online_score", "12.34")])
    assert false(changed) == [("cell", "H55.13 online_score")]
    assert false(members(changed)["report.xml"]) == []
    total = with_cells(files["qd766"], [("", "online_score", "12.34")])
    assert false(total) == [("cell", "H55.13 online_score")]


@pytest.mark.parametrize(
    ("instead", "named"),
    [("2026-10", "edoc H55.13 2026-10"), ("H55.13.1", "edoc H55.13.1 2026-11"), ("mail", "mail H55.13 2026-11")],
    ids=["of another period", "of another unit", "of another form"],
)
@pytest.mark.slow
def test_evidence_of_another_report_in_place_of_a_bases_is_named(summary, files, instead, named):
    changed = resealed(summary, {EDOC: files[instead]})
    assert false(files[instead]) == [], "it holds alone"
    assert false(changed) == [("base", EDOC)]
    (one,) = [each for each in found(changed) if each.holds is False]
    assert named in str(one.text)
    assert "edoc H55.13 2026-11" in str(one.text)


@pytest.mark.slow
def test_the_evidence_of_a_base_as_it_was_with_other_numbers_is_found_by_its_cells(summary, tx):
    fill_all(tx, ("edoc",), keys=2)
    told = false(resealed(summary, {EDOC: written(tx, "edoc")}))
    assert {check for check, _ in told} >= {"cell", "list"}
    assert not [place for _, place in told if place.startswith("bases/")], "it holds, and is of this unit and period"


@pytest.mark.slow
def test_a_base_that_is_left_out_is_named(summary):
    for base in DERIVED["tonghop"].bases:
        place = f"bases/{base}.zip"
        assert false(resealed(summary, {place: None})) == [("base", place)]
    alone = {f"bases/{base}.zip": None for base in DERIVED["tonghop"].bases}
    assert false(resealed(summary, alone)) == [("base", place) for place in alone]
    left_out = packed({name: octets for name, octets in members(summary).items() if name != EDOC})
    assert false(left_out) == [("manifest", EDOC), ("base", EDOC)]


@pytest.mark.slow
def test_a_base_that_the_form_does_not_take_from_is_named(summary, files):
    more = "bases/links.zip"
    assert ("base", more) in false(resealed(summary, {more: files["links"]}))
    stray = f"octets/{'0' * 64}"
    assert false(resealed(summary, {stray: b"x"})) == [("container", stray)], "no hash in the manifest covers it"


@pytest.mark.slow
def test_a_definition_that_takes_another_column_is_found(summary):
    def takes(other: str) -> bytes:
        def change(column: Column) -> Column:
            return attrs.evolve(column, taken=("edoc", other)) if column.key == "documents_sent" else column

        return with_form(summary, change)

    assert ("cell", "H55.13 documents_sent") in false(takes("recalls"))
    noted = [each.place for each in found(takes("recalls")) if each.check == "form" and each.holds is None]
    assert noted == ["form.json"], "and it is said that this program does not know such a form"
    told = false(takes("received"))
    assert {check for check, _ in told} == {"list"}, "as many were received as sent: the facts are others"


@pytest.mark.slow
def test_a_definition_with_another_formula_missing_column_or_own_count_is_found(summary):
    formula = next(column for column in DERIVED["tonghop"].columns if column.part)

    def shorter(column: Column) -> Column:
        return attrs.evolve(column, whole=column.part) if column.key == formula.key else column

    def nowhere(column: Column) -> Column:
        return attrs.evolve(column, taken=("edoc", "nothing")) if column.taken == ("edoc", "sent") else column

    def timely(column: Column) -> Column:
        return attrs.evolve(column, taken=("edoc", "last_update")) if column.taken == ("edoc", "sent") else column

    assert false(with_form(summary, shorter)) == [("form", "form.json")]
    assert ("form", "form.json") in false(with_form(summary, nowhere))
    assert ("cell", "H55.13 documents_sent") in false(with_form(summary, timely)), "a time is no number"
    changed = members(summary)["form.json"].replace(b'"kind": "taken"', b'"kind": "flow"', 1)
    counting = resealed(with_cells(summary, [], kind=("accounts", "stock")), {"form.json": with_kind(summary, "stock")})
    assert false(counting) == [("form", "form.json")], "though the report says so too: nothing counts what it counts"
    assert ("form", "form.json") in false(resealed(summary, {"form.json": changed}))
    assert ("manifest", "form.json") in false(packed(members(summary) | {"form.json": changed}))


@pytest.mark.slow
def test_evidence_of_a_base_that_does_not_hold_is_named_with_its_place_in_it(summary):
    inside = members(summary)[EDOC]
    parts = members(inside)
    column = next(name for name in parts if name.startswith("columns/") and parts[name])
    octets = next(name for name in parts if name.startswith("octets/"))
    for changes, expected in (
        ({"events.jsonl": parts["events.jsonl"].replace(b"sotttt", b"sottts", 1)}, "events.jsonl"),
        ({column: b""}, column.partition("/")[2].removesuffix(".jsonl")),
        ({octets: None}, octets),
        ({octets: b"x"}, octets),
    ):
        told = false(resealed(summary, {EDOC: resealed(inside, changes)}))
        assert any(place.startswith(f"{EDOC}: ") and expected in place for _, place in told), expected
    worse = with_cells(inside, [("H55.13", "recalls", "7")])
    assert ("cell", f"{EDOC}: H55.13 recalls") in false(resealed(summary, {EDOC: worse}))


def test_octets_of_a_base_changed_without_the_hubs_key_are_found_twice(summary):
    parts = members(summary)
    at = parts[EDOC].index("<thông-điệp số=".encode())
    changed = parts[EDOC][:at] + b"[" + parts[EDOC][at + 1 :]
    told = false(packed(parts | {EDOC: changed}))
    assert ("manifest", EDOC) in told
    assert [place for check, place in told if check == "octets" and place.startswith(f"{EDOC}: octets/")]


@pytest.mark.slow
def test_a_base_that_is_damaged_no_bundle_or_itself_takes_from_others_is_a_finding(summary, files):
    for inside in (b"", b"PK\x03\x04", members(summary)[EDOC][:-9], members(summary)[EDOC] + b"x", b"<x/>" * 100):
        told = false(resealed(summary, {EDOC: inside}))
        assert [check for check, place in told if place.startswith(EDOC)] == ["container"]
    nested = false(resealed(summary, {EDOC: files["qd766"]}))
    assert {place.partition(": ")[0] for _, place in nested} == {EDOC}
    whole = members(files["qd766"])
    more = dict.fromkeys(("periods.json", "messages.jsonl", "events.jsonl"), b"")
    disguised = packed({name: octets for name, octets in whole.items() if name != "manifest.xml"} | more | whole)
    assert ("form", f"{EDOC}: form.json") in false(resealed(summary, {EDOC: resealed(disguised)}))


@pytest.mark.slow
def test_a_base_sealed_by_somebody_else_is_named(summary):
    inside = resealed(members(summary)[EDOC], identity=PARTNER)
    assert false(resealed(summary, {EDOC: inside})) == [("sealer", f"{EDOC}: manifest.xml")]
    anyone = attrs.evolve(TRUST, hub=())
    assert false(resealed(summary, {EDOC: inside}), anyone) == [("sealer", "")], "two who sealed are one too many"
    forger = authority("A forger's CA", now=BEGINS, ends=ENDS).issue("hub of the evidence", begins=BEGINS, ends=ENDS)
    told = false(resealed(summary, {EDOC: resealed(members(summary)[EDOC], identity=forger)}))
    assert ("seal", f"{EDOC}: manifest.xml") in told


@pytest.mark.slow
def test_a_fact_left_out_added_or_moved_in_the_list_of_the_report_is_found(summary):
    parts = members(summary)
    name = next(name for name in parts if name.startswith("facts/") and parts[name].count(b"\n") > 1)
    every = parts[name].splitlines(keepends=True)
    for lines in (every[1:], [*every, every[-1]], every[::-1], [every[0].replace(b"kh", b"xh", 1), *every[1:]]):
        told = false(resealed(summary, {name: b"".join(lines)}))
        assert ("list", name) in told
        assert {check for check, _ in told} <= {"list", "manifest"}
    assert ("list", "facts") in false(resealed(summary, {name: b"".join(every[1:])})), "and that it is missing"
    assert ("list", "facts/000099.jsonl") in false(resealed(summary, {"facts/000099.jsonl": b""}))


@pytest.mark.slow
def test_every_word_about_it_is_in_vietnamese_and_english(summary, files):
    wrongs = [{EDOC: files["2026-10"]}, {EDOC: None}, {"facts/000001.jsonl": b""}]
    told = [each for changes in wrongs for each in found(resealed(summary, changes))]
    told += found(with_cells(summary, [("H55.13", "documents_sent", "77")]))
    assert {each.check for each in told if each.holds is False} >= {"base", "cell", "list"}
    for each in told:
        vietnamese, english = say_both(each.text)
        assert vietnamese != english, english


# --- a stranger agrees --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stranger_with_the_page_and_standard_tools_finds_the_same_in_it(summary, files, tmp_path: Path):
    if not stranger.has_xmlsec1():
        cannot_be_had("xmlsec1", "apt-get install xmlsec1")
    ca, file = tmp_path / "ca.crt", tmp_path / "evidence.zip"
    ca.write_bytes(pem(CA.certificate))
    inside = members(summary)[EDOC]
    changed = [
        with_cells(summary, [("H55.13", "documents_sent", "77")]),
        resealed(summary, {EDOC: files["2026-10"]}),
        resealed(summary, {EDOC: files["H55.13.1"]}),
        resealed(summary, {EDOC: None}),
        resealed(summary, {EDOC: resealed(inside, {"columns/recalls.jsonl": b"", "columns/sent_inside.jsonl": b""})}),
        packed(members(summary) | {EDOC: inside[:-1]}),
    ]
    for place, content in enumerate([summary, *changed]):
        file.write_bytes(content)
        theirs = stranger.wrong(file, ca, tmp_path)
        assert bool(theirs) == bool(false(content)) == bool(place), (place, theirs, false(content))
