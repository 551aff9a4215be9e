"""Fills a journal with messages of a province, by SQL and COPY, with everything that the console's pages look for.

Every value follows from the number of its message, so that any two journals of one size are alike. Indexes are made after the rows.
Subjects are put together from parts, whose terms are known, so the index of terms needs no look at the messages. Bodies are shared: a
hundredth of the messages have the octets of one packet, of the others only the hash is there. Of the newest messages alone there are
events, attempts, exchanges and facts, and of all that failed attempts. Knows the tables and the shape of a province's exchange; not
what is measured on it.
"""

import functools
import hashlib
import json
import random
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.conversations import Reply, Request
from hub.domain.failure_causes import find_cause
from hub.domain.ids import make_first_id, read_moment
from hub.domain.model import Unit, UnitMark
from hub.journal import blobs, event_index, unit_registry
from hub.journal.replays import replay_plans
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_rules import ItemState, PlanState
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.kept_exchange import keep_exchange
from hub.store import transactions
from hub.store.tables import event, exchange, replay_item, replay_plan, search_posting, search_progress, write_instant
from hub.store.tables import event_index as event_index_table
from tests.bench import calls
from tests.bench.backlog import settle_down

START = datetime(2026, 1, 1, tzinfo=UTC)
#: One message comes every two seconds: 1.3 million a month.
PACE = 2
#: Fifteen partners: thirteen, the office and the upstream.
SYSTEMS = 13
PARTNERS = (*(f"p{number}" for number in range(SYSTEMS)), "vpub", "vpcp")
UNITS, AGENCIES = 989, 111_000
#: Dead deliveries at most, and the causes of each partner.
DEAD, CAUSES = 98_782, 127
#: The newest messages with events, with the attempts that delivered them and with facts; events without a message.
TOLD, ATTEMPTED, COUNTED, OTHERS = 500_000, 20_000, 300_000, 100_000
#: The deliveries of the one replay plan.
PLANNED = 98_000
PLAN_KEY = "bench"
#: Numbers of the two parts of a subject.
_HEADS, _TAILS, _EACH = 383, 4001, 6
_NOTATIONS = ("SNV", "STC", "SXD", "SYT", "UBD", "SGD", "SCT", "BCH")
_REFUSALS = (
    ("not-yours", "the partner does not send for H55.01"),
    ("unit-unknown", "H55.1000"),
    *(
        (f"edxml-{word}", "the packet does not fit the schema")
        for word in ("subject", "date", "sender", "recipient", "number", "type", "pages", "due", "copy", "steering")
    ),
)
#: Beginnings and ends of the syllables of subjects.
_ONSETS = "b c ch d đ h kh l m n ng nh ph r s t th tr v x g"
_RHYMES = (
    "an ảng ấp ết ệnh iệc iến ình ịch ó ộc ội ông ợp ục ủy ức ương ai ao âm ay em êu in oa oán om ong ôm ơi uân um un uộc uyết"
    " ưu eo anh ach ep ít oai"
)
#: Messages that the indexer takes together, and messages inserted by one statement.
_STEP, _TOGETHER = 1_000, 250_000

