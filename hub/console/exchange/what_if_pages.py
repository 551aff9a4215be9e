"""The pages of what-if: what other schemas, another policy or another form would change. Nothing is sent or written.

/what-if                        the form, with the search of its address; by POST a trial begins, or a report is counted
/what-if/TRIAL                  one trial and what would change; by POST it is cancelled
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.console.request import ConsoleRequest
from hub.edxml.schema_upload import LARGEST, PLACES, SchemasUnfit, read_schema_upload
from hub.intake.what_if import JUDGING
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.partners import rule_trials
from hub.operations.partners.rule_trials import MOST, RuleTrials, TrialOrder, TrialState, may_see_details, read_most
from hub.operations.refusals import refuse_as_absent
from hub.operations.replays import replay_orders
from hub.operations.replays.order_fields import FieldUnfit, clean_field
from hub.operations.replays.replay_orders import SEARCH
from hub.store.group_commit import Journal
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


@attrs.frozen
class WhatIfPage:
    """One page: its template and what it says."""

    template: str
    said: Mapping[str, object]
    status: int = 200


@attrs.define(eq=False)
class WhatIfPages:
    """Makes the pages of what-if."""

    _journal: Journal  #: the journal to read
    _live: Live  #: the configuration in force
    _trials: RuleTrials

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> WhatIfPage:
        """Return the page for a GET request."""
        match asked.path[1:]:
            case ():
                return self._ask(user, asked.query, now)
            case (trial,):
                return self._show(asked, user, trial)
        raise refuse_as_absent()

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> WhatIfPage | str:
        """Do what a form asks. Return the address of the next page, or the page that says what is found or why not."""
        match asked.path[1:]:
            case ():
                try:
                    if asked.form.get("tries") == "form":
                        return await self._count_form(asked, user, now)
                    order = await self._read_order(asked, user, now)
                    trial = await self._trials.start(user, order, now)
                except (FieldUnfit, SchemasUnfit) as unfit:
                    return self._ask(user, asked.form, now, unfit.why)
                return build_page_path("what-if", trial.id)
            case (trial_id,):
                try:
                    self._trials.cancel(self._trials.find(user, trial_id))
                except KeyError:
                    raise refuse_as_absent() from None
                return build_page_path("what-if", trial_id)
        raise refuse_as_absent()

    def _ask(self, user: User, given: Mapping[str, str], now: datetime, wrong: Phrase | None = None) -> WhatIfPage:
        said = {
            "fields": {name: given.get(name, "")[:_LONGEST] for name in _FIELDS},
            "wrong": wrong,
            "partners": sorted(user.keep_visible(self._live.config.partners), key=make_code_sort_key),
            "policy": POLICY,
            "places": PLACES,
            "most": MOST,
            "trials": self._trials.list_own(user, now),
        }
        return WhatIfPage("what_if", said, 422 if wrong else 200)

    async def _read_order(self, asked: ConsoleRequest, user: User, now: datetime) -> TrialOrder:
        form = asked.form
        said = {name: clean_field(form.get(name, ""), _LONGEST) for name in (*SEARCH, "id")}
        content = asked.file.read() if asked.file is not None and len(asked.file) <= LARGEST else b""
        if asked.file is not None and len(asked.file) > LARGEST:
            raise FieldUnfit(phrase("The file is larger than {most} KiB.", most=LARGEST >> 10))
        return TrialOrder(
            schemas=read_schema_upload(content, form.get("replaces", "")) if content else {},
            policy=tuple(f"{key}={form[key][:_LONGEST]}" for key in POLICY if form.get(key)),
            filters=tuple(await replay_orders.read_filters(self._journal, self._live, user, said, now)),
            search=" ".join(f"{name}={value}" for name, value in said.items() if value),
            most=read_most(form.get("most", "")),
        )

    async def _count_form(self, asked: ConsoleRequest, user: User, now: datetime) -> WhatIfPage:
        content = b"" if asked.file is None else asked.file.read()[: rule_trials.FORM + 1]
        if not content:
            raise FieldUnfit(phrase("Choose the file of a form."))
        period, unit = (clean_field(asked.form.get(name, ""), _LONGEST) for name in ("period", "unit"))
        form, cells = await self._trials.count_form(user, asked.wanted, content, period, unit, now)
        headings = {each.key: each.heading.say(asked.language) for each in form.columns}
        said = {"cells": cells, "headings": headings, "form": form.id, "period": period, "most": rule_trials.SHOWN}
        return WhatIfPage("what_if_form", said)

    def _show(self, asked: ConsoleRequest, user: User, trial_id: str) -> WhatIfPage:
        try:
            trial = self._trials.find(user, trial_id)
        except KeyError:
            raise refuse_as_absent() from None
        runs = trial.state is TrialState.RUNNING
        live = asked.query.get("live") == "1" and runs
        said = {
            "trial": trial,
            "runs": runs,
            "live": live,
            "again": build_page_path("what-if", trial.id, live=None if live else "1"),
            "details": may_see_details(user),
            "most": rule_trials.SHOWN,
        }
        return WhatIfPage("what_if_trial", said)
