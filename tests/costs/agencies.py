"""Lists of agencies, as the axis gives them: rows, columns, names, parents, older codes, in JSON or CSV."""

import json
from collections.abc import Mapping

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.units import national_agencies

DIMENSIONS: dict[str, int | None] = {
    "rows": None,
    "columns": None,  # of each row, beside those that are known
    "name": None,  # its length
    "spaces": None,  # in a name
    "depth": None,  # of what stands in a column
    "digits": None,  # of a number
    "chain": None,  # rows each of which is below the next
    "ring": None,  # and of which the last is below the first
    "older": None,
}
FILLER = "rows"
FORMS = {"form": ("json", "json", "csv"), "code": ("G", "H55.")}

WORST = [
    ({"older": 3700}, {"form": "csv", "code": "H55."}),
    ({"chain": 2000}, {"form": "csv", "code": "G"}),
    ({"ring": 700}, {"form": "json", "code": "G"}),
]


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    kept = {name: min(count, 1 << 21) for name, count in have.items()}
    name = "a" * max(1, kept["name"]) + " a" * kept["spaces"]
    more = {f"c{number}": "" for number in range(kept["columns"])}
    rows = [
        {"id": str(number), "pid": "", "code": f"{form['code']}{number}", "name": name, **more}
        for number in range(max(1, kept["rows"]))
    ]
    for kind in ("chain", "ring"):
        count = kept[kind]
        rows += [
            {
                "id": f"{kind}{n}",
                "pid": f"{kind}{(n + 1) % count if kind == 'ring' else n + 1}",
                "code": f"{kind[0].upper()}{n}",
                "name": "a",
            }
            for n in range(count)
        ]
    rows += [{"id": "", "pid": "", "code": f"O{n}", "name": "a", "oldCode": f"P{n // 2}"} for n in range(kept["older"])]
    if form["form"] == "json":
        text = json.dumps(rows)
        if kept["depth"]:
            text = text[:-2] + ',"d":' + "[" * kept["depth"] + "]" * kept["depth"] + "}]"
        if kept["digits"]:
            text = text[:-2] + ',"n":' + "9" * kept["digits"] + "}]"
        return text.encode()
    columns = ["id", "pid", "code", "name", *more, "oldCode"]
    return "\n".join(
        [",".join(columns), *(",".join(row.get(column, "") for column in columns) for row in rows)]
    ).encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


def read(content: bytes) -> None:
    _, _, mistakes = national_agencies.read_national_agencies(content, "list", (), "H55")
    if mistakes:
        raise Rejected(Problem("list-unreadable", str(mistakes[0])[:60]))
