"""Draws histories from seeds, runs them, and shortens one that fails.  Knows how often each step happens; not what it does."""

import os
import time
import traceback
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import attrs
import sqlalchemy as sa

from tests.histories.steps import JUMPS, NOWHERE, SENDERS, STRANGERS, TO, Steps
from tests.recount.letter import CHANGES


def one_of(*choices):
    return lambda random: random.choice(choices)


def some(choices, least, most):
    return lambda random: random.sample(choices, random.randint(least, most))


PICK, NODE, ANY = one_of(0, 0, 0, 1, 1, 2, 3, 5, 8), one_of(0, 1), one_of(False, True)
FAULT = one_of("", "", "", "", "", "", "undone", "untold")
CODE = one_of("01", "02", "03", "03", "04", "05", "06", "13", "15", "15", "16")
KIND = one_of(*CHANGES)

#: How often each step is drawn, and from what.
DRAWN: list[tuple[int, Callable[..., Any], dict[str, Callable[[Random], object]]]] = [
    (
        12,
        Steps.send,
        {
            "who": one_of(*SENDERS[:3] * 3, *SENDERS, *STRANGERS[:1]),
            "to": some(TO, 1, 4),
            "nowhere": one_of(*[""] * 12, *NOWHERE),
            "name": one_of("D1", "D2", "D3"),
            "priority": one_of(0, 0, 1, 2, 3, 4, 4),
            "hours": one_of(None, -1, 1, 30),
            "due": one_of(None, None, 0, 0, 1, 1, 2, 20),
            "paper": ANY,
            "sign": one_of(0, 0, 0, 1, 2),
            "fault": FAULT,
        },
    ),
    (
        4,
        Steps.send_change,
        {
            "kind": KIND,
            "pick": one_of(None, 0, 1, 2, 4),
            "to": some(TO, 1, 3),
            "added": some(TO, 0, 2),
            "removed": some(TO + NOWHERE, 0, 2),
            "how": one_of(0, 1, 2, 3),
            "by": one_of(*[None] * 5, *SENDERS[:3], *STRANGERS[2:]),
            "own": one_of("D1", "D2", "D4"),
            "fault": FAULT,
        },
    ),
    (
        8,
        Steps.stop,
        {
            "state": one_of("sending", "sending", "waiting", "held", "fetched", "dead", "delivered"),
            "kind": KIND,
            "pick": PICK,
            "whole": ANY,
            "how": one_of(0, 1, 2, 3),
            "own": one_of("D1", "D4"),
            "fault": FAULT,
        },
    ),
    (
        9,
        Steps.answer,
        {
            "code": CODE,
            "pick": one_of(None, *[0] * 4, *range(8)),
            "which": PICK,
            "how": one_of(0, 1, 2, 3),
            "alias": ANY,
            "again": ANY,
            "fault": FAULT,
        },
    ),
    (
        6,
        Steps.work,
        {
            "pick": PICK,
            "hours": one_of(0, 1, 1, 6, 23, 25, 25, 48, 100, 600),
            "code": one_of("03", "03", "06", "06", "06", "04", "02"),
            "how": one_of(0, 1, 2, 3),
            "fault": FAULT,
        },
    ),
    (
        2,
        Steps.answer_oddly,
        {"code": CODE, "reporter": one_of(*TO), "organ": one_of(*TO, *NOWHERE), "pick": PICK, "fault": FAULT},
    ),
    (
        4,
        Steps.send_again,
        {
            "pick": PICK,
            "how": one_of("same", "same", "other bytes", "other id", "other partner", "spoilt"),
            "fault": FAULT,
        },
    ),
    (
        2,
        Steps.send_together,
        {"who": one_of(*SENDERS), "to": some(TO, 1, 3), "name": one_of("D1", "D2"), "kind": one_of("", *CHANGES)},
    ),
    (9, Steps.claim, {"partner": one_of("vpub", "vpcp"), "node": NODE, "limit": one_of(1, 1, 2, 3, 4), "fault": FAULT}),
    (
        12,
        Steps.settle,
        {
            "node": NODE,
            "which": PICK,
            "how": one_of("accepted", "accepted", "refused", "unavailable", "later", "postponed"),
            "fault": FAULT,
        },
    ),
    (
        5,
        Steps.push,
        {
            "partner": one_of("vpub", "vpcp"),
            "hows": lambda random: random.choices([True, True, False], k=4),
            "node": NODE,
        },
    ),
    (4, Steps.split, {"node": NODE, "pick": PICK, "rescues": ANY}),
    (3, Steps.stop_node, {"node": NODE, "fault": FAULT}),
    (3, Steps.rescue, {"node": NODE, "late": ANY, "again": one_of("", "", "and goes on", "and stops"), "fault": FAULT}),
    (2, Steps.die, {"node": NODE, "at_once": ANY}),
    (
        7,
        Steps.fetch,
        {
            "unit": one_of("H55.13", "H55.13", "H55.13.1"),
            "limit": one_of(1, 2, 3),
            "confirms": one_of(None, 0, 0, 1, 2),
            "fault": FAULT,
        },
    ),
    (
        2,
        Steps.fetch_oddly,
        {
            "pick": PICK,
            "partner": one_of("sotttt", "vpub"),
            "fetches": ANY,
            "held": ANY,
            "unit": one_of(None, "H55.13", "H55.13.1", "G22"),
        },
    ),
    (
        4,
        Steps.replay,
        {
            "pick": one_of(None, None, 0, 2, 5),
            "unit": one_of(*[None] * 6, "H55.13", "H55.01"),
            "to": one_of(*[None] * 20, *TO),
            "again": one_of(False, False, True),
            "at_once": ANY,
            "fault": FAULT,
        },
    ),
    (
        4,
        Steps.go_on,
        {
            "pick": PICK,
            "limit": one_of(1, 2, 5),
            "what": one_of(*[None] * 8, "pause", "resume", "resume", "cancel"),
            "fault": FAULT,
        },
    ),
    (
        2,
        Steps.give_up,
        {
            "pick": one_of(0, 2, 5),
            "unit": one_of(*[None] * 6, "H55.13", "H55.01"),
            "to": one_of(*[None] * 6, *TO),
            "fault": FAULT,
        },
    ),
    (2, Steps.resume, {"partner": one_of("vpcp", "vpub"), "limit": one_of(1, 5), "fault": FAULT}),
    (1, Steps.wait_too_long, {"partner": one_of("vpcp", "vpcp", "vpub"), "node": NODE, "resumes": ANY}),
    (2, Steps.alarm, {"fault": FAULT}),
    (5, Steps.wait, {"much": one_of(*JUMPS[:5] * 3, *JUMPS)}),
    (2, Steps.wait_for_the_cut_off, {"before": ANY}),
    (1, Steps.report, {"unit": one_of("H55", "H55.13", "H55.01", "G22")}),
    (
        2,
        Steps.traces,
        {"unit": one_of(*TO), "pick": one_of(None, *range(6)), "partner": one_of(None, None, "any", "sotttt", "vpcp")},
    ),
]