#: Of n(i), the number of each message from 1 on: its time in milliseconds and as text, and its id.
_NUMBERS = {
    "sqlite": """
WITH RECURSIVE counted(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM counted WHERE i < {last}),
timed(i, ms) AS (SELECT i, {start} + i * {pace} FROM counted),
n(i, at, id) AS (
  SELECT i, strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || '.000000Z',
    substr(printf('%012x', ms), 1, 8) || '-' || substr(printf('%012x', ms), 9) || '-7000-8000-' || printf('%012d', i) FROM timed)
""",
    "postgresql": """
WITH counted(i) AS (SELECT generate_series({first}::bigint, {last}::bigint)),
timed(i, ms) AS (SELECT i, {start} + i * {pace} FROM counted),
n(i, at, id) AS (
  SELECT i, to_char(to_timestamp(ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '.000000Z',
    substr(lpad(to_hex(ms), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex(ms), 12, '0'), 9) || '-7000-8000-' || lpad(i::text, 12, '0')
  FROM timed)
""",
}
_HASHES = {
    "sqlite": "substr(printf('%010x', i * 2654435761 % 1099511627776) || printf('%054d', 0), 1, 64)",
    "postgresql": "rpad(lpad(to_hex(i * 2654435761 % 1099511627776), 10, '0'), 64, '0')",
}
#: The deliveries of a message: one to a unit, of a hundredth five more, and of a twentieth one out of the province, too.
_EACH_DELIVERY = [(0, 1, 0), *((number, 100, 3) for number in range(1, 6)), (9, 20, 4)]
_SENDER = f"case when i % 10 = 0 then 'vpub' when i % 100 = 14 then 'vpcp' else 'p' || (i * 7919 % {SYSTEMS}) end"
_RECEIVER = f"case when i % 5 = 0 then 'vpub' else 'p' || (i * 31 % {SYSTEMS}) end"
_OFFICE = f"case when i % 10 = 0 then 'H55.01' else 'H55.' || (i * 7919 % {UNITS}) end"
_TO = f"case when i % 5 = 0 then 'H55.01' else 'H55.' || (i * 31 % {UNITS}) end"
_DOCUMENT = "'D' || (i * 7919 % 1000003) || '-' || i"
_NUMBER = "(1 + (i * 7919 % 61) * (i * 104729 % 53))"
#: 989 units, one of which sends a tenth and gets a fifth; one message in a hundred is refused; seven tenths are documents.
_MESSAGES = f"""
insert into message (id, partner, message_id, service, kind, state, received_at, sha256, size, sender, document_id, code, document_type,
    answers_unit, lane, refusal, cause, subject)
  select id, {_SENDER}, 'named ' || (i * 7919 % 1000003) || ' ' || i,
    case when i % 10 = 9 then 'dossiers' else 'documents' end,
    case when i % 100 = 51 then 'unknown' when i % 10 = 9 then 'dossier' when i % 1000 = 7 then 'recall' when i % 10 > 6 then 'status'
      else 'document' end,
    case when i % 100 = 51 then 'refused' else 'accepted' end, at,
    case when i % 100 = 3 then '{{body}}' else {{hash}} end, {{size}},
    case when i % 100 = 51 then null else {_OFFICE} end,
    case when i % 10 = 9 then null else {_DOCUMENT} end,
    case when i % 10 = 9 then null else {_NUMBER} || '/' || {{notation}} || '-VP' end, '',
    case when i % 10 in (7, 8) then 'H55.' || (i * 31 % {UNITS}) end, 'lane ' || i, refused.reason, refused.digest,
    case when i % 10 <> 9 then head.words || ' ' || tail.words end
  from n
    join part_words as head on head.kind = 'head' and head.number = i * 7919 % {_HEADS}
    join part_words as tail on tail.kind = 'tail' and tail.number = i * 104729 % {_TAILS}
    left join part_cause as refused on i % 100 = 51 and refused.kind = 'refused' and refused.partner = {_SENDER}
      and refused.number = (i / 100 * 7919 % {{refusals}}) * (i / 100 * 104729 % {{refusals}}) / {{refusals}}
  order by i
"""
#: One in a hundred or in ten did not arrive, a few are suspended or wait to be fetched, and the last 200 wait.
_DELIVERIES = f"""
insert into delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at, lane, free, reason, cause)
  select case when d = 0 then id else substr(id, 1, 22) || d || substr(id, 24) end, id,
    case when d = 0 then {_TO} when d = 9 then 'G22.' || (i % 63) else 'H55.' || ((i * 31 + d * 97) % {UNITS}) end,
    case when d = 9 then 'G22' else 'H55' end,
    case when d = 0 then {_RECEIVER} when d = 9 then 'vpcp' else 'p' || ((i * 31 + d) % {SYSTEMS}) end,
    case when i > {{most}} - 200 then 'waiting' when d > 0 then 'delivered' when i % {{dead}} = 1 then 'dead'
      when i % 20011 = 3 then 'suspended' when i % 5003 = 5 then 'held' else 'delivered' end,
    1, at, at, at, 'lane ' || i, case when i > {{most}} - 200 then {{yes}} else {{no}} end, failed.reason, failed.digest
  from n cross join part_delivery
    left join part_cause as failed on i <= {{most}} - 200 and d = 0 and (i % {{dead}} = 1 or i % 20011 = 3)
      and failed.kind = 'dead' and failed.partner = {_RECEIVER}
      and failed.number = (i / {{dead}} * 7919 % {CAUSES}) * (i / {{dead}} * 104729 % 131) / 131
  where i % every = rest and i % 100 <> 51 order by i, d
"""
#: What failed was tried twice; of what arrived only the newest attempts are there.
_ATTEMPTS = """
insert into attempt (id, message, partner, number, recipients, started_at, ended_at, outcome, detail, reply_status, exchange,
    exchange_octets, call_ms)
  select substr(id, 1, 22) || tried || substr(id, 24), id, partner, tried, '["' || recipient || '"]', since, since,
    case when state = 'delivered' then 'accepted' when tried = 1 then 'unavailable' else 'refused' end,
    case when state = 'delivered' then null when tried = 1 then 'HTTP 503' else reason end,
    case when tried = 1 and state <> 'delivered' then 503 else 200 end, '{exchange}', 100, 40
  from delivery join (select 1 as tried union all select 2) as tries on tried = 1 or state <> 'delivered'
  where state in ('dead', 'suspended') or (state = 'delivered' and message > '{attempted}' and id = message)
"""
#: Of each message its receipt and its delivery; the chain's numbers follow those of the events without a message.
_EVENTS = """
insert into event (serial, message, text, number, hash)
  select {others} + (i - {told}) * 2 - 1 + later, id, '{{"at":"' || at || '","event":"' || case when later = 1 then 'delivery-delivered'
      when i % 100 = 51 then 'message-refused' else 'message-accepted' end || '","message":"' || id || '"}}',
    {others} + (i - {told}) * 2 - 1 + later, ''
  from n cross join (select 0 as later union all select 1) as twice where later = 0 or i % 100 <> 51 order by i, later
"""
_FACTS = f"""
insert into fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature)
  select case when way = 'sent' then {_OFFICE} else {_TO} end, 'documents', '["' || {_OFFICE} || '","' || {_DOCUMENT} || '"]', way, at, id,
    case when way = 'sent' then {_TO} else {_OFFICE} end, {{no}}, 'Công văn', {{no}}, 'valid'
  from n cross join (select 'sent' as way union all select 'received') as ways
  where i % 10 in (0, 1, 2, 3, 4, 5, 6) and i % 1000 <> 7 and i % 100 <> 51
"""
_ITEMS = f"""
insert into replay_item (plan, number, delivery, message, was, reason, since, state)
  select '{{plan}}', row_number() over (order by message), id, message, state, reason, since, '{ItemState.PLANNED}'
  from delivery where state <> 'delivered' and state = 'dead' and partner > '' order by message limit {PLANNED}
"""
_FILLED = (
    "message",
    "delivery",
    "attempt",
    "event",
    "event_index",
    "fact",
    "search_posting",
    "exchange",
    "replay_item",
)

