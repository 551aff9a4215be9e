"""Any history of a journal, on each database: deliveries, traces and every cell of the report equal a second count (tests/recount).

A history is a list of steps drawn from a seed.  `./dev test` runs the same seeds each time; `./dev soak` runs others, for MINUTES (30).
Of a history that fails, the steps that are enough are printed with its seed; SEED=N runs that one again.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hub import config
from hub.cli import lienthong
from hub.journal import unit_registry
from hub.store import transactions
from tests.histories import office
from tests.histories.drawing import Machine, Step
from tests.histories.steps import Steps
from tests.recount import places, results


@pytest.fixture
def machine(journal_url: str) -> Iterator[Machine]:
    """One node on SQLite, two on PostgreSQL."""
    engine = transactions.open_journal(journal_url)
    on_sqlite = engine.dialect.name == "sqlite"
    if on_sqlite:
        # A history is about steps, not about a power cut.
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        engine.dispose()
    yield Machine(engine, ("node",) if on_sqlite else ("một", "hai"))
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_many_histories(machine: Machine, part: int) -> None:
    first, count = (100, 5) if machine.engine.dialect.name == "sqlite" else (200, 2)
    machine.run_seeds(range(first + part * count, first + (part + 1) * count), length=70)


@pytest.mark.soak
def test_random_histories_until_the_time_is_over(machine: Machine) -> None:
    over = time.monotonic() + 60 * float(os.environ.get("MINUTES", "30")) / 2  # on each database
    while time.monotonic() < over:
        machine.run_seeds([secrets.randbits(32)], length=120)


@pytest.mark.slow
def test_the_command_line_explains_each_number_by_exactly_the_messages_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "tinh"
    typed = CliRunner(env={"LANG": "C.UTF-8"})
    assert typed.invoke(lienthong, ["init", str(home), "--soap-port", "0", "--admin-port", "0"]).exit_code == 0
    engine = transactions.open_journal(config.read_config(home / "hub.toml").database_url)
    with transactions.write_transaction(engine) as tx:  # the province of the histories in place of the samples
        for table in ("unit_alias", "unit_successor", "unit"):
            tx.execute(sa.text(f"DELETE FROM {table}"))
        unit_registry.write_registry_units(tx, office.units())
    steps, random = Steps(engine, ("node",)), Random(1)
    waits = {Steps.wait, Steps.wait_for_the_cut_off, Steps.wait_too_long, Steps.work}  # all is within one period
    for _ in range(150):
        step = Step.drawn(random)
        if step.does not in waits:
            step.does(steps, **step.said)
    found, period = steps.sights.recount(), "2026-11"
    now, end = steps.history.now, results.bounds(period)[1]

    class Then(datetime):
        @classmethod
        def now(cls, tz=None):  # noqa: ARG003 - the time of the history, whatever zone is asked for
            return now

    monkeypatch.setattr("hub.cli.report.show.datetime", Then)
    explained = 0
    for column in (each for each in results.COLUMNS if each != "last_update"):
        ran = typed.invoke(
            lienthong, ["-c", str(home / "hub.toml"), "report", "H55", period, "--explain", column, "--json"]
        )
        assert ran.exit_code == 0, ran.output
        told = [(line["unit"], line["milestone"], line["id"]) for line in map(json.loads, ran.stdout.splitlines())]
        members = places.below("H55", end)
        expected = [one.name for unit in members for one in results.behind(found, column, unit, period, now)]
        assert sorted(told) == sorted(expected), column
        explained += len(told)
    engine.dispose()
    assert explained > 10, "a history with something to explain"
