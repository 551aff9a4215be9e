"""`lienthong categories`: lists the code lists received from other systems, the entries of one list, or one entry."""

import click

from hub.cli.screen import NOT_FOUND, CommandStop, Screen, command, pass_screen, t


@command(
    "categories",
    "Danh mục do hệ thống khác cung cấp: liệt kê, xem một danh mục, tra một mã.",
    "Code lists from other systems: list them, show the entries of one, or look up one code.",
    "lienthong categories",
    "lienthong categories LayDanhSachTTHC",
    "lienthong categories LayDanhSachTTHC 2.000815",
)
@click.argument("name", metavar=t("[DANH_MỤC]", "[LIST]"), required=False)
@click.argument("code", metavar=t("[MÃ]", "[CODE]"), required=False)
@pass_screen
def categories(screen: Screen, name: str | None, code: str | None) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import code_lists
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        if name is None:
            held = [
                {
                    "list": each.kind,
                    "holds": each.subject,
                    "partner": each.partner,
                    "since": each.received_at,
                    "id": each.id,
                }
                for each in code_lists.read_newest_lists(tx)
            ]
            titles = {
                "list": t("danh mục", "list"),
                "holds": t("số mục", "entries"),
                "partner": t("đối tác", "partner"),
                "since": t("từ", "since"),
                "id": t("thông điệp", "message"),
            }
            screen.table(titles, held)
            return
        found = code_lists.read_code_list(tx, name)
    if found is None:
        raise CommandStop(f"không có danh mục {name}", f"there is no list {name}", NOT_FOUND)
    if code is not None and code not in found.names:
        raise CommandStop(f"{name} không có mã {code}", f"{name} has no code {code}", NOT_FOUND)
    wanted = found.names if code is None else {code: found.names[code]}
    titles = {"code": t("mã", "code"), "name": t("tên", "name")}
    screen.table(titles, [{"code": each, "name": text} for each, text in wanted.items()])