Say = Callable[[str], None]


def name_message(number: int) -> str:
    """Return the hub's id of a message; numbers begin with 1."""
    written = f"{int(START.timestamp()) * 1000 + number * PACE * 1000:012x}"
    return f"{written[:8]}-{written[8:]}-7000-8000-{number:012d}"


def hash_message(number: int) -> str:
    """Return the SHA-256 of a message whose body is not shared: a number, and zeros."""
    return f"{number * 2654435761 % 1099511627776:010x}" + "0" * 54


def name_tracking(count: int, number: int) -> str:
    """Return the Tracking of a refused call in a journal of *count* messages: of event *number*, which is no sign-in and no pause."""
    return f"{make_first_id(_find_time(count, number))[:24]}{number:012d}"


def _find_time(count: int, number: int) -> datetime:
    return START + timedelta(seconds=PACE * count * number / OTHERS)


def find_end(count: int) -> datetime:
    """Return when the last of *count* messages came."""
    return START + timedelta(seconds=PACE * count)


def find_dead_step(count: int) -> int:
    """Return how many messages there are to one dead delivery."""
    return max(10, count // DEAD)


@functools.cache
def name_syllables() -> tuple[str, ...]:
    """Return the words of subjects beside the usual openings, the most frequent first; without diacritics they differ, too."""
    found = {
        search_terms.split_words(onset + rhyme)[0]: onset + rhyme
        for rhyme in re.findall(r"\w+", _RHYMES)
        for onset in re.findall(r"\w+", _ONSETS)
    }
    return tuple(found.values())


@functools.cache
def _make_heads() -> tuple[str, ...]:
    does = "triển khai|báo cáo|đề nghị góp ý|phê duyệt|hướng dẫn thực hiện|kiểm tra|tổng kết|ban hành|điều chỉnh|công bố|cử cán bộ dự|trả lời"
    what = (
        "kế hoạch cải cách hành chính|quyết định của Ủy ban nhân dân tỉnh|dự toán ngân sách|nghị quyết của Hội đồng nhân dân|"
        "quy chế làm việc|danh mục thủ tục|công tác văn thư|an toàn thông tin|chuyển đổi số|phòng chống thiên tai|đất đai|"
        "giải phóng mặt bằng|tuyển dụng viên chức|thi đua khen thưởng|bảo hiểm y tế|giáo dục nghề nghiệp|tiêm chủng|đầu tư công|"
        "xây dựng nông thôn mới|cuộc họp giao ban|tài sản công|hồ sơ lưu trữ|dân số|môi trường|giao thông đường bộ|du lịch|nước sạch|"
        "lao động|chính sách người có công|trật tự đô thị|khoa học và công nghệ|biên giới"
    )
    return tuple(f"V/v {verb} {noun}" for noun in what.split("|") for verb in does.split("|"))[:_HEADS]


@functools.cache
def _make_tails() -> tuple[str, ...]:
    """Return the ends of subjects: words by a distribution in which the first ones are common."""
    chance, words = random.Random(7), name_syllables()
    return tuple(
        " ".join(words[int(chance.random() * chance.random() * len(words))] for _ in range(_EACH))
        for _ in range(_TAILS)
    )


@functools.cache
def rank_words() -> tuple[str, ...]:
    """Return the words of the ends of subjects without diacritics, the most frequent first."""
    found = Counter(word for tail in _make_tails() for word in search_terms.split_words(tail))
    return tuple(word for word, _ in found.most_common())


def find_companion(word: str) -> str:
    """Return the most frequent word of a subject that has *word*."""
    rank = rank_words().index
    words = next(split for split in map(search_terms.split_words, _make_tails()) if word in split)
    return min(words, key=rank)


def list_reasons(partner: str, kind: str) -> Iterator[str]:
    """Yield the reasons of the failures of one *kind* (refused, dead) that concern *partner*, each another cause."""
    words = name_syllables()
    if kind == "refused":
        yield from (f"{code}: {detail}" for code, detail in _REFUSALS)
    else:
        yield from (f"refused: E{n:02d}: {words[n]} {words[-1 - n]} không hợp lệ" for n in range(CAUSES))


def _list_causes() -> Iterator[tuple[str, str, int, str, str]]:
    """Yield kind, partner, number, reason and digest of each cause."""
    for partner in PARTNERS:
        for kind in ("refused", "dead"):
            for number, reason in enumerate(list_reasons(partner, kind)):
                yield kind, partner, number, reason, find_cause(partner, reason).digest


def _connect(engine: sa.Engine) -> sa.Connection:
    """Return a connection on which the database keeps more in memory and waits for no disk: what is filled in may be lost."""
    engine.dispose()
    made = engine.connect()
    if engine.dialect.name == "sqlite":
        raw: Any = made.connection.driver_connection
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "foreign_keys = OFF"):
            raw.execute(f"PRAGMA {pragma}")
    made.detach()  # nobody else gets it
    return made


