"""What the console's pages about messages cost in a large journal: `./dev bench --pages 1000000 DB=sqlite`.

Each page is measured as a browser asks for it, from the request to the written page, without a port: the median of several, each about
another unit, number, word or message.  Ten million messages on PostgreSQL take under 20 GB.  Knows the addresses of pages; not how a
search finds its rows.
"""

import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from hub.config import Partner
from hub.domain.failure_causes import find_cause
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from hub.store.tables import console_session, console_user, replay_plan
from lienthong_demo.run import postgres
from tests.bench import calibration, province_journal, record
from tests.bench.province_journal import (
    PARTNERS,
    PLAN_KEY,
    find_companion,
    find_dead_step,
    find_end,
    hash_message,
    list_reasons,
    name_message,
    name_tracking,
    rank_words,
)
from tests.console_town import Browser, Town

TIMES = 9
#: Octets of disk that a message takes, what a journal takes without one, and the most that is filled.
OCTETS, ALWAYS, LARGEST = {"sqlite": 2_400, "postgresql": 1_900}, 500_000_000, 20_000_000_000
#: Settings of the server: it keeps in memory what a server for a journal of this size would, and when it is filled, it trusts the disk.
MEASURED = {"shared_buffers": "2GB", "max_wal_size": "256MB"}
FILLING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "1GB",
    "work_mem": "256MB",
}
Say = Callable[[str], None]


def _list(**conditions: str) -> str:
    return f"/messages?{urlencode(conditions)}"


def list_pages(most: int, number: int) -> Mapping[str, str]:
    """Return the addresses of pages of a journal of *most* messages, by what they show; each *number* has others."""
    return _list_box_pages(most, number) | _list_filter_pages(most, number) | _list_other_pages(most, number)


