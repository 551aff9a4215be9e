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
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from hub.console.permissions import Role
from hub.demo.run import postgres
from hub.domain.model import Unit, UnitMark
from hub.journal import unit_registry
from hub.store import transactions
from tests.bench import searches
from tests.console_town import Browser, Town

TIMES = 9
#: Units of the registry, with whose names a box is read, and agencies of the national list, which stand beside them.
UNITS, AGENCIES = 989, 111_000
#: Octets of disk that a message takes while it is filled in.
OCTETS = {"sqlite": 3_400, "postgresql": 2_000}


def _list(**conditions: str) -> str:
    return f"/messages?{urlencode(conditions)}"


def list_pages(most: int, number: int) -> Mapping[str, str]:
    """Return the addresses of pages of a journal of *most* messages, by what they show; each *number* has others."""
    day = searches.START + timedelta(seconds=searches.PACE * most) - timedelta(days=number)
    syllables = searches.name_syllables()
    some = most // 2000 * (TIMES + number) // TIMES
    return {
        "list": "/messages",
        "number of a document": _list(q=f"{5 + 8 * number}/SYT-VP"),
        "number, of a unit": _list(q=f"{5 + 8 * number}/SYT-VP", unit="H55.01"),
        "message id": _list(q=f"named {7919 * (1 + number)} {1 + number}"),
        "DocumentId": _list(q=f"D{7919 * (3 + number)}-{3 + number}"),
        "name of a unit": _list(q=f"UBND xã số {1 + number}"),
        "common words": _list(q=f"{syllables[number]} {syllables[number + 1]}"),
        "a common and a rare word": _list(q=f"{syllables[number]} {syllables[-1 - number]}"),
        "a unit": _list(unit=f"H55.{number or '01'}"),
        "a partner, refused": _list(partner=f"p{1 + number}", state="refused"),
        "code of a refusal": _list(refusal="not-yours"),
        "dead": _list(delivery_state="dead"),
        "a day": _list(since=f"{day - timedelta(days=1):%Y-%m-%d}", until=f"{day:%Y-%m-%d}"),
        "recalls": _list(kind="recall"),
        "message, delivered": f"/messages/{searches.name_message(10 * some + 3)}",
        "message, dead": f"/messages/{searches.name_message(some // 500 * 5000 + 1)}",
        "message, refused": f"/messages/{searches.name_message(some // 10 * 100 + 51)}",
    }


@contextlib.contextmanager
def opened_journal(database: str, most: int) -> Iterator[sa.Engine]:
    """Yield a journal with *most* messages."""
    with contextlib.ExitStack() as around:
        place = around.enter_context(tempfile.TemporaryDirectory())
        need = most * OCTETS[database]
        if shutil.disk_usage(place).free < need:
            raise SystemExit(f"{most:,} messages need {need / 2**30:.0f} GiB of disk in {place}")
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        engine = transactions.open_journal(server.url() if server else f"sqlite:///{Path(place) / 'hub.db'}")
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        searches.fill(engine, most, told=True)
        yield engine


def sign_in(engine: sa.Engine, agencies: int = AGENCIES) -> Browser:
    """Return the browser of an operator who has signed in to a hub that knows so many national agencies."""
    town = Town(engine)
    units = [Unit(f"H55.{number}", f"Ủy ban nhân dân xã số {number}", "H55") for number in range(UNITS)]
    national = (
        Unit(f"G{number % 90}.{number}", f"Cơ quan số {number}", aliases=(f"{number}.G09",), mark=UnitMark.NATIONAL)
        for number in range(agencies)
    )
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [*units, *national])
    town.add("ky-su", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("ky-su")
    return browser


def open_page(browser: Browser, place: str) -> float:
    """Open a page, and return the milliseconds until it was written. Raises RuntimeError where it is refused."""
    begun = time.perf_counter()
    answer = browser.get(place)
    took = (time.perf_counter() - begun) * 1e3
    if answer.status != 200:
        raise RuntimeError(f"{place}: status {answer.status}")
    return took


def measure_pages(browser: Browser, most: int, times: int = TIMES) -> Iterator[dict[str, object]]:
    """Yield a row for each page: the median and the most of the milliseconds of *times* openings."""
    for name in list_pages(most, 0):
        took = [open_page(browser, list_pages(most, number)[name]) for number in range(times)]
        yield {
            "database": browser.town.engine.dialect.name,
            "page": name,
            "messages": most,
            "median_ms": round(statistics.median(took), 1),
            "most_ms": round(max(took), 1),
        }


def measure_octets(engine: sa.Engine) -> int:
    """Return the octets of disk that the journal takes."""
    if engine.dialect.name == "sqlite":
        return os.stat(engine.url.database or "").st_size  # noqa: PTH116 - one number
    with engine.connect() as connection:
        found: int = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return found


def show(most: int, databases: Sequence[str], *, as_json: bool) -> None:
    """Measure and print."""
    for database in databases:
        with opened_journal(database, most) as engine:
            octets = measure_octets(engine)
            if not as_json:
                print(f"{database}: {most:,} messages, {octets / 2**30:.1f} GiB", flush=True)
            for row in measure_pages(sign_in(engine), most):
                if as_json:
                    print(json.dumps(row), flush=True)
                    continue
                print(f"  {row['page']:26} median {row['median_ms']:8} ms   most {row['most_ms']:8} ms", flush=True)