def _run(tx: sa.Connection, statement: str) -> None:
    tx.exec_driver_sql(statement if tx.dialect.name == "sqlite" else statement.replace("%", "%%"))


def fill(engine: sa.Engine, count: int, *, told: bool = False, say: Say = lambda _: None) -> None:
    """Make *count* messages with their deliveries in an empty journal; if *told*, with everything else that pages show."""
    begun = time.monotonic()

    def tell(what: str) -> None:
        say(f"  {time.monotonic() - begun:6.0f} s  {what}")

    dialect = engine.dialect.name
    packet = calls.write_packet("7", 4096)
    kept = keep_exchange(Request("https://doitac.example/edxml", b""), Reply(200, b"<ok/>" * 50), ())
    values: dict[str, object] = {
        "most": count, "dead": find_dead_step(count), "start": int(START.timestamp()) * 1000, "pace": PACE * 1000,
        "yes": "true", "no": "false", "hash": _HASHES[dialect], "refusals": len(_REFUSALS),
        "notation": f"substr('{''.join(_NOTATIONS)}', CAST(1 + 3 * (i * 7919 % {len(_NOTATIONS)}) AS integer), 3)",
        "body": hashlib.sha256(packet).hexdigest(), "size": len(packet), "exchange": kept.sha256,
        "attempted": name_message(max(0, count - ATTEMPTED)), "told": max(0, count - TOLD), "others": OTHERS if told else 0,
    }  # fmt: skip
    with _connect(engine) as tx, tx.begin():
        indexes = _drop_indexes(tx)
        _make_parts(tx)
        for name, statement, first in (
            ("messages", _MESSAGES, 0),
            ("deliveries", _DELIVERIES, 0),
            *((("events", _EVENTS, max(0, count - TOLD)), ("facts", _FACTS, max(0, count - COUNTED))) if told else ()),
        ):
            for after, last in pairwise([*range(first, count, _TOGETHER), count]):
                _run(tx, (_NUMBERS[dialect] + statement).format(**values | {"first": after + 1, "last": last}))
                tell(f"{name} up to {last:,}")
        _run(tx, _ATTEMPTS.format(**values))
        blobs.keep_blob(tx, str(values["body"]), packet)
        transactions.insert_missing_rows(tx, exchange, [{"sha256": kept.sha256, "head": kept.head, "body": kept.body}])
        tell("attempts")
        others = list(_make_others(count)) if told else []
        _write_others(tx, others)
        # read before anything is copied: the connection does one thing at a time
        terms = _write_terms(str(values["body"]), _read_answers(tx))
        _copy(tx, search_posting, _make_postings(count, terms, [row for _, row in others]))
        tell("terms")
        for each in indexes:
            tx.exec_driver_sql(each)
            tell(each[:80])
        if told:
            events = count - int(str(values["told"]))
            last_event = OTHERS + 2 * events
            transactions.insert_missing_rows(tx, search_progress, [{"name": "messages", "number": last_event}])
            if dialect == "postgresql":
                tx.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('event', 'serial'), {last_event})")
            _write_plan(tx, count)
            _write_registry(tx)
    tell("statistics")
    settle_down(engine)
    tell("filled")


