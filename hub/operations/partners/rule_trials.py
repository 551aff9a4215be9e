"""Trials of other rules: past packets judged again, and reports counted again. Nothing is sent, and no message is changed.

The pages and the API share the trials of one node. They are kept in its memory for an hour, each for the person who made
it. The judging runs in the processes that count reports (`hub.store.report_pool`), so a schema that takes too long is
ended with its process. Contains no HTTP.
"""

import hashlib
import resource
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import structlog
from lxml import etree
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from hub.config import read_config
from hub.domain.errors import ConfigurationFault, Unready
from hub.domain.fair_queue import CONSOLE
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Event
from hub.intake.rejudging import RejudgedPart, limit_to_packets, rejudge_part
from hub.intake.what_if import JUDGING, RejudgedMessage, RulesEffect, TriedRules, parse_tried_policy
from hub.journal import events, unit_registry
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User, read_visible_units
from hub.operations.replays.order_fields import FieldUnfit
from hub.operations.turns import ReadingTurns
from hub.report.form.form import Form, FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.report.form.toml import read_form_toml
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.units.province import Province
from hub.workload import form_trial
from hub.workload.form_trial import DifferingCell

log = structlog.get_logger()

#: Messages of a trial, at most, and those judged in one step; seconds of one step, and seconds of CPU of a trial.
MOST, PART, STEP, LONGEST = 10_000, 100, 60.0, 600.0
#: Changes and cells that are kept; findings of one message.
SHOWN, FINDINGS = 500, 20
#: Trials of a node that are kept, and how long; those that run at a time.
KEPT, KEPT_FOR, RUNNING = 20, timedelta(hours=1), 2
#: Memory that a step may take beside what its process has, in octets.
_MEMORY = 1 << 30
#: Octets of a form.
FORM = 256 * 1024
#: Prefix of the reader of a trial. No partner code begins with it.
_READER = "?what-if "
_BROKEN = (OSError, etree.LxmlError, KeyError, ValueError, RecursionError, MemoryError)


class TrialState(StrEnum):
    """How far a trial is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class TrialUnfit(Exception):
    """The rules cannot be tried. `why` says it."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(why)
        self.why = why


@attrs.frozen(kw_only=True)
class TrialOrder:
    """What a person wants to try on which messages."""

    schemas: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)  #: by path; empty: those of the hub
    policy: tuple[str, ...] = ()  #: `KEY=VALUE`
    filters: tuple[MessageFilter, ...]
    search: str  #: the conditions as they were typed
    most: int = MOST  #: the newest messages, so many


@attrs.define(kw_only=True, eq=False)
class RuleTrial:
    """One trial, and what it has found so far."""

    id: str
    by: str
    made_at: datetime
    order: TrialOrder = attrs.field(repr=False)
    total: int = 0  #: messages that will be judged
    judged: int = 0
    left: int = 0  #: not judged: bytes or partner are gone
    effects: dict[RulesEffect, int] = attrs.field(factory=dict)
    changes: list[RejudgedMessage] = attrs.field(factory=list, repr=False)  #: the newest `SHOWN`
    state: TrialState = TrialState.RUNNING
    why: Phrase | None = None  #: why it failed

    @property
    def changed(self) -> int:
        """Messages for which something would change."""
        return sum(self.effects.values())

    def add(self, part: RejudgedPart) -> None:
        """Add what a step has found."""
        self.judged += part.judged
        self.left += part.left
        for each in part.changes:
            self.effects[each.effect] = self.effects.get(each.effect, 0) + 1
        self.changes += part.changes[: SHOWN - len(self.changes)]


