"""What the command line reports of a simulated province that has stopped. Knows `lienthong report` from outside."""

import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests import warm
from tests.warm import BIN


def read_reported(home: Path) -> tuple[tuple[tuple[str, str, str], ...], dict[str, int]]:
    """Return the facts that `report --facts` prints (message, unit, milestone), and the sums of the province's report over all
    months in which something was counted.
    """
    config = home / "hub.toml"
    lines = [json.loads(line) for line in _run("-c", config, "report", "--facts", "--json").splitlines()]
    total: Counter[str] = Counter()
    for period in _list_periods([line["at"] for line in lines]):
        report = json.loads(_run("-c", config, "report", "H55", period, "--format", "json"))
        total.update({name: number for name, number in report["total"].items() if isinstance(number, int)})
    return tuple((line["id"], line["unit"], line["milestone"]) for line in lines), dict(total)


def _list_periods(moments: list[str]) -> list[str]:
    """Return each month of reports from the first to the last, by the rule of the 15th, and one more for what came late."""
    if not moments:
        return []
    days = [
        datetime.fromisoformat(each).astimezone(ZoneInfo("Asia/Ho_Chi_Minh")) for each in (min(moments), max(moments))
    ]
    first, last = (day.year * 12 + day.month - 1 + (day.day >= 15) for day in days)
    return [f"{month // 12}-{month % 12 + 1:02}" for month in range(first, last + 2)]


def _run(*words: object) -> str:
    ran = warm.run([BIN / "lienthong", *words], env=os.environ | {"LANG": "C.UTF-8"}, timeout=600)
    assert ran.returncode == 0, (words, ran.stdout, ran.stderr)
    return ran.stdout
