"""The rules of each form that a receiver can run: its own reports keep them, and one changed cell is found and named."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

import attrs
import jsonschema
import pytest
from click.testing import CliRunner
from lxml import etree, isoschematron  # type: ignore[attr-defined]
from structlog.testing import capture_logs
from twisted.web.test.requesthelper import DummyRequest

from hub.cli import lienthong
from hub.config.reports import ReportSettings
from hub.domain.errors import Rejected
from hub.domain.model import Unit
from hub.node import admin
from hub.node.form_rules import FormRules
from hub.report.counting.counting import COUNTING, Cells, Report, assemble_report
from hub.report.counting.sections import sort_sections
from hub.report.counting.table import divide_table
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form, state_basis
from hub.report.form.period import parse_period
from hub.report.output import validating
from hub.report.output.outputs import write_json_report
from hub.report.output.rules import Place, list_rules
from hub.report.output.schematron import write_json_schema, write_schematron
from hub.report.output.validating import validate_report
from hub.report.signed.element import build_report_element, check_report_element
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from tests.conftest import cannot_be_had
from tests.officials import HUB
from tests.readback import R, declare
from tests.waiting import PROGRAM

FORMS = {form.id: form for form in read_form_folder()}
PERIOD = parse_period("2026-11")
NAMES = {"A": "UBND tỉnh", "A.1": "Sở Một", "A.2": "Xã Hai", "A.3": "Phường Ba"}
UNITS = {code: Unit(code, name) for code, name in NAMES.items()}
SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def drawn(form: Form, seed: int, by: tuple[str, ...] = ()) -> Report:
    """Return a report of *form* with drawn cells, so that no check of the form need hold."""
    random, cells = Random(seed), {}
    for unit in NAMES:
        mine = Cells.none(form)
        for column in form.columns:
            least = -3 if column.key == "taken_over" else 0
            parts = [random.choice([0, 1, 7, random.randint(least, 10**6)]) for _ in range(3)]
            if column.kind is ColumnKind.TIME and random.random() < 0.8:
                mine.times[column.key] = PERIOD.start + timedelta(seconds=random.randint(0, 10**6), microseconds=seed)
            elif column.kind in COUNTING or column.kind is ColumnKind.TAKEN:
                mine.sums[column.key] = sum(parts)
                if mine.division is not None and column.kind in COUNTING:
                    for value, number in zip(("ĐẤT ĐAI", "HỘ TỊCH", "unstated"), parts, strict=True):
                        sums = mine.division.sums.setdefault((value,), {})
                        sums[column.key] = number
        cells[unit] = mine
    report = assemble_report(
        form, PERIOD, datetime(2026, 12, 1, tzinfo=UTC), list(NAMES), cells, declare(form, list(NAMES)[:-1], PERIOD.end)
    )
    report = attrs.evolve(report, sections=sort_sections(report, UNITS))
    return divide_table(report, by, {}) if by else report


def sealed(report: Report) -> bytes:
    return signing.write_sealed_document(build_report_element(report, NAMES, (), 1), HUB)


@cache
def tool_of(form: str) -> Any:
    tree = etree.fromstring(write_schematron(FORMS[form]))
    return isoschematron.Schematron(tree, store_report=True, store_xslt=True)


def failed(form: str, document: bytes) -> list[tuple[str, str]]:
    """Return the assertions that lxml finds broken, each with its sentence, when it runs the published Schematron."""
    tool = tool_of(form)
    tool.validate(etree.fromstring(document))
    found = tool.validation_report.iter(f"{SVRL}failed-assert")
    return [(each.get("id"), each.findtext(f"{SVRL}text")) for each in found]


def changed(document: bytes, path: str, text: str | None) -> bytes:
    """Return *document* with another text in the one element of *path*; None: without it."""
    root = etree.fromstring(document)
    (element,) = cast("Any", root.xpath(path, namespaces={"r": R.strip("{}")}))
    if text is None:
        element.getparent().remove(element)
    else:
        element.text = text
    return etree.tostring(root)


DIVIDED = [*((form, ()) for form in FORMS), ("ii06a", ("unit", "field")), ("ii06a", ("field",))]


@pytest.mark.parametrize(
    ("name", "by"), DIVIDED, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
@pytest.mark.slow
def test_reports_of_drawn_data_keep_every_rule_of_their_form(name: str, by: tuple[str, ...]) -> None:
    form = FORMS[name]
    for seed in range(2):
        report = drawn(form, seed, by)
        document, said = sealed(report), write_json_report(report, NAMES)
        assert failed(name, document) == []
        for content in (document, said.encode()):
            verdict = validate_report(content, FORMS.values())
            assert (verdict.form, verdict.unit, verdict.broken) == (state_basis(form, report.period.last), "A", ())
        schema = json.loads(write_json_schema(form))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads(said))


def cell(row: str, column: str) -> str:
    return f"{row}/r:*[@column='{column}']"


TOTAL, ROW = "/r:Report/r:Total", "/r:Report/r:Rows/r:Row[@unit='A.1']"
HEADING = "/r:Report/r:Divided/r:DividedRow[r:Value[1]='A.1' and count(r:Value)=1]"
BELOW = "/r:Report/r:Divided/r:DividedRow[r:Value[1]='A.1' and r:Value[2]='HỘ TỊCH']"
#: What is changed, and to what; the rule that is broken, the row and the column that are named.
CHANGES = [
    ("edoc", cell(ROW, "sent_outside"), "5", "total-sum-sent_outside", "total", "sent_outside"),
    ("edoc", cell(TOTAL, "received"), "5", "total-formula-received", "total", "received"),
    ("edoc", cell(ROW, "sent"), "5", "row-formula-sent", "A.1", "sent"),
    ("edoc", cell(TOTAL, "last_update"), "2026-10-15T00:00:00Z", "total-latest-last_update", "total", "last_update"),
    ("edoc", cell(ROW, "sent_outside"), "-5", "row-least-sent_outside", "A.1", "sent_outside"),
    ("edoc", cell(ROW, "sent_outside"), None, "row-cell-sent_outside", "A.1", "sent_outside"),
    ("edoc", cell(ROW, "sent_outside"), "5.00", "row-count-sent_outside", "A.1", "sent_outside"),
    ("tonghop", cell(ROW, "dossiers_in_time"), "12.34", "row-ratio-dossiers_in_time", "A.1", "dossiers_in_time"),
    ("tonghop", cell(TOTAL, "accounts_share"), "", "total-ratio-accounts_share", "total", "accounts_share"),
    ("tonghop", cell(ROW, "mail_sent"), "5", "total-sum-mail_sent", "total", "mail_sent"),
    ("qd766", cell(ROW, "online_score"), "12.34", "row-score-online_score", "A.1", "online_score"),
    ("nd335", cell(ROW, "quality"), "12.34", "row-expression-quality", "A.1", "quality"),
    ("nd335", cell(ROW, "points"), "12.3", "row-places-points", "A.1", "points"),
    ("nd335", cell(ROW, "grade"), "4", "row-grade-grade", "A.1", "grade"),
    ("nd335", cell(ROW, "general"), "30.01", "row-declared-general", "A.1", "general"),
    ("nd335", cell(ROW, "work_done"), "5.01", "total-sum-work_done", "total", "work_done"),
    ("ii06a", "//r:Finding[@unit='A.1']/r:Left", "5", "row-check-1", "A.1", "received"),
    ("ii06a", "//r:Section[1]/r:Member[1]", None, None, None, None),
    ("ii06a", cell(HEADING, "taken_over"), "77", "divided-heading-taken_over", "A.1", "taken_over"),
    ("ii06a", cell(HEADING, "taken_over"), "77", "row-divided-taken_over", "A.1", "taken_over"),
    ("ii06a", cell(HEADING, "taken_over"), "77", "total-divided-taken_over", "total", "taken_over"),
    ("ii06a", cell(BELOW, "taken_over"), "78", "divided-heading-taken_over", "A.1", "taken_over"),
]


@cache
def example(form: str) -> bytes:
    return sealed(drawn(FORMS[form], 1, ("unit", "field") if form == "ii06a" else ()))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {change[3]} {change[2]}")
def test_one_changed_cell_is_found_and_named(change: tuple[Any, ...]) -> None:
    form, path, text, rule, row, column = change
    document = changed(example(form), path, text)
    found = {each.rule: each for each in validate_report(document, FORMS.values()).broken}
    assert sorted(found) == sorted({each for each, _ in failed(form, document)})
    if rule is None:
        assert not found, "a unit may be in no section"
        return
    assert (found[rule].row, found[rule].column) == (row, column)
    heading = FORMS[form].column(column).heading
    assert heading.vi in found[rule].says.vi or "check" in rule
    assert heading.en in found[rule].says.en or "check" in rule


JSON_CHANGES = [
    ("edoc", lambda said: said["rows"][1].update(sent_outside=5), "total-sum-sent_outside", "total"),
    ("edoc", lambda said: said["total"].update(sent=5), "total-formula-sent", "total"),
    ("edoc", lambda said: said["rows"][1].pop("sent"), "row-cell-sent", "A.1"),
    ("edoc", lambda said: said["rows"][1].update(more=1), "row-cells", "A.1"),
    ("tonghop", lambda said: said["sections"][0]["total"].update(mail_sent=5), "total-sum-mail_sent", "Sở, ban, ngành"),
    ("tonghop", lambda said: said["sections"][0]["units"].append("A.9"), "member-row", "A.9"),
    ("edoc", lambda said: said["columns"].pop(), "columns", "report"),
    ("edoc", lambda said: said["rows"].append(said["rows"][1]), "row-once", "A.1"),
    ("tonghop", lambda said: said["rows"][1].update(dossiers_in_time=3.14), "row-ratio-dossiers_in_time", "A.1"),
    ("ii06a", lambda said: said["findings"].clear(), "row-check-1", "A.1"),
    ("ii06a", lambda said: said["sections"].append(said["sections"][0]), "member-once", "A.1"),
]


def test_each_kind_of_rule_is_among_the_changes() -> None:
    stated = {
        rule.id.split("-")[1] for form in FORMS.values() for rule in list_rules(form) if rule.place is not Place.REPORT
    }
    broken = [rule for *_, rule, _, _ in CHANGES if rule] + [rule for *_, rule, _ in JSON_CHANGES]
    assert stated - {rule.partition("-")[2].partition("-")[0] for rule in broken} == set()


@pytest.mark.parametrize("number", range(len(JSON_CHANGES)))
def test_what_is_changed_in_json_is_found_by_the_same_rules(number: int) -> None:
    form, change, rule, row = JSON_CHANGES[number]
    said = json.loads(write_json_report(drawn(FORMS[form], 1), NAMES))
    change(said)
    verdict = validate_report(json.dumps(said).encode(), FORMS.values())
    assert (rule, row) in {(each.rule, each.row) for each in verdict.broken}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b'{"form": "edoc", "form": "edoc"}', b"[" * 100_000, b"{" * 100_000, b"<Report/>", b"\xff{",
     b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b'{"form": "edoc", "period": {"text": "2026-11"}, "total": 1}',
     b'{"form": "edoc", "period": {"text": "2026-11"}, "total": {"sent": 1e999999}}', b"1" * 5000],
)  # fmt: skip
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected):
        validate_report(content, FORMS.values())


def test_a_report_has_a_bound_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validating, "MOST_ROWS", 3)
    with pytest.raises(Rejected):
        validate_report(example("edoc"), FORMS.values())


@pytest.mark.parametrize(
    "sections", [[{"vi": "", "total": {}, "units": []}] * 101, [{"units": ["A.1"] * 2001}]], ids=range(2)
)
def test_a_report_has_a_bound_of_sections(sections: list[Any]) -> None:
    said = json.loads(write_json_report(drawn(FORMS["edoc"], 1), NAMES)) | {"sections": sections}
    with pytest.raises(Rejected, match=r"at most"):
        validate_report(json.dumps(said).encode(), FORMS.values())


def test_the_more_rows_a_report_has_the_fewer_findings_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.loads(write_json_report(drawn(FORMS["edoc"], 1), NAMES))
    finding = {"unit": "A.1", "columns": ["sent"], "numbers": [1, 2]}
    monkeypatch.setattr(validating, "MOST_LOOKED_UP", 60)
    validate_report(json.dumps(said | {"findings": []}).encode(), FORMS.values())
    with pytest.raises(Rejected, match=r"findings; at most"):
        validate_report(json.dumps(said | {"findings": [finding] * 61}).encode(), FORMS.values())


def test_a_row_has_a_bound_of_cells() -> None:
    said = json.loads(write_json_report(drawn(FORMS["edoc"], 1), NAMES))
    said["rows"][1] |= {f"more{number}": 0 for number in range(2_000)}
    with pytest.raises(Rejected, match=r"cells; at most"):
        validate_report(json.dumps(said).encode(), FORMS.values())


def test_a_unit_that_handed_more_over_than_it_took_over_has_a_report() -> None:
    form, cells = FORMS["ii06a"], {unit: Cells.none(FORMS["ii06a"]) for unit in NAMES}
    for unit, amount in (("A.1", -2), ("A.2", 2)):
        cells[unit].sums["taken_over"] = amount
    report = assemble_report(form, PERIOD, datetime(2026, 12, 1, tzinfo=UTC), list(NAMES), cells)
    document = sealed(report)
    check_report_element(document)
    assert read_sealed_report(document).report.rows == report.rows
    assert validate_report(document, FORMS.values()).broken == ()


def test_a_report_of_another_shape_does_not_fit_the_json_schema() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(write_json_schema(FORMS["edoc"])))
    said = json.loads(write_json_report(drawn(FORMS["edoc"], 1), NAMES))
    for spoil in (
        lambda one: one["rows"][0].update(sent="5"),
        lambda one: one["rows"][0].pop("sent"),
        lambda one: one["total"].update(more=1),
        lambda one: one["columns"].reverse(),
        lambda one: one.update(form="ii06a"),
    ):
        spoilt = json.loads(json.dumps(said))
        spoil(spoilt)
        assert not schema.is_valid(spoilt)
    said["rows"][1]["sent"] += 1
    assert schema.is_valid(said), "a JSON Schema cannot add up"


# A second processor of XSLT: that of Java, which shares nothing with libxslt.

_RUN = """
import java.io.File;
import javax.xml.transform.*;
import javax.xml.transform.stream.*;
public class Run {
  public static void main(String[] words) throws Exception {
    Templates rules = null;
    for (String word : words)
      if (word.endsWith(".xsl"))
        rules = TransformerFactory.newInstance().newTemplates(new StreamSource(new File(word)));
      else
        rules.newTransformer().transform(new StreamSource(new File(word)), new StreamResult(new File(word + ".svrl")));
  }
}
"""
#: Java refuses stylesheets of more operations by itself; these are its names for “no limit”.
_UNLIMITED = [f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("ExprGrp", "ExprOp", "TotalOp")]


@pytest.mark.slow
def test_the_processor_of_java_finds_the_same(tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        cannot_be_had("javac", "it is not installed; Debian: apt-get install default-jdk-headless")
    (tmp_path / "Run.java").write_text(_RUN)
    words, expected = [], {}
    for form in ("edoc", "tonghop", "ii06a"):
        (tmp_path / f"{form}.xsl").write_bytes(etree.tostring(tool_of(form).validator_xslt))
        words.append(f"{form}.xsl")
        documents = [changed(example(form), path, text) for name, path, text, *_ in CHANGES if name == form]
        for number, document in enumerate([example(form), *documents]):
            name = f"{form}-{number}.xml"
            (tmp_path / name).write_bytes(document)
            words.append(name)
            expected[name] = failed(form, document)
    subprocess.run(["java", *_UNLIMITED, "Run.java", *words], cwd=tmp_path, check=True, timeout=PROGRAM)
    for name, mine in expected.items():
        found = etree.parse(str(tmp_path / f"{name}.svrl")).iter(f"{SVRL}failed-assert")
        assert [(each.get("id"), each.findtext(f"{SVRL}text")) for each in found] == mine
    assert [name for name, mine in expected.items() if name.endswith("-0.xml") and mine] == []
    assert sum(map(bool, expected.values())) == sum(
        bool(rule) and form in ("edoc", "tonghop", "ii06a") for form, _, _, rule, _, _ in CHANGES
    )


# The commands


def test_anyone_runs_the_rules_without_a_hub(tmp_path: Path) -> None:
    def run(*words: object, lang: str = "vi_VN.UTF-8") -> Any:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(tmp_path / "none.toml"), *map(str, words)])

    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(example("edoc"))
    bad.write_bytes(changed(example("edoc"), cell(ROW, "sent"), "5"))
    done = run("report", "validate", good)
    assert (done.exit_code, "đều thỏa mãn" in done.output) == (0, True)
    done = run("--json", "report", "validate", bad)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 1
    assert ("row-formula-sent", "A.1", "sent") in {(each["rule"], each["row"], each["column"]) for each in said}
    assert "A.1: (3)" in run("report", "validate", bad, lang="en_US.UTF-8").output
    bad.write_text("no report")
    assert run("report", "validate", bad).exit_code == 1
    bad.write_bytes(example("edoc").replace(b'id="edoc"', b'id="other"', 1))
    assert run("report", "validate", bad).exit_code == 4
    assert run("report", "rules", "edoc").stdout_bytes == write_schematron(FORMS["edoc"])
    assert run("report", "rules", "edoc", "--json-schema").stdout_bytes == write_json_schema(FORMS["edoc"])
    assert run("report", "rules", "edoc", "--period", "2026-11").exit_code == 0
    assert run("report", "rules", "edoc", "--period", "x").exit_code == 2
    assert run("report", "rules", "other").exit_code == 4


def test_the_hub_publishes_both_for_every_form() -> None:
    files = FormRules(ReportSettings).list_files()
    assert len(files) == 2 * len(FORMS)
    contracts = admin._Contracts(dict, lambda: files)

    def ask(name: str) -> tuple[bytes, Any]:
        request = DummyRequest([b"contracts", *name.encode().split(b"/")])
        request.postpath = name.encode().split(b"/")
        return contracts.render_GET(cast("Any", request)), request

    content, request = ask("report/edoc-2018-09-06.sch")
    assert content == write_schematron(FORMS["edoc"])
    assert request.responseHeaders.getRawHeaders("content-type") == ["text/xml; charset=utf-8"]
    content, request = ask("report/tonghop.schema.json")
    assert content == write_json_schema(FORMS["tonghop"])
    assert request.responseHeaders.getRawHeaders("content-type") == ["application/schema+json; charset=utf-8"]
    assert b"report/edoc-2018-09-06.sch" in ask("")[0]


def test_forms_that_were_spoilt_take_no_contract_away(tmp_path: Path) -> None:
    settings = ReportSettings()
    rules = FormRules(lambda: settings)
    before = rules.list_files()
    (tmp_path / "own.toml").write_text("spoilt")
    settings = attrs.evolve(settings, forms=tmp_path)
    with capture_logs() as logged:
        assert rules.list_files() == before
    assert [each["event"] for each in logged] == ["form-rules-unread"]
