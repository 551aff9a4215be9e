"""Defines a figure that a unit declared and that stands in a column of a report, beside the message that declared it.
Knows neither the journal nor who may declare.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class DeclaredFigure:
    """A declared figure of a report: of one cell of a column of the kind `declared`."""

    unit: str  #: the unit of the row; "": the total
    column: str
    value: int  #: in units of the column's decimals: 2850 for 28.50
    sender: str  #: the unit that declared it
    by: str  #: the person responsible for the declaration, as it says
    at: datetime  #: when the hub received it
    message: str  #: the hub's id of the message
    whole: bool = False  #: of the unit and all units below it together


def place_figures(figures: Iterable[DeclaredFigure], units: Sequence[str]) -> tuple[DeclaredFigure, ...]:
    """Return the *figures* of the report of *units*, the reporting unit first: those of the total, with the unit "", then
    row by row.

    The total has the figure of the reporting unit and all below it together; if there is none, or no unit is below, the
    figure of the unit itself.
    """
    rows: dict[tuple[str, str], DeclaredFigure] = {}
    totals: dict[str, DeclaredFigure] = {}
    for figure in figures:
        if not figure.whole:
            rows[figure.unit, figure.column] = figure
        elif figure.unit == units[0] and len(units) > 1:
            totals[figure.column] = figure
    own = {column: figure for (unit, column), figure in rows.items() if unit == units[0]}
    total = [attrs.evolve(figure, unit="", whole=False) for figure in (own | totals).values()]
    places = {unit: place for place, unit in enumerate(units)}
    mine = [figure for figure in rows.values() if figure.unit in places]
    return (*total, *sorted(mine, key=lambda figure: places[figure.unit]))


#: The maximum number of remarks that a report prints. It always says how many there are.
MOST_REMARKS = 200


@attrs.frozen(kw_only=True)
class Remark:
    """What a unit says of its figures, in its newest declaration for the form and period."""

    unit: str  #: that declared
    text: str  #: at most 1,000 characters, as the contract says
    column: str = ""  #: key of the column or manual line that it is about; "": the whole declaration
    of: str = ""  #: the unit of that cell, as declared; "": the total
    by: str = ""  #: the person who declared
    at: datetime  #: when the hub received it
    message: str  #: the hub's id of the declaration


@attrs.frozen(kw_only=True)
class Remarks:
    """What units say of the figures of a report."""

    told: tuple[Remark, ...] = ()  #: at most `MOST_REMARKS`
    left_out: int = 0  #: how many further ones are not among them


NO_REMARKS = Remarks()
