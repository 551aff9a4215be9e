"""The processes of a demo: the hub under twistd and the partners.

Starts, calls and stops them, and never leaves one running.

Knows a hub's directory as its operator does (`hub.toml`, `partners/*.toml`, `pki/`). Imports no code of the hub.
"""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
from cryptography import x509

from lienthong_demo.run.ports import find_free_ports

_READY_WITHIN = 60.0  #: seconds
_STOP_WITHIN = 20.0

#: Asks Linux to end the child when its parent has ended, for whatever reason. Elsewhere only an orderly end stops it.
_GUARD = """
import ctypes, os, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl: prctl(1, 15)
os.execv(sys.argv[1], sys.argv[1:])
"""


class StageFailed(Exception):
    """A process did not do what the demo needs. The text names it and its log."""


@attrs.frozen
class Site:
    """A hub's directory."""

    directory: Path

    @property
    def config(self) -> Path:
        """The path of `hub.toml`."""
        return self.directory / "hub.toml"

    def pki(self, name: str) -> Path:
        """Return the path of a file of the sample PKI."""
        return self.directory / "pki" / name

    def read(self) -> Mapping[str, Any]:
        """Return the contents of `hub.toml`."""
        return tomllib.loads(self.config.read_text("utf-8"))

    def partner(self, code: str) -> Mapping[str, Any]:
        """Return the contents of `partners/CODE.toml`."""
        return tomllib.loads((self.directory / "partners" / f"{code}.toml").read_text("utf-8"))

    def certificate(self, code: str) -> x509.Certificate:
        """Return the certificate of a sample partner."""
        return x509.load_pem_x509_certificate(self.pki(f"partners/{code}.crt").read_bytes())

    def address(self, port: str) -> str:
        """Return the URL of one of the hub's ports, `soap` or `admin`."""
        section = self.read()[port]
        return f"https://{section.get('host', '127.0.0.1')}:{section['port']}"


