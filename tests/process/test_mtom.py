"""Packets inline, by MTOM and as SOAP attachments, in and out of a real hub: the same bytes, the same receipt, and little memory."""

import hashlib
import random
from datetime import date
from pathlib import Path

import pytest
import requests

from hub.certificates import Identity
from hub.demo.packets import document
from tests.conftest import DATABASES
from tests.mtom import SOAP11, Caller

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SIZE = 20 * MIB
#: What a message may cost at its peak, above what the hub has when idle.
MOST = {"inline": 5 * SIZE, "mtom": 8 * MIB, "swa": 8 * MIB}


@pytest.fixture
def caller(hub):
    """Return a way to make a caller of a partner, for a hub that runs."""
    hub.start()
    sessions = []

    def of(partner, soap=SOAP11):
        files = hub.files(partner)
        session = requests.Session()
        sessions.append(session)
        session.trust_env = False
        session.verify = str(files["ca"])
        session.cert = (str(files["certificate"]), str(files["key"]))
        return Caller(hub.soap, Identity.read(files["key"], files["certificate"]), session, soap)

    yield of
    for session in sessions:
        session.close()


def packet(octets, number="1"):
    return document(
        "H55.1",
        ["H55.13"],
        number=number,
        notation="VP",
        subject="Tệp lớn",
        promulgated=date(2026, 11, 20),
        attachments=((f"{number}.bin", octets),),
    )


def resident(process, name):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def peak_above_idle(process, deed):
    """Return what *deed* returns, and how much more memory the process had at its peak than before."""
    idle = resident(process, "VmRSS")
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    result = deed()
    return result, resident(process, "VmHWM") - idle


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_twenty_megabytes_cost_little_memory_in_and_out(hub, caller):
    office, department = caller("vpub"), caller("sotttt")
    for how in MOST:  # warm up
        small = packet(random.Random(how).randbytes(300_000), f"w-{how}")
        department.ask(how, "GetDocument", DocumentId=office.send(how, small).text("DocumentId"))
    told = []
    for how, most in MOST.items():
        large = packet(random.Random(f"large {how}").randbytes(SIZE), f"l-{how}")
        sent, taken_in = peak_above_idle(hub.process, lambda how=how, large=large: office.send(how, large))
        assert sent.text("Sha256") == hashlib.sha256(large).hexdigest()
        got, given_out = peak_above_idle(
            hub.process,
            lambda how=how, sent=sent: department.ask(how, "GetDocument", DocumentId=sent.text("DocumentId")),
        )
        assert got.packet() == large
        told.append(f"{how}: in {taken_in / MIB:.1f} MiB, out {given_out / MIB:.1f} MiB")
        print(told[-1])  # noqa: T201 - shown by pytest -s, and when it fails
        assert taken_in <= most, told
        assert given_out <= most, told
