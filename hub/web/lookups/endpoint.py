"""Serves the lookups service: counts a question, answers it from the cache or asks the partner that serves it, and
journals it.

Knows the order of these steps. Contains no adapter logic and no SQL.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import attrs
import structlog
from lxml import etree

from hub.config import Partner
from hub.config.lookups import LookupSettings
from hub.domain.conversations import Answer, Answerer, Query, Refused, Unavailable
from hub.domain.errors import Unready
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem
from hub.formats import xml_cost
from hub.formats.spool import Octets
from hub.intake.admission import judge_record
from hub.intake.endpoint import Case, JournalAccess
from hub.journal import replay_guard
from hub.journal.effects import MessageEntry
from hub.security.encryption import NONCE, Unsealable
from hub.services import list_services
from hub.services.lookups import operations
from hub.services.lookups.operations import LookupQuestion
from hub.soap.wsdl import Contract
from hub.store.batch_commit import ChargedStep
from hub.web.lookups import cache
from hub.web.lookups.cache import KeptAnswer, LookupStart, QuotaUse
from hub.web.lookups.partner_query import QueryResult, QueryRunner

log = structlog.get_logger()


@attrs.define(eq=False)
class LookupsEndpoint:
    """Handles the calls of the lookups service."""

    contract: Contract  #: the WSDL of the lookups service
    query_runner: QueryRunner  #: asks partners
    _access: JournalAccess  #: journals lookups

    def read(self, child: etree._Element, octets: Sequence[bytes | Octets]) -> LookupQuestion:
        """See `Endpoint`."""
        return operations.read_lookup_question(child)

    @property
    def is_private(self) -> bool:
        """See `Endpoint`."""
        return True

    def carries_message(self, call: object) -> bool:
        """See `Endpoint`."""
        return False

    async def perform(self, case: Case) -> etree._Element:
        """Answer one question; see `Endpoint`. Raises `Unready` when the partner does not answer now."""
        self._access.require_space()
        question, config = case.opened.call, case.province.config.lookups
        assert isinstance(question, LookupQuestion)
        if config is None:
            await self._access.journal.admit(case.owner, replay_guard.spend_call_mark, case.opened.mark, case.now)
            return operations.build_lookup_refusal(
                question.operation, case.tracking, [Problem("lookup-not-served", question.operation)]
            )
        return await self._answer(case, question, config)

    async def _answer(self, case: Case, question: LookupQuestion, config: LookupSettings) -> etree._Element:
        operation = question.operation
        named = operations.name_question(question, config.safe.naming)
        entry = await self._judge(case, question, operations.write_lookup_record(question, named))
        unit = entry.record.sender if entry.record else question.organ
        said: dict[str, object] = {
            "operation": operation,
            "unit": unit,
            "officer": question.officer,
            "purpose": question.purpose,
            "dossier": question.dossier,
            "question": named,
        }
        partner = self._who(case.province.config.partners, operation)
        problems = entry.problems or operations.find_question_flaws(question)
        if problems or partner is None:
            problems = problems or (Problem("lookup-not-served", operation),)
            return await self._settle(case, entry, LookupStart(id=entry.id), None, said, problems)
        spent = QuotaUse(unit=unit, operation=operation, day=find_local_day(case.now))
        quota = config.quota[operation]
        begun = await self._access.journal.admit(
            case.owner,
            cache.begin_lookup,
            entry,
            named,
            spent,
            quota,
            case.opened.mark,
            repeatable=question.message_id is not None,
        )
        if begun.over:
            over = Problem("quota-exceeded", f"{unit}: {quota} {operation}")
            return await self._settle(case, entry, begun, None, said, (over,))
        if begun.reused:
            return await self._settle(case, entry, begun, None, said, ())
        heard = self._kept(named, begun, config)
        if heard is None:
            query = Query(operation, question.asked, begun.id)
            try:
                heard = await self.query_runner.ask(query, partner, said | {"partner": partner.code})
            except Unready:
                await self._access.journal.write(ChargedStep(case.partner.code, cache.refund_quota), begun)
                raise
            age = config.age(operation)
            if isinstance(heard.outcome, Answer) and age is not None:
                await self._keep(case.partner.code, named, heard, age, config)
        said |= {"from": "kept" if heard.kept else partner.code}
        return await self._settle(case, entry, begun, heard, said, _list_problems(heard, partner))

    async def _judge(self, case: Case, question: LookupQuestion, content: bytes) -> MessageEntry:
        """Judge the record of *question* and return its journal entry.

        A call that only reads is a new lookup each time, unless the caller gives it a MessageId.
        """
        message_id = question.message_id or (None if question.rule.key else case.tracking)
        judged = (content, message_id, case.partner.code, case.province, case.now, case.tracking)
        entry = await self._access.work(
            case.owner, xml_cost.estimate_record(content), judge_record, list_services()[operations.NAME], *judged
        )
        return attrs.evolve(entry, routes=(), sha1=case.sha1)

    def _who(self, known: Mapping[str, Partner], operation: str) -> Partner | None:
        """Return the partner that answers *operation*: the first one in the order of partner codes."""
        able = (known[code] for code in sorted(known) if operation in known[code].lookups)
        return next(
            (partner for partner in able if isinstance(self.query_runner.live.adapters.get(partner.code), Answerer)),
            None,
        )

    def _kept(self, named: str, begun: LookupStart, config: LookupSettings) -> QueryResult | None:
        if begun.kept is None:
            return None
        try:
            octets = config.safe.unseal(
                begun.kept.sealed, _make_sealed_place(named, begun.kept.heard_at, begun.kept.until)
            )
        except Unsealable:
            log.warning("kept-answer-unsealable")  # encrypted with another key: ask again and replace it
            return None
        return QueryResult(operations.read_kept_answer(octets), begun.kept.heard_at, kept=True)

    async def _keep(self, partner: str, named: str, heard: QueryResult, age: timedelta, config: LookupSettings) -> None:
        until = heard.at + age
        sealed = config.safe.seal(
            operations.write_kept_answer(cast("Answer", heard.outcome)),
            _make_sealed_place(named, heard.at, until),
            os.urandom(NONCE),
        )
        kept = KeptAnswer(sealed=sealed, heard_at=heard.at, until=until)
        await self._access.journal.write(ChargedStep(partner, cache.keep_answer), named, kept)

    async def _settle(
        self,
        case: Case,
        entry: MessageEntry,
        begun: LookupStart,
        heard: QueryResult | None,
        said: Mapping[str, object],
        problems: Sequence[Problem],
    ) -> etree._Element:
        """Journal the outcome, then build the response. Raises `Unready` where the caller may ask the same again."""
        away = heard.outcome if heard is not None and isinstance(heard.outcome, Unavailable) else None
        entry = attrs.evolve(entry, problems=tuple(map(_without_words, problems)))
        ended = "unavailable" if away else "refused" if problems else "reused" if begun.reused else "answered"
        taken = await self._access.journal.write(
            ChargedStep(case.partner.code, cache.settle_lookup),
            entry,
            case.province.routes,
            begun,
            {**said, "outcome": ended, **_describe_answer(heard)},
            back=away is not None,
            mark=case.opened.mark,
        )
        log.info("lookup-settled", lookup=taken.id, partner=entry.partner, operation=said["operation"], outcome=ended)
        if away is not None:
            assert heard is not None
            again = 5.0 if heard.again is None else (heard.again - heard.at).total_seconds()
            raise Unready("lookup-unavailable", away.detail, retry_after=max(1, min(3600, round(again))))
        shown = tuple(problems) or taken.problems
        if shown or heard is None:
            return operations.build_lookup_refusal(case.opened.operation, taken.id, shown)
        return operations.build_lookup_response(
            case.opened.operation, taken.id, cast("Answer", heard.outcome), heard.at
        )


def _list_problems(heard: QueryResult, partner: Partner) -> tuple[Problem, ...]:
    match heard.outcome:
        case Refused(detail):
            return (Problem("lookup-refused", f"{partner.code}: {detail}"),)
        case Unavailable():
            return (Problem("lookup-unavailable", partner.code),)
    return ()


def _without_words(problem: Problem) -> Problem:
    """Return *problem* as the journal stores it: the text of a partner's refusal may contain personal data and is left
    out.
    """
    return Problem(problem.code) if problem.code == "lookup-refused" else problem


def _make_sealed_place(named: str, heard_at: datetime, until: datetime) -> str:
    """Return the associated data of a sealed answer. It binds the answer to its question and times, so that it can be
    neither moved to another question nor given a longer life.
    """
    return f"{named} {heard_at.isoformat()} {until.isoformat()}"


def _describe_answer(heard: QueryResult | None) -> Mapping[str, str]:
    """Return what the event says of an answer: when it was received and its number of fields.

    It contains no hash of the answer: a short answer such as "true" can be guessed from its hash.
    """
    if heard is None or not isinstance(heard.outcome, Answer):
        return {}
    return {"heard_at": heard.at.isoformat(), "fields": str(len(heard.outcome.fields))}