def _list_box_pages(most: int, number: int) -> dict[str, str]:
    """Return the searches by the box."""
    words = rank_words()
    middle = name_message(most // 2 + number)
    return {
        "box: number of a document": _list(q=f"{5 + 8 * number}/SYT-VP"),
        "box: number without signs": _list(q=f"{6 + 8 * number} sytvp"),
        "box: number, of a unit": _list(q=f"{5 + 8 * number}/SYT-VP", unit="H55.01"),
        "box: hub id": _list(q=middle),
        "box: Tracking": _list(q=name_tracking(most, 4 * number + 4)),
        "box: message id": _list(q=f"named {7919 * (1 + number)} {1 + number}"),
        "box: DocumentId": _list(q=f"D{7919 * (3 + number)}-{3 + number}"),
        "box: SHA-256": _list(q=hash_message(8 + number)),
        "box: first digits of a SHA-256": _list(q=hash_message(18 + number)[:12]),
        "box: name of a unit": _list(q=f"UBND xã số {1 + number}"),
        "box: abbreviation of a unit": _list(q="VP UBND tỉnh"),
        "box: partner": _list(q=PARTNERS[number]),
        "box: a common word": _list(q=words[number]),
        "box: a rare word": _list(q=words[-1 - number]),
        "box: two common words": _list(q=f"{words[number]} {words[number + 1]}"),
        "box: a common and a rare word": _list(q=f"{find_companion(words[-1 - number])} {words[-1 - number]}"),
        "box: words that hardly ever meet": _list(q=f"{words[number]} {words[-1 - number]}"),
        "box: two rare words": _list(q=f"{words[-1 - number]} {words[-20 - number]}"),
        "box: words of an opening": _list(q="cải cách hành chính"),
        "box: no such words": _list(q=f"{words[number]} khôngcó"),
        "box: two common words, older": _list(q=f"{words[number]} {words[number + 1]}", before=middle),
    }


def _list_filter_pages(most: int, number: int) -> dict[str, str]:
    """Return the lists by each filter, and the list's first, tenth and last page."""
    day = find_end(most) - timedelta(days=number)
    cause = find_cause(PARTNERS[number], next(list_reasons(PARTNERS[number], "dead"))).name
    return {
        "list": "/messages",
        "list, tenth page": _list(before=name_message(most - 450 - number)),
        "list, last page": _list(before=name_message(52 + number)),
        "list, back from the last page": _list(after=name_message(52 + number)),
        "a unit": _list(unit=f"H55.{number or '01'}"),
        "a recipient": _list(recipient=f"H55.{number or '01'}"),
        "a partner": _list(partner=f"p{1 + number}"),
        "a partner, refused": _list(partner=f"p{1 + number}", state="refused"),
        "went to a partner": _list(sent_to=f"p{1 + number}"),
        "refused": _list(state="refused"),
        "refused calls": _list(state="call"),
        "code of a refusal": _list(refusal="not-yours"),
        "code of an answer": _list(answer=f"E{number:02d}"),
        "a cause": _list(cause=cause, delivery="dead"),
        "dead": _list(delivery="dead"),
        "dead, of a partner": _list(delivery="dead", sent_to=f"p{1 + number}"),
        "waiting": _list(delivery="waiting"),
        "delivered": _list(delivery="delivered"),
        "in": _list(direction="in"),
        "out": _list(direction="out"),
        "within": _list(direction="within"),
        "a day": _list(since=f"{day - timedelta(days=1):%Y-%m-%d}", until=f"{day:%Y-%m-%d}"),
        "a day, of a unit": _list(since=f"{day:%Y-%m-%d}", until=f"{day:%Y-%m-%d}", unit="H55.01"),
        "recalls": _list(kind="documents/recall"),
        "dossiers of a unit, dead": _list(kind="dossiers/dossier", unit="H55.01", delivery="dead"),
    }


def _list_other_pages(most: int, number: int) -> dict[str, str]:
    """Return the pages of messages, events, failures, replays and reports."""
    some = most // 2000 * (TIMES + number) // TIMES
    dead = name_message(some // find_dead_step(most) * 5 * find_dead_step(most) + 1)
    month = f"{find_end(most) - timedelta(days=2):%Y-%m}"
    return {
        "message, delivered": f"/messages/{name_message(10 * some + 4)}",
        "message, dead": f"/messages/{dead}",
        "message, refused": f"/messages/{name_message(some // 10 * 100 + 51)}",
        "message, its packet": f"/messages/{name_message(some // 10 * 100 + 3)}/packet",
        "overview": "/",
        "failures": "/failures",
        "failures of a year": f"/failures?since={find_end(most) - timedelta(days=365):%Y-%m-%d}",
        "failures of a partner": f"/failures?partner=p{number}",
        "events": "/events",
        "events of a kind": "/events?kind=user-signed-in",
        "events of a partner": f"/events?partner=p{number}",
        "events of a person": f"/events?user=can-bo-{number}",
        "events by words": "/events?q=khong+co+tu+nay",
        "replay plans": "/replays",
        "replay plan": "/replays/PLAN",
        "replay plan, far behind": f"/replays/PLAN?after={(most // find_dead_step(most) // 20) * (9 + number)}",
        "units": "/units",
        "report of a unit": f"/reports/edoc/H55.{7 + number}/{month}",
        "facts of a unit": f"/reports/edoc/H55.{7 + number}/{month}/sent_inside",
        "facts of a large unit": f"/reports/edoc/H55.01/{month}/received_inside",
    }


@contextlib.contextmanager
def opened_journal(
    database: str, most: int, kept: Path | None = None, say: Say = lambda _: None
) -> Iterator[sa.Engine]:
    """Yield a journal with *most* messages: a new one, or that in the directory *kept*, which is filled if it is empty.

    Raises SystemExit where it does not fit on the disk.
    """
    with contextlib.ExitStack() as around:
        place = kept or Path(around.enter_context(tempfile.TemporaryDirectory()))
        filled = place / "filled"
        count = int(filled.read_text()) if filled.exists() else 0
        if count not in (0, most):
            raise SystemExit(f"{place} has {count:,} messages, not {most:,}")
        if not count:
            _require_room(database, most, place)
            _fill(database, most, place, say)
            filled.write_text(str(most))
        with _opened(database, place, MEASURED) as engine:
            transactions.upgrade_schema(engine)  # a kept journal may be older than the program
            yield engine


def _require_room(database: str, most: int, place: Path) -> None:
    """Raise SystemExit if *most* messages take too much, if the disk has no room, or if there is something else in *place*."""
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise SystemExit(f"{place} is not empty, and no journal that was filled to its end")
    need = most * OCTETS[database] + ALWAYS
    if need > LARGEST:
        raise SystemExit(f"{most:,} messages would take {need / 1e9:.1f} GB: more than {LARGEST / 1e9:.0f} GB")
    if shutil.disk_usage(place).free < need * 1.2:  # indexes are sorted beside it
        raise SystemExit(f"{most:,} messages need {need * 1.2 / 1e9:.1f} GB of free disk in {place}")


def _fill(database: str, most: int, place: Path, say: Say) -> None:
    with _opened(database, place, FILLING) as engine:
        transactions.upgrade_schema(engine)
        province_journal.fill(engine, most, told=True, say=say)


@contextlib.contextmanager
def _opened(database: str, place: Path, settings: Mapping[str, str]) -> Iterator[sa.Engine]:
    """Yield the journal in *place*; of PostgreSQL a server with these *settings*."""
    with contextlib.ExitStack() as around:
        server = around.enter_context(postgres.Server.open(settings, place)) if database == "postgresql" else None
        engine = transactions.open_journal(server.url() if server else f"sqlite:///{place / 'hub.db'}")
        around.callback(engine.dispose)
        yield engine


def sign_in(engine: sa.Engine, most: int) -> Browser:
    """Return the browser of an operator who has signed in to a hub with the partners of a journal of *most* messages, at its end."""
    town = Town(engine)
    town.now = province_journal.find_end(most)
    town.partners = {code: Partner(code=code, name=f"Hệ thống {code}", certificates=()) for code in PARTNERS}
    with transactions.write_transaction(engine) as tx:  # a kept journal is measured many times
        for table in (console_session, console_user):
            tx.execute(sa.delete(table))
    town.add("ky-su", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("ky-su")
    return browser


def open_page(browser: Browser, place: str, plan: str = "") -> tuple[float, float]:
    """Open a page, and return the milliseconds until it was written, and those of CPU. Raises RuntimeError where it is refused.

    *plan*: the id of the replay plan, in place of PLAN. The CPU is that of this process and of PostgreSQL's.
    """
    servers = find_servers(browser.town.engine)
    before, begun = read_cpu(servers), time.perf_counter()
    answer = browser.get(place.replace("PLAN", plan))
    took = (time.perf_counter() - begun) * 1e3
    if answer.status != 200:
        raise RuntimeError(f"{place}: status {answer.status}")
    return took, read_cpu(servers) - before


def find_servers(engine: sa.Engine) -> list[int]:
    """Return the processes of PostgreSQL that serve this one."""
    if engine.dialect.name == "sqlite":
        return []
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT pg_backend_pid()").scalars())


def read_cpu(servers: Iterable[int]) -> float:
    """Return the milliseconds of CPU of this process and of *servers* so far."""
    theirs = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in servers)
    return time.process_time() * 1e3 + theirs / 1e6


def measure_pages(browser: Browser, most: int, times: int = TIMES) -> Iterator[dict[str, object]]:
    """Yield a row for each page: the median and the most of the milliseconds of *times* openings, and the median of their CPU."""
    engine = browser.town.engine
    with transactions.read_transaction(engine) as tx:
        plan = tx.scalar(sa.select(replay_plan.c.id).where(replay_plan.c.key.contains(PLAN_KEY))) or ""
    for name in list_pages(most, 0):
        took, cpu = zip(
            *(open_page(browser, list_pages(most, number)[name], plan) for number in range(times)), strict=True
        )
        yield {
            "database": engine.dialect.name,
            "page": name,
            "messages": most,
            "median_ms": round(statistics.median(took), 1),
            "most_ms": round(max(took), 1),
            "cpu_ms": round(statistics.median(cpu), 1),
        }


def measure_octets(engine: sa.Engine) -> int:
    """Return the octets of disk that the journal takes."""
    if engine.dialect.name == "sqlite":
        return os.stat(engine.url.database or "").st_size  # noqa: PTH116 - one number
    with engine.connect() as connection:
        found: int = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return found


def show(
    most: int, databases: Sequence[str], *, as_json: bool, kept: Path | None = None, recorded: bool = False
) -> None:
    """Measure and print. If *recorded*, what is printed replaces what docs/explanation/performance.md has of a database."""
    for database in databases:
        printed: list[str] = []

        def say(line: str, printed: list[str] = printed) -> None:
            printed.append(line)
            if not as_json:
                print(line, flush=True)

        fill_said: Say = (lambda _: None) if as_json else partial(print, flush=True)
        with opened_journal(database, most, kept, fill_said) as engine:
            with tempfile.TemporaryDirectory() as place:
                calibrated = calibration.calibrate(Path(place)).describe()
            say(f"{calibration.describe_machine()}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {calibrated}")
            say(f"{database}: {most:,} messages, {measure_octets(engine) / 1e9:.2f} GB, commit {record.name_commit()}")
            say(f"{'milliseconds':34}   median     most      CPU")
            for row in measure_pages(sign_in(engine, most), most):
                if as_json:
                    print(json.dumps(row), flush=True)
                say(f"  {row['page']:32} {row['median_ms']:8} {row['most_ms']:8} {row['cpu_ms']:8}")
        if recorded:
            record.keep_pages(database, printed)
