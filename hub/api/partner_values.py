"""The answers of the API about one partner: its settings, what an order changes, and what its developers need."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Annotated

import attrs

from hub.api.schemas import At, Projected
from hub.config.partners.partner_edit import PartnerLook
from hub.config.partners.partner_settings import PartnerSetting
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.monitoring.integration.facts import IntegrationFacts, IntegrationService
from hub.monitoring.integration.first_messages import FirstStep, StepState
from hub.monitoring.integration.page import STEPS
from hub.monitoring.partner_view import PartnerCertificate, PartnerFile, PartnerView
from hub.operations.partners.partner_orders import JudgedOrder

#: Octets of each list of lines that an answer holds: an answer to an order is kept, and is short.
_LINES = 8 * 1024


@attrs.frozen(kw_only=True)
class ApiMistake(Projected[Mistake]):
    """What is wrong in a file, or a warning."""

    path: str
    wrong: Phrase
    expected: Phrase


@attrs.frozen(kw_only=True)
class ApiHeldCertificate(Projected[PartnerCertificate]):
    """A certificate that the partner's file names."""

    sha256: str
    subject: str
    issuer: str
    since: Annotated[datetime, At("not_before")]
    until: Annotated[datetime, At("not_after")]
    days_left: Annotated[int, phrase("negative after its end")]
    file: str
    problem: Annotated[str | None, At("problem.code"), phrase("code of why it proves nothing now")]


@attrs.frozen(kw_only=True)
class ApiPartnerSettings(Projected[PartnerView]):
    """A partner as its file says, which may be ahead of what the hub uses."""

    code: Annotated[str, At("partner.code")]
    sha256: Annotated[str, phrase("of the partner's file; the seen of an order")]
    settings: Sequence[PartnerSetting]
    certificates: Sequence[ApiHeldCertificate]
    granted: Annotated[Sequence[str], phrase("what it may call")]
    files: Annotated[Sequence[PartnerFile], phrase("its mapping, and the files that the mapping lists")]
    secrets: Annotated[Sequence[str], phrase("names of the secrets in its folder, which a setting NAME-file may name")]
    pending: Annotated[Sequence[str], phrase("changes of the file that are not in force yet")]
    mistakes: Annotated[Sequence[ApiMistake], phrase("why the files could not be read")]

    @classmethod
    def of(cls, look: PartnerLook, view: PartnerView) -> "ApiPartnerSettings":
        """Return what the page of the partner shows."""
        mistakes = list(map(ApiMistake.project, look.mistakes))
        return cls.project(view, sha256=look.sha256, secrets=look.secrets, pending=look.pending, mistakes=mistakes)


@attrs.frozen(kw_only=True)
class ApiPartnerEdit:
    """What an order changes, or has changed."""

    code: str
    applied: Annotated[bool, phrase("false: it was only judged")]
    changes: Annotated[Sequence[str], phrase("one line for each setting; none: nothing changes")]
    diff: Annotated[Sequence[str], phrase("of the partner's file, its first 8 KiB")]
    warnings: Sequence[ApiMistake]
    units_added: Annotated[Sequence[str], phrase("units that the registry lacks and that come with it")]
    deliveries_left: Annotated[int, phrase("of a removal: deliveries to the partner that are not delivered")]

    @classmethod
    def of(cls, judged: JudgedOrder, *, applied: bool) -> "ApiPartnerEdit":
        """Return the change."""
        edit = judged.edit
        return cls(
            code=edit.code,
            applied=applied,
            changes=_cut_at_line_ends(edit.changes),
            diff=_cut_at_line_ends(edit.diff),
            warnings=list(map(ApiMistake.project, edit.warnings)),
            units_added=_cut_at_line_ends(edit.units),
            deliveries_left=sum(judged.left.values()),
        )


def _cut_at_line_ends(lines: Sequence[str]) -> list[str]:
    ends = accumulate(len(line.encode()) for line in lines)
    return [line for line, end in zip(lines, ends, strict=True) if end <= _LINES]


@attrs.frozen(kw_only=True)
class ApiIntegrationStep(Projected[StepState]):
    """A first message of a partner."""

    step: FirstStep
    name: Phrase
    do: Annotated[Phrase, phrase("what the partner does to take it")]
    at: Annotated[datetime | None, phrase("null: not yet")]
    message: str | None
    code: Annotated[str | None, phrase("of a refusal")]


@attrs.frozen(kw_only=True)
class ApiIntegrationService(Projected[IntegrationService]):
    """A service that the partner may call."""

    name: Annotated[str, At("contract.name")]
    address: str
    operations: Sequence[str]


@attrs.frozen(kw_only=True)
class ApiIntegration(Projected[IntegrationFacts]):
    """What a partner's developers need, and how far they are."""

    code: Annotated[str, At("partner.code")]
    services: Sequence[ApiIntegrationService]
    steps: Sequence[ApiIntegrationStep]

    @classmethod
    def of(cls, facts: IntegrationFacts, steps: Sequence[StepState]) -> "ApiIntegration":
        """Return what the integration page says."""
        return cls.project(
            facts,
            steps=[
                ApiIntegrationStep.project(
                    each, name=STEPS[each.step][0], do=STEPS[each.step][1], code=each.code or None
                )
                for each in steps
            ],
        )
