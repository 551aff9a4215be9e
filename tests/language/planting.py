"""Mistakes of a configuration, planted one at a time: in each file of it, in each key, each kind of wrong value.

Knows how the files of a hub's directory are read. What is found is a `Mistake`; which texts it holds is of no concern here.
"""

import copy
import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from hub.config import read_config
from hub.config.writing import quote_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import Unit
from hub.report.form.folder import FOLDER
from hub.report.form.toml import read_form_toml
from hub.report.form.workdays import FILE, read_workdays
from hub.units.national_agencies import read_national_agencies
from hub.units.units_csv import read_units_csv

#: Every table of hub.toml beside those that `init` writes.
MORE = """
public-url = "https://truc.example"
[limits]
free-disk = "256MiB"
[syslog]
host = "127.0.0.1"
port = 6514
[incidents]
element = "incident@32473"
closed = ["closed"]
report-to = ["G22"]
report-from = "H55.13"
report-severity = "error"
[incidents.classes.edr]
facilities = ["auth"]
apps = ["edr"]
severity = "warning"
[feed]
url = "amqps://hub@mq.example/hub"
password-file = "pki/lookups.key"
ca = "pki/ca.crt"
exchange = "x"
unrouted = "drop"
[links]
every = "30s"
timeout = "5s"
[links.hosts.router]
at = "tcp://10.0.0.1:22"
units = ["H55.14"]
[portal]
publish = true
url = "https://truc.example/public"
[reports]
cut_offs = [{ day = 25 }, { day = 15, since = 2019-02-24 }]
forms = "forms"
workdays = "workdays.toml"
[reports.rule_sets]
ii06a = "apart"
[lookups.cache]
VerifyCitizen = "10m"
[lookups.quota]
VerifyCitizen = 200
[officials]
anchors = ["pki/ca.crt"]
crls = []
signature = "optional"
"""
PARTNER = """
name = "Sở"
certificates = ["pki/partners/vpub.crt"]
units = ["H55"]
calls = ["documents"]
tells = "*"
receive = "push"
url = "https://127.0.0.1:9001/soap/documents"
adapter = "documents"
services = ["documents"]
lookups = ["LookupEnterprise"]
[settings]
nothing = "x"
[policy]
signature = "message"
profile = "observed"
sha1 = "no"
vxp-signature = "no"
max-age = "900s"
revocation = "configured"
clock-skew = "60s"
relay = "vpcp"
first-retry = "1s"
max-retry = "5m"
give-up = "14d"
timeout = "30s"
concurrency = "4"
intake-connections = "256"
intake-spool = "1024MiB"
transport = "mutual-tls"
collect = "1h"
intake-concurrency = "200"
intake-rate = "20/s"
rate = "20/s"
"""
OFFICIAL = """
name = "An"
certificates = ["pki/partners/vpub.crt"]
units = ["H55.13"]
below = true
since = 2026-01-01
until = 2026-12-31
"""
SOURCE = """
issuer = "pki/ca.crt"
crl-urls = ["http://crl.example/ca.crl"]
ocsp-urls = ["http://ocsp.example/"]
"""
#: Values that no key takes, or few do.
WRONG: tuple[object, ...] = (-7, "", "@ @", ["a", "a"], ["@ @", "hub.toml"], {"q": 7}, "x://y:z/", date(2026, 1, 1))
_ABSENT = object()

Walk = tuple[str | int, ...]
Read = Callable[[str], Sequence[Mistake]]


