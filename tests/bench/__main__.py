"""Measures: `./dev bench [WHAT] [options]`.  Each measurement has a module of its own, whose docstring says what it measures.

`./dev bench` puts the hub beside its alternatives (tests/bench/beside.py); `--help` names its options.
`./dev bench attacks` measures what honest partners get while hostile ones attack (tests/bench/attacks.py).
`./dev bench attacks --paired` measures what a little hostile traffic of each kind costs the honest (tests/bench/paired.py).
`./dev bench capacity` reckons what a province, all provinces and the nation need (tests/bench/capacity/page.py).
`./dev bench against COMMIT` measures whether honest intake costs more or less than at that commit (tests/bench/against.py).
`./dev bench changes` measures how soon a connection is closed that a change distrusts (tests/bench/changes.py).
`./dev bench refusals` measures what it costs to explain a refused batch (tests/bench/refusals.py).
`./dev bench --waiting 1000000` measures a claim beside a thousand deliveries and beside so many (tests/bench/claims.py).
`./dev bench --searches 1000000 [DB=sqlite]` measures searches among 10,000 messages and among so many (tests/bench/searches.py).
`./dev bench --pages 1000000 [DB=sqlite]` measures the console's pages about messages among so many (tests/bench/console_pages.py);
    with `--kept FOLDER` in a journal that stays, of one database.
`./dev bench --closing [--facts 10000000] [DB=sqlite]` measures the closing of months (tests/bench/closing.py).
`./dev bench --glance [--facts 10000000]` measures the page at a glance of 989 units (tests/bench/glance.py).
`./dev bench --late [--facts 10000000] [DB=sqlite]` measures the page of who is late today (tests/bench/late.py).
`./dev bench --growth 1000000 [DB=postgresql]` measures the reports of a province, and the closing of its month (tests/bench/reports.py).
`./dev bench --report [--facts 450000] [DB=postgresql]` measures the report of one large unit (tests/bench/reports.py).
"""

import argparse
import os
import sys
from pathlib import Path

from tests.bench import (
    against,
    attacks,
    beside,
    changes,
    claims,
    closing,
    console_pages,
    glance,
    late,
    refusals,
    reports,
    searches,
)
from tests.bench.capacity import page

WORDS = {
    "attacks": attacks.show,
    "against": against.show,
    "capacity": page.show,
    "changes": changes.show,
    "refusals": refusals.show,
}
OPTIONS = {"--waiting", "--searches", "--pages", "--closing", "--report", "--growth", "--glance", "--late"}


def main() -> None:
    """Measure what the words ask for, and print."""
    words = sys.argv[1:]
    if words and words[0] in WORDS:
        WORDS[words[0]](words[1:])
        return
    if not any(word.partition("=")[0] in OPTIONS for word in words):
        beside.show(words)
        return
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--waiting", type=int, metavar="N", help="the queue beside N that wait, on both databases")
    parser.add_argument("--searches", type=int, metavar="N", help="searches among N messages, on both databases or DB")
    parser.add_argument("--pages", type=int, metavar="N", help="pages about N messages, on both databases or DB")
    parser.add_argument("--closing", action="store_true", help="the closing of months, on both databases or DB")
    parser.add_argument("--glance", action="store_true", help="the page of all units at a glance, on SQLite")
    parser.add_argument("--late", action="store_true", help="the page of who is late today, on both databases or DB")
    parser.add_argument("--report", action="store_true", help="one unit's large report, on SQLite or DB")
    parser.add_argument(
        "--growth",
        type=int,
        metavar="MESSAGES",
        help="the reports of a province with so many in a month, on SQLite or DB",
    )
    parser.add_argument("--facts", type=int, help="of the year whose months are closed, or of the report")
    parser.add_argument(
        "--kept", type=Path, metavar="FOLDER", help="--pages: the journal of DB there, which is filled if there is none"
    )
    parser.add_argument("--record", action="store_true", help="--pages: write what was measured into the documents")
    parser.add_argument("--json", action="store_true")
    options, named = parser.parse_args(words), os.environ.get("DB")
    if options.waiting:
        claims.show(options.waiting, as_json=options.json)
    elif options.searches:
        searches.show(options.searches, [named] if named else ["sqlite", "postgresql"], as_json=options.json)
    elif options.pages:
        if options.kept and not named:
            parser.error("--kept holds the journal of one database: name it, DB=sqlite or DB=postgresql")
        databases = [named] if named else ["sqlite", "postgresql"]
        console_pages.show(options.pages, databases, as_json=options.json, kept=options.kept, recorded=options.record)
    elif options.closing:
        closing.show(options.facts or 1_000_000, [named] if named else ["sqlite", "postgresql"], as_json=options.json)
    elif options.glance:
        glance.show(options.facts or 1_000_000, as_json=options.json)
    elif options.late:
        late.show(options.facts or 1_000_000, [named] if named else ["sqlite", "postgresql"], as_json=options.json)
    elif options.growth:
        reports.show_growth(options.growth, [named or "sqlite"], as_json=options.json)
    else:
        reports.show(options.facts or 450_000, [named or "sqlite"], as_json=options.json)


if __name__ == "__main__":
    main()
