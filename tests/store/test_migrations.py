"""An upgrade ends at the schema of a new journal, keeps every row, and is refused from a version that nobody released."""

import lzma
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.store import schema_version, transactions
from tests import databases, homes
from tests.conftest import DATABASES
from tests.releases.kept import list_releases, load_dump
from tests.store.schema import describe_schema

pytestmark = pytest.mark.slow

#: An empty journal of version 0066, as the single migrations of the internal builds made it.
RECORDED = Path(__file__).parent / "schema_0066"
#: What an upgrade itself writes.
WRITTEN = {"alembic_version", "upgrade", "waiting_count"}


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    found: str = request.param
    return found


@pytest.fixture
def new(database: str, tmp_path: Path, request: pytest.FixtureRequest):
    """The schema of a journal that was just made."""
    if database == "sqlite":
        yield read_schema(databases.sqlite(tmp_path / "new.db"))
        return
    with request.getfixturevalue("postgresql").database() as url:
        yield read_schema(url)


@pytest.fixture
def kept(database: str, tmp_path: Path, request: pytest.FixtureRequest):
    """The journal that 2026.11.0 wrote."""
    with list_releases()[0].open_hub(database, tmp_path, request) as home:
        engine = homes.engine_of(home)
        yield engine
        engine.dispose()


@pytest.fixture
def recorded(database: str, tmp_path: Path, request: pytest.FixtureRequest):
    """The URL of an empty journal as the internal builds made it."""
    text = lzma.decompress((RECORDED / f"{database}.sql.xz").read_bytes()).decode()
    if database == "sqlite":
        with closing(sqlite3.connect(tmp_path / "recorded.db")) as here:
            here.executescript(text)
        yield f"sqlite:///{tmp_path / 'recorded.db'}"
        return
    (tmp_path / "recorded.sql").write_text(text)
    with request.getfixturevalue("postgresql").database(empty=True) as url:
        load_dump(url, tmp_path / "recorded.sql")
        yield url


def read_schema(url: str) -> dict[str, str]:
    engine = transactions.open_journal(url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        found = describe_schema(tx)
    engine.dispose()
    return found


def read_rows(engine: sa.Engine) -> dict[str, list[dict[str, object]]]:
    """Return each row of each table, by column."""
    with transactions.read_transaction(engine) as tx:
        return {
            name: [dict(row) for row in tx.exec_driver_sql(f'SELECT * FROM "{name}"').mappings()]
            for name in sa.inspect(tx).get_table_names()
        }


def test_the_journal_of_the_internal_build_gets_the_schema_of_a_new_one_and_keeps_every_row(kept, new) -> None:
    before = read_rows(kept)
    assert len(before["message"]) > 400
    transactions.upgrade_schema(kept)
    assert transactions.read_schema_version(kept) == transactions.read_latest_version()
    after = read_rows(kept)
    for name in before.keys() - WRITTEN:
        had = {key for row in before[name] for key in row}
        cut = Counter(repr([(key, row[key]) for key in sorted(had)]) for row in after[name])
        assert cut == Counter(repr(sorted(row.items())) for row in before[name]), name
    with transactions.read_transaction(kept) as tx:
        assert describe_schema(tx) == new


def test_a_journal_of_the_last_internal_build_has_the_schema_of_a_new_one(recorded, new) -> None:
    engine = transactions.open_journal(recorded, pooled=False)
    assert transactions.read_schema_version(engine) == "0066"
    transactions.upgrade_schema(engine)
    with transactions.read_transaction(engine) as tx:
        assert describe_schema(tx) == new
        assert schema_version.is_schema_supported(tx)
    engine.dispose()


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(engine) -> None:
    before = read_rows(engine)
    transactions.upgrade_schema(engine)
    assert read_rows(engine) == before


def test_the_indexes_of_a_table_are_made_in_the_order_of_their_names(tmp_path) -> None:
    """SQLite chooses between equal indexes by the order of their making: two hubs shall plan alike."""
    databases.sqlite(tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as here:
        made = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid"
        found = here.execute(made).fetchall()
    tables = {table: [name for each, name in found if each == table] for table, _ in found}
    assert len(tables) > 10
    assert all(names == sorted(names) for names in tables.values())


def test_a_new_journal_counts_as_one_to_which_every_migration_was_applied(engine) -> None:
    known = schema_version.list_migration_steps()
    with transactions.read_transaction(engine) as tx:
        assert schema_version.list_applied_migrations(tx) == known[::-1]
        least = schema_version.read_least_version(tx)
    later = f"{int(known[-1].version) + 1:04}"
    assert schema_version.is_version_supported(known, later, least), "a later release may add to it"


@pytest.mark.parametrize(("found", "first"), [("0001", "0050"), ("0049", "0050"), ("0051", "0066"), ("0065", "0066")])
def test_other_versions_are_refused_with_what_to_do(found: str, first: str, tmp_path: Path) -> None:
    home = homes.begin(tmp_path / "tinh")
    engine = homes.engine_of(home)
    with transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
    typed = homes.typing(home)
    for language, said in (("en", f"with the build of version {first}"), ("vi", f"bằng bản dựng có phiên bản {first}")):
        for words, code in (
            (["messages"], 78),
            (["db", "upgrade"], 1),
            (["db", "upgrade", "--rehearse"], 1),
            (["db", "status"], 1),
        ):
            done = typed(*words, language=language)
            assert done.exit_code == code, done.output
            assert said in " ".join(done.output.split())
    assert transactions.read_schema_version(engine) == found
    engine.dispose()


@pytest.mark.parametrize("found", ["0050", "0066", "0067", "moved"])
def test_versions_that_are_known_or_newer_or_none_have_another_way(found: str) -> None:
    known = [schema_version.MigrationStep(each, schema_version.MigrationPart.BEFORE) for each in ("0050", "0066")]
    assert schema_version.find_way_to_upgrade(known, found) is None