def _make_parts(tx: sa.Connection) -> None:
    """Put what messages are made of into temporary tables."""
    causes = "kind text, partner text, number integer, reason text, digest text"
    words = [("head", number, text) for number, text in enumerate(_make_heads())]
    words += [("tail", number, text) for number, text in enumerate(_make_tails())]
    for name, columns, rows in (
        ("part_words", "kind text, number integer, words text", words),
        ("part_cause", causes, list(_list_causes())),
        ("part_delivery", "d integer, every integer, rest integer", _EACH_DELIVERY),
    ):
        tx.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns})")
        place = "?" if tx.dialect.name == "sqlite" else "%s"
        tx.exec_driver_sql(f"INSERT INTO {name} VALUES ({', '.join([place] * len(rows[0]))})", rows)
        if name != "part_delivery":
            key = "kind, number" if name == "part_words" else "kind, partner, number"
            tx.exec_driver_sql(f"CREATE INDEX {name}_key ON {name} ({key})")
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql(f"ANALYZE {name}")


def _drop_indexes(tx: sa.Connection) -> list[str]:
    """Drop the indexes of the tables that are filled, and return the statements that make them again.

    On PostgreSQL the tables are emptied, which spares the write-ahead log of a server that keeps the least of it.
    """
    names = ", ".join(f"'{name}'" for name in _FILLED)
    if tx.dialect.name == "sqlite":
        found = tx.exec_driver_sql(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({names})"
        ).all()
        for name, _ in found:
            tx.exec_driver_sql(f"DROP INDEX {name}")
        return [sql for _, sql in found]
    tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no look at each referred row
    tx.exec_driver_sql(f"TRUNCATE {', '.join(_FILLED)} RESTART IDENTITY CASCADE")
    found = tx.exec_driver_sql(
        f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename IN ({names})"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)"
    ).all()
    for name, _ in found:
        tx.exec_driver_sql(f"DROP INDEX {name}")
    key = tx.exec_driver_sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'search_posting'::regclass AND contype = 'p'"
    ).one()
    tx.exec_driver_sql(f"ALTER TABLE search_posting DROP CONSTRAINT {key[0]}")
    return [f"ALTER TABLE search_posting ADD CONSTRAINT {key[0]} {key[1]}", *(sql for _, sql in found)]


