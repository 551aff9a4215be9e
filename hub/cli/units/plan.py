"""Plans and makes the change that a list of units causes in the registry, for `units import` and `units fetch`."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import attrs
import click

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.person import name_person
from hub.cli.screen import FAILED, Screen, exit_command, say, say_count, t
from hub.cli.words import say_field
from hub.domain.local_time import find_local_day
from hub.journal import unit_registry
from hub.language.phrases import phrase
from hub.store import transactions
from hub.units import national_agencies, unit_changes, units_csv
from hub.units.unit_changes import ChangedValue

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
    """Read the list *content* with the name *name*, print what it changes, write the changes to the registry and record
    them.

    Nothing is written with *dry_run*, with a mistake in the list, or, without *yes*, if existing units would change.
    """
    config, now = read_journal_config(screen), datetime.now(UTC)
    provinces = config.province, *config.units.merged_provinces
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            known = unit_registry.list_unit_histories(tx, outside=True)
        if national:
            named, left, mistakes = national_agencies.read_national_agencies(content, name, known, *provinces)
        else:
            with _show_file_progress(t("Reading"), content, content.count(b"\n")) as progress:
                named, mistakes = units_csv.read_units_csv(
                    content, name, known, progress, provinces=provinces, today=find_local_day(now)
                )
            left = []
        if mistakes:
            screen.mistakes(mistakes)
            exit_command(FAILED)
        before = {unit.code: unit for unit in known}
        added = [unit for unit in named if unit.code not in before]
        changed = [unit for unit in named if unit.code in before and before[unit.code] != unit]
        values = {unit.code: unit_changes.list_changed_values(before[unit.code], unit) for unit in changed}
        writes = not dry_run and (yes or not changed)
        if writes and (added or changed):
            with (
                transactions.write_transaction(engine) as tx,
                _show_file_progress(t("Writing"), content, len(added) + len(changed)) as progress,
            ):
                unit_registry.write_registry_units(tx, [*added, *changed], progress, at=now)
                told = (each for some in values.values() for each in some)
                unit_registry.record_unit_import(tx, added, told, source=name, by=name_person(), now=now)
    for unit in added:
        screen.row({"unit": unit.code, "change": "added"}, f"+ {unit.code}  {unit.name}")
    for unit in changed:
        fields = [attrs.asdict(each, filter=lambda field, _: field.name != "unit") for each in values[unit.code]]
        shown = "".join(f"\n    {_say_change(each)}" for each in values[unit.code])
        screen.row({"unit": unit.code, "change": "changed", "values": fields}, f"~ {unit.code}  {unit.name}{shown}")
    for row in left:
        screen.row({"unit": row.code, "change": "left-out", "why": row.why}, f"- {row.code}  ({say(_WHY[row.why])})")
    same = len(named) - len(added) - len(changed)
    counted = f"{say_count(len(added))} + {say_count(len(changed))} ~ {say_count(same)} ="
    if left:
        counted += f" {say_count(len(left))} -"
    if writes:
        screen.note(
            t("Imported: {told}. A running hub uses it after `lienthong reload`.", told=counted),
        )
    elif dry_run:
        screen.note(t("Would change: {told}. Nothing was written.", told=counted))
    else:
        screen.note(
            t(
                "Would change: {told}. Nothing was written: the list changes existing units; add --yes to run it.",
                told=counted,
            ),
        )
        exit_command(FAILED)


def _say_change(change: ChangedValue) -> str:
    """Return what is changed: of which version, which value, from what to what."""
    field, values = say_field(change.field), (change.before or "–", change.after or "–")
    match change.version:
        case "":
            version = ""
        case "start":
            version = t("from the beginning") + ", "
        case day:
            version = t("from {day}", day=f"{date.fromisoformat(day):%d/%m/%Y}") + ", "
    return f"{version}{field}: {values[0]} → {values[1]}"


@contextlib.contextmanager
def _show_file_progress(label: str, content: bytes, length: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal for a large file. Yield a function that adds to the amount done."""
    if len(content) < _BIG or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
