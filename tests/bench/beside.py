"""The hub beside its alternatives, in one run: `./dev bench [--seconds 3] [--rounds 5]`.

The same signed calls go to a complete hub over mutual TLS, to the servers that a user would write instead, and through the bare checks in C,
in interleaved rounds: medians, their spread, and the ratios of this run.  Absolute figures are this machine's alone; the calibration row says
how fast it is.  Every run sees that a changed body is refused by all, that each has as many rows as it gave receipts, and that a sample of
the hub's answers is signed by the hub.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from lxml import etree

from hub.demo.protocol import signing
from hub.security import wss_verify
from hub.security.sample_pki import KeyType
from tests.bench import calibration, calls, parts, rounds, servers
from tests.bench.limit import Limit
from tests.bench.rounds import Misbehaved, Series
from tests.bench.servers import HubServer, Server

SIZE = 4096
CONNECTIONS = 64
HUB = "hub, one process"
FLASK = "Flask + gunicorn + signxml, 2 workers"
RECEIPT = "{urn:lienthong:documents:1}Receipt"


@attrs.frozen(kw_only=True)
class Plan:
    """How long a run is."""

    rounds: int = 5
    busy: float = 3.0  #: seconds a server is busy in a round
    most: int = 12_000  #: calls of a round
    warm: int = 400  #: calls before the first round


@attrs.define
class Run:
    """What a run has, and what it has found so far."""

    place: Path
    plan: Plan
    load: Path
    say: Callable[[str], None]
    absent: dict[str, str] = attrs.field(factory=dict)  #: name -> why it is not here
    files: int = 0

    def write_calls(self, count: int, size: int, senders: Sequence[calls.Files], to: str = calls.FETCHES) -> Path:
        """Sign *count* calls that nobody has seen, and return their file."""
        self.files += 1
        path = self.place / f"{self.files}.calls"
        calls.write_calls(path, calls.sign_calls(f"f{self.files}", count, size, senders, to))
        return path


@contextmanager
def running(run: Run, make: Sequence[tuple[str, Callable[[], Server]]]) -> Iterator[list[Server]]:
    """Start the servers that can be had; note why the others cannot."""
    with ExitStack() as around:
        found = []
        for name, maker in make:
            try:
                server = maker()
            except parts.Missing as missing:
                run.absent[name] = str(missing)
                continue
            server.start()
            around.callback(server.stop)
            found.append(server)
        yield found


def check_answers(hub: HubServer, path: Path, bodies: int) -> int:
    """See that the kept answers are the hub's, each with a receipt that it signed. Return how many. Raises Misbehaved."""
    certificate = x509.load_pem_x509_certificate(hub.hub_files[1].read_bytes())
    answers = calls.read_answers(path)
    for number, status, content in answers:
        try:
            assert status == 200
            body = signing.verify_reply(etree.fromstring(content), certificate, datetime.now(UTC))
            (receipt,) = body.iter(RECEIPT)
            alone = etree.tostring(receipt, method="c14n", exclusive=True, with_tail=False)
            wss_verify.unseal_document(alone, [certificate], datetime.now(UTC))
        except Exception as error:
            raise Misbehaved(f"{hub.name}: answer {number} of {bodies} does not hold: {error!r}") from error
    if not answers:
        raise Misbehaved(f"{hub.name}: no answer was kept")
    return len(answers)


