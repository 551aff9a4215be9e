"""Reports of large units beside the exchange: what takes them all the processes they may have takes nothing from anybody else."""

import http.client
import os
import re
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from lxml import etree
from requests import Session
from zeep import Client, Settings
from zeep.transports import Transport

from hub.store import transactions
from hub.store.report_pool import BACKGROUND_NICE, NICE, OWN
from tests.bench.load import cpu
from tests.bench.reports import PERIOD, made, write
from tests.process.test_console_port import Caller
from tests.process.test_zeep import Signed
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

FACTS = 20_000
PASSWORD = "một mật khẩu dài"
UNITS = {"sotttt": "H55.13", "vpub": "H55.12"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with two units of so many facts each, and two users."""
    hub = RunningHub(tmp_path_factory.mktemp("apart") / "hub")
    (hub.home / "word").write_text(f"{PASSWORD}\n", "utf-8")
    for name in ("an", "binh"):
        hub.cli("users", "add", name, "--role", "operator", "--password-file", hub.home / "word")
    engine = transactions.open_journal(f"sqlite:///{hub.home / 'data/hub.db'}", pooled=False)
    for unit in UNITS.values():
        write(engine, made(unit, "documents", FACTS))
    engine.dispose()
    hub.start()
    yield hub
    hub.close()


def reports_of(hub: RunningHub) -> list[int]:
    """Return the processes that read reports that somebody waits for, by their numbers: once a minute the hub reads one for itself."""
    its_own = f"nice({BACKGROUND_NICE})".encode()
    place, found = Path("/proc"), []
    children = place / f"{hub.process.pid}/task/{hub.process.pid}/children"
    with suppress(FileNotFoundError, ProcessLookupError):
        # twice: Linux leaves some out where another ends as it is read
        for pid in sorted({*children.read_text().split(), *children.read_text().split()}):
            with suppress(FileNotFoundError, ProcessLookupError):
                program = (place / pid / "cmdline").read_bytes()
                if b"report_worker" in program and its_own not in program:
                    found.append(int(pid))
    return found


def of_status(pid: int, name: str) -> int:
    """Return KiB of `/proc/PID/status`."""
    (found,) = re.findall(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found)


class Soap:
    """A partner that asks for the report of its unit."""

    def __init__(self, hub: RunningHub, partner: str) -> None:
        files, self._session, self._unit = hub.files(partner), Session(), UNITS[partner]
        self._place = urlsplit(hub.soap.replace("documents", "reports"))
        self._tls = ssl.create_default_context(cafile=str(files["ca"]))
        self._tls.load_cert_chain(files["certificate"], files["key"])
        self._session.trust_env = False
        self._session.verify = str(files["ca"])
        self._session.cert = (str(files["certificate"]), str(files["key"]))
        wsse = Signed(files["key"], files["certificate"], hub.home / "pki/hub.crt")
        transport = Transport(session=self._session, operation_timeout=PATIENCE)
        self._client = Client(f"{self._place.geturl()}?wsdl", transport=transport, wsse=wsse, settings=Settings())
        self._port = self._client.bind("Reports", "ReportsSoap11")

    def report(self) -> int:
        """Return how many documents the unit received."""
        answer = self._port.GetWorkloadReport(OrganId=self._unit, Form="edoc", Period=PERIOD)
        (total,) = re.findall(rb'<Total .*?<Number column="received">(\d+)<', answer.Content, re.DOTALL)
        return int(total)

    def leave(self) -> http.client.HTTPSConnection:
        """Ask for the report, and return the connection without waiting for it."""
        asked = {"OrganId": self._unit, "Form": "edoc", "Period": PERIOD}
        envelope = self._client.create_message(self._port, "GetWorkloadReport", **asked)
        line = http.client.HTTPSConnection(self._place.netloc, context=self._tls)
        said = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        line.request("POST", self._place.path, etree.tostring(envelope), said)
        return line


class Browser(Caller):
    """A user who is signed in."""

    def __init__(self, hub: RunningHub, name: str) -> None:
        super().__init__(hub)
        self.call("GET", "/")
        assert self.sign_in(name, PASSWORD) == 303

    def report(self, unit: str) -> int:
        """Return how many documents *unit* received, as the page of its report says."""
        assert self.call("GET", f"/reports/edoc/{unit}/{PERIOD}")[0] == 200, self.page[:500]
        found = re.findall(
            rf'data-unit="{unit}">.*?data-column="received"[^>]*><a [^>]*>([\d.]+)<', self.page, re.DOTALL
        )
        return int(found[0].replace(".", ""))

    def leave(self, path: str) -> None:
        """Ask for a page, and close the connection without waiting for it."""
        line = http.client.HTTPSConnection(self.netloc, context=self.tls)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        line.request("GET", path, headers={"Cookie": cookies})
        self.left = line


@pytest.fixture
def idle(hub: RunningHub) -> RunningHub:
    """The hub without a process for reports: the next that is there has a report to read."""
    for pid in reports_of(hub):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not reports_of(hub), "the processes to be gone")
    return hub


@pytest.fixture(scope="module")
def four(hub: RunningHub) -> list[Any]:
    """Return what asks for four reports: two partners, two users."""
    an, binh = Browser(hub, "an"), Browser(hub, "binh")
    return [
        Soap(hub, "sotttt").report,
        Soap(hub, "vpub").report,
        lambda: an.report("H55.13"),
        lambda: binh.report("H55.12"),
    ]


class Held:
    """Holds each process that reads reports as soon as it is there, as though its report had no end."""

    def __init__(self, hub: RunningHub) -> None:
        self._hub, self._over = hub, threading.Event()
        self.seen: set[int] = set()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        while not self._over.is_set():
            self._tell(signal.SIGSTOP)
            time.sleep(0.05)

    def _tell(self, what: signal.Signals) -> None:
        for pid in reports_of(self._hub):
            with suppress(ProcessLookupError):
                os.kill(pid, what)
                self.seen.add(pid)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell(signal.SIGCONT)


def test_reports_without_end_take_nothing_from_those_who_fetch_and_who_look(hub, four):
    with ThreadPoolExecutor(4) as pool, hub.client("sotttt") as system:
        with Held(hub) as held:
            asked: list[Future[int]] = [pool.submit(each) for each in four]
            until(lambda: len(held.seen) == 2, "two processes to read reports")
            answered = [(hub.get("/readyz")[0], len(system.pending("H55.14")) >= 0) for _ in range(12)]
            assert not any(each.done() for each in asked)
        assert answered == [(200, True)] * 12
        assert len({each.result(PATIENCE) for each in asked}) == 1, "and then each has its report"


def test_the_hub_itself_takes_little_part_in_counting(hub, four):
    itself = hub.process.pid
    before, held = cpu(itself), of_status(itself, "VmRSS")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each(), four))
    workers = reports_of(hub)
    assert len(workers) == 2
    assert cpu(itself) - before < sum(map(cpu, workers)) / 2
    assert of_status(itself, "VmRSS") - held < 20 << 10
    assert max(of_status(pid, "VmHWM") for pid in workers) < 200 << 10, "the interpreter and the libraries with it"
    assert all(os.getpriority(os.PRIO_PROCESS, pid) >= NICE for pid in workers), "they give way to the exchange"


def test_who_closes_the_page_ends_its_report(idle):
    browser = Browser(idle, "an")
    with Held(idle) as held:
        browser.leave(f"/reports/edoc/H55.13/{PERIOD}.xlsx")
        until(lambda: held.seen, "a process to read the report")
        browser.left.close()
        until(lambda: held.seen.isdisjoint(reports_of(idle)), "the process to be ended")


def test_a_partner_that_hangs_up_ends_its_report(idle):
    partner = Soap(idle, "sotttt")
    with Held(idle) as held:
        line = partner.leave()
        until(lambda: held.seen, "a process to read the report")
        line.close()
        until(lambda: held.seen.isdisjoint(reports_of(idle)), "the process to be ended")


def test_a_partner_that_asks_too_often_is_told_to_come_again(hub):
    def refused(line: http.client.HTTPSConnection) -> str:
        with closing(line):
            content = line.getresponse().read()
        return next((each.text or "" for each in etree.fromstring(content).iter("{*}Code")), "")

    partner = Soap(hub, "sotttt")
    with ThreadPoolExecutor(OWN + 2) as pool:
        with Held(hub):
            asked = [pool.submit(refused, partner.leave()) for _ in range(OWN + 2)]
            until(lambda: any(each.done() for each in asked), "one to be refused")
        assert sorted(each.result(PATIENCE) for each in asked) == [*[""] * (OWN + 1), "hub-busy"]
