"""Code lists of another system, as JSON: rows, columns, what is nested in them."""

from collections.abc import Mapping

from hub.services import categories
from tests.pki import NOW

DIMENSIONS: dict[str, int | None] = {
    "rows": None,
    "same": None,  # rows with one code
    "columns": None,  # of each row
    "depth": None,
    "digits": 4000,  # of a number; Python reads no longer ones
    "text_length": None,
    "escapes": None,
}
FILLER = "rows"
FORMS = {"list": ("LayDanhSachTTHC", "LayDanhMucKhac"), "code": ("MATTHC", "MAKHAC")}
WORST: list[tuple[dict[str, int], dict[str, str]]] = [
    ({}, {"list": "LayDanhSachTTHC", "code": "MATTHC"}),
    ({"columns": 20}, {"list": "LayDanhSachTTHC", "code": "MATTHC"}),
    ({"digits": 4000}, {"list": "LayDanhSachTTHC", "code": "MATTHC"}),
    ({"depth": 20_000}, {"list": "LayDanhMucKhac", "code": "MAKHAC"}),
    ({"escapes": 8000}, {"list": "LayDanhMucKhac", "code": "MAKHAC"}),
]


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    columns = "".join(f',"{number}":0' for number in range(have["columns"]))
    code = form["code"]
    rows = [f'{{"{code}":{number}{columns}}}' for number in range(have["rows"])]
    rows += [f'{{"{code}":1}}'] * have["same"]
    nested, text = "[" * have["depth"] + "]" * have["depth"] or "0", "x" * have["text_length"]
    rows.append(
        f'{{"{code}":{"9" * max(1, have["digits"])},"a":{nested},"TEN":"{text}{chr(92) + "ud800" if have["escapes"] else ""}"}}'
    )
    rows.append(f'{{"{code}":2,"TEN":"{(chr(92) + "u1ea1") * have["escapes"]}"}}')
    return f'{{"service":"{form["list"]}","result":[{",".join(rows)}]}}'.encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


def read(content: bytes) -> None:
    categories.read_category_list(content, NOW, "id")
