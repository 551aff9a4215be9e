"""Tries the secrets of partners by the question that their adapter has for this (`hub.partner.secret_trials`).

Tells whether a partner takes them. Never tells a secret, nor what a partner says: it may repeat one.
"""

from collections.abc import Collection, Generator
from datetime import datetime
from urllib.parse import urlsplit

import attrs

import adapters
from hub.cli.partner.conversation import hold_conversations
from hub.config import Config, Partner
from hub.delivery.partner_adapters import make_terms
from hub.domain.conversations import Refused, Reply, Request, Unavailable
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.partner.adapter_settings import SECRET_FILE
from hub.partner.secret_trials import SecretTrial, SecretTrier
from hub.runtime.http_client import Unreachable

#: Requests of one trial. An adapter that wants more has no harmless question.
_MOST = 4


@attrs.frozen
class TrialReport:
    """What became of the secrets of all partners."""

    refused: list[Mistake] = attrs.field(factory=list)
    unreachable: list[Mistake] = attrs.field(factory=list)
    taken: list[str] = attrs.field(factory=list)  #: codes of partners
    untried: list[tuple[str, Phrase]] = attrs.field(factory=list)  #: codes of partners, and why


@attrs.define
class _Trial:
    """The trial at one partner, as far as it came."""

    partner: Partner
    trial: SecretTrial
    where: str = ""  #: host and port of the last request
    status: int = 0  #: of the last reply; 0: none

    def hold(self) -> Generator[Request, Reply, object]:
        """Hold the conversation, at most `_MOST` requests of it."""
        conversation = self.trial.conversation
        try:
            step = next(conversation)
            for _ in range(_MOST):
                parts = urlsplit(step.url)
                self.where, self.status = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", 0
                reply = yield step
                self.status = reply.status
                step = conversation.send(reply)
        except StopIteration as end:
            return end.value
        return Unavailable("the question has no end")

    @property
    def place(self) -> str:
        """Return the keys of the secrets in the partner's file."""
        keys = ", ".join(f"settings.{each}{SECRET_FILE}" for each in self.trial.secrets)
        return f"partners/{self.partner.code}.toml: {keys}"


def try_secrets(config: Config, now: datetime, broken: Collection[str]) -> TrialReport:
    """Try the secrets of each partner that the hub calls, but of those in *broken*: nothing is sent to them."""
    report, trials = TrialReport(), list[_Trial]()
    for partner in config.partners.values():
        if partner.called and partner.secrets and partner.code not in broken:
            trial = _find_trial(config, partner, now)
            if isinstance(trial, SecretTrial):
                trials.append(_Trial(partner, trial))
            else:
                report.untried.append((partner.code, trial))
    ended = hold_conversations(config, [(each.partner, each.hold()) for each in trials]) if trials else []
    for each, end in zip(trials, ended, strict=True):
        _judge_secret_trial(each, end, report)
    return report


def _find_trial(config: Config, partner: Partner, now: datetime) -> SecretTrial | Phrase:
    """Return the trial of *partner*, with notes of its own, or why there is none."""
    adapter: object = adapters.make_adapter(partner.adapter, make_terms(config, partner))
    if not isinstance(adapter, SecretTrier):
        return phrase("the adapter {adapter} has no question that changes nothing", adapter=partner.adapter)
    return adapter.try_secret(now) or phrase(
        "with these settings the adapter {adapter} has no question that changes nothing", adapter=partner.adapter
    )


def _judge_secret_trial(trial: _Trial, end: object, report: TrialReport) -> None:
    if isinstance(end, Unavailable) and end.credentials:
        wrong = phrase("{url}: the partner refuses the secret", url=trial.where)
        report.refused.append(Mistake(trial.place, wrong, phrase("the secret that the partner gave")))
    elif isinstance(end, Exception | Unavailable | Refused):
        wrong = _explain_untried_secret(trial, end)
        report.unreachable.append(
            Mistake(trial.place, wrong, phrase("an answer that says whether the secret is taken"))
        )
    else:
        report.taken.append(trial.partner.code)


def _explain_untried_secret(trial: _Trial, end: Exception | Unavailable | Refused) -> Phrase:
    """Return why it is not known whether a secret is taken, in the hub's own words."""
    if isinstance(end, Exception) and not isinstance(end, Unreachable):
        return phrase("the adapter {adapter} broke: {error}", adapter=trial.partner.adapter, error=type(end).__name__)
    if trial.status:
        return phrase("{url}: no answer that can be used: {status}", url=trial.where, status=trial.status)
    return phrase("{url}: no answer that can be used", url=trial.where)
