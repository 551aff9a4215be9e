"""Incident reports in a packet: whatever XML may say within their bounds."""

from collections.abc import Mapping
from functools import lru_cache

from hub.services.incidents import NAMESPACE
from tests.costs import calendar, filling

_MOST = 1 << 15  #: of anything: more than 256 KiB have room for
DIMENSIONS: dict[str, int | None] = {
    **{name: bound or _MOST for name, bound in filling.DIMENSIONS.items()},
    "reports": 12,
    "spaces": 1 << 18,
}
FILLER = "spaces"
FORMS = {"packing": ("zip", "zip", "plain"), "place": ("Text", "root")}

WORST = [
    ({"reports": 10, "comments": _MOST}, {"packing": "zip", "place": "Text"}),
    ({"reports": 10, "references": _MOST}, {"packing": "zip", "place": "Text"}),
]


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = {"spaces": 0, "reports": 1} | dict(counts)
    return _build(
        tuple((name, min(count, DIMENSIONS[name] or _MOST)) for name, count in have.items()), tuple(form.items())
    )


@lru_cache(4)
def _build(counted: tuple[tuple[str, int], ...], formed: tuple[tuple[str, str], ...]) -> bytes:
    have, form = dict(counted), dict(formed)
    filled = filling.fill({name: count for name, count in have.items() if name in filling.DIMENSIONS})
    text = f"<Text>{filled}</Text>" if form["place"] == "Text" else filled
    one = f'<IncidentReport xmlns="{NAMESPACE}">{text}{" " * have["spaces"]}</IncidentReport>'.encode()
    one = calendar.packed("a.xml", one) if form["packing"] == "zip" else one
    return calendar.enclosing([(f"{number}.xml", one) for number in range(max(1, have["reports"]))])


finish, read = calendar.finish, calendar.read
