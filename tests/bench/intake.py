"""Measures how servers take in signed calls: the rows of sizes, connections, senders, keys, databases and TLS. Knows no bars."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from lxml import etree

from hub.security import wss_verify
from lienthong_demo.protocol import signing
from tests.bench import calls, rounds
from tests.bench.limit import Limit, judge_in_python
from tests.bench.rounds import Misbehaved, Series
from tests.bench.run import LIMIT, Run
from tests.bench.servers import HubServer, Server

RECEIPT = "{urn:lienthong:documents:1}Receipt"


def check_answers(hub: HubServer, path: Path) -> int:
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
            raise Misbehaved(f"{hub.name}: answer {number} does not hold: {error!r}") from error
    if not answers:
        raise Misbehaved(f"{hub.name}: no answer was kept")
    return len(answers)


def see_refusals(run: Run, found: Sequence[Server], sender: calls.Files, limit: Limit | None) -> None:
    """See that each refuses a changed body. Raises Misbehaved."""
    (call,) = calls.sign_calls("changed", 1, 4096, [sender])
    for server in found:
        rounds.see_refusal(run.load, server, call, run.place)
    path = run.place / "changed.calls"
    calls.write_calls(path, [calls.change_body(call)])
    judged = [judge_in_python(path, found[0].tls["ca"], count=1), *([limit.judge(path)] if limit else [])]
    if any(each["refused"] != 1 for each in judged):
        raise Misbehaved("the bare checks took a call whose body was changed")


def warm_up(run: Run, server: Server, senders: Sequence[calls.Files], size: int, connections: int, count: int) -> float:
    """Send *count* calls, and to a virtual machine thousands. Return the last rate. Raises Misbehaved."""
    spent, sent = 0.0, 0
    while True:
        file = run.write_calls(count, size, senders)
        said = rounds.send(run.load, server, file, count=count, connections=connections)
        file.unlink()
        if said.accepted != count:
            raise Misbehaved(f"{server.name}: {said.accepted} of {count} accepted; {said.complaint}")
        spent, sent = spent + said.seconds, sent + count
        enough = spent >= run.plan.warm_java and sent >= run.plan.warm_calls
        if not server.compiles or enough or spent >= 4 * run.plan.warm_java:
            return count / said.seconds


def measure_intake(
    run: Run,
    section: str,
    found: Sequence[Server],
    senders: Sequence[calls.Files],
    *,
    size: int = 4096,
    connections: int = 64,
    times: int | None = None,
    busy: float | None = None,
    limit: Limit | None = None,
    again: bool = False,
    kept: bool = True,
    **more: Any,
) -> list[float]:
    """Warm *found*, measure them in interleaved rounds, and keep the series as *section*.

    *again*: they are warm already. *kept*: connections are open before the time begins. Return what the C limit took in each round, in microseconds of CPU.
    """
    plan = run.plan
    most = min(plan.most, max(1, 400_000_000 // (size * 4)))
    few = max(connections, min(plan.warm, 4_000_000 // size, most))
    counts = {}
    for server in found:
        if again:
            file = run.write_calls(few, size, senders)
            said = rounds.send(run.load, server, file, count=few, connections=connections, **more)
            file.unlink()
            rate = few / said.seconds
        else:
            rate = warm_up(run, server, senders, size, connections, few)
        counts[server.name] = rounds.choose_count(rate, most, busy or plan.busy, connections)
    series = {server.name: Series(server.name) for server in found}
    costs = []
    for number in range(times or plan.rounds):
        file = run.write_calls(max(counts.values()) + connections, size, senders)
        if limit is not None:
            costs.append(limit.measure(file, count=min(1000, max(counts.values()))))
        for server in found if number % 2 == 0 else found[::-1]:
            sample: dict[str, Any] = {}
            if isinstance(server, HubServer):
                sample = {"answers": run.place / "answers", "every": max(1, counts[server.name] // 20)}
            figures = rounds.measure_round(
                run.load, server, file, counts[server.name], connections, kept=kept, **sample, **more
            )
            series[server.name].rounds.append(figures)
            if isinstance(server, HubServer):
                check_answers(server, run.place / "answers")
        file.unlink()
    run.series[section] = series
    return costs


def show_section(run: Run, section: str, title: str, costs: Sequence[float] = ()) -> None:
    """Print a table of what was measured."""
    run.say(f"\n{title}")
    run.say(
        f"  {'':40} {'msg/s':>8} {'(spread)':>15} {'CPU us':>8} {'(spread)':>15} {'p50 ms':>8} {'p99 ms':>8} {'MiB':>6} {'load us':>8}"
    )
    for name, each in run.series[section].items():
        rate, cpu = each.spread("rate"), each.spread("cpu")
        run.say(
            f"  {name:40} {_number(each.median('rate')):>8} {f'{_number(rate[0])} to {_number(rate[1])}':>15} {each.median('cpu'):8.0f}"
            f" {f'{cpu[0]:.0f} to {cpu[1]:.0f}':>15} {each.median('p50'):8.1f} {each.median('p99'):8.1f} {each.median('memory'):6.0f}"
            f" {each.median('client'):8.0f}"
        )
    if costs:
        show_limit(run, LIMIT, costs)


def show_limit(run: Run, name: str, costs: Sequence[float]) -> None:
    """Print a row of the C limit: microseconds of CPU, and how many a second that is."""
    middle = sorted(costs)[len(costs) // 2]
    spread = f"{1e6 / max(costs):.0f} to {1e6 / min(costs):.0f}"
    run.say(f"  {name:40} {1e6 / middle:8.0f} {spread:>15} {middle:8.0f} {f'{min(costs):.0f} to {max(costs):.0f}':>15}")


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