@attrs.define(eq=False)
class Child:
    """A process and its log."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, name: str, arguments: Sequence[str], log: Path, *, cwd: Path) -> Self:
        """Start the process in its own session, so that Ctrl-C reaches only the conductor."""
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", _GUARD, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name != "hub" else errors,
                stderr=errors,
                cwd=cwd,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        return cls(name, process, log)

    def must_live(self) -> None:
        """Raise StageFailed if the process has ended."""
        if self.process.poll() is not None:
            raise StageFailed(f"{self.name} ended with {self.process.returncode}; see {self.log}")

    def end_orders(self) -> None:
        """Close the input of the process. A partner then stops by itself."""
        with contextlib.suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()

    def stop(self) -> None:
        """End it: first by the end of its orders, then by SIGTERM, then by SIGKILL; and wait."""
        self.end_orders()
        steps = (signal.SIGTERM, signal.SIGKILL) if self.name == "hub" else (None, signal.SIGTERM, signal.SIGKILL)
        for step in steps:
            if step is not None and self.process.poll() is None:
                self.process.send_signal(step)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_WITHIN)
                break
        if self.process.stdout is not None:
            self.process.stdout.close()


@attrs.define(eq=False)
class PartnerChild:
    """A partner process that takes orders."""

    child: Child

    def order(self, do: str, **what: object) -> Mapping[str, Any]:
        """Give one order and return its answer. Raises StageFailed."""
        stdin, stdout = self.child.process.stdin, self.child.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **what}) + "\n")
            stdin.flush()
        except OSError as error:
            self.child.process.wait(_STOP_WITHIN)
            raise StageFailed(f"{self.child.name} takes no orders; see {self.child.log}") from error
        return self.answer()

    def answer(self) -> Mapping[str, Any]:
        """Return the next line of its output. Raises StageFailed."""
        assert self.child.process.stdout is not None
        line = self.child.process.stdout.readline()
        if not line:
            self.child.process.wait(_STOP_WITHIN)
            raise StageFailed(f"{self.child.name} ended with {self.child.process.returncode}; see {self.child.log}")
        answer: Mapping[str, Any] = json.loads(line)
        return answer


@attrs.define(eq=False)
class Stage:
    """The hub and the partners that take part."""

    site: Site
    logs: Path
    notebooks: Path
    hub: Child | None = None
    partners: dict[str, PartnerChild] = attrs.field(factory=dict)
    _starting: list[PartnerChild] | None = None  #: partners that are not known to be ready; None: wait for each

    @classmethod
    @contextlib.contextmanager
    def open(cls, site: Site, directory: Path) -> Iterator[Self]:
        """Yield an empty stage under *directory*. Every process on it is stopped in the end, whatever happens."""
        stage = cls(site, directory / "logs", directory / "notebooks")
        for made in (stage.logs, stage.notebooks):
            made.mkdir(parents=True, exist_ok=True)
        try:
            yield stage
        except StageFailed as broken:
            raise stage.cause(broken) from None
        finally:
            stage.clear()

    @contextlib.contextmanager
    def start_together(self) -> Iterator[None]:
        """Start partners side by side: wait at the end of the block until each is ready. Raises StageFailed."""
        self._starting = []
        try:
            yield
            for partner in self._starting:
                partner.answer()
        finally:
            self._starting = None

    def clear(self) -> None:
        """Stop every process, the hub last."""
        self.dismiss_all()
        if self.hub is not None:
            self.hub.stop()
            self.hub = None

    def start_hub(self) -> None:
        """Start the hub under twistd and wait until it is ready. Raises StageFailed."""
        twistd = shutil.which("twistd", path=Path(sys.executable).parent) or shutil.which("twistd")
        if twistd is None:
            raise StageFailed("there is no twistd beside this Python")
        log = self.logs / "hub.log"
        config = str(self.site.config.absolute())
        arguments = [twistd, "--nodaemon", "--pidfile=", "lienthong", "-c", config]
        self.hub = Child.start("hub", arguments, log, cwd=self.site.directory)
        context = ssl.create_default_context(cafile=self.site.pki("ca.crt"))
        url = f"{self.site.address('admin')}/readyz"
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            self.hub.must_live()
            try:
                with opener.open(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > deadline:
                    raise StageFailed(f"{url}: {error}; see {log}") from error
            time.sleep(0.1)

    def call(self, code: str, units: Sequence[str], **more: str) -> PartnerChild:
        """Start the partner *code*. It fetches for *units*, or is pushed to if its file has a URL. Raises StageFailed.

        *more* are further options.
        """
        options = self._soap_options(code, units)
        if url := self.site.partner(code).get("url"):
            options["--listen"] = urllib.parse.urlsplit(url).port
        options |= {f"--{name}": value for name, value in more.items()}
        self._start(code, ["lienthong_demo.partners.partner", code], options)
        return self.partners[code]

    def call_soap(self, code: str, module: str, units: Sequence[str]) -> PartnerChild:
        """Start `lienthong_demo.partners.MODULE` as the partner *code*, which calls the hub by SOAP for *units*.

        Raises StageFailed.
        """
        self._start(code, [f"lienthong_demo.partners.{module}", code], self._soap_options(code, units))
        return self.partners[code]

    def call_syslog(self, code: str, module: str, units: Sequence[str]) -> PartnerChild:
        """Start `lienthong_demo.partners.MODULE` as the partner *code*, which reports about *units* by syslog.

        Raises StageFailed.
        """
        options = self._soap_options(code, units) | {"--port": self.site.read()["syslog"]["port"]}
        del options["--hub"], options["--hub-certificate"]
        self._start(code, [f"lienthong_demo.partners.{module}", code], options)
        return self.partners[code]

    def open_office(self, code: str, module: str, **options: object) -> int:
        """Start `lienthong_demo.partners.MODULE` as the partner *code* that the hub calls over HTTP.

        Return its port. Raises StageFailed.
        """
        options = {"port": find_free_ports(1)[0], "notebook": self.notebooks / f"{code}.jsonl"} | options
        words = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        self._start(code, [f"lienthong_demo.partners.{module}"], words)
        return int(str(options["port"]))

    def _soap_options(self, code: str, units: Sequence[str]) -> dict[str, object]:
        pki = self.site.pki
        return {
            "--hub": self.site.address("soap"),
            "--ca": pki("ca.crt"),
            "--hub-certificate": pki("hub.crt"),
            "--key": pki(f"partners/{code}.key"),
            "--certificate": pki(f"partners/{code}.crt"),
            "--notebook": self.notebooks / f"{code}.jsonl",
            "--units": ",".join(units),
        }

    def _start(self, code: str, words: Sequence[str], options: Mapping[str, object]) -> None:
        arguments = [sys.executable, "-m", *words, *(str(word) for option in options.items() for word in option)]
        child = Child.start(code, arguments, self.logs / f"{code}.log", cwd=self.notebooks)
        self.partners[code] = partner = PartnerChild(child)
        if self._starting is None:
            partner.answer()
        else:
            self._starting.append(partner)

    def dismiss(self, code: str) -> None:
        """Stop the partner *code*. Connections to it are then refused."""
        self.partners.pop(code).child.stop()

    def dismiss_all(self) -> None:
        """Stop every partner; all of them end side by side."""
        for partner in self.partners.values():
            partner.child.end_orders()
        for code in list(self.partners):
            self.dismiss(code)

    def complaints(self) -> list[str]:
        """Return the errors that the hub logged. A demo expects none."""
        found = []
        for line in (self.logs / "hub.log").read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
                    found.append(f"hub.log: {entry['level']}: {entry.get('event')}")
        return found

    def cause(self, broken: StageFailed) -> StageFailed:
        """Return the cause of *broken*. If the hub ends, a partner that called it may be seen to end first."""
        if self.hub is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.hub.process.wait(1)  # its connections close a moment before the process ends
        try:
            self.must_live()
        except StageFailed as first:
            return first
        return broken

    def must_live(self) -> None:
        """Raise StageFailed if any process has ended. The hub is checked first, because partners end when it does."""
        for child in ([self.hub] if self.hub else []) + [partner.child for partner in self.partners.values()]:
            child.must_live()
