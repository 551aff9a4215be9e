"""`lienthong item`: all that was told of one document, dossier or work item. Contains the dialogue only."""

from datetime import UTC, datetime

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say_instant, t
from hub.cli.words import say_word
from hub.monitoring import item_life
from hub.store import transactions


def show_item(screen: Screen, /, unit: str, key: str, service: str) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        life = item_life.read_item_life(tx, unit, service, key, datetime.now(UTC))
    if life is None:
        raise CommandStop(
            t("nothing was told of {key} of {unit} in {service}", key=key, unit=unit, service=service), NOT_FOUND
        )
    titles = {
        "day": t("day"),
        "milestone": t("milestone"),
        "due": t("due day"),
        "amount": t("amount"),
        "counterpart": t("other side"),
        "at": t("recorded at"),
        "message": t("message"),
    }
    rows = (
        {
            "unit": life.unit,
            "service": life.service if screen.json else say_word("service", life.service),
            "key": life.key,
            "day": each.day and (each.day.isoformat() if screen.json else f"{each.day:%d/%m/%Y}"),
            "milestone": each.milestone if screen.json else say_word(life.service, each.milestone),
            "due": each.due and (each.due.isoformat() if screen.json else f"{each.due:%d/%m/%Y}"),
            "amount": each.amount,
            "counterpart": each.counterpart,
            "attributes": dict(each.attributes),
            "at": each.at.isoformat() if screen.json else say_instant(each.at),
            "message": each.message,
        }
        for each in life.facts
    )
    _ = screen.table(titles, rows)
    if life.more:
        screen.note(t("… and {count} more.", count=life.more))
