"""Prints what a plan does with each delivery."""

from collections.abc import Iterator, Mapping

from hub.cli.screen import Screen, say, t
from hub.cli.words import say_value
from hub.language.phrases import phrase
from hub.language.terms import find_term

#: What a row of a plan says of its delivery.
_ACTIONS = {
    "planned": phrase("planned"),
    "replayed": phrase("queued"),
    "given up": phrase("given up"),
    "left": phrase("left alone"),
    "excluded": phrase("excluded"),
}


def print_plan_rows(screen: Screen, rows: Iterator[dict[str, object]]) -> None:
    """Print the rows of a plan, each with what is done with one delivery."""
    columns = {
        "id": t("id"),
        "recipient": t("recipient"),
        "partner": t("partner"),
        "attempts": t("attempts"),
        "action": t("action"),
        "reason": t("reason"),
    }
    screen.table(columns, rows if screen.json else map(_say_row, rows))


def _say_row(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of a plan as a person reads it."""
    why = row["reason"]
    # the hub's own word for why a delivery is excluded; or its state: one that is being sent cannot be given up
    term = next((found for scope in ("replay", "delivery") if (found := find_term(scope, str(why)))), None)
    reason = say_value("reason", why) if term is None else say(term.name)
    return {**row, "action": say(_ACTIONS[str(row["action"])]), "reason": reason}
