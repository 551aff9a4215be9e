"""A unit declares its own figures in the evening of `lienthong demo`.

One figure is wrong, and the hub must name exactly that cell.

Knows what was planted and what an operator reads. Does not know how figures are compared.
"""

from collections.abc import Iterator
from datetime import date

from hub.language.phrases import phrase
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.run.dayplay import ONE_STOP
from lienthong_demo.run.stage import Stage

FORM = "dossiers"
#: The figure that the unit declares one too high.
WRONG = "supplement_requested"


def play_declarations(
    stage: Stage, operator: Operator, narrator: Narrator, unit: str, period: str, days: tuple[date, date]
) -> Iterator[str]:
    """Let the one-stop software declare its own count of *unit* for *days*.

    Yield what the hub's reconciliation gets wrong.
    """
    order = stage.partners[ONE_STOP].order
    said = order("report", unit=unit, period=period, wrong=WRONG, **{"from": f"{days[0]}", "to": f"{days[1]}"})
    if not said["accepted"]:
        yield f"the figures of {unit} were refused: {', '.join(said['codes'])}"
        return
    told = [(each[0], each[1], each[2] - each[3]) for each in said["unequal"]]
    rows = operator.rows("report", "reconcile", unit, period, "--form", FORM)
    shown = [(row["unit"], row["column"], row["difference"]) for row in rows if row["verdict"] != "equal"]
    for who, found in (("its own system", told), ("the operator", shown)):
        if found != [(unit, WRONG, 1)]:
            yield f"{unit} declared {WRONG} one too high, and {who} was told {found}"
    narrator.say(
        phrase(
            "{unit} declares {cells} figures, one of them wrong: the hub names that very cell",
            unit=unit,
            cells=said["cells"],
        ),
    )
