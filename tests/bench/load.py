"""Signed calls made beforehand, and sent by processes of their own: what every measurement of intake shares.  Judges nothing."""

import http.client
import multiprocessing
import os
import ssl
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from lienthong_demo.plan.packets import write_document_packet
from tests.running import RunningHub

HEADERS = {"Content-Type": envelope.CONTENT_TYPE, "SOAPAction": '"urn:lienthong:documents:1/SendDocument"'}


def signed_calls(hub: RunningHub, name: str, count: int, size: int) -> list[bytes]:
    """Sign *count* SendDocument calls of about *size* octets each."""
    files = hub.files("sotttt")
    identity = Identity.read(files["key"], files["certificate"])
    made = []
    for number in range(count):
        packet = write_document_packet(
            "H55.13",
            ["H55.14"],
            number=f"{name}-{number}",
            notation="BENCH",
            subject="x",
            promulgated=date(2026, 11, 20),
            attachments=[("a.txt", os.urandom(size))],
        )
        call = documents_requests.SendDocument(packet, f"{name}-{number}")
        made.append(
            signing.sign_envelope(
                envelope.wrap_in_envelope(documents_requests.build_call_element(call)), identity, datetime.now(UTC)
            )
        )
    return made


def post_all(
    soap: str, files: dict[str, Path], bodies: Sequence[bytes], done: "multiprocessing.Queue[list[float]]"
) -> None:
    """Post *bodies* one after another over one kept connection; report the seconds each took."""
    context = ssl.create_default_context(cafile=str(files["ca"]))
    context.load_cert_chain(files["certificate"], files["key"])
    place = urlsplit(soap)
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, context=context)
    took = []
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", place.path, body, HEADERS)
        answer = connection.getresponse()
        content = answer.read()
        took.append(time.perf_counter() - begun)
        if answer.status != 200 or b"<IsSuccess>true" not in content:
            sys.exit(f"not accepted: {answer.status} {content[:2000]!r}")
    connection.close()
    done.put(took)


def cpu(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_soap(hub: RunningHub, batches: Sequence[Sequence[bytes]]) -> dict[str, float]:
    """Send each batch over a connection of its own, all at once."""
    done: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    work = [
        multiprocessing.Process(target=post_all, args=(hub.soap, hub.files("sotttt"), batch, done)) for batch in batches
    ]
    before, begun = cpu(hub.process.pid), time.perf_counter()
    for each in work:
        each.start()
    took = sorted(seconds for _ in work for seconds in done.get(timeout=600))
    elapsed = time.perf_counter() - begun
    for each in work:
        each.join()
    return {
        "per_second": len(took) / elapsed,
        "p50_ms": statistics.median(took) * 1e3,
        "p99_ms": took[int(len(took) * 0.99)] * 1e3,
        "hub_cpu_us": (cpu(hub.process.pid) - before) / len(took) * 1e6,
    }