@attrs.define(eq=False)
class RuleTrials:
    """The trials of one node."""

    _journal: Journal  #: the journal to read, and to write the event to
    _work: Work  #: writes files in worker threads
    _live: Live  #: the configuration in force
    _turns: ReadingTurns  #: counts reports
    _trials: dict[str, RuleTrial] = attrs.field(factory=dict, init=False)  #: by id, oldest first

    async def start(self, user: User, order: TrialOrder, now: datetime) -> RuleTrial:
        """Begin a trial, and record who did. Raises `FieldUnfit` if it cannot be tried now."""
        read_policy(order.policy)
        if not order.schemas and not order.policy:
            raise FieldUnfit(phrase("Give other schemas, or another value of the policy."))
        self._forget(now, room=1)
        running = [each for each in self._trials.values() if each.state is TrialState.RUNNING]
        if len(running) >= RUNNING or any(each.by == user.name for each in running):
            raise FieldUnfit(phrase("A trial is running already. Wait for its end, or cancel it."))
        trial = RuleTrial(id=make_id(now), by=user.name, made_at=now, order=order)
        self._trials[trial.id] = trial
        said = {
            "by": user.name,
            "policy": list(order.policy),
            "sha256": _hash_schemas(order.schemas) if order.schemas else None,
            "search": order.search[:500],
        }
        recorded = Event("rules-tried", now, body={name: each for name, each in said.items() if each})
        await self._journal.admit(CONSOLE, events.append_events, recorded)
        _ = Deferred.fromCoroutine(self._run(trial)).addErrback(_report_broken_trial, trial)
        return trial

    def find(self, user: User, trial: str) -> RuleTrial:
        """Return a trial that *user* made. Raises KeyError."""
        found = self._trials[trial]
        if found.by != user.name:
            raise KeyError(trial)
        return found

    def list_own(self, user: User, now: datetime) -> list[RuleTrial]:
        """Return the trials that *user* made, newest first."""
        self._forget(now)
        return [each for each in reversed(self._trials.values()) if each.by == user.name]

    def cancel(self, trial: RuleTrial) -> None:
        """End a trial. What it has found stays."""
        if trial.state is TrialState.RUNNING:
            trial.state = TrialState.CANCELLED

    def _forget(self, now: datetime, room: int = 0) -> None:
        """Forget what has ended: what is old, and the oldest, until there is *room*."""
        ended = [each for each in self._trials.values() if each.state is not TrialState.RUNNING]
        surplus = len(self._trials) - KEPT + room
        for place, each in enumerate(ended):
            if place < surplus or now - each.made_at > KEPT_FOR:
                del self._trials[each.id]

    async def _run(self, trial: RuleTrial) -> None:
        order = trial.order
        filters = limit_to_packets(order.filters)
        trial.total = await self._journal.read(search.count_messages, filters, order.most) if filters else 0
        with tempfile.TemporaryDirectory(prefix="lienthong-what-if-") as folder:
            if order.schemas:
                await self._work(CONSOLE, THRESHOLD, _write_files, Path(folder), order.schemas)
            setup = _TrialSetup(
                id=trial.id,
                config=self._live.config.path,
                at=trial.made_at,
                schemas=Path(folder) if order.schemas else None,
                policy=order.policy,
            )
            await self._judge(trial, setup, filters)
        if trial.state is TrialState.RUNNING:
            trial.state = TrialState.DONE

    async def _judge(self, trial: RuleTrial, setup: "_TrialSetup", filters: Sequence[MessageFilter]) -> None:
        before: str | None = None
        taken, seconds = 0, 0.0
        while taken < trial.order.most and trial.state is TrialState.RUNNING:
            reader = ReportReader(
                f"{_READER}{trial.by}", lambda: trial.state is TrialState.RUNNING, longest=min(STEP, LONGEST - seconds)
            )
            limit = min(PART, trial.order.most - taken)
            try:
                part, took = await self._journal.read_report(reader, _judge_part, setup, filters, before, limit)
            except CancelledError:
                return
            except TrialUnfit as unfit:
                _fail_trial(trial, unfit.why)
                return
            except Unready as unready:
                _fail_trial(trial, phrase("The judging was ended: {detail}", detail=unready.problem.detail))
                return
            trial.add(part)
            taken, seconds, before = taken + limit, seconds + took, part.last
            if before is None:
                return
            if seconds >= LONGEST:
                _fail_trial(trial, phrase("It took longer than {seconds} s.", seconds=f"{LONGEST:g}"))
                return

    async def count_form(
        self, user: User, wanted: Any, content: bytes, period: str, unit: str, now: datetime
    ) -> tuple[Form, Sequence[DifferingCell]]:
        """Count the report of *unit* by the form *content*. Return the form, and at most `SHOWN` cells that differ.

        Raises `FieldUnfit`.
        """
        if len(content) > FORM:
            raise FieldUnfit(phrase("The file is larger than {most} KiB.", most=FORM >> 10))
        try:
            known = self._live.config.reports.countable
            tried = await self._work(CONSOLE, THRESHOLD, read_form_toml, content, "form.toml", known)
        except ConfigurationFault as fault:
            raise FieldUnfit(_say_mistake(fault)) from None
        forms = await self._turns.read_book()
        code = await self._turns.look(_find_unit, user, unit or self._live.config.province, now)
        said = {"by": user.name, "form": tried.id, "unit": code, "period": period[:20]}
        await self._journal.admit(CONSOLE, events.append_events, Event("rules-tried", now, body=said))
        try:
            cells = await self._turns.count(user.name, wanted, tried.id, _count_form, code, period, tried, forms, now)
        except (PeriodUnreadable, FormMissing) as unfit:
            raise FieldUnfit(unfit.said) from None
        return tried, cells


