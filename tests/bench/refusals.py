"""What it costs to explain why a batch is refused, beside what it costs to accept one: `./dev bench refusals`.

Each row is CPU of one core, the median of rounds in which the batches take turns. Done when: at most 200 ms for 500 dossiers
with ten mistakes.
"""

import statistics
import time
from collections.abc import Sequence

from lxml import etree

from hub.domain.errors import CallRefused
from hub.soap import wsdl
from tests.formats.test_xsd_mistakes import HOSTILE, PLANTED, batch, dossier

ROUNDS = 20
BATCHES = {
    "500 dossiers, accepted": batch(*[dossier(number) for number in range(1, 501)]),
    "500 dossiers, ten mistakes": batch(
        *[PLANTED[number][0] if number in PLANTED else dossier(number) for number in range(1, 501)]
    ),
    "4,000 dossiers, a mistake in each": HOSTILE["records"],
    "9,000 elements that do not belong": HOSTILE["strangers"],
    "5,000 attributes": HOSTILE["attributes"],
}


def show(_words: Sequence[str]) -> None:
    """Measure and print."""
    contract = wsdl.load_contract("dossiers")
    elements = {name: etree.fromstring(text.encode()) for name, text in BATCHES.items()}
    took: dict[str, list[float]] = {name: [] for name in elements}
    named: dict[str, int] = {}
    for _round in range(ROUNDS + 1):
        for name, element in elements.items():
            began = time.thread_time()
            try:
                contract.validate(element)
                named[name] = 0
            except CallRefused as refused:
                named[name] = len(refused.problems)
            took[name].append(1e3 * (time.thread_time() - began))
    accepted = statistics.median(took["500 dossiers, accepted"][1:])
    for name, every in took.items():
        median = statistics.median(every[1:])  # the first builds the model
        print(
            f"{name:34} {named[name]:>4} mistakes   {median:7.2f} ms   x {median / accepted:6.1f}   first {every[0]:7.1f} ms"
        )
