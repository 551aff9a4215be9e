"""One-stop software, a process of its own, tells a real hub of its dossiers; the report says what its own books say."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.domain.local_time import HANOI
from hub.report.form.period import find_month_containing
from lienthong_demo.protocol.notebook import read_notebook
from tests import warm
from tests.conftest import DATABASES
from tests.running import PATIENCE

pytestmark = pytest.mark.slow

UNITS = ("H55.13", "H55.14")
DAYS = 6  #: in which every course but one has ended
ROOT = Path(__file__).resolve().parents[2]


class Software:
    """The process, by its orders."""

    def __init__(self, hub, partner, units):
        files = hub.files(partner)
        self.notebook = hub.home / f"onestop-{partner}.jsonl"
        words = {
            "--hub": hub.soap.removesuffix("/soap/documents"), "--key": files["key"], "--certificate": files["certificate"],
            "--ca": files["ca"], "--hub-certificate": hub.home / "pki/hub.crt", "--notebook": self.notebook,
            "--units": ",".join(units),
        }  # fmt: skip
        command = [
            sys.executable,
            "-m",
            "lienthong_demo.partners.onestop",
            partner,
            *(str(word) for pair in words.items() for word in pair),
        ]
        self.process: Any = warm.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._answer() == {"ready": True}

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(PATIENCE)}"
        return json.loads(line)

    def order(self, do, **fields):
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code


def report(hub, period, form="dossiers"):
    """Return the rows of the province's report, by unit."""
    (said,) = hub.cli("report", "H55", period.text, "--form", form, "--format", "json")
    return {row["unit"]: row for row in said["rows"]}


def test_the_report_equals_the_books_of_the_one_stop_software(hub):
    hub.start()
    now = datetime.now(UTC)
    today, period = now.astimezone(HANOI).date(), find_month_containing(now)
    software = Software(hub, "sotttt", UNITS)
    for ago in reversed(range(DAYS)):
        told = software.order("day", day=f"{today - timedelta(ago)}", new=5)
        assert told["refused"] == []
        assert told["accepted"] >= len(UNITS)

    for expected, accepted, *codes in software.order("spoil")["spoilt"]:
        assert (accepted, codes[0]) == (False, expected)

    books = software.order("count", **{"from": f"{period.first}", "to": f"{today}"})
    numbers = {"NewReception": 9, "PreExtisting": 1, "Total": 10, "TotalSolved": 8, "SolvedInTime": 7, "SolvedLate": 1}
    numbers |= {"TotalPending": 2, "Pending": 2, "PendingLate": 0}
    month = f"{period.year}-{period.number:02}"
    assert software.order("statistic", unit="H55.13", month=month, numbers=numbers)["accepted"]

    counted, table = report(hub, period), report(hub, period, "btp07a")
    for unit in UNITS:
        row, book = counted[unit], books[unit]["dossiers"]
        assert {key: table[unit][key] for key in books[unit]["btp07a"]} == books[unit]["btp07a"]
        assert {key: row[key] for key in book} == book, "what is declared is not mixed with what is counted"
        assert row["total"] == row["finished"] + row["pending"]
        assert row["received"] == sum(book.get(f"received_{channel}", 0) for channel in ("online", "direct", "post"))
    assert sum(sum(book["dossiers"].values()) for book in books.values()) > DAYS * len(UNITS)
    declared = {unit: (row["declared_received"], row["declared_finished"]) for unit, row in counted.items()}
    assert declared == {unit: (9, 8) if unit == "H55.13" else (0, 0) for unit in counted}

    days = {"from": f"{period.first}", "to": f"{today}"}
    said = software.order("report", unit="H55.14", period=period.text, wrong="supplement_requested", **days)
    right = counted["H55.14"]["supplement_requested"]
    assert said["unequal"] == [["H55.14", "supplement_requested", right + 1, right]], (
        "what it declares else is what is counted"
    )

    known = software.order("dossiers")
    code, (unit, status, _) = max(known.items(), key=lambda item: len(item[1][2]))
    found = software.order("look", unit=unit, dossier=code)
    assert (found["unit"], found["status"]) == (unit, status)
    assert len(found["history"]) >= 3
    assert software.order("look", dossier=code) == found, "without its unit, among all of the caller's"
    other = next(each for each in UNITS if each != unit)
    assert software.order("look", unit=other, dossier=code) == {"codes": ["dossier-unknown"]}
    assert software.close() == 0

    accepted = {
        str(line["message_id"])
        for line in read_notebook(software.notebook)
        if line["what"] == "sent" and line["accepted"]
    }
    rows = [
        row for row in hub.cli("messages", "--json", "--state", "accepted") if row["service"] in {"dossiers", "reports"}
    ]
    assert {row["message_id"] for row in rows} == accepted
    assert len(rows) == len(accepted), "what is sent twice is one message"
    assert {row["kind"] for row in rows} == {"dossiers", "progress", "statistic", "declaration"}


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_only_the_units_own_system_may_tell_and_ask(hub):
    hub.start()
    ours, theirs = Software(hub, "sotttt", ["H55.13"]), Software(hub, "vpub", ["H55.13"])
    today = datetime.now(UTC).astimezone(HANOI).date()
    assert ours.order("day", day=f"{today}", new=1)["refused"] == []
    (code,) = ours.order("dossiers")
    assert theirs.order("day", day=f"{today}", new=1)["refused"] == [["SyncDossiers", "H55.13", "sender-not-allowed"]]
    assert theirs.order("look", unit="H55.13", dossier=code) == {"codes": ["not-yours"]}
    assert theirs.order("look", dossier=code) == {"codes": ["dossier-unknown"]}
    assert ours.order("look", dossier=code)["status"]
    assert (ours.close(), theirs.close()) == (0, 0)
