"""Prints the fault matrix at the end of a run, and brings the towns their databases."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from hub.config.database import parse_database_url
from hub.store import transactions
from lienthong_demo.run.postgres import Absent, Server
from tests.conftest import cannot_be_had
from tests.faults import matrix


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Send the rows that the test wrote with its report: it may have run in another process."""
    report = yield
    if call.when == "call" and matrix.WRITTEN:
        report.user_properties += [("fault-matrix", attrs.asdict(row)) for row in matrix.WRITTEN]
        matrix.WRITTEN.clear()
    return report


def pytest_runtest_logreport(report):
    """Take the rows from where the test ran."""
    if report.when == "call":
        matrix.ROWS += [matrix.Row(**row) for name, row in report.user_properties if name == "fault-matrix"]


def pytest_terminal_summary(terminalreporter):
    if matrix.ROWS:
        matrix.keep()
        terminalreporter.section("fault matrix (tests/faults)")
        for line in matrix.table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def victim() -> Iterator[Server]:
    """A PostgreSQL server that may be killed: nobody else's."""
    try:
        opened = Server.open({"max_connections": "200"})
        server = opened.__enter__()
    except Absent as absent:
        cannot_be_had("PostgreSQL", str(absent))
    try:
        yield server
    finally:
        opened.__exit__(None, None, None)


@pytest.fixture(scope="session")
def template(victim: Server) -> str:
    """The name of a database in it from which those of the towns are copied."""
    name = "template_of_towns"
    _administer(victim, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
    engine = transactions.open_journal(parse_database_url(victim.url(name), Path()), pooled=False)
    transactions.upgrade_schema(engine)
    engine.dispose()
    return name


def _administer(server: Server, *statements: str) -> None:
    engine = sa.create_engine(
        server.url().replace("postgresql://", "postgresql+psycopg://"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def fresh(victim, template):
    """The URL of a database in it with the latest tables and nothing in them."""
    name = "fresh"
    _administer(victim, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE {template}")
    return victim.url(name)
