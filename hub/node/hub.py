"""The hub as one Twisted service: builds its parts, starts and stops them in order, and reloads the configuration.

Defines the order of the parts, and what a reload tells each part. `builders` and `port_builder` construct the parts.
`tap.py` passes in the reactor; tests pass in a Clock.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import Deferred, DeferredList, DeferredLock, succeed
from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from hub.config import Config, describe_config_changes, list_restart_settings
from hub.config.database import find_sqlite_file
from hub.config.revocation_cache import RevocationAnswer
from hub.delivery.partner_adapters import AdapterMemory, make_adapters
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import Event
from hub.domain.node_counts import LocalCounts
from hub.journal import events, unit_registry
from hub.journal.nodes import PendingRestart
from hub.language.fields import open_words
from hub.language.languages import Language
from hub.language.phrases import phrase, verbatim
from hub.language.system_errors import name_system_error
from hub.node import builders, check
from hub.node.builders import NodeFrame
from hub.node.port_builder import build_background_worker, build_ports, build_workers
from hub.node.soap_port import check_client
from hub.node.surroundings import REAL, Surroundings
from hub.runtime import pidfile
from hub.runtime.ports import DirectoryLockService, OrderedServices, bind_port
from hub.runtime.service_manager import ManagerNotices, ManagerStart, open_passed_socket
from hub.runtime.shared_counts import SharedCounts
from hub.runtime.span_export import make_tracer
from hub.runtime.thread_pool import THRESHOLD
from hub.security import tls
from hub.security.token_key import VAULT
from hub.units.live import Live, Setup
from hub.units.province import Province

log = structlog.get_logger()

#: Maximum changes, or mistakes, that the event of a reload names.
_TOLD = 50


class Hub(OrderedServices):
    """All services of one node."""

    observer: ILogObserver | None = None  #: log observer for twistd, unless its options name another

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and make `observer` its log observer."""
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)
        super().setServiceParent(parent)

    def __init__(
        self,
        province: Province,
        reactor: Any,
        wall: Callable[[], float],
        ports: Mapping[str, socket.socket],
        known: Sequence[RevocationAnswer] = (),
        started: ManagerStart = ManagerStart(),
        language: Language = Language.VI,
        surroundings: Surroundings = REAL,
    ) -> None:
        super().__init__()
        self._started = province.config  #: the configuration that ports, database and others were opened with
        self._data = province.config.data
        self._wall = wall
        #: held while what is to be in force is read and put in force: what was read last is in force in the end
        self._changing = DeferredLock()
        self._memory = AdapterMemory()
        live = self._live = Live(self._set_up(province))
        node = pidfile.name_node(self._data, self.now())
        tracer, export = make_tracer(province.config.tracing, self.now, reactor.seconds, node)
        frame = NodeFrame(
            live=live,
            reactor=reactor,
            now=self.now,
            node=node,
            wake=self._wake,
            tracer=tracer,
            surroundings=surroundings,
        )
        self._database = builders.build_database(frame)
        workers = province.config.workers
        counts = SharedCounts.create(workers + 1, self._data) if workers > 1 else LocalCounts()
        self._exchange = builders.build_exchange(frame, self._database, known, counts)
        self._reporting = builders.build_reporting(frame, self._database, self._turn_over)
        self._background = build_background_worker(frame, self._database, self._exchange)
        self._workers = build_workers(frame, self._database, self._exchange, ports["soap"], self._background.answer)
        #: what has a configuration of its own in force
        self._pools = [each for each in (self._workers, self._background) if each is not None]
        served, self._sweep = build_ports(
            frame,
            self._database,
            self._exchange,
            self._reporting,
            self._workers,
            self._background,
            ports,
            self.reload_configuration,
        )
        self._exchange.revocation_fetcher.on_heard = self._note_revocations
        self._set_threshold()
        ready = self._workers.wait_until_ready if self._workers is not None else lambda: succeed(None)
        self._notices = ManagerNotices(started, reactor, language, ready)
        hold = DirectoryLockService(self._data, find_sqlite_file(self._started.database_url), self.reload, reactor)
        built = [*self._database.services, *self._exchange.services, *self._reporting.services]
        for part in (hold, *([export] if export else []), *built, self._background, *served, self._notices):
            part.setServiceParent(self)

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return datetime.fromtimestamp(self._wall(), UTC)

    def _wake(self) -> None:
        self._exchange.delivery.wake()

    def reload(self) -> None:
        """Reload the configuration, and write the verdict for the process that asked."""
        data = self._data  # the data directory of the start, even if the file now names another
        nonce = pidfile.read_reload_nonce(data)
        _ = self.reload_configuration().addCallback(_tell_verdict, data, nonce)

    def reload_configuration(self) -> Deferred[pidfile.ReloadVerdict]:
        """Read configuration, registry, certificates and CRLs again, and return the verdict.

        If anything is wrong, the old configuration stays in force. Conversations continue with the configuration that
        they started with, but not over connections whose certificate the new one does not trust: these are closed.
        A reload waits for one that was asked for before.
        """
        self._notices.begin_reload()
        judged = self._changing.run(self._read_again).addCallback(self._reload_workers).addErrback(_refuse_reload)
        return judged.addCallback(self._end_reload)

    def _read_again(self) -> Deferred[pidfile.ReloadVerdict]:
        asked = self._database.journal.read(lambda _tx: check.check_config(self._live.config.path, self.now()))
        return asked.addCallback(self._take_up)

    def _end_reload(self, verdict: pidfile.ReloadVerdict) -> pidfile.ReloadVerdict:
        self._notices.end_reload(ok=verdict.ok)
        return verdict

    async def _turn_over(self, today: date) -> None:
        """Rebuild the province with the registry's unit codes as valid on *today*."""
        async with self._changing:
            units = await self._database.journal.read(unit_registry.read_unit_index, today)
            self._live.setup = attrs.evolve(self._live.setup, province=Province.of(self._live.config, units))
        for pool in self._pools:
            await pool.send_units()
        log.info("day-begun", day=today.isoformat())
        self._warn_pending_restart()

    def _set_up(self, province: Province) -> Setup:
        """Build everything that follows from the configuration of *province*."""
        config = province.config
        clients = tls.make_tls_context(config.tls, self._check, config.authorities)
        asks = config.console.client_certificates
        admin = tls.make_tls_context(config.tls, authorities=config.authorities if asks else (), asks=asks)
        contexts = {"admin": admin, "soap": clients, "syslog": clients}
        return Setup(province, make_adapters(config, self._memory), contexts)

    def _take_up(self, found: check.Findings) -> pidfile.ReloadVerdict:
        if found.mistakes or found.province is None:
            mistakes = [str(mistake) for mistake in found.mistakes]
            log.warning("reload-refused", mistakes=mistakes)
            self._record(Event("configuration-refused", self.now(), body={"mistakes": mistakes[:_TOLD]}))
            return pidfile.ReloadVerdict(ok=False, mistakes=found.mistakes)
        old, new = self._live.config, found.province.config
        changed = tuple(describe_config_changes(old, new, self._started))
        before = self._live.province
        self._live.setup = self._set_up(found.province)
        self._tell_parts(old, new, found.heard)
        self._sweep.begin(before)
        self._note_pending_restart(new)
        log.info("reloaded", changes=changed)
        self._record(Event("configuration-reloaded", self.now(), body={"changes": list(changed[:_TOLD])}))
        return pidfile.ReloadVerdict(ok=True, changes=changed)

    def _note_pending_restart(self, new: Config) -> None:
        """Remember which settings of *new* take effect only when the node is restarted, until it is."""
        heartbeat = self._database.heartbeat
        waiting = tuple(list_restart_settings(self._started, new))
        since = (heartbeat.pending.since or self.now()) if waiting else None
        heartbeat.tell_pending_restart(PendingRestart(settings=waiting, since=since))
        self._warn_pending_restart()

    def _warn_pending_restart(self) -> None:
        pending = self._database.heartbeat.pending
        if pending.since is not None:
            log.warning("restart-pending", settings=list(pending.settings), since=pending.since.isoformat())

    def _record(self, said: Event) -> None:
        """Journal what became of a reload. The reload does not wait for it."""
        written = self._database.journal.write(events.append_events, said)
        _ = written.addErrback(lambda failure: log.warning("reload-not-recorded", error=failure.getErrorMessage()))

    def _reload_workers(self, verdict: pidfile.ReloadVerdict) -> Deferred[pidfile.ReloadVerdict]:
        """Wait until the worker processes have the new configuration, too."""
        if not verdict.ok:
            return succeed(verdict)
        return DeferredList([pool.send_province() for pool in self._pools]).addCallback(lambda _: verdict)

    def _tell_parts(self, old: Config, new: Config, heard: Sequence[RevocationAnswer]) -> None:
        """Notify the parts that wait or keep state by the old configuration.

        All others read `Live` when they need it.
        """
        self._set_threshold()
        self._exchange.revocation_fetcher.reconfigure(heard)
        self._exchange.sender.note_trust_change()
        self._exchange.mail_watch.reconfigure()
        self._reporting.prober.reconfigure()
        self._exchange.delivery.wake()
        for code, partner in new.partners.items():
            if partner.policy.collect is not None and partner != old.partners.get(code):
                # the change may correct a secret, so do not wait up to `max-retry`
                self._exchange.collection.wake(code)

    def _note_revocations(self, heard: Sequence[RevocationAnswer]) -> None:
        """A CA gave news of revocations: tell the workers, and judge the open connections again."""
        for pool in self._pools:
            pool.send_revocations(heard)
        self._exchange.sender.note_trust_change()
        self._sweep.begin()

    def _set_threshold(self) -> None:
        self._database.scheduler.threshold = 0 if self._live.config.identity.waits else THRESHOLD

    def _check(self, shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        check_client(self._live, self.now(), shown, above)


def make_hub(
    path: Path,
    reactor: Any,
    wall: Callable[[], float] | None = None,
    started: ManagerStart = ManagerStart(),
    language: Language = Language.VI,
) -> Hub:
    """Build the hub of the configuration file *path*, and bind its ports.

    *wall* is the wall clock in seconds since 1970, which may be set at any time. The clock of *reactor* only measures
    durations. Without *wall*, the reactor's clock serves for both, as a `Clock` does in tests. *started* is what systemd
    passed, and *language* that of the status that it shows.

    Raises `ConfigurationFault` with every mistake that `lienthong check` reports, and with ports that cannot be bound.
    """
    wall = wall or reactor.seconds
    found = check.check_config(path, datetime.fromtimestamp(wall(), UTC), starting=True)
    if found.mistakes or found.province is None:
        raise ConfigurationFault(found.mistakes)
    open_words()
    VAULT.close()  # twistd forks after this, and a token session belongs to the process that opened it
    config = found.province.config
    ports: dict[str, socket.socket] = {}
    mistakes: list[Mistake] = []
    for name, listen in config.listens:
        try:
            ports[name] = open_passed_socket(reactor, name, listen) if listen.endpoint else bind_port(listen)
        except ConfigurationFault as fault:
            mistakes.extend(fault.mistakes)
        except OSError as error:
            place = f"{listen.host}:{listen.port}"
            wrong = phrase("{file}: {reason}", file=place, reason=name_system_error(error))
            mistakes.append(Mistake(f"hub.toml: {name}.port", wrong, phrase("a port that is free")))
    if mistakes:
        raise ConfigurationFault(mistakes)
    return Hub(found.province, reactor, wall, ports, found.heard, started, language)


def _refuse_reload(failure: Failure) -> pidfile.ReloadVerdict:
    log.error("reload-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    mistake = Mistake("hub.toml", verbatim(failure.getErrorMessage()), phrase("see the log"))
    return pidfile.ReloadVerdict(ok=False, mistakes=(mistake,))


def _tell_verdict(verdict: pidfile.ReloadVerdict, data: Path, nonce: str) -> None:
    pidfile.write_reload_verdict(data, nonce, verdict)
