"""subscriber.py take URL STORE | report STORE UNIT MONTH

A subscriber of the hub's events: it keeps the facts in a file of its own, and counts a unit's report from them without the hub.
It needs Python 3.11 and pika.  `take` verifies every event; `report` prints one JSON object.
"""

import argparse
import hashlib
import json
import sqlite3
import ssl
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import pika

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
TABLES = """
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, id TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fact (unit TEXT, milestone TEXT, key TEXT, at TEXT, message TEXT, said TEXT);
CREATE INDEX IF NOT EXISTS fact_unit ON fact (unit, at);
"""


# --- taking events ---------------------------------------------------------------------------------------------------------


def take(store: sqlite3.Connection, body: bytes) -> str:
    """Keep one event; return "taken", "repeated", or "early" when one before it is missing.  It ends when something is wrong."""
    event = json.loads(body)
    number = int(event["sequence"])
    last, link = store.execute("SELECT number, hash FROM seen ORDER BY number DESC LIMIT 1").fetchone() or (0, "0" * 64)
    if number <= last:
        (id_,) = store.execute("SELECT id FROM seen WHERE number = ?", (number,)).fetchone()
        if id_ != event["id"]:
            sys.exit(f"event {number} is another than before: the hub's journal was put back to an earlier state")
        return "repeated"
    if last == 0 and number != 1:
        sys.exit(f"the queue begins with event {number}: it was made too late to know everything")
    if number > last + 1:
        return "early"
    text = body[body.index(b'"data":') + len(b'"data":') : -1]  # the very octets that were hashed
    if hashlib.sha256(f"{link}\n".encode() + text).hexdigest() != event["hash"]:
        sys.exit(f"event {number} does not follow from the one before: somebody changed something")
    store.execute("INSERT INTO seen VALUES (?, ?, ?)", (number, event["id"], event["hash"]))
    if event["type"] == "urn:lienthong:event:1:fact-recorded":
        fact = event["data"]
        names = ("unit", "milestone", "key", "at", "message")
        store.execute("INSERT INTO fact VALUES (?, ?, ?, ?, ?, ?)", (*(fact[each] for each in names), json.dumps(fact)))
    return "taken"


def parameters(options: argparse.Namespace) -> pika.ConnectionParameters:
    """Return where to connect: the password comes from a file, and whom to trust from another."""
    place = urlsplit(options.url)
    tls = ssl.create_default_context(cafile=options.ca) if place.scheme == "amqps" else None
    return pika.ConnectionParameters(
        host=place.hostname,
        port=place.port or (5671 if tls else 5672),
        virtual_host=unquote(place.path[1:]) or "/",
        credentials=pika.PlainCredentials(place.username, options.password_file.read_text("utf-8").strip("\r\n")),
        ssl_options=pika.SSLOptions(tls, place.hostname) if tls else None,
    )