def planted(home: Path) -> Iterator[Mistake]:
    """Yield every mistake that is found over all plants; *home*: a directory that `init` wrote, to be spoilt."""
    (home / "officials").mkdir()
    hub = _whole((home / "hub.toml").read_text("utf-8"), MORE)
    yield from _spoilt(hub, _file_of_config(home, "hub.toml"), every=2)
    (home / "hub.toml").write_text(written(hub), "utf-8")
    yield from _spoilt(tomllib.loads(PARTNER), _file_of_config(home, "partners/vpub.toml"), every=2)
    yield from _spoilt(tomllib.loads(OFFICIAL), _file_of_config(home, "officials/an.toml"))
    yield from _spoilt(tomllib.loads(SOURCE), _file_of_config(home, "trust/ca.toml"))
    for name in ("ii06a", "mail"):
        yield from _spoilt(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")), _of_form, every=4)
    yield from _spoilt(tomllib.loads(FILE.read_text("utf-8")), _of_workdays, every=4)
    yield from _of_units()
    yield from _of_agencies()


def written(content: dict[str, Any]) -> str:
    """Return *content* as TOML: a key a line, tables in one line."""
    return "".join(f"{quote_toml(key)} = {_value(value)}\n" for key, value in content.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quote_toml(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return f"{{{', '.join(f'{quote_toml(key)} = {_value(each)}' for key, each in value.items())}}}"
        case _:
            return str(value)


def _whole(text: str, more: str) -> dict[str, Any]:
    content = tomllib.loads(text)
    for key, value in tomllib.loads(more).items():
        content[key] = {**content.get(key, {}), **value} if isinstance(value, dict) else value
    return content


def _places(content: object, walk: Walk = ()) -> Iterator[Walk]:
    if walk:
        yield walk
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _places(value, (*walk, key))
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        for number, value in enumerate(content):
            yield from _places(value, (*walk, number))


def _spoilt(content: dict[str, Any], read: Read, every: int = 1) -> Iterator[Mistake]:
    """Yield the mistakes of *content* with one thing in it changed; of all changes one of *every*."""
    yield from read("= 7")
    yield from read(written(content | {"unknown-key": 7}))
    places = [*_places(content)]
    changes = [(walk, value) for walk in places for value in (*WRONG, _ABSENT)]
    for walk, value in changes[::every]:
        other = copy.deepcopy(content)
        at: Any = other
        for step in walk[:-1]:
            at = at[step]
        if value is _ABSENT:
            del at[walk[-1]]
        else:
            at[walk[-1]] = value
        if isinstance(at, dict) and value is _ABSENT:
            at["unknown-key"] = 7
        yield from read(written(other))


def _file_of_config(home: Path, name: str) -> Read:
    def read(text: str) -> Sequence[Mistake]:
        path = home / name
        kept = path.read_bytes() if path.exists() else None
        path.write_text(text, "utf-8")
        try:
            read_config(home / "hub.toml", {})
        except ConfigurationFault as fault:
            return fault.mistakes
        finally:
            path.unlink() if kept is None else path.write_bytes(kept)
        return ()

    return read


def _of_form(text: str) -> Sequence[Mistake]:
    try:
        read_form_toml(text.encode(), "form.toml")
    except ConfigurationFault as fault:
        return fault.mistakes
    return ()


def _of_workdays(text: str) -> Sequence[Mistake]:
    try:
        read_workdays(text.encode(), "days.toml")
    except ConfigurationFault as fault:
        return fault.mistakes
    return ()


def _of_units() -> Iterator[Mistake]:
    known = [Unit("H55", "Tỉnh"), Unit("H55.1", "Sở", "H55")]
    right: dict[str, str] = {"code": "H55.2", "name": "Sở", "parent": "H55", "since": "2025-07-01", "until": "2026-07-01", "aliases": "A.1",
             "successors": "H55.1", "mark": "added"}  # fmt: skip
    heading = ",".join(right)
    for name in right:
        for value in ("", "@ @", "\x07", "2026-13-01", "2020-01-01", "H55.2", "national", "x" * 65, "H99"):
            yield from read_units_csv(
                f"{heading}\n{','.join((right | {name: value}).values())}\n".encode(),
                "u.csv",
                known,
                provinces=("H55",),
            )[1]
    line = ",".join(right.values())
    for text in (
        "",
        "code\nx\n",
        "code,name\nx\n",
        "code,name\nx,y,z\n",
        f"{heading}\n{line}\n{line}\n",
        f'{heading}\n"',
        "code,name,parent\nA,a,B\nB,b,A\n",
    ):
        yield from read_units_csv(text.encode(), "u.csv", known, provinces=("H55",))[1]
    yield from read_units_csv(b"\xff", "u.csv", known)[1]


def _of_agencies() -> Iterator[Mistake]:
    row = {"id": 1, "pid": None, "code": "G22", "name": "Văn phòng", "mail": None}
    texts = [
        b"\xff",
        b"",
        b"{",
        b"[]",
        b"[7]",
        b'{"data": 7}',
        b"id,code\n",
        b"id,pid,code,name\n1",
        json.dumps({"status": "ERR"}).encode(),
    ]
    wrong: tuple[object, ...] = (None, 7, [], "")
    texts += [json.dumps([{**row, name: value}]).encode() for name in row for value in wrong]
    for text in texts:
        yield from read_national_agencies(text, "list.json", [], "H55")[2]
