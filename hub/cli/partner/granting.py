"""`lienthong partners grants`: what each partner may call and has called, and a proposal made of it."""

from datetime import datetime

import click

from hub.cli.journal import open_journal, read_journal_config, read_view_config, require_partner
from hub.cli.partner.partners import say_granted
from hub.cli.screen import Screen, colour_difference, t
from hub.config import editing
from hub.domain.local_time import HANOI
from hub.domain.model import DOCUMENTS, Receive
from hub.intake import grants
from hub.journal.searching import search
from hub.store import transactions


def grants_command(screen: Screen, codes: tuple[str, ...], propose: bool, since: datetime | None, yes: bool) -> None:
    if (yes or since) and not propose:
        raise click.UsageError(t("--yes and --since go with --propose"))
    config = read_journal_config(screen) if propose else read_view_config(screen)
    for code in codes:
        _ = require_partner(config, code)
    done: dict[str, set[tuple[str, str]]] = {}
    if propose:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            done = search.list_accepted_kinds(tx, since.replace(tzinfo=HANOI) if since else None)
    waiting = 0
    for partner in (config.partners[code] for code in codes or config.partners):
        now = grants.list_granted(partner, config)
        fields: dict[str, object] = {
            "code": partner.code,
            "calls": None if partner.calls is None else list(partner.calls),
            "granted": list(now),
        }
        if not propose:
            why = "" if partner.calls is not None else t(" (by its kind)")
            screen.row(fields, f"{partner.code}: {say_granted(now) or t('nothing')}{why}")
            continue
        own = done.get(partner.code, set())
        if not own:
            screen.row(
                {**fields, "proposed": None, "diff": [], "written": False},
                t("{code}: has sent nothing; no proposal", code=partner.code),
            )
            continue
        wanted = grants.propose_grants(own | ({(DOCUMENTS, "")} if partner.receive is Receive.FETCH else set()), config)
        shown = f"partners/{partner.code}.toml"
        path = config.path.parent / shown
        before = editing.read_text(path, shown)
        after = (
            editing.edit_toml(before, {"calls": wanted}, shown)
            if partner.calls is None or set(wanted) != set(partner.calls)
            else before
        )
        diff = editing.write_difference(before, after, shown)
        kept = editing.replace_file(path, after.encode()) if yes and diff else None
        waiting += bool(diff) and not yes
        gone = [name for name in now if not any(each == name or each.startswith(f"{name}.") for each in wanted)]
        screen.row(
            {
                **fields,
                "proposed": list(wanted),
                "diff": diff,
                "written": kept is not None,
                "kept": str(kept) if kept else None,
            },
            colour_difference(diff) or t("{code}: as proposed", code=partner.code),
        )
        if diff and gone:
            screen.note(
                t(
                    "{code}: may no longer call {gone}; the journal shows no use of them",
                    code=partner.code,
                    gone=say_granted(gone),
                ),
            )
        if kept:
            screen.note(t("Wrote {path}; old file: {kept}", path=path, kept=kept))
    if waiting:
        screen.note(t("Nothing was written; add --yes to write it"))
    elif yes:
        screen.note(t("A running hub uses it after `lienthong reload`"))
