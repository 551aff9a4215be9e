"""Chooses, from the newest declarations of units, the figure of each cell of the columns of the kind `declared`. Knows whose
declaration counts. Reads no journal.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import attrs

from hub.report.counting.declared import DeclaredFigure
from hub.report.counting.declaring import Declaration
from hub.report.form.column import Column, ColumnKind, Declarer
from hub.report.form.form import Form


@attrs.frozen(kw_only=True)
class NewestDeclaration:
    """The newest declaration of a unit for the form and period of a report."""

    message: str
    at: datetime
    said: Declaration  #: with the unit codes of the registry, the sender's own first; "" for the total


def choose_declared_figures(
    form: Form,
    members: Sequence[str],
    above: Mapping[str, Sequence[str]],
    told: Mapping[str, NewestDeclaration],
) -> tuple[DeclaredFigure, ...]:
    """Return the declared figures of the units *members*, and those that they declared for themselves and all units below
    them together (`place_figures` says which are those of a report).

    *above*: the units above each member. *told*: the newest declaration of each unit that made one. A unit's figure is
    that of its own declaration or of one by a unit above it, as the column says; of several, the newest. What the form
    does not allow, because it has changed since, is left out.
    """
    found: list[DeclaredFigure] = []
    for column in form.columns:
        for unit in members if column.kind is ColumnKind.DECLARED else ():
            figure = _choose_figure(column, unit, above.get(unit, ()), told)
            found += [] if figure is None else [figure]
            whole = () if column.declarer is Declarer.ABOVE else _read_figures(column, unit, "", told)
            found += [attrs.evolve(each, unit=unit, whole=True) for each in whole]
    return tuple(found)


def _choose_figure(
    column: Column, unit: str, above: Sequence[str], told: Mapping[str, NewestDeclaration]
) -> DeclaredFigure | None:
    senders = [] if column.declarer is Declarer.ABOVE else [unit]
    senders += [] if column.declarer is Declarer.OWN else list(above)
    found = [figure for sender in senders for figure in _read_figures(column, sender, unit, told)]
    return max(found, key=lambda figure: (figure.at, figure.message), default=None)


def _read_figures(
    column: Column, sender: str, unit: str, told: Mapping[str, NewestDeclaration]
) -> Iterator[DeclaredFigure]:
    newest = told.get(sender)
    for cell in newest.said.cells if newest is not None else ():
        if newest is None or cell.column != column.key or cell.unit != unit or cell.figure is None:
            continue
        value = Decimal(cell.figure).scaleb(column.places)
        if value == int(value) and 0 <= cell.figure <= column.most:
            yield DeclaredFigure(
                unit=unit,
                column=column.key,
                value=int(value),
                sender=sender,
                by=newest.said.by,
                at=newest.at,
                message=newest.message,
            )