def measure_intake(
    run: Run,
    found: Sequence[Server],
    senders: Sequence[calls.Files],
    size: int,
    connections: int,
    limit: Limit | None = None,
) -> tuple[dict[str, Series], list[float]]:
    """Warm all servers, then measure them in interleaved rounds; between them the C limit, in microseconds of CPU."""
    plan = run.plan
    warm = run.write_calls(plan.warm, size, senders)
    counts = {}
    for server in found:
        said = rounds.send(run.load, server, warm, count=plan.warm, connections=connections)
        if said.accepted != plan.warm:
            raise Misbehaved(f"{server.name}: {said.accepted} of {plan.warm} accepted; {said.complaint}")
        counts[server.name] = rounds.choose_count(plan.warm / said.seconds, plan.most, plan.busy, connections)
    warm.unlink()
    series = {server.name: Series(server.name) for server in found}
    costs = []
    for number in range(plan.rounds):
        file = run.write_calls(max(counts.values()), size, senders)
        if limit is not None:
            costs.append(limit.measure(file, count=min(1000, max(counts.values()))))
        for server in found if number % 2 == 0 else found[::-1]:
            more: dict[str, Any] = {}
            if isinstance(server, HubServer):
                more = {"answers": run.place / "answers", "every": max(1, counts[server.name] // 20)}
            figures = rounds.measure_round(run.load, server, file, counts[server.name], connections, **more)
            series[server.name].rounds.append(figures)
            if isinstance(server, HubServer):
                check_answers(server, run.place / "answers", counts[server.name])
        file.unlink()
    return series, costs


def see_refusals(run: Run, found: Sequence[Server], sender: calls.Files, limit: Limit | None) -> None:
    """See that each refuses a changed body. Raises Misbehaved."""
    (call,) = calls.sign_calls("changed", 1, SIZE, [sender])
    for server in found:
        rounds.see_refusal(run.load, server, call, run.place)
    if limit is not None:
        path = run.place / "changed.calls"
        calls.write_calls(path, [calls.change_body(call)])
        if limit.judge(path)["refused"] != 1:
            raise Misbehaved("the C limit took a call whose body was changed")


def show_series(run: Run, title: str, series: dict[str, Series], limit: tuple[str, list[float]] | None = None) -> None:
    """Print a table of what was measured."""
    run.say(f"\n{title}")
    run.say(
        f"  {'':44} {'msg/s':>8} {'(spread)':>15} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8} {'MiB':>6} {'load us':>8}"
    )
    for name, each in series.items():
        least, most = each.spread("rate")
        run.say(
            f"  {name:44} {each.median('rate'):8.0f} {f'{least:.0f} to {most:.0f}':>15} {each.median('cpu'):8.0f}"
            f" {each.median('p50'):8.1f} {each.median('p99'):8.1f} {each.median('memory'):6.0f} {each.median('client'):8.0f}"
        )
    if limit is not None and limit[1]:
        name, costs = limit
        middle = sorted(costs)[len(costs) // 2]
        run.say(
            f"  {name:44} {1e6 / middle:8.0f} {f'{1e6 / max(costs):.0f} to {1e6 / min(costs):.0f}':>15} {middle:8.0f}"
        )
    for name, why in run.absent.items():
        run.say(f"  {name:44} not here: {why}")


def show_calibration(run: Run, found: calibration.Calibration) -> None:
    """Print the calibration row."""
    run.say(
        f"calibration: RSA-2048 signature {found.rsa_sign:.0f} us, ECDSA P-256 signature {found.ec_sign:.0f} us,"
        f" SHA-256 of 1 MiB {found.sha256:.0f} us of one core"
    )


def measure(run: Run) -> None:
    """Measure and print."""
    run.say(f"{calibration.describe_machine()}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    show_calibration(run, calibration.calibrate())
    hub = HubServer(HUB, run.place / "hub")
    ca = hub.tls["ca"]
    try:
        limit: Limit | None = Limit.compiled(run.place, ca)
    except parts.Missing as missing:
        limit = None
        run.absent["the same checks in C, one core"] = str(missing)
    rsa = HubServer(f"{HUB}, RSA", run.place / "hub-rsa", KeyType.RSA)
    makers: list[tuple[str, Callable[[], Server]]] = [
        (HUB, lambda: hub),
        (FLASK, lambda: servers.make_flask(run.place, ca)),
    ]
    with running(run, makers) as found:
        see_refusals(run, found, hub.sender, limit)
        series, costs = measure_intake(run, found, [hub.sender], SIZE, CONNECTIONS, limit)
        title = f"4 KB packets, {CONNECTIONS} connections, SQLite, ECDSA; the hub over kept mutual TLS, peers over plain HTTP"
        show_series(run, title, series, ("the same checks in C, one core", costs))
    if limit is not None:
        signing_too = limit.measure(run.write_calls(500, SIZE, [hub.sender]), key=hub.hub_files[0])
        run.say(f"  {'the same with the hub’s two signatures':44} {1e6 / signing_too:8.0f} {'':>15} {signing_too:8.0f}")
    with running(run, [(rsa.name, lambda: rsa)]) as found:
        show_series(
            run,
            "The same with RSA-2048 keys of hub and sender",
            measure_intake(run, found, [rsa.sender], SIZE, CONNECTIONS)[0],
        )
    ours = series[HUB]
    if costs:
        limit_cost = sorted(costs)[len(costs) // 2]
        run.say(f"\nCPU of a message : the C limit       {ours.median('cpu') / limit_cost:6.2f}   bar <= 5   aim <= 3")
    if FLASK in series:
        run.say(
            f"rate, one process : Flask + signxml  {ours.median('rate') / series[FLASK].median('rate'):6.2f}   bar >= 2   aim >= 3"
        )
    show_calibration(run, calibration.calibrate())


def show(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--seconds", type=float, default=Plan().busy, help="that a server is busy in a round")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        place = Path(text)
        try:
            load = parts.compile_program("load", place, "libssl", "libcrypto")
        except parts.Missing as missing:
            sys.exit(f"the benchmark needs {missing}")
        run = Run(place, Plan(rounds=options.rounds, busy=options.seconds), load, lambda line: print(line, flush=True))
        measure(run)
