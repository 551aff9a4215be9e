"""A monitoring system of some units: `python -m lienthong_demo.partners.watchman CODE ...`.

Speaks only syslog (RFC 5424) over TLS (RFC 5425). Knows its own key, units and notebook, and the hub's address. Does
not know the hub's directory, database or code. The conductor writes one JSON order a line to its standard input and
reads one answer a line. When that input ends, it ends. Orders:

* `{"do": "watch", "each": 2, "noise": 50}`: reports that many incidents of each unit since last night: two of three are
  closed, some are reported twice, some closings come before their openings; adds that many lines that report no
  incident;
* `{"do": "told"}`: returns how many different messages have reported an incident so far.
"""

import argparse
import json
import random
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.protocol.notebook import Notebook, hash_content
from lienthong_demo.protocol.signing import read_clock

ELEMENT = "incident@32473"
SEVERITIES = {"critical": 2, "error": 3, "warning": 4}
_FACILITY = 16  #: local0
_PATIENCE = 600.0  #: seconds that the hub may delay it: the hub reads no faster than it commits
_TEXTS = ("Phát hiện mã độc trên máy trạm", "Dò quét cổng", 'Đăng nhập sai nhiều lần: tài khoản "quantri"')


@attrs.frozen
class ToldIncident:
    """What one message reports of an incident."""

    id: str
    unit: str
    state: str  #: open or closed
    severity: str
    at: datetime
    text: str

    def line(self) -> bytes:
        """Return the message in the format of RFC 5424."""
        said = {"id": self.id, "unit": self.unit, "state": self.state}
        data = "".join(f' {name}="{_escaped(value)}"' for name, value in said.items())
        return _line(SEVERITIES[self.severity], self.at, "edr", f"[{ELEMENT}{data}]", self.text)


@attrs.define
class Watchman:
    """One system and the incidents it observed."""

    code: str
    units: tuple[str, ...]
    address: tuple[str, int]
    tls: ssl.SSLContext
    notebook: Notebook
    _told: set[str] = attrs.field(factory=set)  #: SHA-256 of each message that reported an incident

    def watch(self, each: int, noise: int) -> Mapping[str, object]:
        """Report the incidents over two connections. The end of the first part is repeated over the second."""
        told, now = list(self._happened(each, read_clock())), read_clock()
        half = len(told) // 2
        for part in (told[:half], told[max(0, half - 2) :]):
            lines: list[bytes] = []
            for saying in part:
                note = attrs.asdict(saying) | {"at": saying.at.isoformat(), "sha256": hash_content(saying.line())}
                self.notebook.write("logging", read_clock(), incident=note)
                lines.append(saying.line())
            quiet = [_line(6 - number % 3, now, "cron", "-", f"Không có gì {number}") for number in range(noise // 2)]
            self._send([*quiet, *lines, *quiet])
            self._told |= {hash_content(line) for line in lines}
        return self.told()

    def told(self) -> Mapping[str, object]:
        """Return how many different messages have reported an incident."""
        return {"told": len(self._told)}

    def _happened(self, each: int, now: datetime) -> Iterator[ToldIncident]:
        """Yield the messages about each unit's incidents. Times are whole seconds, as many systems write them."""
        chance, night = random.Random(len(self.units)), now.replace(microsecond=0) - timedelta(hours=5)
        for index in range(len(self.units) * each):
            unit, severity = self.units[index // each], list(SEVERITIES)[index % len(SEVERITIES)]
            begun, text = night + timedelta(seconds=chance.randrange(3600)), _TEXTS[index % len(_TEXTS)]
            opened = ToldIncident(f"SC-{index + 1:04}", unit, "open", severity, begun, text)
            ended = begun + timedelta(seconds=chance.randrange(60, 3 * 3600))
            closed = attrs.evolve(opened, state="closed", at=ended, text="Đã xử lý xong")
            told = [opened] if index % 3 == 2 else [opened, closed]
            yield from reversed(told) if index % 4 == 3 else told

    def _send(self, lines: list[bytes]) -> None:
        """Send *lines* with octet counts. Return when the hub has read all of them and closed its side."""
        plain = socket.create_connection(self.address, timeout=_PATIENCE)
        with self.tls.wrap_socket(plain, server_hostname=self.address[0]) as connection:
            connection.sendall(b"".join(b"%d %s" % (len(line), line) for line in lines))
            connection.unwrap().close()


def _line(severity: int, at: datetime, app: str, data: str, text: str) -> bytes:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"<{_FACILITY * 8 + severity}>1 {stamp} giamsat-01 {app} - - {data} \ufeff{text}".encode()


def _escaped(value: str) -> str:
    """Return *value* escaped as a PARAM-VALUE (RFC 5424, 6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("lienthong_demo.partners.watchman")
    parser.add_argument("code")
    parser.add_argument("--port", type=int, required=True, help="where the hub takes syslog, on 127.0.0.1")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--units", required=True, help="codes, separated by commas")
    return parser.parse_args(arguments)


def run_watchman(options: argparse.Namespace) -> None:
    """Run the monitoring system until the orders end."""
    tls = ssl.create_default_context(cafile=options.ca)
    tls.load_cert_chain(options.certificate, options.key)
    with Notebook(options.notebook) as notebook:
        units = tuple(options.units.split(","))
        system = Watchman(options.code, units, ("127.0.0.1", options.port), tls, notebook)
        notebook.write("started", read_clock(), code=options.code)
        _say({"ready": True})
        for line in sys.stdin:
            _say(_obey(system, json.loads(line)))
        notebook.write("stopped", read_clock(), code=options.code)


def _obey(system: Watchman, order: Mapping[str, Any]) -> Mapping[str, object]:
    match order["do"]:
        case "watch":
            return system.watch(order["each"], order["noise"])
        case "told":
            return system.told()
        case other:
            raise ValueError(f"no such order: {other}")


def _say(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    run_watchman(_options(sys.argv[1:]))
