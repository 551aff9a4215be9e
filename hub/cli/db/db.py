"""`lienthong db`: shows the database's version, upgrades it, and lists the nodes that share it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
from sqlalchemy import Engine

from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.person import name_person
from hub.cli.screen import (
    FAILED,
    NOT_FOUND,
    CommandStop,
    Screen,
    exit_command,
    progress_bar,
    say,
    say_count,
    say_instant,
    t,
)
from hub.cli.words import say_word
from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.journal import feed_cursor, nodes
from hub.keeping import upgrade
from hub.keeping.backups.witness import Witness
from hub.runtime import pidfile
from hub.runtime.disk_space import describe_lacking_room
from hub.store import schema_version, transactions
from hub.store.transactions import Transaction


def show_database_status(screen: Screen) -> None:
    config = read_view_config(screen)
    with open_journal(config, any_version=True) as engine, transactions.read_transaction(engine) as tx:
        found, least, needed = (
            transactions.select_schema_version(tx),
            schema_version.read_least_version(tx),
            transactions.read_latest_version(),
        )
        known = schema_version.list_migration_steps()
        fed = _count_fed_events(tx, config.feed.exchange) if config.feed and found == needed else None
    runs = schema_version.is_version_supported(known, found, least)
    todo = schema_version.list_pending_migrations(known, found)
    fields: dict[str, object] = {
        "url": config.database_url,
        "version": found,
        "needed": needed,
        "current": found == needed,
        "runs": runs,
        "least": least,
        "pending": [f"{step.version} {step.part}" for step in todo],
    }
    told = found or t("empty")
    lines = [t("{told}; needed {needed}: ", told=told, needed=needed) + _say_verdict(fields)]
    if fed is not None:
        fields["feed"] = fed
        since = t(", the oldest of {oldest}", oldest=say_instant(fed["oldest"])) if fed["oldest"] else ""
        lines.append(
            t(
                "{exchange}: {published} events published, {unpublished} left{since}",
                exchange=fed["exchange"],
                published=say_count(fed["published"]),
                unpublished=say_count(fed["unpublished"]),
                since=since,
            )
        )
    screen.row(fields, "\n".join(lines))
    if not runs:
        exit_command(FAILED)


def _say_verdict(fields: Mapping[str, object]) -> str:
    if fields["current"]:
        return t("up to date")
    if not fields["pending"]:
        return t("newer; this program runs on it") if fields["runs"] else _say_refusal(fields["version"])
    if fields["runs"]:
        return t(
            "this program runs on it; once no node of the old version is left, run `lienthong db upgrade --after`",
        )
    return t("run `lienthong db upgrade`")


def _say_refusal(found: object) -> str:
    way = schema_version.find_way_to_upgrade(schema_version.list_migration_steps(), str(found))
    return say(way) if way else t("newer; upgrade the program")


def _count_fed_events(tx: Transaction, exchange: str) -> dict[str, Any]:
    """Return how many events the feed has published, and how many are left."""
    lag = feed_cursor.read_feed_lag(tx, exchange)
    oldest = lag.oldest.isoformat() if lag.oldest else None
    return {"exchange": exchange, "published": lag.published, "unpublished": lag.events, "oldest": oldest}


def upgrade_hub_database(
    screen: Screen, part: str | None, rehearse: bool, no_copy: bool, undo: bool, yes: bool
) -> None:
    if undo + rehearse + no_copy > 1 or (undo and part):
        raise click.UsageError(t("--undo, --rehearse and --no-copy are used alone"))
    if yes and not undo:
        raise click.UsageError(t("--yes needs --undo"))
    config = read_journal_config(screen)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = find_sqlite_file(config.database_url)
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_journal(config, any_version=True) as engine:
        if undo:
            _undo_upgrade(screen, config, engine, gives_up=yes)
            return
        before, known = transactions.read_schema_version(engine), schema_version.list_migration_steps()
        if before is not None and (way := schema_version.find_way_to_upgrade(known, before)):
            raise CommandStop(say(way))
        target = schema_version.choose_target_version(known, before, part)
        kept = None
        if target is not None and before is None:
            transactions.upgrade_schema(engine, target)
        elif target is not None and before is not None:
            used = False if rehearse else _refuse_beside_others(config, engine, before, target)
            copies = not no_copy and (file is not None or not used)  # a server copies no database that is in use
            kept = _upgrade_with_copy(screen, config, engine, before, target, copies=copies, rehearses=rehearse)
        after = transactions.read_schema_version(engine)
    said = t("nothing to do") if before == after else f"{before or '-'} → {after}"
    if rehearse and target is not None:
        said = t("rehearsed only; the journal is as it was")
    screen.row({"before": before, "after": after, "copy": kept}, said)


def _upgrade_with_copy(
    screen: Screen, config: Config, engine: Engine, before: str, target: str, *, copies: bool, rehearses: bool
) -> str | None:
    """Upgrade the journal, and return the name of the copy that is kept as the way back. Raises `CommandStop`."""
    steps = schema_version.list_migration_steps()
    removes = schema_version.applies_after_part(steps, before, target)
    copy = upgrade.place_copy(config.database_url, before, config.password_file)
    done = False
    try:
        if copies:
            if file := find_sqlite_file(config.database_url):
                _refuse_without_room(file)
            with progress_bar(t("Copying")) as tell:
                copy.make(tell)
            rehearsed = copy.open()
            seconds = upgrade.upgrade_journal(rehearsed, target, commit=False)
            rehearsed.dispose()
            screen.note(t("Rehearsed on a copy: {seconds} s, nothing lost.", seconds=say_count(round(seconds))))
        if not rehearses:
            kept = copy.name if copies and removes else ""
            said = upgrade.UpgradeStatement(now=datetime.now(UTC), by=name_person(), rehearsed=copies, copy=kept)
            upgrade.upgrade_journal(engine, target, said=said)
            done = True
    except (upgrade.Uncopied, upgrade.Altered) as error:
        raise CommandStop(say(error.args[0])) from error
    finally:
        if copies and not (done and removes):
            copy.remove()
    if rehearses:
        return None
    if not removes:
        screen.note(t("The way back: the older program runs on this version too. Start it again; nothing is lost."))
        return None
    if not copies:
        screen.note(t("There is no way back but a backup."))
        return None
    screen.note(
        t("The way back: `lienthong db upgrade --undo`, with {name}. Remove it when it is not needed.", name=copy.name)
    )
    return copy.name


def _refuse_without_room(file: Path) -> None:
    """Refuse a copy of SQLite's *file* for which its disk has no room. Raises `CommandStop`."""
    # once for the copy, once for what the migrations write before they are undone there
    if lacking := describe_lacking_room(file.parent, 2 * file.stat().st_size):
        said = t("make room; or `--no-copy`, without the rehearsal and without the copy to go back to: back up before")
        raise CommandStop(f"{say(lacking)} ({said})")