def subscribe(options: argparse.Namespace, store: sqlite3.Connection) -> None:
    """Take events for ever, or until none came for `--idle` seconds.  An event is acknowledged when it is on disk."""
    channel = pika.BlockingConnection(parameters(options)).channel()
    channel.exchange_declare(options.exchange, exchange_type="topic", durable=True)
    channel.queue_declare(options.queue, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(options.queue, options.exchange, "#")
    channel.basic_qos(prefetch_count=500)
    print(f"listening at {options.queue}", flush=True)
    came: dict[str, int] = {}
    unacknowledged, quiet = 0, 0.0
    for method, _, body in channel.consume(options.queue, inactivity_timeout=0.25):
        if method is not None:
            became = take(store, body)
            came[became] = came.get(became, 0) + 1
            if became == "early":
                print(f"event {json.loads(body)['sequence']} came before its time: it will come again", file=sys.stderr)
            unacknowledged, quiet = method.delivery_tag, 0.0
        if unacknowledged and (method is None or unacknowledged % 100 == 0):
            store.commit()
            channel.basic_ack(unacknowledged, multiple=True)
            unacknowledged = 0
        if method is None:
            quiet += 0.25
            if options.idle and quiet >= options.idle:
                break
    print(json.dumps(came))


# --- counting a report -----------------------------------------------------------------------------------------------------


def month(text: str) -> tuple[datetime, datetime]:
    """Return the first instant of a month's period, and the first after it: it ends on the 14th, in Hà Nội."""
    year, number = map(int, text.split("-"))
    before = (year, number - 1) if number > 1 else (year - 1, 12)
    return datetime(*before, 15, tzinfo=HANOI), datetime(year, number, 15, tzinfo=HANOI)


def report(store: sqlite3.Connection, unit: str, text: str, now: datetime) -> dict[str, object]:
    """Count every column of the form `edoc` for one unit, those below it not included."""
    start, end = month(text)
    limit = end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    rows = store.execute(
        "SELECT said FROM fact WHERE unit = ? AND at < ? ORDER BY at, message, milestone", (unit, limit)
    )
    facts = [json.loads(said) for (said,) in rows]
    for fact in facts:
        fact["at"] = datetime.fromisoformat(fact["at"])
        fact["due"] = date.fromisoformat(fact["due"]) if fact["due"] else None
    received = {fact["key"]: fact for fact in facts if fact["milestone"] == "received"}

    def matched(fact) -> bool:
        return fact["key"] in received or "received-by" in fact.get("attributes", {})

    def flow(milestone: str, fits=lambda fact: True) -> int:
        return sum(fact["milestone"] == milestone and fact["at"] >= start and fits(fact) for fact in facts)

    def soon(fact) -> bool:
        came = received.get(fact["key"])
        return came is not None and fact["at"] <= came["at"] + timedelta(hours=24)

    def on_time(fact) -> bool:
        due = received.get(fact["key"], fact)["due"] or fact["due"]
        return matched(fact) and (due is None or fact["at"].astimezone(HANOI).date() <= due)

    processing, overdue = stocks([fact for fact in facts if fact["at"] <= now], min(end, now).astimezone(HANOI).date())
    latest = max((fact["at"] for fact in facts if fact["at"] >= start), default=None)
    numbers = {
        "sent_inside": flow("sent", lambda fact: not fact["outside"]),
        "sent_outside": flow("sent", lambda fact: fact["outside"]),
        "sent": flow("sent"),
        "received_inside": flow("received", lambda fact: not fact["outside"]),
        "received_outside": flow("received", lambda fact: fact["outside"]),
        "received": flow("received"),
        "total": flow("sent") + flow("received"),
        "recalls": flow("sent-recall"),
        "updates": flow("sent-update"),
        "replacements": flow("sent-replacement"),
        "signed": flow("sent", lambda fact: fact["signature"] == "valid"),
        "not_signed": flow("sent", lambda fact: fact["signature"] != "valid"),
        "on_paper": flow("sent", lambda fact: fact["paper"]),
        "acknowledged": flow("status-03", matched),
        "acknowledged_in_time": flow("status-03", soon),
        "refused": flow("status-02", matched),
        "completed": flow("status-06", matched),
        "completed_on_time": flow("status-06", on_time),
        "completed_unmatched": flow("status-06", lambda fact: not matched(fact)),
        "results_unmatched": sum(
            flow(f"status-{code}", lambda fact: not matched(fact)) for code in ("02", "03", "04", "05")
        ),
        "processing": processing,
        "overdue": overdue,
        "failed": flow("failed"),
    }
    return {"unit": unit, **numbers, "last_update": latest.isoformat() if latest else None}


def stocks(facts: list[dict], day: date) -> tuple[int, int]:
    """Return how many documents are in processing, and how many are overdue on *day*."""
    steps = {"status-01": 1, "status-02": 2, "status-03": 2, "status-04": 3, "status-05": 4, "status-06": 5}
    standing: dict[str, str] = {}
    closed = set()
    for fact in facts:
        key, milestone = fact["key"], fact["milestone"]
        before = standing.get(key, "")
        if before not in {"status-02", "status-06"} and steps.get(milestone, 0) > steps.get(before, 0):
            standing[key] = milestone
        if milestone in {"status-02", "status-06"}:
            closed.add(key)
    open_ = [fact for fact in facts if fact["milestone"] == "received" and fact["key"] not in closed]
    overdue = sum(fact["due"] is not None and fact["due"] < day for fact in open_)
    received = {fact["key"] for fact in facts if fact["milestone"] == "received"}
    processing = [key for key, each in standing.items() if each in {"status-04", "status-05"} and key in received]
    return len(processing), overdue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    taking = verbs.add_parser("take")
    taking.add_argument("url", help="amqps://USER@HOST/VHOST")
    taking.add_argument("store", type=Path)
    taking.add_argument("--password-file", type=Path, required=True)
    taking.add_argument("--ca", type=Path)
    taking.add_argument("--exchange", default="lienthong")
    taking.add_argument("--queue", default="bao-cao")
    taking.add_argument("--idle", type=float, help="end when nothing came for so many seconds")
    counting = verbs.add_parser("report")
    counting.add_argument("store", type=Path)
    counting.add_argument("unit")
    counting.add_argument("month")
    options = parser.parse_args()
    store = sqlite3.connect(options.store)
    store.executescript(TABLES)
    if options.verb == "take":
        subscribe(options, store)
    else:
        print(json.dumps(report(store, options.unit, options.month, datetime.now(UTC))))


if __name__ == "__main__":
    main()
