"""Draws months of the province's work, for hypothesis: what partners send of every service, and what becomes of it.

Knows how often each step happens, and from what it is drawn; few units, dossiers, days and meetings, so that much of it meets.
"""

from random import Random

from hypothesis import strategies as st

from tests.histories.drawing import DRAWN, Step
from tests.histories.duties import Duties
from tests.histories.steps import Steps

UNITS = st.sampled_from(
    [*["H55.13"] * 4, *["000.00.13.H55"] * 2, "H55.01", "H55.01", "H55.01.2", "H55.20", "H55.50", "H55.99"]
)
FAULT = st.sampled_from(["", "", "", "", "", "undone", "untold"])
OWN = st.sampled_from([True, True, False])
PAST = st.integers(-40, 1)
MONTHS = ["2026-10", "2026-11", "2026-12", "2027-01"]
STATUS = st.sampled_from(["1", "2", "3", "3", "4", "4", "5", "6", "7", "8", "9", "9", "10"])
COUNT = st.integers(0, 9)

#: Not here: they look at deliveries alone, which the other histories do.
_LOOKS = (Steps.report, Steps.traces, Steps.alarm, Steps.die, Steps.wait)


@st.composite
def states(draw):
    """Draw one dossier as SyncDossiers tells it: an end is not before its receipt."""
    status, received = draw(STATUS), draw(PAST)
    due = draw(st.one_of(st.none(), st.integers(-2, 30).map(lambda days: received + days)))
    over = st.integers(0, 35).map(lambda days: received + days)
    ended, returned = draw(st.one_of(st.none(), over)), draw(st.one_of(st.none(), over))
    if status in ("7", "9", "10") and ended is None and returned is None:
        ended = draw(over)
    asked = st.one_of(st.none(), over)
    requests = draw(st.lists(st.tuples(asked, asked, asked), max_size=draw(st.sampled_from([0, 0, 1, 3]))))
    channel = draw(st.sampled_from([None, "1", "2", "3", "9"]))
    says = draw(st.integers(0, 2**14 - 1))
    seldom = st.one_of(st.none(), st.none(), st.integers(-8, 35).map(lambda days: received + days))
    moments = draw(st.tuples(seldom, seldom, seldom, seldom))
    return draw(st.integers(1, 4)), status, received, due, ended, returned, channel, requests, says, moments


def _step(does, **said):
    return st.builds(Step, st.just(does), st.fixed_dictionaries(said))


def _one(name):
    """Draw a step with packets of this name, as the other histories do."""
    (said,) = [choices for _, does, choices in DRAWN if does.__name__ == name]

    def drawn(seed):
        random = Random(seed)
        return Step(getattr(Duties, name), {word: choose(random) for word, choose in said.items()})

    return st.integers(0, 2**20).map(drawn)


def _packets(seed):
    """Draw a step with packets, as the other histories do."""
    random = Random(seed)
    while (step := Step.drawn(random)).does in _LOOKS:
        pass
    return Step(getattr(Duties, step.does.__name__), step.said)


_FIGURES = ["AccountsIssued", "AccountsActive", "SentInternal", "SentExternal", "ReceivedInternal", "ReceivedExternal"]
_FIGURES += ["RefusedSize", "OverQuota", "OfficialDocuments"]
_FACTOR = st.sampled_from(["1", "1", "1.5", "0.25"])  #: of an item, told anew each time
_BITS = st.integers(0, 2**1440 - 1) | st.integers(0, 255)
_PEOPLE = st.lists(
    st.tuples(UNITS, st.sampled_from(["ACCEPTED", "DECLINED", "X-ATTENDED", "COMPLETED", "TENTATIVE"])),
    min_size=1,
    max_size=2,
)
_REPORTS = {
    "form": st.sampled_from(["edoc", "mail"]),
    "unit": st.sampled_from(["H55", "H55.13"]),
    "period": st.sampled_from(MONTHS[:2]),
    "revision": st.integers(1, 2),
}
_OPERATIONS = ["LookupEnterprise", "LookupCategory", "VerifyCitizen"]
_OPERATIONS += ["OrderPostalReturn", "RegisterCivilStatus", "RequestJudicialRecord"]