def _undo_upgrade(screen: Screen, config: Config, engine: Engine, *, gives_up: bool) -> None:
    """Put the copy of before the upgrade back. Raises `CommandStop`."""
    if pid := pidfile.find_live_pid(config.data):
        raise CommandStop(t("the hub is running (pid {pid}); stop it first", pid=pid))
    now = transactions.read_schema_version(engine)
    earlier = [step.version for step in schema_version.list_migration_steps() if now is None or step.version < now]
    copies = (upgrade.place_copy(config.database_url, version, config.password_file) for version in reversed(earlier))
    found = next((copy for copy in copies if copy.exists()), None)
    if found is None:
        raise CommandStop(t("there is no copy of before an upgrade"), NOT_FOUND)
    seen = Witness(config.witness_folder).read_last()
    said = upgrade.UndoStatement(
        now=datetime.now(UTC),
        by=name_person(),
        copy=found.name.rpartition("/")[2],
        seen=None if seen is None else (seen.era, seen.era_id),
        gives_up=gives_up,
    )
    try:
        lost = found.put_back(engine, said)
    except upgrade.DeedsSince as since:
        deeds = ", ".join(f"{say_word('event', name)} ({count})" for name, count in since.args[0].items())
        raise CommandStop(
            t("since the upgrade happened what the copy does not have: {deeds}. --yes gives it up", deeds=deeds)
        ) from None
    except upgrade.Unreturnable as error:
        raise CommandStop(
            say(error.args[0]) + t(". Restore a backup instead: docs/howto/back-up.md"),
        ) from error
    screen.row(
        {"before": now, "after": found.version, "aside": found.aside, "lost": lost},
        t(
            "{now} → {version}. Start the older program. The upgraded journal is {aside}.",
            now=now,
            version=found.version,
            aside=found.aside,
        ),
    )


def _refuse_beside_others(config: Config, engine: Engine, found: str | None, target: str) -> bool:
    """Refuse an upgrade that would remove what a running node still uses. Raises `CommandStop`.

    Tells whether nodes run, which is allowed while an upgrade only adds.
    """
    pid, mine = pidfile.find_live_pid(config.data), pidfile.name_node(config.data, datetime.now(UTC))
    with transactions.read_transaction(engine) as tx:
        told = schema_version.read_least_version(tx) is not None  # otherwise the database is older than this table
        alive = nodes.read_live_schemas(tx, datetime.now(UTC)) if told else {}
    old = [name for name, schema in alive.items() if schema < target]
    if schema_version.applies_after_part(schema_version.list_migration_steps(), found, target) and old:
        raise CommandStop(
            t("nodes of the old version run: {old}; stop them first, or run only --before", old=", ".join(old)),
        )
    if pid and mine not in alive:
        raise CommandStop(t("the hub is running (pid {pid}); stop it first", pid=pid))
    return bool(alive)


def list_hub_nodes(screen: Screen) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        rows = [
            attrs.asdict(seen.node)
            | attrs.asdict(seen, filter=lambda field, _value: field.name not in {"node", "pending"})
            | {"restart_settings": list(seen.pending.settings), "restart_since": seen.pending.since}
            for seen in nodes.list_nodes(tx, datetime.now(UTC))
        ]
    columns = {
        "name": t("NODE"),
        "state": t("STATE"),
        "holds": t("SENDING"),
        "version": t("VERSION"),
        "schema": t("SCHEMA"),
        "started_at": t("STARTED"),
        "seen_at": t("LAST SEEN"),
        "restart_settings": t("NEED A RESTART"),
    }
    if not screen.json:
        rows = [
            row | {"state": say_word("node", row["state"]), "restart_settings": ", ".join(row["restart_settings"])}
            for row in rows
        ]
    if not screen.table(columns, rows):
        screen.note(t("There is no node yet."))
