"""How fast signed messages are taken in: `./dev bench [DB=postgresql] [--messages N] [--connections N] [--json]`.

`./dev bench --waiting 1000000` measures the queue instead: what a claim takes beside a thousand and beside so many (tests/bench/claims.py).
`./dev bench --closing [--facts 10000000] [DB=sqlite]` measures the closing of months instead (tests/bench/closing.py).
`./dev bench attacks` measures what honest partners get while hostile ones attack (tests/bench/attacks.py), and `./dev bench against COMMIT`
whether honest intake costs more or less than at that commit (tests/bench/against.py).
`./dev bench --report [--facts 450000] [DB=sqlite]` measures the report of one large unit instead (tests/bench/reports.py).

The same pre-signed calls go, in one run, (1) to a hub under twistd over mutual TLS by several kept connections, from processes of
their own, and (2) through the bare steps in this process, one commit each, on SQLite.  The ratio of the two says what HTTP, TLS, the reactor
and the shared commits cost or give; absolute figures are this machine's alone.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hub.config import read_config
from hub.demo.run import postgres
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.intake.admission import judge_message
from hub.intake.verification import open_call
from hub.journal import messages, unit_registry
from hub.security import signing
from hub.soap import documents_requests, documents_responses, envelope, wsdl
from hub.soap.attachments import Manner
from hub.store import transactions
from hub.units.province import Province
from tests.bench import against, attacks, claims, closing, reports
from tests.bench.load import over_soap, signed_calls
from tests.running import RunningHub


def bare(hub: RunningHub, bodies: Sequence[bytes], place: Path) -> dict[str, float]:
    """Do the same steps here, one after another, each with a commit of its own."""
    config, documents = read_config(hub.config), wsdl.load_contract("documents")
    units = transactions.open_journal(config.database_url, pooled=False)
    with transactions.read_transaction(units) as tx:
        province = Province.of(config, unit_registry.read_unit_index(tx, find_local_day(datetime.now(UTC))))
    units.dispose()
    engine = transactions.open_journal(f"sqlite:///{place / 'bare.db'}")
    transactions.upgrade_schema(engine)
    partner = config.partners["sotttt"]
    begun, spent = time.perf_counter(), time.process_time()
    for body in bodies:
        now = datetime.now(UTC)
        opened = open_call(body, Manner(), (partner,), partner.certificates[0], province, documents, now)
        assert isinstance(opened.call, documents_requests.SendDocument)
        entry = judge_message(opened.call, partner, province, documents.name, now, make_id(now))
        with transactions.write_transaction(engine) as tx:
            taken = messages.record_message(tx, entry, province.routes)
        assert taken.receipt is not None, taken.problems
        signing.sign_envelope(
            envelope.write_unsigned_envelope(
                documents_responses.build_taken_response("SendDocument", taken.id, taken.receipt)
            ),
            config.identity,
            now,
        )
    elapsed, spent = time.perf_counter() - begun, time.process_time() - spent
    engine.dispose()
    return {"per_second": len(bodies) / elapsed, "cpu_us": spent / len(bodies) * 1e6}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] in (["attacks"], ["against"]):
        shows = {"attacks": attacks.show, "against": against.show}
        shows[sys.argv[1]](sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=200, help="a connection")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--size", type=int, default=1024, help="octets of the attachment")
    parser.add_argument(
        "--waiting", type=int, metavar="N", help="measure the queue beside N that wait, on both databases"
    )
    parser.add_argument("--closing", action="store_true", help="measure the closing of months, on both databases or DB")
    parser.add_argument("--report", action="store_true", help="measure one unit's large report, on SQLite or DB")
    parser.add_argument("--facts", type=int, help="of the year whose months are closed, or of the report")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.waiting:
        claims.show(options.waiting, as_json=options.json)
        return
    if options.closing:
        named = os.environ.get("DB")
        closing.show(options.facts or 1_000_000, [named] if named else ["sqlite", "postgresql"], as_json=options.json)
        return
    if options.report:
        reports.show(options.facts or 450_000, [os.environ.get("DB") or "sqlite"], as_json=options.json)
        return
    with contextlib.ExitStack() as around:
        place = around.enter_context(tempfile.TemporaryDirectory())
        asked = os.environ.get("DB") == "postgresql"
        server = around.enter_context(postgres.Server.open()) if asked else None
        hub = RunningHub(Path(place) / "hub", server.url() if server else None)
        hub.start()
        try:
            names = [f"c{number}" for number in range(options.connections)]
            over_soap(hub, [signed_calls(hub, "warm", 20, options.size)])
            batches = [signed_calls(hub, name, options.messages, options.size) for name in names]
            soap = over_soap(hub, batches)
            alone = bare(hub, signed_calls(hub, "bare", options.messages * 2, options.size), Path(place))
        finally:
            hub.close()
    found = {"octets": len(batches[0][0]), "connections": options.connections, "soap": soap, "bare": alone}
    found["ratio"] = soap["per_second"] / alone["per_second"]
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['octets']} octets a call, {options.connections} connections, generator on the same cores")
    print(
        f"hub over SOAP   {soap['per_second']:7.0f}/s   p50 {soap['p50_ms']:.1f} ms   p99 {soap['p99_ms']:.1f} ms   "
        f"{soap['hub_cpu_us']:.0f} us of the hub's CPU each"
    )
    print(f"the bare steps  {alone['per_second']:7.0f}/s   {alone['cpu_us']:.0f} us of CPU each, one commit each")
    print(f"ratio           {found['ratio']:7.2f}")


if __name__ == "__main__":
    main()
