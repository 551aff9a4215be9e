"""`lienthong backup adopt`, `lost` and `letters`: what to do with a journal that was put back, and whom to ask to repeat."""

import csv
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hub.cli.journal import hold_data_folder, open_journal, read_journal_config, read_view_config
from hub.cli.person import name_person
from hub.cli.screen import CommandStop, Screen, make_file_stop, say, say_count, say_instant, t
from hub.config import Config
from hub.domain.local_time import write_local_time
from hub.journal import events
from hub.keeping import eras
from hub.keeping.backups import claims, lineage
from hub.keeping.backups.witness import Witness
from hub.keeping.eras import Era, EraBeginning, LostReceipt
from hub.runtime import pidfile
from hub.store import transactions


def adopt_journal(screen: Screen, reason: str, yes: bool) -> None:
    config, now = read_journal_config(screen), datetime.now(UTC)
    witness = Witness(config.witness_folder)
    with hold_data_folder(config), open_journal(config) as engine:
        require_no_other_hub(config, now)
        with transactions.read_transaction(engine) as tx:
            seen = witness.read_last()
            found, last = lineage.find_put_back(tx, seen), events.read_last_event_time(tx)
        if seen is None:
            screen.note(t("This node has no witness of the journal: it cannot tell whether it was put back."))
        elif found is None:
            screen.note(t("Nothing that this node has seen shows that the journal was put back."))
        else:
            screen.note(say(found))
        if not yes:
            screen.row(
                {"action": "planned", "shown": str(found or ""), "last": last},
                t(
                    "Plan: begin an era with the journal as it is, up to {last}. Add --yes to run it.",
                    last=say_instant(last),
                ),
            )
            return
        with transactions.write_transaction(engine) as tx:
            era, lost = lineage.begin_restored_era(
                tx, witness, now, because=EraBeginning.ADOPTED, reason=reason.strip(), by=name_person()
            )
        claim_era(config, era, now)
    tell_era(screen, era, lost, {"action": "adopted"})


def require_no_other_hub(config: Config, now: datetime) -> None:
    """Raise `CommandStop` if another hub of this journal runs, as far as the folder of the backups tells."""
    if config.backup is None:
        return
    try:
        claim = claims.read_claim(config.backup.folder, config.province)
    except OSError as error:
        raise make_file_stop(error.filename, error) from error
    if (found := claims.find_running(claim, pidfile.name_node(config.data, now), now)) is not None:
        raise CommandStop(say(found))


def claim_era(config: Config, era: Era, now: datetime) -> None:
    """Say beside the backups that the hub of this journal serves *era*. A hub of an earlier one ends then.

    Raises `CommandStop`.
    """
    if config.backup is None:
        return
    try:
        config.backup.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        node = pidfile.name_node(config.data, now)
        claims.write_claim(config.backup.folder, config.province, era, node, now, stopped=True)
    except OSError as error:
        raise make_file_stop(error.filename, error) from error


def tell_era(screen: Screen, era: Era, lost: int, fields: dict[str, object]) -> None:
    """Say which era began, what is missing, and what to do about it."""
    screen.row(
        {
            **fields,
            "era": era.number,
            "since": era.since,
            "lost": lost,
            "complete": era.complete,
            "complete_from": era.complete_from,
            "complete_until": era.complete_until,
        },
        t("Era {number} has begun.", number=era.number),
    )
    since = say_instant(era.since) if era.since else t("the beginning")
    screen.note(t("Receipts that this node has seen and the journal lacks: {lost}.", lost=say_count(lost)))
    screen.note(_say_window(era))
    screen.note(
        t(
            "Ask every partner to send again all since {since}, with the same message ids, before anything new: "
            "`lienthong backup letters DIR` writes the letters.",
            since=since,
        )
    )


def _say_window(era: Era) -> str:
    """Return from when to when all receipts are known."""
    if era.complete_from is None or era.complete_until is None:
        return t("Of no time since then is it known that these are all; more may be missing.")
    return t(
        "These are all that were given from {begin} until {end}; of those given before or later, more may be missing.",
        begin=say_instant(era.complete_from),
        end=say_instant(era.complete_until),
    )


def list_lost(screen: Screen, awaited: bool, partner: str | None) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = eras.list_lost_receipts(tx, partner=partner)
        begun = eras.list_restored_eras(tx)
    columns = {
        "partner": t("PARTNER"),
        "message_id": t("MESSAGE ID"),
        "received_at": t("RECEIVED"),
        "again": t("CAME AGAIN AS"),
    }
    rows = [_describe_uncertain_receipt(each) for each in found if not (awaited and each.again)]
    if not screen.table(columns, rows):
        screen.note(t("No receipt is known to be missing.") if begun else t("No receipt is missing."))
    if begun:
        screen.note(_say_window(begun[-1]))


def write_letters(screen: Screen, folder: Path) -> None:
    config = read_view_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        begun = eras.list_restored_eras(tx)
        found = [each for each in eras.list_lost_receipts(tx) if each.again is None]
    if not begun:
        raise CommandStop(t("this journal was never put back"))
    try:
        folder.mkdir(parents=True)
        for code in sorted(config.partners):
            _write_letter(folder, config, code, begun[-1], [each for each in found if each.receipt.partner == code])
    except FileExistsError:
        raise CommandStop(t("{file} already exists", file=folder)) from None
    except OSError as error:
        raise make_file_stop(error.filename, error) from error
    counts = Counter(each.receipt.partner for each in found)
    for code in sorted(config.partners):
        screen.row(
            {"partner": code, "letter": str(folder / f"{code}.txt"), "known": counts[code]},
            t("{file}: {known} known message ids", file=folder / f"{code}.txt", known=say_count(counts[code])),
        )


def _write_letter(folder: Path, config: Config, code: str, era: Era, known: Sequence[LostReceipt]) -> None:
    since = write_local_time(era.since) if era.since else t("the beginning")
    text = t(
        "To: {partner}\nFrom: {hub}\n\n"
        "The hub was restored on {began} to its state of {since}. Messages that you sent since then are missing "
        "from it, although you have a receipt.\n\n"
        "Please send again, before anything new, all messages that you sent since {since}: in the original order, with "
        "the same MessageId and the same bytes. What the hub has already gets its old receipt and is not counted "
        "twice.\n\n"
        "Message ids that we know to be missing: {count} (the file {file}). {window}",
        partner=config.partners[code].name,
        hub=config.name,
        began=write_local_time(era.began_at),
        since=since,
        count=say_count(len(known)),
        file=f"{code}.csv",
        window=_say_window(era),
    )
    (folder / f"{code}.txt").write_text(f"{text}\n", "utf-8")
    with (folder / f"{code}.csv").open("w", encoding="utf-8", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["MessageId", "SHA-256", "received"])
        rows.writerows(
            [each.receipt.message_id, each.receipt.sha256, each.receipt.received_at.isoformat()] for each in known
        )


def _describe_uncertain_receipt(each: LostReceipt) -> dict[str, object]:
    receipt = each.receipt
    return {
        "partner": receipt.partner,
        "message_id": receipt.message_id,
        "received_at": receipt.received_at,
        "sha256": receipt.sha256,
        "id": receipt.id,
        "era": each.era,
        "again": each.again,
    }
