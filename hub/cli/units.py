"""`lienthong units`: the agencies of the province and their codes."""

from pathlib import Path

import click

from hub.cli.screen import FAILED, Screen, command, family, leave, pass_screen, t


@family("units", "Đơn vị của tỉnh: liệt kê, nhập từ CSV.", "The province's units: list them, import a CSV file.")
def units() -> None:
    pass


@command(
    "list",
    "Liệt kê đơn vị, mã khác của nó và hệ thống đối tác nhận thay nó.",
    "List the units, their other codes, and the partner that receives for each.",
    "lienthong units list",
    "lienthong units list --json | jq -r 'select(.partner == null).code'",
)
@pass_screen
def list_units(screen: Screen) -> None:
    from hub import registry, store
    from hub.cli.journal import opened
    from hub.config import read
    from hub.province import Province

    config = read(screen.config)
    with opened(config) as engine, store.reading(engine) as tx:
        found = registry.units(tx)
    routes = Province.of(config, found).routes
    receivers = {unit.code: [code for code in config.partners if routes.receives(code, unit.code)] for unit in found}
    rows = [
        {
            "code": unit.code,
            "name": unit.name,
            "parent": unit.parent,
            "since": unit.since,
            "until": unit.until,
            "aliases": list(unit.aliases),
            "mark": unit.mark,
            "partner": next(iter(receivers[unit.code]), None),
        }
        for unit in found
    ]
    titles = {
        "code": t("mã", "code"),
        "partner": t("đối tác nhận", "partner"),
        "aliases": t("mã khác", "aliases"),
        "since": t("từ", "since"),
        "until": t("đến", "until"),
        "mark": t("đánh dấu", "mark"),
        "name": t("tên", "name"),
    }
    screen.table(titles, rows)


@command(
    "import",
    "Nhập đơn vị từ tệp CSV (UTF-8) với các cột code,name,parent,since,until,aliases.\n\n"
    "Đơn vị đã có mà tệp nêu lại thì được thay; đơn vị không nêu thì giữ nguyên. Có lỗi thì không nhập gì.",
    "Import units from a CSV file (UTF-8) with the columns code,name,parent,since,until,aliases.\n\n"
    "A unit that is there and named again is replaced; one that is not named stays. With a mistake nothing is imported.",
    "lienthong units import donvi.csv --dry-run",
    "lienthong units import donvi.csv",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help=t("Chỉ xem sẽ thay đổi gì.", "Only show what would change."))
@pass_screen
def import_units(screen: Screen, file: Path, dry_run: bool) -> None:
    from hub import registry, store, unitfile
    from hub.cli.journal import opened
    from hub.config import read

    config = read(screen.config)
    with opened(config) as engine:
        with store.reading(engine) as tx:
            known = registry.units(tx)
        read_units, mistakes = unitfile.read(file.read_bytes(), file.name, known)
        if mistakes:
            screen.mistakes(mistakes)
            leave(FAILED)
        before = {unit.code: unit for unit in known}
        added = [unit for unit in read_units if unit.code not in before]
        changed = [unit for unit in read_units if unit.code in before and before[unit.code] != unit]
        if not dry_run:
            with store.writing(engine) as tx:
                registry.put(tx, [*added, *changed])
    for what, some in (("added", added), ("changed", changed)):
        for unit in some:
            screen.row(
                {"unit": unit.code, "change": what}, f"{'+' if what == 'added' else '~'} {unit.code}  {unit.name}"
            )
    same = len(read_units) - len(added) - len(changed)
    told = f"{len(added)} + {len(changed)} ~ {same} ="
    if dry_run:
        screen.note(f"Sẽ đổi: {told}. Chưa ghi gì.", f"Would change: {told}. Nothing was written.")
    else:
        screen.note(
            f"Đã nhập: {told}. Trục đang chạy nhận biết sau `lienthong reload`.",
            f"Imported: {told}. A running hub takes it up on `lienthong reload`.",
        )


units.add_command(list_units)
units.add_command(import_units)
