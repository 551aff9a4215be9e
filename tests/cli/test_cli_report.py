"""`lienthong report`: its commands and short forms; one count, written in every format; what the hub vouches for."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from lxml import etree

from hub.cli import lienthong
from hub.cli.report.report import COMMANDS, MOVED
from hub.config import read_config
from hub.domain.model import Fact
from hub.journal import facts as journal_facts
from hub.language.catalogues import translate
from hub.language.languages import choose_environment_language
from hub.report.counting.evidence import MEMBERS
from hub.report.form.period import find_month_containing
from hub.security.wss_verify import unseal_document
from hub.store import tables, transactions
from tests import homes
from tests.readback import R, from_csv, from_html, from_json, from_pdf, from_xlsx, from_xml

Type = Callable[..., Result]
PERIOD = find_month_containing(datetime.now(UTC)).text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub whose ledger has a few facts."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    now = datetime.now(UTC)
    with transactions.write_transaction(engine) as tx:
        for code in ("H55", "H55.13", "H55.13.1"):
            message = {"id": f"m {code}", "partner": "sotttt", "message_id": f"sent by {code}", "received_at": now}
            message |= {"service": "documents", "kind": "document", "state": "accepted", "sha256": "0" * 64, "size": 1}
            tx.execute(sa.insert(tables.message), message)
            fact = Fact(unit=code, service="documents", key="1", milestone="sent", at=now, message=f"m {code}")
            dossier = Fact(
                unit=code,
                service="dossiers",
                key=f"S-{code}",
                milestone="received",
                at=now,
                message=f"m {code}",
                attributes=(("field", code[-2:]),),
            )
            journal_facts.record_facts(tx, [fact, dossier])
    engine.dispose()
    return home


@pytest.fixture(scope="module")
def typed(home: Path) -> Type:
    """Types a command, in Vietnamese, for that hub."""

    def run(*words: object, lang: str = "vi_VN.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


def test_a_number_in_the_row_of_a_field_is_explained(typed: Type) -> None:
    words = ("report", "H55.13.1", PERIOD, "--form", "ii06a")
    said = json.loads(typed(*words, "--format", "json").output)["divided"]
    assert (said["by"], [row["path"] for row in said["rows"]]) == (["field"], [[".1"]])
    explained = typed("--json", *words, "--explain", "received", "--row", ".1")
    assert [json.loads(line)["key"] for line in explained.output.splitlines()] == ["S-H55.13.1"]
    assert typed(*words, "--row", ".1").exit_code == 2
    for row in ("HT", "", ".1|.1"):
        done = typed(*words, "--explain", "received", "--row", row)
        assert done.exit_code == 4, row
        assert row in done.output


def test_the_provinces_table_has_a_row_for_each_department_and_opens_it(typed: Type, tmp_path: Path) -> None:
    words = ("report", "H55", PERIOD, "--form", "ii06a")
    said = json.loads(typed(*words, "--format", "json").output)["divided"]
    assert said["by"][-1] == "principal"
    rows = {row["path"][-1]: row["received"] for row in said["rows"] if row["received"]}
    assert {unit: number for unit, number in rows.items() if unit.startswith("H55")} == {"H55": 1, "H55.13": 2}
    assert "divided" not in json.loads(typed(*words, "--rows", "unit", "--format", "json").output)
    opened = json.loads(typed(*words, "--open", "H55.13", "--format", "json").output)
    assert [row["unit"] for row in opened["rows"]] == ["H55.13", "H55.13.1", "H55.13.2"]
    assert opened["total"]["received"] == 2
    explained = typed("--json", *words, "--open", "H55.13", "--explain", "received")
    assert [json.loads(line)["key"] for line in explained.output.splitlines()] == ["S-H55.13", "S-H55.13.1"]
    summed = json.loads(typed("report", "H55", PERIOD, "--rows", "principal", "--format", "json").output)["divided"]
    assert {row["path"][-1]: row["sent"] for row in summed["rows"] if row["sent"]} == {"H55": 1, "H55.13": 2}
    assert typed(*words, "--open", "H55.13.1").exit_code == 4
    assert typed(*words, "--open", "H55.13", "--rows", "unit").exit_code == 2
    assert typed(*words, "--rows", "unit", "--format", "xml", "-o", tmp_path / "r.xml").exit_code == 2


@pytest.mark.slow
def test_every_format_has_the_same_cells(typed: Type, tmp_path: Path) -> None:
    read_back = []
    readers: dict[str, Callable[[bytes], Any]] = {
        "csv": from_csv,
        "html": lambda content: from_html(content.decode()),
        "json": lambda content: from_json(content.decode()),
        "xlsx": from_xlsx,
        "xml": from_xml,
    }
    for kind, reader in readers.items():
        done = typed("report", "H55", PERIOD, "--format", kind, "-o", tmp_path / f"r.{kind}")
        assert done.exit_code == 0, done.output
        read_back.append(reader((tmp_path / f"r.{kind}").read_bytes()))
    assert all(each == read_back[0] for each in read_back)
    assert read_back[0][0][1]["sent"] == 3
    typed("report", "H55", PERIOD, "--format", "pdf", "-o", tmp_path / "r.pdf")
    printed = from_pdf((tmp_path / "r.pdf").read_bytes())
    assert [(unit, cells["sent"]) for unit, cells in printed] == [(unit, cells["sent"]) for unit, cells in read_back[0]]


def test_charts_come_when_asked_for_and_only_where_there_is_room(typed: Type) -> None:
    plain = typed("report", "H55", PERIOD, "--format", "html").stdout
    charted = typed("report", "H55", PERIOD, "--form", "edoc", "--format", "html", "--charts")
    assert charted.exit_code == 0, charted.output
    assert "<svg" not in plain
    assert from_html(charted.stdout) == from_html(plain), "the numbers are the same"
    refused = typed("report", "H55", PERIOD, "--format", "csv", "--charts")
    assert refused.exit_code == 2
    assert "biểu đồ" in refused.output


def test_the_xml_carries_the_hubs_seal_and_the_hash_of_what_facts_prints(typed: Type, home: Path) -> None:
    content = typed("report", "H55", PERIOD, "--format", "xml").stdout_bytes
    unseal_document(content, read_config(home / "hub.toml").anchors, datetime.now(UTC))
    root: Any = etree.fromstring(content)
    facts = [json.loads(line) for line in typed("report", "H55", PERIOD, "--facts", "--json").stdout.splitlines()]

    def hashed(said: list[list[object]]) -> str:
        text = "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in said)
        return sha256(text.encode()).hexdigest()

    units = sorted({each["unit"] for each in facts})
    rows = {unit: [[each[key] for key in MEMBERS] for each in facts if each["unit"] == unit] for unit in units}
    assert {each["message_id"] for each in facts} == {"sent by H55", "sent by H55.13", "sent by H55.13.1"}
    assert root.find(f"{R}Evidence").get("facts") == str(len(facts)) == "3"
    assert root.findtext(f"{R}Evidence") == hashed([[unit, hashed(rows[unit])] for unit in units])


@pytest.mark.parametrize("kind", ["xlsx", "xml"])
def test_a_terminal_is_not_shown_what_belongs_in_a_file(
    typed: Type, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("hub.cli.report.show._is_on_terminal", lambda: True)
    done = typed("report", "H55", PERIOD, "--format", kind)
    assert done.exit_code == 2
    assert "-o" in done.output


# --- its commands and short forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("H55", PERIOD),
        ("H55", PERIOD, "--json"),
        ("--json", "H55", PERIOD),
        ("--form", "edoc", "H55", PERIOD, "--format", "html"),
        ("H55", PERIOD, "--explain", "sent", "--unit", "H55.13"),
        ("H55", PERIOD, "--explain", "none"),
        ("H55", PERIOD, "--unit", "H55.13"),
        ("H55.99", PERIOD),
        ("H55", "khi nào"),
    ],
)
def test_a_unit_and_a_period_alone_are_short_for_show(
    typed: Type, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    now = datetime.now(UTC)

    class Then(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003 - one moment
            return now

    monkeypatch.setattr("hub.cli.report.show.datetime", Then)
    short, whole = typed("report", *words), typed("report", "show", *words)
    assert (short.exit_code, short.stdout) == (whole.exit_code, whole.stdout)
    assert short.stderr.splitlines()[-1:] == whole.stderr.splitlines()[-1:]


@pytest.mark.parametrize("words", [(), ("--json",), ("H55", PERIOD), ("H55.13", PERIOD, "--form", "edoc", "--json")])
def test_facts_as_an_option_is_short_for_the_command(typed: Type, words: tuple[str, ...]) -> None:
    whole = typed("report", "facts", *words)
    assert whole.stdout.count("sent" if "--json" in words else "gửi đi") >= 1
    for short in (("--facts", *words), (*words, "--facts")):
        done = typed("report", *short)
        assert (done.exit_code, done.stdout, done.stderr) == (0, whole.stdout, whole.stderr)


def test_options_may_stand_before_the_unit_and_glued_to_their_value(typed: Type, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    assert typed("report", f"-c{home / 'hub.toml'}", f"-o{file}", "H55", PERIOD).exit_code == 0
    assert file.read_bytes() == typed("report", "H55", PERIOD).stdout_bytes


@pytest.mark.parametrize("words", [("H55",), ("--form", "edoc"), ("facts", "H55"), ("show", "H55"), ("--json",), ()])
def test_a_report_is_named_by_unit_and_period(typed: Type, words: tuple[str, ...]) -> None:
    assert typed("report", *words).exit_code == 2


@pytest.mark.parametrize("old", MOVED)
@pytest.mark.parametrize("words", [("{}",), ("{}", "2026-12"), ("{}=x",), ("H55", PERIOD, "{}"), ("{}", "H55", PERIOD)])
def test_an_option_of_old_names_the_command_that_does_it_now(typed: Type, old: str, words: tuple[str, ...]) -> None:
    name = MOVED[old].split()[0]
    assert name in COMMANDS
    for lang, said in (("vi_VN.UTF-8", "nay là một lệnh"), ("en_US.UTF-8", "is a command now")):
        told = typed("report", *(word.format(old) for word in words), lang=lang)
        assert (told.exit_code, told.stdout) == (2, "")
        assert f"{old} {said}: lienthong report {MOVED[old]}" in told.stderr


def test_report_lists_its_commands_each_with_examples(typed: Type) -> None:
    for lang in ("vi_VN.UTF-8", "en_US.UTF-8"):
        listed = typed("report", "--help", lang=lang).stdout
        for name, (_, described) in COMMANDS.items():
            assert f"  {name} " in listed
            assert translate(described, choose_environment_language({"LANG": lang})) in listed
        assert "    lienthong report close 2026-12" in listed
    for name in COMMANDS:
        shown = typed("report", name, "--help").stdout
        assert f"    lienthong report {name} " in shown
        assert not set(MOVED) & set(shown.split())
    assert "lienthong report show H55.01" in typed("report", "H55", PERIOD, "--help").stdout
