"""The pages of what-if: what other schemas, another policy or another form would change. Nothing is sent or written.

/what-if                        the form, with the search of its address; by POST a trial begins, or a report is counted
/what-if/TRIAL                  one trial and what would change; by POST it is cancelled
"""

from collections.abc import Mapping

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.visit import Visit
from hub.domain.sanitize import clean_line
from hub.edxml.schema_upload import LARGEST, PLACES, SchemasUnfit, read_schema_upload
from hub.intake.what_if import JUDGING
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.partners import rule_trials
from hub.operations.partners.rule_trials import (
    MOST,
    RuleTrial,
    RuleTrials,
    TrialOrder,
    TrialState,
    may_see_details,
    read_most,
)
from hub.operations.refusals import refuse_as_absent
from hub.operations.replays import replay_orders
from hub.operations.replays.order_fields import FieldUnfit
from hub.operations.replays.replay_orders import SEARCH
from hub.store.batch_commit import Journal
from hub.units.live import Live

#: The values that a key of the policy may have; an empty one is not tried.
POLICY: Mapping[str, tuple[str, ...]] = {
    "profile": ("observed", "strict"),
    "signature": ("message", "packet", "both"),
    "sha1": ("no", "yes"),
    "vxp-signature": ("no", "yes"),
    "revocation": ("configured", "require", "allow"),
}
assert POLICY.keys() == {*JUDGING}
_LONGEST = replay_orders.LONGEST
#: Fields of the form that stay when it is shown again.
_FIELDS = (*SEARCH, "id", "most", "replaces", *POLICY, "period", "unit")


@attrs.define(eq=False)
class WhatIfPages:
    """Makes the pages of what-if."""

    _journal: Journal  #: the journal to read
    _live: Live  #: the configuration in force
    _trials: RuleTrials

    @console_page("GET", "/what-if", right=Permission.REPLAY, template="what_if")
    def ask_trial(self, visit: Visit) -> PageAnswer:
        """Show the form, with the search of its address."""
        return self._ask(visit, visit.asked.query)

    @console_page("POST", "/what-if", right=Permission.REPLAY, template="what_if")
    async def begin_trial(self, visit: Visit) -> PageAnswer:
        """Begin a trial, or count a report by another form."""
        try:
            if visit.asked.form.get("tries") == "form":
                return await self._count_form(visit)
            trial = await self._trials.start(visit.user, await self._read_order(visit), visit.now)
        except (FieldUnfit, SchemasUnfit) as unfit:
            return self._ask(visit, visit.asked.form, unfit.why)
        return build_page_path("what-if", trial.id)

    @console_page("POST", "/what-if/{trial_id}", right=Permission.REPLAY)
    def cancel_trial(self, visit: Visit, trial_id: str) -> PageAnswer:
        """Cancel the trial."""
        self._trials.cancel(self._find(visit, trial_id))
        return build_page_path("what-if", trial_id)

    def _find(self, visit: Visit, trial_id: str) -> RuleTrial:
        try:
            return self._trials.find(visit.user, trial_id)
        except KeyError:
            raise refuse_as_absent() from None

    def _ask(self, visit: Visit, given: Mapping[str, str], wrong: Phrase | None = None) -> PageValues:
        said = {
            "fields": {name: given.get(name, "")[:_LONGEST] for name in _FIELDS},
            "wrong": wrong,
            "partners": sorted(visit.user.keep_visible(self._live.config.partners), key=make_code_sort_key),
            "policy": POLICY,
            "places": PLACES,
            "most": MOST,
            "trials": self._trials.list_own(visit.user, visit.now),
        }
        return PageValues(said, 422 if wrong else 200)

    async def _read_order(self, visit: Visit) -> TrialOrder:
        asked, form = visit.asked, visit.asked.form
        said = {name: clean_line(form.get(name, ""), _LONGEST) for name in (*SEARCH, "id")}
        content = asked.file.read() if asked.file is not None and len(asked.file) <= LARGEST else b""
        if asked.file is not None and len(asked.file) > LARGEST:
            raise FieldUnfit(phrase("The file is larger than {most} KiB.", most=LARGEST >> 10))
        return TrialOrder(
            schemas=read_schema_upload(content, form.get("replaces", "")) if content else {},
            policy=tuple(f"{key}={form[key][:_LONGEST]}" for key in POLICY if form.get(key)),
            filters=tuple(await replay_orders.read_filters(self._journal, self._live, visit.user, said, visit.now)),
            search=" ".join(f"{name}={value}" for name, value in said.items() if value),
            most=read_most(form.get("most", "")),
        )

    async def _count_form(self, visit: Visit) -> PageValues:
        asked, user, now = visit.asked, visit.user, visit.now
        content = b"" if asked.file is None else asked.file.read()[: rule_trials.FORM + 1]
        if not content:
            raise FieldUnfit(phrase("Choose the file of a form."))
        period, unit = (clean_line(asked.form.get(name, ""), _LONGEST) for name in ("period", "unit"))
        form, cells = await self._trials.count_form(user, asked.wanted, content, period, unit, now)
        headings = {each.key: each.heading.say(asked.language) for each in form.columns}
        said = {"cells": cells, "headings": headings, "form": form.id, "period": period, "most": rule_trials.SHOWN}
        return PageValues(said, template="what_if_form")

    @console_page("GET", "/what-if/{trial_id}", right=Permission.REPLAY, template="what_if_trial")
    def show_trial(self, visit: Visit, trial_id: str) -> PageAnswer:
        """Show one trial and what would change."""
        trial = self._find(visit, trial_id)
        runs = trial.state is TrialState.RUNNING
        live = visit.asked.query.get("live") == "1" and runs
        return {
            "trial": trial,
            "runs": runs,
            "live": live,
            "again": build_page_path("what-if", trial.id, live=None if live else "1"),
            "details": may_see_details(visit.user),
            "most": rule_trials.SHOWN,
        }
