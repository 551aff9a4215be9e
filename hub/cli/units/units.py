"""`lienthong units`: lists the units of the province and their codes, and imports and exports them as CSV."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import Screen, say_count, t
from hub.cli.units.plan import write_unit_list
from hub.cli.words import say_word
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.language.sorting import make_code_sort_key
from hub.store import transactions
from hub.units import sample_units as seed
from hub.units import units_csv
from hub.units.province import Province


def list_units(screen: Screen, outside: bool, on: datetime | None, known: datetime | None) -> None:
    config = read_view_config(screen)
    day = find_local_day(datetime.now(UTC)) if on is None else on.date()
    until = None if known is None else (known + timedelta(days=1)).replace(tzinfo=HANOI)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        units = unit_registry.list_unit_histories(tx, outside=outside, known=until)
    found = [unit.at(day) for unit in units]
    found.sort(key=lambda unit: make_code_sort_key(unit.code))
    routes = Province.of(config, found).routes
    rows = (
        {
            "code": unit.code,
            "name": unit.name,
            "parent": unit.parent,
            "level": unit.level,
            "kind": unit.kind,
            "since": unit.since,
            "until": unit.until,
            "aliases": list(unit.aliases),
            "successors": list(unit.successors),
            "mark": unit.mark,
            "partner": next((code for code in config.partners if routes.receives(code, unit.code)), None),
        }
        for unit in found
    )
    titles = {
        "code": t("code"),
        "partner": t("partner"),
        "aliases": t("aliases"),
        "since": t("since"),
        "until": t("until"),
        "successors": t("successors"),
        "level": t("level"),
        "kind": t("kind"),
        "mark": t("mark"),
        "name": t("name"),
    }
    words = {"level": "unit-level", "kind": "unit-kind", "mark": "mark"}
    said = ({**row, **{name: say_word(scope, row[name]) for name, scope in words.items()}} for row in rows)
    screen.table(titles, rows if screen.json else said)


def export(screen: Screen, outside: bool, output: Path | None) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = unit_registry.list_unit_histories(tx, outside=outside)
    _write_units(screen, found, output)


def write_sample_units(screen: Screen, output: Path | None) -> None:
    _write_units(screen, seed.list_sample_units(), output)


def _write_units(screen: Screen, found: Sequence[Unit], output: Path | None) -> None:
    content = units_csv.write_units_csv(found)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    output.write_bytes(content)
    screen.row(
        {"file": str(output), "units": len(found)},
        t("Wrote {count} units to {output}.", count=say_count(len(found)), output=output),
    )


def import_units(screen: Screen, file: Path, dry_run: bool, yes: bool, national: bool) -> None:
    write_unit_list(screen, file.read_bytes(), file.name, national=national, dry_run=dry_run, yes=yes)