def _copy(tx: sa.Connection, table: sa.Table, rows: Iterable[tuple[object, ...]]) -> None:
    names = ", ".join(column.name for column in table.columns)
    raw: Any = tx.connection.dbapi_connection
    if tx.dialect.name == "sqlite":
        raw.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' for _ in table.columns)})", rows)
        return
    with raw.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _read_answers(tx: sa.Connection) -> dict[int, set[str]]:
    """Return the terms of what partners answered, by the number of the message."""
    found: dict[int, set[str]] = {}
    for message, detail in tx.exec_driver_sql("SELECT message, detail FROM attempt WHERE detail IS NOT NULL"):
        marks = map(search_terms.mark_answer, search_terms.list_codes(detail))
        found.setdefault(int(message[-12:]), set()).update(marks)
    return found


def _write_terms(body: str, answers: Mapping[int, set[str]]) -> Callable[[int], list[str]]:
    """Return the function from the number of a message to its terms. *body*: the SHA-256 of the shared body."""
    split, mark = search_terms.split_words, search_terms.mark_sha256
    heads, tails = ([set(split(each)) for each in parts] for parts in (_make_heads(), _make_tails()))
    notations = [search_terms.list_words(f"1/{each}-VP", None) - {"1"} for each in _NOTATIONS]
    refusals = [
        {search_terms.mark_refusal(code) for code in search_terms.list_codes(f"{a}: {b}")} for a, b in _REFUSALS
    ]
    size, shared = len(refusals), mark(body)

    def write(i: int) -> list[str]:
        terms = [shared if i % 100 == 3 else mark(hash_message(i))]
        if i % 10 != 9:
            terms += heads[i * 7919 % _HEADS]
            terms += tails[i * 104729 % _TAILS]
            terms += notations[i * 7919 % len(notations)]
            terms.append(str(1 + (i * 7919 % 61) * (i * 104729 % 53)))
        if i % 100 == 51:
            terms += refusals[(i // 100 * 7919 % size) * (i // 100 * 104729 % size) // size]
        if i in answers:
            terms += answers[i]
        return terms

    return write


def _make_postings(
    count: int, terms: Callable[[int], list[str]], others: Iterable[dict[str, Any]]
) -> Iterator[tuple[str, int, int, bytes]]:
    """Yield the rows of the index of terms, as the hub's indexer writes them for `_STEP` messages at a time."""
    begin, shift, mask = int(START.timestamp()) * 1_000_000, 32, (1 << 32) - 1
    found: dict[str, list[int]] = {}
    bucket = begin + PACE * 1_000_000 >> shift

    def pack(batch: int) -> Iterator[tuple[str, int, int, bytes]]:
        for term, lows in found.items():
            yield term, bucket, batch, array("I", sorted(set(lows))).tobytes()
        found.clear()

    for i in range(1, count + 1):
        moment = begin + i * PACE * 1_000_000
        if moment >> shift != bucket or i % _STEP == 1:
            yield from pack(i - 1)
            bucket = moment >> shift
        low = moment & mask
        for term in terms(i):
            if term in found:
                found[term].append(low)
            else:
                found[term] = [low]
    yield from pack(count)
    calls_refused: dict[int, list[int]] = {}
    for row in others:
        if row["tracking"]:
            moment = read_moment(row["tracking"])
            calls_refused.setdefault(moment >> shift, []).append(moment & mask)
    for place, lows in calls_refused.items():
        yield search_terms.REFUSED_CALL, place, count, array("I", sorted(set(lows))).tobytes()


def _make_others(count: int) -> Iterator[tuple[tuple[object, ...], dict[str, Any]]]:
    """Yield events without a message, each with its row of the index: half of them are refused calls."""
    for number in range(1, OTHERS + 1):
        at = _find_time(count, number)
        partner = PARTNERS[number * 31 % len(PARTNERS)]
        tracking = name_tracking(count, number) if number % 4 < 2 else None
        said: dict[str, Any] = {"at": write_instant(at)}
        if tracking:
            said |= {"event": "call-refused", "code": "signature-invalid" if number % 8 else "operation-not-granted"}
            said |= {
                "detail": f"the digest of part {number} differs",
                "operation": "SendDocument",
                "tracking": tracking,
            }
            said |= {"partner": partner} if number % 16 else {"certificate": f"{number:064x}"}
        elif number % 4 == 2:
            said |= {"event": "user-signed-in", "user": f"can-bo-{number % 97 // 2}", "address": "10.0.0.1"}
        else:
            said |= {"event": "partner-paused", "partner": partner, "by": f"ky-su-{number % 7}", "reason": "bảo trì"}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        yield (number, tracking, None, text, number, ""), event_index.make_index_row(number, None, said)


def _write_others(tx: sa.Connection, others: Sequence[tuple[tuple[object, ...], dict[str, Any]]]) -> None:
    _copy(tx, event, (row for row, _ in others))
    columns = [column.name for column in event_index_table.columns]
    _copy(tx, event_index_table, (tuple(row[name] for name in columns) for _, row in others))


def _write_plan(tx: sa.Connection, count: int) -> None:
    """Write one replay plan, of dead deliveries."""
    now = find_end(count)
    choice = ReplayChoice.of(MessageFilter(delivery_state="dead"), made_at=now)
    made = replay_plans.make_plan(tx, choice, key=PLAN_KEY, reason="gửi lại", by="ky-su", now=now, goes=False)
    _run(tx, _ITEMS.format(plan=made.id))
    items = tx.scalar(sa.select(sa.func.count()).select_from(replay_item)) or 0
    said = {"items": items, "chosen": items, "octets": items * 4096, "state": PlanState.PLANNED}
    tx.execute(sa.update(replay_plan).values(**said, partners=json.dumps({"vpub": items})))


def _write_registry(tx: sa.Connection) -> None:
    """Write the units of the province and the agencies of the national list."""
    units = [Unit(f"H55.{number}", f"Ủy ban nhân dân xã số {number}", "H55") for number in range(UNITS)]
    national = (
        Unit(f"G{number % 90}.{number}", f"Cơ quan số {number}", aliases=(f"{number}.G09",), mark=UnitMark.NATIONAL)
        for number in range(AGENCIES)
    )
    unit_registry.write_registry_units(tx, [Unit("H55.01", "Văn phòng Ủy ban nhân dân tỉnh", "H55"), *units, *national])
