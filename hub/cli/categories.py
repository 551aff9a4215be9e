"""`lienthong categories`: lists the code lists received from other systems, the entries of one list, or one entry."""

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, t
from hub.cli.words import say_filter_word
from hub.journal import code_lists
from hub.store import transactions


def categories(screen: Screen, name: str | None, code: str | None) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        if name is None:
            held: list[dict[str, object]] = [
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
                "list": t("list"),
                "holds": t("entries"),
                "partner": t("partner"),
                "since": t("since"),
                "id": t("message"),
            }
            if not screen.json:
                held = [
                    {
                        **row,
                        "list": say_filter_word("categories", row["list"]),
                        "holds": _count_entries(str(row["holds"])),
                    }
                    for row in held
                ]
            screen.table(titles, held)
            return
        found = code_lists.read_code_list(tx, name)
    if found is None:
        raise CommandStop(t("there is no list {name}", name=name), NOT_FOUND)
    if code is not None and code not in found.names:
        raise CommandStop(t("{name} has no code {code}", name=name, code=code), NOT_FOUND)
    wanted = found.names if code is None else {code: found.names[code]}
    titles = {"code": t("code"), "name": t("name")}
    screen.table(titles, [{"code": each, "name": text} for each, text in wanted.items()])


def _count_entries(subject: str) -> int | str:
    """Return the number of entries, with which the subject of a list's message begins, in Vietnamese."""
    number = subject.partition(" ")[0]
    return int(number) if number.isdecimal() else subject
