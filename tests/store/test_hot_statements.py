"""Statements that go to the driver directly behave as those that SQLAlchemy executes, on both databases."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from hub.store import database_errors, hot_statements, transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import Instant, event, signed_call

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
_PUT = HotStatement(sa.insert(signed_call), keys=("sha256", "until"))
_ALL = HotStatement(sa.select(signed_call.c.sha256, signed_call.c.until).order_by(signed_call.c.sha256))
_NAMED = HotStatement(
    sa.select(signed_call.c.sha256).where(signed_call.c.sha256.in_(sa.bindparam("names", expanding=True))),
    lists=("names",),
)
_LATER = HotStatement(
    sa.update(signed_call)
    .where(signed_call.c.until < sa.bindparam("now", type_=Instant))
    .values(until=sa.bindparam("new", type_=Instant))
)


def test_values_are_converted_on_the_way_in_and_out(engine):
    with transactions.write_transaction(engine) as tx:
        _PUT.run_many(tx, [{"sha256": "a", "until": NOW}, {"sha256": "b", "until": NOW}])
        assert _ALL.read(tx, {}) == [("a", NOW), ("b", NOW)]
        assert _ALL.first(tx, {}).until == NOW
        assert tx.execute(sa.select(signed_call.c.until)).scalars().all() == [NOW, NOW]


def test_rows_are_streamed_as_the_driver_gives_them_and_a_stream_may_be_left(engine):
    with transactions.write_transaction(engine) as tx:
        _PUT.run_many(tx, [{"sha256": name, "until": NOW} for name in "abcde"])
    with transactions.read_transaction(engine) as tx:
        for _ in range(2):
            next(_ALL.stream(tx, {}, 1)).clear()
        found = [[name for name, _ in some] for some in _ALL.stream(tx, {}, 2)]
        assert found == [["a", "b"], ["c", "d"], ["e"]]
        assert all(type(until) is str for some in _ALL.stream(tx, {}, 2) for _, until in some)


def test_it_tells_how_many_rows_it_changed(engine):
    later = datetime(2027, 1, 1, tzinfo=UTC)
    with transactions.write_transaction(engine) as tx:
        assert _PUT.run(tx, {"sha256": "a", "until": NOW}) == 1
        assert _LATER.run(tx, {"now": later, "new": later}) == 1
        assert _LATER.run(tx, {"now": later, "new": later}) == 0
        assert _ALL.first(tx, {}) == ("a", later)


def test_lists_of_any_length(engine):
    with transactions.write_transaction(engine) as tx:
        _PUT.run_many(tx, [{"sha256": name, "until": NOW} for name in "abc"])
        for names in ("", "a", "ab", "xyz", "abc"):
            assert sorted(row.sha256 for row in _NAMED.read(tx, {"names": list(names)})) == sorted(
                set(names) & set("abc")
            )


def test_only_some_lengths_are_kept(engine):
    with transactions.write_transaction(engine) as tx:
        for length in range(3 * hot_statements.KEPT):
            assert _NAMED.read(tx, {"names": ["x"] * length}) == []
    assert len(_NAMED._forms) <= hot_statements.KEPT


def test_a_taken_key_is_the_same_error_as_by_sqlalchemy_and_leaves_the_transaction(engine):
    with transactions.write_transaction(engine) as tx:
        _ = _PUT.run(tx, {"sha256": "a", "until": NOW})
        with pytest.raises(sa.exc.IntegrityError) as direct, transactions.savepoint(tx):
            _ = _PUT.run(tx, {"sha256": "a", "until": NOW})
        with pytest.raises(sa.exc.IntegrityError) as usual, transactions.savepoint(tx):
            tx.execute(sa.insert(signed_call), {"sha256": "a", "until": NOW})
        assert type(direct.value.orig) is type(usual.value.orig)
        assert database_errors.is_statement_error(direct.value)
        _ = _PUT.run(tx, {"sha256": "b", "until": NOW})
    with transactions.read_transaction(engine) as tx:
        assert [row.sha256 for row in _ALL.read(tx, {})] == ["a", "b"]


def test_a_value_of_the_wrong_kind_is_refused(engine):
    with transactions.write_transaction(engine) as tx, pytest.raises(ValueError, match="naive"):
        _ = _PUT.run(tx, {"sha256": "a", "until": datetime(2026, 1, 1)})  # noqa: DTZ001
    with transactions.write_transaction(engine) as tx, pytest.raises(KeyError):
        _ = _PUT.run(tx, {"sha256": "a"})


def test_listeners_see_it(engine):
    seen = []
    with transactions.write_transaction(engine) as tx:
        sa.event.listen(tx, "before_cursor_execute", lambda *said: seen.append((said[2], said[5])))
        _PUT.run_many(tx, [{"sha256": name, "until": NOW} for name in "ab"])
        _PUT.run_many(tx, [{"sha256": "c", "until": NOW}])
    sql = _PUT.write_sql(engine.dialect)
    assert seen == [(sql, True), (sql, False)]


def test_a_lost_connection_is_known_as_lost(engine):
    """As by SQLAlchemy: the pool drops the connection, and the next one works."""
    if engine.dialect.name == "sqlite":
        return  # it has no connection to lose

    def lose(tx: transactions.Transaction) -> None:
        raw = tx.connection.dbapi_connection
        assert raw is not None
        transactions.cut_connections([raw])
        _ = _ALL.read(tx, {})

    with pytest.raises(sa.exc.DBAPIError) as lost, transactions.read_transaction(engine) as tx:
        lose(tx)
    assert database_errors.is_connection_lost(lost.value)
    assert lost.value.connection_invalidated
    with transactions.read_transaction(engine) as tx:
        assert _ALL.read(tx, {}) == []


def test_an_insert_asks_for_no_key_back(engine):
    put = HotStatement(sa.insert(event), keys=("text",))
    assert "RETURNING" not in put.write_sql(engine.dialect)
    with transactions.write_transaction(engine) as tx:
        put.run_many(tx, [{"text": "x"}])
