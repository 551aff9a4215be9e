"""Why a batch was refused, as its sender reads it in the fault, and as the journal keeps it: each mistake with its place."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from lxml import etree

from hub import config
from hub.domain.model import Problem
from hub.intake.intake import Intake
from hub.intake.records_endpoint import RecordsEndpoint
from hub.journal import events
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.monitoring import partner_traffic
from hub.services import list_services
from hub.soap import wsdl
from hub.store import transactions
from hub.store.tables import message as messages
from tests import databases, frontdesk, homes, pki
from tests.formats.test_xsd_mistakes import NAMESPACE, PLANTED, batch, dossier
from tests.signatures import Layout

ME = pki.partner("sotttt")
TEN = [f"/SyncDossiers/HoSo[{number}]{path}" for number, (_text, found) in PLANTED.items() for _kind, path in found]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture
def desk(tmp_path: Path, engine: sa.Engine) -> Intake:
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    found = frontdesk.intake(made, engine, frontdesk.partner("me", ME, "H55.13"))
    found._endpoint = cast(
        "Any", RecordsEndpoint(wsdl.load_contract("dossiers"), list_services()["dossiers"], found._access)
    )
    return found


def send(desk: Intake, content: str) -> tuple[list[str], str, bytes]:
    """Send a signed call with *content*. Return the descriptions in the fault, the tracking id, and the call."""
    body = Layout(content=content).signed(ME)
    answer = frontdesk.put(desk, body, ME)
    assert answer.fault
    root = etree.fromstring(answer.body.read())
    told = [each.text or "" for each in root.iter(f"{{{NAMESPACE}}}Description")]
    return told[1:], root.findtext(f".//{{{NAMESPACE}}}Tracking") or "", body


def kept(engine: sa.Engine, tracking: str) -> list[Problem]:
    with transactions.read_transaction(engine) as tx:
        return events.read_refusal(events.read_message_events(tx, tracking))


def test_a_batch_names_its_ten_mistakes_by_index_in_both_languages(desk: Intake, engine: sa.Engine) -> None:
    dossiers = [PLANTED[number][0] if number in PLANTED else dossier(number) for number in range(1, 501)]
    told, tracking, body = send(desk, batch(*dossiers))
    problems = kept(engine, tracking)
    assert sorted(each.place.path for each in problems if each.place) == sorted(TEN)
    assert len(told) == len(problems) == 10
    lines = body.decode().splitlines()
    for said, problem in zip(told, problems, strict=True):
        vietnamese, english = (translate(problem.detail, language) for language in Language)
        assert vietnamese != english
        assert f"[{vietnamese}]" in said
        assert f"[{english}]" in said
        assert problem.place is not None
        assert problem.place.column is not None
        place, _, name = problem.place.path.rpartition("/")
        found = lines[problem.place.line - 1][problem.place.column - 1 :]
        assert found.startswith((f"<{name.partition('[')[0]}", "<HoSo", "<TenTTHC")), (place, found[:40])
    assert "/SyncDossiers/HoSo[3]/NgayTiepNhan (Ngày tiếp nhận" in told[0]
    assert "“2026-01-05” does not have the form [0-9]{14}; write it so" in told[0]
    assert "“2026-01-05” không đúng dạng [0-9]{14}" in told[0]


def test_a_fault_repeats_twenty_and_the_journal_has_them_all(desk: Intake, engine: sa.Engine) -> None:
    told, tracking, _ = send(desk, batch(*(dossier(number, MaHoSo="") for number in range(1, 151))))
    assert len(told) == 21
    assert "130 more are in the hub's journal" in told[-1]
    problems = kept(engine, tracking)
    assert [each.place and each.place.path for each in problems] == [
        f"/SyncDossiers/HoSo[{number}]/MaHoSo" for number in range(1, 151)
    ]


def test_a_refused_batch_is_one_refusal_in_lists_and_counts(desk: Intake, engine: sa.Engine) -> None:
    """Whatever signs the sentences about its mistakes have, and however many they are."""
    _, tracking, _ = send(desk, batch(*(dossier(number, MaTTHC=None) for number in range(1, 151)), "<Lạ/>"))
    with transactions.read_transaction(engine) as tx:
        (counted,) = partner_traffic.count_refusals(tx, "me", pki.NOW - timedelta(days=1))
        (found,) = search.find_messages(tx, MessageFilter(refusal="contract-broken"))
    assert (counted.code, counted.count) == ("contract-broken", 1)
    assert found.id == tracking
    assert found.refusal is not None
    assert [each.partition(": ")[0] for each in found.refusal.split("; ")] == ["contract-broken"] * 3
    assert found.refusal.endswith(" (+148)")


def test_what_the_journal_keeps_of_a_refusal_has_a_bound(desk: Intake, engine: sa.Engine) -> None:
    """However long the names are that a sender thinks of: one of 256 letters is the longest that is read."""
    name = "x" * 240
    _, tracking, _ = send(desk, batch(*(dossier(number, more=f"<{name}/>") for number in range(1, 301))))
    with transactions.read_transaction(engine) as tx:
        (text,) = tx.scalars(
            sa.select(sa.text("text")).select_from(sa.text("event")).where(sa.text("message = :m")), {"m": tracking}
        )
        (refusal,) = tx.scalars(sa.select(messages.c.refusal).where(messages.c.id == tracking))
    assert len(kept(engine, tracking)) == 201
    assert len(text) < 300_000
    assert len(refusal) < 5_000