@attrs.frozen
class Step:
    """One step with its arguments."""

    does: Callable[..., Any]
    said: dict[str, object]

    @classmethod
    def drawn(cls, random: Random) -> "Step":
        ((_, does, choices),) = random.choices(DRAWN, [weight for weight, _, _ in DRAWN])
        return cls(does, {name: choose(random) for name, choose in choices.items()})

    def __str__(self) -> str:
        return f"{self.does.__name__}({', '.join(f'{name}={value!r}' for name, value in self.said.items())})"


@attrs.frozen
class Machine:
    """Runs histories on one journal."""

    engine: sa.Engine
    nodes: tuple[str, ...]

    def run(self, steps: Sequence[Step]) -> None:
        made = Steps(self.engine, self.nodes)
        for step in steps:
            step.does(made, **step.said)
            made.sights.deliveries()
        made.end()

    def run_seed(self, seed: int, length: int = 50) -> None:
        random = Random(seed)
        steps = [Step.drawn(random) for _ in range(length)]
        try:
            self.run(steps)
        except Exception as error:
            steps, error = self.shorten(steps, error)
            said = "\n".join(f"  {step}" for step in steps)
            raise AssertionError(f"SEED={seed} fails; these steps are enough:\n{said}\n{error!r}") from error

    def run_seeds(self, seeds: Sequence[int], length: int = 50) -> None:
        """Run these histories; that of SEED alone, if it is set."""
        asked = os.environ.get("SEED")
        for seed in [int(asked)] if asked else seeds:
            self.run_seed(seed, length)

    def shorten(self, steps: list[Step], error: Exception) -> tuple[list[Step], Exception]:
        """Leave out of a failing history what it can do without, as long as PATIENCE (60) seconds allow."""
        over, same, size = time.monotonic() + float(os.environ.get("PATIENCE", "60")), place(error), len(steps) // 2
        while size:
            at = 0
            while at < len(steps) and time.monotonic() < over:
                fewer = steps[:at] + steps[at + size :]
                try:
                    self.run(fewer)
                except Exception as other:  # noqa: BLE001 - whatever the hub raises
                    if place(other) == same:
                        steps, error = fewer, other
                        continue
                at += size
            size //= 2
        return steps, error


def place(error: Exception) -> tuple[type, str, int]:
    """Return what tells one failure from another."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return type(error), last.filename, last.lineno or 0