def read_policy(assignments: Sequence[str]) -> Mapping[str, Any]:
    """Return the attributes of a policy that are tried. Raises `FieldUnfit`."""
    for each in assignments:
        if each.partition("=")[0].strip() not in JUDGING:
            keys = ", ".join(JUDGING)
            raise FieldUnfit(phrase("{key} judges no message; these keys do: {keys}", key=repr(each[:100]), keys=keys))
    tried, mistakes = parse_tried_policy(assignments)
    for mistake in mistakes:
        raise FieldUnfit(phrase("{wrong}; expected: {expected}", wrong=mistake.wrong, expected=mistake.expected))
    return tried


def may_see_details(user: User) -> bool:
    """Tell whether *user* may see what was found in a packet, and not only its code."""
    return user.may(Permission.SEE_CONTENT)


def _hash_schemas(files: Mapping[str, bytes]) -> str:
    return hashlib.sha256(b"".join(files[path] for path in sorted(files))).hexdigest()


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)


def _fail_trial(trial: RuleTrial, why: Phrase) -> None:
    trial.state, trial.why = TrialState.FAILED, why


def _report_broken_trial(failure: Failure, trial: RuleTrial) -> None:
    log.error("what-if-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    _fail_trial(trial, phrase("Internal error of the hub"))


def _say_mistake(fault: ConfigurationFault) -> Phrase:
    first = fault.mistakes[0]
    return phrase("{place}: {wrong} ({expected})", place=first.path, wrong=first.wrong, expected=first.expected)


def _find_unit(tx: Transaction, user: User, unit: str, now: datetime) -> str:
    """Return the code of a unit that *user* sees. Raises `FieldUnfit`."""
    code = unit_registry.resolve_unit_code(tx, unit, find_local_day(now))
    seen = read_visible_units(tx, user)
    if code not in {each.code for each in unit_registry.list_unit_histories(tx)} or (
        seen is not None and code not in seen
    ):
        raise FieldUnfit(phrase("There is no unit {code}, or there are several.", code=unit))
    return code


# --- in a process beside the hub --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _TrialSetup:
    """What a step needs. It is the same for all steps of a trial."""

    id: str
    config: Path
    at: datetime
    schemas: Path | None
    policy: tuple[str, ...]


@lru_cache(maxsize=1)
def _read_files(setup: _TrialSetup) -> tuple[Any, TriedRules]:
    config = read_config(setup.config)
    rules = TriedRules(schemas=setup.schemas, policy=parse_tried_policy(setup.policy)[0])
    if setup.schemas is not None:
        rules.require_schemas()
    return config, rules


def _judge_part(
    tx: Transaction, setup: _TrialSetup, filters: Sequence[MessageFilter], before: str | None, limit: int
) -> tuple[RejudgedPart, float]:
    """Judge the next messages of a trial. Return what was found and the seconds of CPU. Raises `TrialUnfit`."""
    began = _measure_cpu()
    with _limit_memory():
        try:
            config, rules = _read_files(setup)
        except ConfigurationFault as fault:
            raise TrialUnfit(_say_mistake(fault)) from None
        except _BROKEN as error:
            why = phrase("These are no schemas of packets: {error}", error=str(error)[:200] or type(error).__name__)
            raise TrialUnfit(why) from None
        province = Province.of(config, unit_registry.read_unit_index(tx, find_local_day(setup.at)))
        try:
            part = rejudge_part(tx, province, rules, filters, before, limit)
        except (etree.LxmlError, MemoryError, RecursionError) as error:
            why = phrase("A schema cannot be used: {error}", error=str(error)[:200] or type(error).__name__)
            raise TrialUnfit(why) from None
    changes = tuple(attrs.evolve(each, problems=each.problems[:FINDINGS]) for each in part.changes)
    return attrs.evolve(part, changes=changes), _measure_cpu() - began


def _measure_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def _limit_memory() -> Generator[None]:
    """Let this process grow by `_MEMORY` at most: the automaton of a schema may be larger than any packet."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    most = held + _MEMORY
    bounds = [each for each in (most, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _count_form(
    tx: Transaction, unit: str, period: str, tried: Form, forms: Any, now: datetime
) -> Sequence[DifferingCell]:
    before, after = form_trial.count_form_trial(tx, unit, period, tried, forms, now)
    cells = []
    for cell in form_trial.list_differing_cells(before, after):
        cells.append(cell)
        if len(cells) == SHOWN:
            break
    return cells


def read_most(text: str) -> int:
    """Return the number of messages to judge. Raises `FieldUnfit`."""
    if not text.strip():
        return MOST
    if not text.strip().isdecimal() or not 0 < int(text.strip()[:10]) <= MOST:
        raise FieldUnfit(phrase("The number of messages must be a whole number from 1 to {most}.", most=MOST))
    return int(text)
