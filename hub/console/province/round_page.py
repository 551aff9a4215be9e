"""The page of all units at once: how the report of each stands for one form and period. Takes in many signed files, and
gives out many to be signed.

    /month?form=F&period=P              redirects to
    /month/FORM/PERIOD?below=…&step=…   the round, by POST a file: one signed report, or a ZIP of them
    /month/FORM/PERIOD.zip              by POST: the files to sign of the units that the same query chooses
    /month/FORM/PERIOD/remind           by POST: reminds these of reports that are not handed in, by mail

A user sees the round of its own units only.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.visit import Visit
from hub.domain.errors import Rejected, describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem, UnitKind, UnitLevel
from hub.domain.sanitize import clean_line
from hub.journal import blobs
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, verbatim
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports import reading, standing
from hub.operations.reports.signed_uploads import SignedUpload, SignedUploads
from hub.operations.reports.visible_round import (
    MOST,
    PAGE,
    STEPS,
    RoundSearch,
    read_round_search,
    read_visible_choice,
    read_visible_round,
)
from hub.operations.turns import ReadingTurns
from hub.report.form.book import Book
from hub.report.form.period import find_month_containing
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.answers import ConsoleResponse
from hub.workload import submission
from hub.workload.many import reminders, round_plan, signed_batch
from hub.workload.many.reminders import PlannedReminder
from hub.workload.many.report_round import DeclarationStanding, ReportRound, UnitStanding
from hub.workload.many.round_plan import RoundDeed
from hub.workload.many.signed_batch import BatchFile

#: Ending of the address of the files to sign.
GIVEN = ".zip"
_DEFAULT_FORM = "edoc"


@attrs.frozen(kw_only=True)
class TakenFile:
    """What became of one uploaded file."""

    name: str
    unit: str = ""
    wrong: Sequence[Phrase] = ()  #: why it was refused; empty if it was accepted


@attrs.frozen
class RoundPages:
    """Makes the pages of rounds."""

    _journal: Journal
    _turns: ReadingTurns
    _live: Live

    @console_page("GET", "/month", right=Permission.SEE_REPORTS)
    async def find_round(self, visit: Visit) -> PageAnswer:
        """Lead to the round of the last ended month, or to what is chosen."""
        book = await self._turns.read_closed_book()
        query, now = visit.asked.query, visit.now
        month = find_month_containing(find_month_containing(now, book.cuts).start - timedelta(seconds=1), book.cuts)
        form, period = query.get("form", ""), query.get("period", "")
        kept = {name: value for name, value in query.items() if name not in ("form", "period") and value}
        return build_page_path("month", form or _DEFAULT_FORM, period or month.text, **kept)

    @console_page("GET", "/month/{form}/{period}", right=Permission.SEE_REPORTS, template="round")
    async def show_round(self, visit: Visit, form: str, period: str) -> PageAnswer:
        """Show how the reports of all units stand."""
        return PageValues(await self._page(visit, form, period))

    @console_page("POST", "/month/{form}/{period}", right=Permission.SIGN, template="round")
    async def take_signed_reports(self, visit: Visit, form: str, period: str) -> PageAnswer:
        """Take in signed files, or give out the files to sign."""
        if period.endswith(GIVEN):
            return await self._give_out(visit, form, period.removesuffix(GIVEN))
        taken = await self._take_in(visit, form, period)
        refused = any(each.wrong for each in taken)
        return PageValues(await self._page(visit, form, period, taken), 422 if refused or not taken else 200)

    async def _page(
        self, visit: Visit, form: str, period: str, taken: Sequence[TakenFile] | None = None
    ) -> Mapping[str, object]:
        asked, user, now = visit.asked, visit.user, visit.now
        book, search = await self._turns.read_book(), read_round_search(asked.query)
        whole, found = await self._turns.count_for(user, asked.wanted, form, read_visible_choice, period, now, search)
        done = asked.query.get("reminded", "")
        return {
            **arrange_round(search, whole, found, book, now, user, taken),
            "to_remind": len(self._plan_reminders(whole, found, now)) if user.may(Permission.SIGN) else 0,
            "reminded": int(done) if done.isascii() and done.isdigit() and len(done) < 6 else None,
        }

    def _plan_reminders(self, whole: ReportRound, found: ReportRound, now: datetime) -> list[PlannedReminder]:
        """Return the mails about the units of *found* that go to units of *whole*, which the user sees."""
        settings = self._live.config.alerts
        seen = {each.unit.code for each in whole.units}
        planned = () if settings is None else reminders.plan_reminders(found, settings, now)[0]
        return [each for each in planned if each.unit in seen]

    @console_page("POST", "/month/{form}/{period}/remind", right=Permission.SIGN)
    async def remind_units(self, visit: Visit, form: str, period: str) -> PageAnswer:
        """Remind the chosen units of reports that are not handed in, by mail."""
        asked, user, now = visit.asked, visit.user, visit.now
        search = read_round_search(asked.form)
        whole, found = await self._turns.count_for(user, asked.wanted, form, read_visible_choice, period, now, search)
        mails = self._plan_reminders(whole, found, now)
        step = partial(reminders.request_reminders, by=user.name, now=now)
        fresh = await self._journal.admit(CONSOLE, step, found, mails)
        typed = {name: value for name, value in search.typed.items() if value}
        return build_page_path("month", form, period, **typed, reminded=str(sum(fresh.values())))

    @console_page("POST", "/month", "/month/{rest}", right=Permission.SIGN)
    def refuse_round(self) -> PageAnswer:
        """Refuse a form for no round: who may not sign is told so at every address."""
        raise refuse_as_absent()

    async def _take_in(self, visit: Visit, form: str, period: str) -> list[TakenFile]:
        """Accept each file of the upload. The refusal of one keeps no other."""
        asked, user, now = visit.asked, visit.user, visit.now
        content = asked.read_file()
        if not content:
            return []
        found = await self._turns.count_for(user, asked.wanted, form, read_visible_round, period, now)
        units = [each.unit.code for each in found.units]
        files = await self._turns.alone(signed_batch.list_uploaded_files, content)
        uploads = SignedUploads(self._journal, self._live, self._turns)
        taken = []
        for file in files[:MOST]:
            upload = SignedUpload(
                user=user, form=form, unit="", period=period, content=b"", now=now, wanted=asked.wanted
            )
            taken.append(await self._take_one(file, units, upload, uploads, asked.language))
        if len(files) > MOST:
            many = phrase("there are more than {count} files", count=MOST)
            taken.append(TakenFile(name="…", wrong=[many]))
        return taken

    async def _take_one(
        self, file: BatchFile, units: Sequence[str], upload: SignedUpload, uploads: SignedUploads, language: Language
    ) -> TakenFile:
        unit = ""
        try:
            octets = await self._turns.alone(file.read)
            unit = await self._turns.alone(signed_batch.find_unit, file.name, octets, upload.form, upload.period, units)
            await uploads.take(attrs.evolve(upload, unit=unit, content=octets))
        except Rejected as rejected:
            wrong = [verbatim(describe_problem(each, language)) for each in rejected.problems]
            return TakenFile(name=file.name, unit=unit, wrong=wrong)
        return TakenFile(name=file.name, unit=unit)

    async def _give_out(self, visit: Visit, form: str, period: str) -> ConsoleResponse:
        """Return a ZIP of the files to sign of at most `MOST` chosen units, first of those that have none yet."""
        asked, user, now = visit.asked, visit.user, visit.now
        reason = clean_line(asked.form.get("reason", ""), 500)
        search = read_round_search(asked.form)
        _, found = await self._turns.count_for(user, asked.wanted, form, read_visible_choice, period, now, search)
        plan = [each for each in round_plan.plan_giving_out(found, reason=reason) if each.acts]
        plan.sort(key=lambda each: each.deed is RoundDeed.GIVE_AGAIN)  # stable
        given = []
        for each in plan[:MOST]:
            why = reason if each.deed is RoundDeed.REVISE else ""
            given.append(await self._give_one(visit, form, period, each.standing, why))
        content = await self._turns.alone(_pack_files, given)
        return ConsoleResponse(content=content, content_type="application/zip", filename=f"{form}_{period}{GIVEN}")

    async def _give_one(
        self, visit: Visit, form: str, period: str, chosen: UnitStanding, reason: str
    ) -> tuple[str, bytes]:
        """Give out the report of one unit. Return the name of its file, and the octets; of one that cannot be given out,
        a text that says why.
        """
        asked, user, now = visit.asked, visit.user, visit.now
        unit = chosen.unit.code
        try:
            counted = await self._turns.count_for(
                user, asked.wanted, form, standing.count_report_for_release, unit, period, now
            )
            kept = await self._journal.admit(
                CONSOLE,
                submission.issue_report,
                self._live.province,
                counted,
                reason=reason,
                by=user.name,
                now=now,
            )
        except Rejected as rejected:
            why = "\n".join(describe_problem(each, asked.language) for each in rejected.problems)
            return f"{form}_{unit}_{period}.txt", why.encode()
        except (submission.Unended, submission.Unclosed):
            why = describe_problem(Problem("period-not-closed"), asked.language)
            return f"{form}_{unit}_{period}.txt", why.encode()
        base = await self._journal.read(submission.read_signing_base, kept)
        octets = await self._journal.read(blobs.read_blob, base.sha256)
        return submission.name_signing_file(kept, base.sha256), octets


def _pack_files(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a ZIP of *files*, each with its name: 30 ms for each MB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in files:
            archive.writestr(name, octets)
    return made.getvalue()


def arrange_round(
    search: RoundSearch,
    whole: ReportRound,
    found: ReportRound,
    book: Book,
    now: datetime,
    user: User,
    taken: Sequence[TakenFile] | None,
) -> Mapping[str, object]:
    """Return the values of the page. *whole*: the round that the user sees; *found*: with the chosen units."""
    form, period = whole.form.id, whole.period.text
    shown = found.units[search.first : search.first + PAGE]
    choice = reading.list_report_choices(now, book, whole.form, whole.period)
    deeds = round_plan.count_deeds(round_plan.plan_giving_out(found, reason=""))

    def narrow(**more: str | None) -> str:
        said = {name: value for name, value in {**search.typed, **more}.items() if value}
        return build_page_path("month", form, period, **said)

    def go(first: int) -> str:
        return narrow(**{"from": str(first)})

    after, before = search.first + PAGE, max(0, search.first - PAGE)
    return {
        "search": search,
        "round": whole,
        "chosen": found,
        "shown": shown,
        "forms": choice.forms,
        "periods": choice.periods,
        "form": whole.form,
        "period": whole.period,
        "steps": [(each, many) for each in STEPS if (many := whole.count_steps().get(str(each)))],
        "declared": [
            (each, many) for each in DeclarationStanding if (many := whole.count_declarations().get(str(each)))
        ],
        "levels": _count_words((each.unit.level for each in whole.units), UnitLevel),
        "kinds": _count_words((each.unit.kind for each in whole.units), UnitKind),
        "names": {each.unit.code: each.unit.name for each in whole.units},
        "narrow": narrow,
        "next": go(after) if after < len(found.units) else None,
        "back": go(before) if search.first else None,
        "may": user.may(Permission.SIGN),
        "to_give": deeds.get(RoundDeed.GIVE_OUT, 0) + deeds.get(RoundDeed.GIVE_AGAIN, 0),
        "most": MOST,
        "taken": taken,
    }


def _count_words(words: object, known: type[UnitLevel] | type[UnitKind]) -> list[tuple[str, int]]:
    """Return the words that occur, in the order of *known*, each with its number."""
    counts = Counter(words)  # type: ignore[call-overload]
    return [(str(each), counts[each]) for each in known if each and counts[each]]
