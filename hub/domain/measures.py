"""What this process counts of its own work: counters and durations, by a few labels. `DEFINED` is the list of them.

Knows no text format and no process: a worker process takes its counts out (`take`) and the node's process adds them to
its own (`add`), so nothing is counted twice. Used in the reactor thread only. Everything begins at zero with the
process, as Prometheus expects of counters.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import attrs

from hub.domain.errors import SENTENCES

#: Sets of label values that one measure keeps. The labels come from the configuration and from tables of the program,
#: never from what a stranger writes. Further sets are counted together, under `OTHERS`.
MOST = 4096
#: The value of every label of the sets that are counted together.
OTHERS = "other"
#: The code of a call that was answered as it was meant to be.
OK = "ok"
#: The code of a call whose caller did not wait for the answer.
DROPPED = "dropped"

#: Upper limits of the classes of durations, in seconds: of calls and commits, of attempts, of the way to the recipient.
QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CALLS = (0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0)
LAGS = (0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0)
#: Upper limits of the numbers of steps in one commit (`hub.store.group_commit` puts at most 256 into one).
STEPS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@attrs.frozen(eq=False)
class Measure:
    """One counter, or one distribution if it has *limits*."""

    name: str  #: without the ending `_total`
    help: str  #: the HELP text
    labels: tuple[str, ...] = ()
    limits: tuple[float, ...] = ()  #: upper limits of the classes, ascending; empty: a counter


CALLS_ANSWERED = Measure(
    "lienthong_intake_calls",
    "SOAP calls by how they were answered: ok, the code of a refusal, or dropped by the caller.",
    ("partner", "service", "code"),
)
CALL_SECONDS = Measure(
    "lienthong_intake_call_seconds",
    "Duration of SOAP calls from the arrival of the whole call to its signed answer.",
    ("partner", "service"),
    QUICK,
)
MESSAGES = Measure(
    "lienthong_intake_messages",
    "Messages judged, by result: accepted, repeated (the old receipt was given again) or the code of the refusal.",
    ("partner", "service", "result"),
)
ATTEMPTS = Measure(
    "lienthong_delivery_attempts",
    "Attempts to deliver, by outcome; stale: the claim was lost meanwhile.",
    ("partner", "outcome"),
)
ATTEMPT_SECONDS = Measure(
    "lienthong_delivery_attempt_seconds", "Duration of the conversations of attempts.", ("partner",), CALLS
)
DELIVERED_SECONDS = Measure(
    "lienthong_delivery_lag_seconds",
    "Time from the acceptance or replay of a message until the partner had it.",
    ("partner",),
    LAGS,
)
COMMIT_SECONDS = Measure(
    "lienthong_commit_seconds", "Duration of the commits of the journal, with their steps.", (), QUICK
)
COMMIT_STEPS = Measure("lienthong_commit_steps", "Steps that shared one commit of the journal.", (), STEPS)
COMMITS_FAILED = Measure("lienthong_commits_failed", "Commits of the journal that failed as a whole.")
WRITER_SECONDS = Measure(
    "lienthong_writer_seconds",
    "Time that the only writer of the journal worked, by the partner for whom; hub: the hub itself, ?: its parts.",
    ("partner",),
)
EVENTS = Measure("lienthong_events_chained", "Events that this node has numbered, by name.", ("event",))
FACTS = Measure(
    "lienthong_facts", "Facts that this node has numbered, by service and milestone.", ("service", "milestone")
)
LEASES = Measure(
    "lienthong_leases_expired", "Deliveries taken back from a node that was lost or that let its lease end."
)
PROBES = Measure(
    "lienthong_link_probe_seconds", "Duration of successful probes of links, TLS included.", ("link",), QUICK
)
UNREACHED = Measure("lienthong_link_probes_failed", "Probes of links that failed.", ("link",))

DEFINED = (
    CALLS_ANSWERED,
    CALL_SECONDS,
    MESSAGES,
    ATTEMPTS,
    ATTEMPT_SECONDS,
    DELIVERED_SECONDS,
    COMMIT_SECONDS,
    COMMIT_STEPS,
    COMMITS_FAILED,
    WRITER_SECONDS,
    EVENTS,
    FACTS,
    LEASES,
    PROBES,
    UNREACHED,
)

#: By name of a measure, by values of its labels: the count; of a distribution the count of each class, the last
#: without a limit, and then the sum of the values.
Increments = dict[str, dict[tuple[str, ...], list[float]]]


class Measures:
    """The counts of one process, and on a node with workers those of all its processes."""

    def __init__(self) -> None:
        self._counts: Increments = {each.name: {} for each in DEFINED}

    def count(self, measure: Measure, *labels: str, by: float = 1.0) -> None:
        """Add *by* to a counter."""
        self._find(measure, labels)[0] += by

    def observe(self, measure: Measure, value: float, *labels: str) -> None:
        """Count one *value* of a distribution, in the unit that its name ends with. A negative one counts as zero."""
        found, value = self._find(measure, labels), max(0.0, value)
        found[bisect_left(measure.limits, value)] += 1
        found[-1] += value

    def _find(self, measure: Measure, labels: tuple[str, ...]) -> list[float]:
        kept = self._counts[measure.name]
        found = kept.get(labels)
        if found is None:
            if len(kept) >= MOST:
                labels = (OTHERS,) * len(labels)
            found = kept.setdefault(labels, [0.0] * (len(measure.limits) + 2 if measure.limits else 1))
        return found

    def take(self) -> Increments:
        """Return all counts, of measures that have any, and begin again at zero."""
        taken, self._counts = self._counts, {name: {} for name in self._counts}
        return {name: kept for name, kept in taken.items() if kept}

    def copy(self) -> "Measures":
        """Return the counts as they are now, which another thread may read."""
        made = Measures()
        made._counts = {
            name: {labels: list(values) for labels, values in kept.items()} for name, kept in self._counts.items()
        }
        return made

    def count_values(self) -> int:
        """Return the number of all counts and classes."""
        return sum(len(values) for kept in self._counts.values() for values in kept.values())

    def add(self, increments: Increments) -> None:
        """Add what another process has taken out."""
        for measure in DEFINED:
            for labels, values in increments.get(measure.name, {}).items():
                found = self._find(measure, labels)
                for place, value in enumerate(values):
                    found[place] += value

    def read(self, measure: Measure) -> Mapping[tuple[str, ...], list[float]]:
        """Return the counts of *measure* by the values of its labels. The reader changes nothing."""
        return self._counts[measure.name]

    def __iter__(self) -> Iterator[Measure]:
        """Iterate over the measures."""
        return iter(DEFINED)


def name_code(code: str) -> str:
    """Return *code* as a label: that of a located code (`N.` and a path) is its letter, and an unknown one `other`."""
    if code in SENTENCES:
        return code
    return code[:1] if code[:2] in SENTENCES else OTHERS
