"""Offers the partners of this node to the console: looks at a partner's files, plans, writes and takes back a change, tests.

Each function that reads or writes files runs outside the reactor's thread. The pages decide who may do what.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet import threads
from twisted.internet.defer import Deferred

from hub.config import Config, read_config
from hub.config.editing import undo_edits, write_edits
from hub.config.partners.partner_edit import PartnerEdit, PartnerLook, PartnerOrder, describe_partner_change
from hub.config.partners.partner_files import list_secret_names
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import find_local_day
from hub.journal import unit_registry
from hub.monitoring.connection_steps import ConnectionStep
from hub.monitoring.outbound_check import check_outbound
from hub.node.partner_editor import PartnerEditor
from hub.node.trust_editor import hash_trusted_files, plan_trust_order
from hub.runtime.pidfile import ReloadVerdict
from hub.store.transactions import Transaction
from hub.units.live import Live

T = TypeVar("T")


@attrs.frozen
class PartnerManager:
    """The partners beside one `hub.toml`, while the hub runs."""

    _live: Live  #: the configuration in force
    _reload: Callable[[], Deferred[ReloadVerdict]]  #: reloads the configuration
    _apart: Callable[..., Deferred[Any]]  #: calls a function in a thread that may wait for the network

    def look(self, code: str, now: datetime) -> PartnerLook:
        """Return the partner as its file says now, and what of that is not in force yet. Raises KeyError without it."""
        config = self._live.config
        path = config.path.parent / "partners" / f"{code}.toml"
        if code not in config.partners and not _is_partner_file(path, code):
            raise KeyError(code)
        content = path.read_bytes() if _is_partner_file(path, code) else b""
        held = config
        mistakes: tuple[Mistake, ...] = ()
        try:
            held = read_config(config.path)
        except ConfigurationFault as fault:
            mistakes = fault.mistakes
        partner = held.partners.get(code)
        if held is not config:
            set_revocation_answers(held, load_revocation_answers(held, now))
        pending = () if mistakes else describe_partner_change(config.partners.get(code), partner)
        return PartnerLook(
            config=held if partner is not None else config,
            sha256=hashlib.sha256(content).hexdigest(),
            secrets=list_secret_names(config.path.parent, code),
            pending=pending,
            mistakes=mistakes,
        )

    def plan(self, tx: Transaction, code: str, order: PartnerOrder, now: datetime) -> PartnerEdit:
        """Return the plan of *order*, judged. Raises as `PartnerEditor.plan_order`."""
        units = unit_registry.read_unit_index(tx, find_local_day(now))
        return PartnerEditor(self._live.config.path, remote=True).plan_order(code, order, units, now)

    def see_trust(self) -> str:
        """Return a hash of the files that say which CAs are trusted."""
        return hash_trusted_files(self._live.config.path)

    def plan_trust(self, order: TrustOrder, now: datetime) -> TrustEdit:
        """Return the plan of *order*, judged. Raises as `plan_trust_order`."""
        return plan_trust_order(self._live.config.path, order, now)

    def write(self, edit: PartnerEdit | TrustEdit) -> list[Path]:
        """Write the files of *edit*. Raises FileChangedMeanwhile, and OSError. Nothing is written then."""
        return write_edits(self._live.config.path.parent, edit.files)

    def undo(self, edit: PartnerEdit | TrustEdit) -> None:
        """Give the files of *edit* the content that they had before."""
        undo_edits(self._live.config.path.parent, edit.files)

    def reload(self) -> Deferred[ReloadVerdict]:
        """Make the hub use the files as they are now."""
        return self._reload()

    def test(self, config: Config, code: str, now: datetime) -> Deferred[Sequence[ConnectionStep]]:
        """Test the way from the hub to the partner."""
        return self._apart(lambda: list(check_outbound(config.partners[code], config, now)))


def _is_partner_file(path: Path, code: str) -> bool:
    return bool(code) and path.name == f"{code}.toml" and not code.startswith(".") and path.is_file()


def run_in_reactor_pool(reactor: Any) -> Callable[..., Deferred[Any]]:
    """Return what calls a function in a thread of the reactor's own pool, which resolves names and may wait."""

    def run(step: Callable[..., T], *words: object) -> Deferred[T]:
        return threads.deferToThreadPool(reactor, reactor.getThreadPool(), step, *words)

    return run
