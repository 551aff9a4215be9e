"""The measurement of a little hostile traffic works: every operation has its kind, the verdict is as stated, and it runs in a small form."""

import re

import pytest
from lxml import etree

from hub.soap import wsdl
from tests.bench import attacks
from tests.bench.paired import ABOVE, PLACES, RATIO, Pair, Row
from tests.overload.operations import FAST, KINDS, SLOW, Caller
from tests.overload.streams import name_answer

#: Run by `./dev soak`.
OTHERS = [pytest.param(place, marks=pytest.mark.soak) for place in PLACES[1:]]

CALLER = Caller(unit="H55.24", recipient="H55.12", period="2026-11", waiting="x", sender="H55.25", about="y")


def row(*pairs, **answered):
    return Row(
        "sqlite",
        "recalls@44",
        [Pair(quiet, attacked, attacked / 2, ()) for quiet, attacked in pairs],
        answered or {"sent": 1},
    )


def test_every_operation_of_every_contract_is_a_kind_that_keeps_its_contract():
    operations = {
        (service, etree.QName(tag).localname)
        for service in wsdl.list_contract_names()
        for tag in wsdl.load_contract(service).operations
    }
    made = set()
    for name, kind in KINDS.items():
        for number in range(12):  # those that are sent in turn, too
            content = etree.fromstring(kind.make(CALLER, f"r1-{name}-{number}"))
            wsdl.load_contract(kind.service).validate(content)
            made.add((kind.service, etree.QName(content).localname))
    assert made == operations


def test_dear_effects_come_at_both_rates():
    for name in ("replaced-330", "replaced-2000", "recalls", "updates"):
        assert {KINDS[f"{name}@44"].rate, KINDS[f"{name}@200"].rate} == {SLOW, FAST}


def test_a_kind_holds_by_the_median_of_its_pairs():
    assert row((0.02, 0.02), (0.02, 0.9), (0.02, 0.021)).faults == []
    assert row((0.125, 0.125 * RATIO), (0.125, 0.125 * RATIO), (0.125, 9.0)).faults == []
    assert row((0.01, 0.00999 + ABOVE), (0.01, 0.00999 + ABOVE), (0.01, 9.0)).faults == []
    assert row((0.02, 0.02), (0.02, 0.09), (0.02, 0.08)).faults == [
        "p99 is 4.00 times the quiet one and 60 ms above it"
    ]


def test_a_refused_honest_call_or_no_attack_at_all_is_a_fault():
    refused = Row("sqlite", "recalls@44", [Pair(0.02, 0.02, 0.01, ["503 hub-busy"])], {"sent": 2})
    assert refused.faults == ["1 honest calls refused: 503 hub-busy"]
    assert "MISSED" in refused.describe()
    assert row((0.02, 0.02), failed=1).faults == ["nothing was sent"]


def test_an_answer_is_named_by_its_status_and_code():
    refusal = b"<r:Error><r:Code>sender-not-allowed</r:Code><r:Description>H55</r:Description></r:Error>"
    assert name_answer(200, refusal) == "200=sender-not-allowed"
    assert name_answer(503, b"<faultstring>hub-busy: x</faultstring>") == "503=hub-busy"
    assert name_answer(200, b"<IsSuccess>true</IsSuccess>") == "200"


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("place", [PLACES[0], *OTHERS])
def test_the_small_form_measures_and_gives_a_verdict(place, capsys):
    """Its figures are judged by nobody here."""
    words = [
        "--paired",
        "recalls@200",
        "SyncDossiers",
        "--on",
        place,
        "--rounds",
        "1",
        "--seconds",
        "0.4",
        "--facts",
        "900",
    ]
    with pytest.raises(SystemExit) as ended:
        attacks.show(words)
    said = capsys.readouterr()
    assert ended.value.code in (0, 1)
    for kind in ("recalls@200", "SyncDossiers"):
        (line,) = (each for each in said.out.splitlines() if each.startswith(f"{place:<10} {kind} "))
        assert re.search(r" ms \(\d+\) +\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\) .* (holds|MISSED)  .*sent:\d", line), line
        assert not re.search(r"=(?!hub-busy)|[A-Z]\w+Error", line), f"the attack is not what it should be: {line}"
    assert re.search(r"none refused: (all 2 hold|missed by \d of 2: )", said.err)
