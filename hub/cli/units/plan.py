"""Plans and makes the change that a list of units causes in the registry, for `units import` and `units fetch`."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from hub.cli.screen import FAILED, Screen, exit_command, say, say_count, t
from hub.language.phrases import phrase

_BIG = 500_000  #: octets of a file for which a progress bar is shown

#: Reason for which a row of the national list is left out.
_WHY = {
    "province": phrase("a code of the province"),
    "held": phrase("the code of a unit of the province, or an alias"),
    "twice": phrase("listed twice"),
    "empty": phrase("without a code or a name"),
    "unfit": phrase("its code or name is not valid"),
    "deleted": phrase("deleted on the axis"),
    "old-code": phrase("an old code that cannot be used"),
}


def write_unit_list(screen: Screen, content: bytes, name: str, *, national: bool, dry_run: bool, yes: bool) -> None:
    """Read the list *content* with the name *name*, print what it changes, and write the changes to the registry.

    Nothing is written with *dry_run*, with a mistake in the list, or, without *yes*, if existing units would change.
    """
    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import unit_registry
    from hub.store import transactions
    from hub.units import national_agencies, units_csv

    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            known = unit_registry.list_registry_units(tx, outside=True)
        if national:
            named, left, mistakes = national_agencies.read_national_agencies(content, name, known, config.province)
        else:
            with _bar(t("Reading"), content, content.count(b"\n")) as progress:
                named, mistakes = units_csv.read_units_csv(content, name, known, progress, province=config.province)
            left = []
        if mistakes:
            screen.mistakes(mistakes)
            exit_command(FAILED)
        before = {unit.code: unit for unit in known}
        added = [unit for unit in named if unit.code not in before]
        changed = [unit for unit in named if unit.code in before and before[unit.code] != unit]
        writes = not dry_run and (yes or not changed)
        if writes:
            with (
                transactions.write_transaction(engine) as tx,
                _bar(t("Writing"), content, len(added) + len(changed)) as progress,
            ):
                unit_registry.write_registry_units(tx, [*added, *changed], progress)
    for what, sign, some in (("added", "+", added), ("changed", "~", changed)):
        for unit in some:
            screen.row({"unit": unit.code, "change": what}, f"{sign} {unit.code}  {unit.name}")
    for row in left:
        screen.row({"unit": row.code, "change": "left-out", "why": row.why}, f"- {row.code}  ({say(_WHY[row.why])})")
    same = len(named) - len(added) - len(changed)
    told = f"{say_count(len(added))} + {say_count(len(changed))} ~ {say_count(same)} ="
    if left:
        told += f" {say_count(len(left))} -"
    if writes:
        screen.note(
            t("Imported: {told}. A running hub uses it after `lienthong reload`.", told=told),
        )
    elif dry_run:
        screen.note(t("Would change: {told}. Nothing was written.", told=told))
    else:
        screen.note(
            t(
                "Would change: {told}. Nothing was written: the list changes existing units; add --yes to run it.",
                told=told,
            ),
        )
        exit_command(FAILED)


@contextlib.contextmanager
def _bar(label: str, content: bytes, length: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal for a large file. Yield a function that adds to the amount done."""
    if len(content) < _BIG or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