PACKETS = st.integers(0, 2**20).map(_packets)
WAIT = _step(Duties.wait_days, days=st.sampled_from([1, 1, 2, 7, 15, 40]))
REST = _step(Duties.rest)
NIGHT = _step(Duties.night)
STEPS: dict[str, list[st.SearchStrategy[Step]]] = {
    "dossiers": [
        _step(Duties.sync, unit=UNITS, told=st.lists(states(), min_size=1, max_size=2), own=OWN, fault=FAULT),
        _step(
            Duties.progress,
            unit=UNITS,
            told=st.lists(st.tuples(st.integers(1, 4), STATUS, PAST), min_size=1, max_size=3),
            own=OWN,
            fault=FAULT,
        ),
        _step(
            Duties.declare, unit=UNITS, month=st.integers(-2, 0), new=COUNT, late=COUNT, monthly=OWN, own=st.booleans()
        ),
        _step(Duties.carry, hows=st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=3)),
    ],
    "mail": [
        _step(
            Duties.mail,
            day=st.sampled_from([-18, -2, -1, -1, -1, 0, 1]),
            since=st.sampled_from([None, None, 0, 6]),
            corrects=st.booleans(),
            usage=st.dictionaries(
                UNITS,
                st.dictionaries(st.sampled_from(_FIGURES), st.integers(-3, 30), min_size=2),
                min_size=1,
                max_size=2,
            ),
            own=OWN,
            fault=FAULT,
        )
    ],
    "congviec": [
        _step(
            Duties.tell_work,
            unit=UNITS,
            told=st.lists(
                st.tuples(
                    st.integers(1, 2),
                    _FACTOR,
                    PAST,
                    st.sampled_from([None, 0, 1, 5, 20]),
                    st.lists(st.tuples(PAST, st.integers(-3, 30)), max_size=2),
                    st.none() | PAST,
                    st.sampled_from(["", "CB-1", "CB-2"]),
                ),
                min_size=1,
                max_size=2,
                unique_by=lambda told: told[0],
            ),
            own=OWN,
            fault=FAULT,
        ),
        _step(
            Duties.judge_work,
            unit=UNITS,
            told=st.lists(
                st.tuples(
                    st.integers(1, 2),
                    _FACTOR,
                    st.dictionaries(st.integers(1, 6), PAST, max_size=3),
                    st.none() | PAST,
                    st.sampled_from([None, None, None, 0, -3]),
                ),
                min_size=1,
                max_size=2,
                unique_by=lambda told: told[0],
            ),
            own=OWN,
            fault=FAULT,
        ),
    ],
    "meetings": [
        _step(
            Duties.meet,
            uid=st.sampled_from(["h1", "h1", "h2"]),
            method=st.sampled_from(["REQUEST", "REQUEST", "REPLY", "CANCEL", "PUBLISH"]),
            organizer=st.sampled_from(["H55.13", "H55.13", "000.00.13.H55", "H55.01", ""]),
            people=_PEOPLE,
            sequence=st.integers(0, 2),
            begins=st.integers(-10, 40),
            rule=st.sampled_from([(7, 1), (7, 1), (7, 4), (2, 3), (1, 2)]),
            drops=st.booleans(),
            apart=st.booleans(),
            place=st.sampled_from([None, None, 0, 1, 2]),
            enclosed=st.booleans(),
            fault=FAULT,
        )
    ],
    "incidents": [
        _step(
            Duties.incident,
            unit=UNITS,
            number=st.integers(1, 3),
            severity=st.integers(0, 4),
            closed=st.booleans(),
            minutes=st.integers(-60, 5000),
            stamped=OWN,
            report=st.sampled_from([False, False, True]),
            fault=FAULT,
        )
    ],
    "lookups": [
        _step(
            Duties.look_up,
            unit=UNITS,
            operation=st.sampled_from(_OPERATIONS),
            key=st.sampled_from(["K1", "K2"]),
            refused=st.sampled_from([False, False, True]),
            own=OWN,
        )
    ],
    "links": [
        _step(
            Duties.see_links,
            day=st.integers(-35, 0),
            links=st.dictionaries(
                st.sampled_from(["a", "b"]),
                st.tuples(
                    st.lists(st.sampled_from(["H55.13", "H55.01"]), max_size=2, unique=True),
                    st.lists(st.tuples(_BITS, _BITS), min_size=1, max_size=2),
                ),
                min_size=1,
            ),
        )
    ],
    "reporting": [
        _step(Duties.hand_in, **_REPORTS),
        _step(Duties.hear_verdict, **_REPORTS, result=st.sampled_from(["accepted", "returned"]), own=OWN),
        _step(Duties.carry, hows=st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=3)),
    ],
    "edoc": [
        PACKETS,
        *map(_one, ("send", "push", "fetch", "work", "stop", "answer")),
        _step(
            Duties.serve,
            hours=st.sampled_from([1, 23, 24, 25, 40, 70]),
            code=st.sampled_from(["03", "03", "06", "04"]),
            due=st.sampled_from([None, 0, 1, 3]),
        ),
    ],
}
#: Forms that count what others count, too.
_LIKE = {
    "ii06a": "dossiers",
    "thutuc": "dossiers",
    "btp07a": "dossiers",
    "congviec-hoso": "dossiers",
    "congviec-vanban": "edoc",
}
AGAIN = _step(Duties.bring_again, pick=st.integers(0, 5), changed=st.booleans())


def months(form, least, most):
    """Draw so many steps, more than half of them in the service of *form*; days go by between them.

    A history that fails is shortened by steps in which nothing happens.
    """
    own = STEPS[_LIKE.get(form, form)]
    others = [each for steps in STEPS.values() if steps is not own for each in steps]
    close = _step(Duties.close, form=st.just(form))
    look = _step(Duties.look, form=st.just(form), back=st.integers(0, 3))
    weighted = [REST, *own * (16 // len(own)), *[WAIT] * 4, AGAIN, NIGHT, NIGHT, close, look, st.one_of(*others)]
    return st.lists(_one_of(weighted), min_size=least, max_size=most)


@st.composite
def _one_of(draw, weighted):
    """Draw one of these strategies as often as it stands there, which `st.one_of` does not."""
    return draw(weighted[draw(st.integers(0, len(weighted) - 1))])
