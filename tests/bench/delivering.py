"""Measures the whole way of a message, accepted, delivered and counted, against intake alone. Knows one partner, which is fast."""

import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from hub.config import read_config
from hub.security import signing
from hub.security.certificates import Identity
from hub.store import transactions
from tests.bench import calls, intake, parts, processes, rounds
from tests.bench.rounds import Figures, Misbehaved, Series
from tests.bench.run import Run
from tests.bench.servers import HubServer
from tests.running import until

ALONE, WHOLE = "intake alone", "accepted, delivered and counted"
_COUNTS = sa.text(
    "SELECT (SELECT count(*) FROM delivery WHERE state = 'delivered'),"
    " (SELECT count(*) FROM fact WHERE milestone = 'received' AND unit = :unit)"
)
_WAITING = sa.text("SELECT count(*) FROM delivery WHERE partner = 'vpub' AND state <> 'delivered'")
_ANSWER = (
    b'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><SendDocumentResponse'
    b' xmlns="urn:lienthong:documents:1"><Report><IsSuccess>true</IsSuccess><ErrorList/></Report></SendDocumentResponse>'
    b"</soap:Body></soap:Envelope>"
)
#: Seconds after which what is not delivered never will be.
PATIENCE = 240.0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def fast_partner(run: Run, hub: HubServer) -> Iterator[int]:
    """Run the partner that the hub pushes to, and yield its process id. Raises Missing."""
    program = parts.compile_program("partner", run.place, "libssl", "libcrypto")
    files = hub.hub.files("vpub")
    answer = run.place / "pushed.xml"
    identity = Identity.read(files["key"], files["certificate"])
    answer.write_bytes(signing.sign_envelope(_ANSWER, identity, datetime.now(UTC), calls.LIFE))
    url = tomllib.loads((hub.hub.home / "partners/vpub.toml").read_text())["url"]
    port = int(url.split(":")[2].split("/")[0])
    words = {
        "port": port,
        "answer": answer,
        "ca": files["ca"],
        "key": files["key"],
        "certificate": files["certificate"],
    }
    process = subprocess.Popen([str(program), *(f"{key}={value}" for key, value in words.items())])
    try:
        until(lambda: _listens(port), "the partner to listen")
        yield process.pid
    finally:
        process.kill()
        process.wait(10)


def measure_whole(run: Run, hub: HubServer, count: int, connections: int) -> Figures:
    """Send *count* documents that are pushed, and wait until the journal says that each is delivered and counted."""
    file = run.write_calls(count + connections, 4096, [hub.sender], calls.PUSHED)
    engine = transactions.open_journal(read_config(hub.hub.config).database_url, pooled=False)

    def read_counts() -> tuple[int, int]:
        with transactions.read_transaction(engine) as tx:
            delivered, counted = tx.execute(_COUNTS, {"unit": calls.PUSHED}).one()
            return int(delivered), int(counted)

    begun, before, already = 0.0, 0.0, (0, 0)

    def is_delivered() -> bool:
        with transactions.read_transaction(engine) as tx:
            return tx.execute(_WAITING).scalar() == 0

    def begin() -> None:
        nonlocal begun, before, already
        until(is_delivered, "the first documents to be delivered", PATIENCE)
        processes.wait_until_idle(hub.roots)
        already, before, begun = read_counts(), processes.read_tree_cpu(hub.roots), time.perf_counter()

    try:
        said = rounds.send(run.load, hub, file, count=count, connections=connections, opening=begin)
        if said.accepted != count:
            raise Misbehaved(f"{said.accepted} of {count} accepted; {said.complaint}")
        while read_counts() < (already[0] + count, already[1] + count):
            time.sleep(0.05)
            if time.perf_counter() - begun > PATIENCE:
                raise Misbehaved(f"accepted {count}; delivered and counted {read_counts()}, before {already}")
        seconds = time.perf_counter() - begun
        if read_counts() != (already[0] + count, already[1] + count):
            raise Misbehaved(f"accepted {count}; delivered and counted {read_counts()}, before {already}")
    finally:
        engine.dispose()
        file.unlink()
    processes.wait_until_idle(hub.roots)
    spent, memory = processes.read_tree_cpu(hub.roots) - before, processes.read_tree_memory(hub.roots, "VmHWM")
    return Figures(
        sent=count,
        rate=count / seconds,
        cpu=spent / count * 1e6,
        p50=said.p50,
        p99=said.p99,
        memory=memory,
        grown=0.0,
        client=said.cpu / count * 1e6,
    )


def measure_delivery(run: Run, hub: HubServer, connections: int = 64) -> None:
    """Measure both in interleaved rounds, as the section `delivery`. Raises Missing."""
    series = {name: Series(name) for name in (ALONE, WHOLE)}
    with fast_partner(run, hub):
        rate = intake.warm_up(run, hub, [hub.sender], 4096, connections, max(connections, run.plan.warm))
        count = rounds.choose_count(rate, run.plan.most, run.plan.busy, connections)
        for _ in range(run.plan.fewer):
            file = run.write_calls(count + connections, 4096, [hub.sender])
            series[ALONE].rounds.append(rounds.measure_round(run.load, hub, file, count, connections))
            file.unlink()
            series[WHOLE].rounds.append(measure_whole(run, hub, count, connections))
    run.series["delivery"] = series
    run.note("delivery", run.find_ratio("delivery", "rate", WHOLE, ALONE))
