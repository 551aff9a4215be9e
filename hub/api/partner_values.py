"""The answers of the API about one partner: its settings, what an order changes, and what its developers need."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Annotated

import attrs

from hub.config.partner_edit import PartnerLook
from hub.config.partner_settings import PartnerSetting
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.monitoring.integration.facts import IntegrationFacts
from hub.monitoring.integration.first_messages import FirstStep, StepState
from hub.monitoring.integration.page import STEPS
from hub.monitoring.partner_view import PartnerFile, PartnerView
from hub.operations.partners.partner_orders import JudgedOrder

#: Octets of each list of lines that an answer holds: an answer to an order is kept, and is short.
_LINES = 8 * 1024


@attrs.frozen(kw_only=True)
class ApiMistake:
    """What is wrong in a file, or a warning."""

    path: str
    wrong: Phrase
    expected: Phrase

    @classmethod
    def of(cls, mistake: Mistake) -> "ApiMistake":
        """Return the mistake."""
        return cls(path=mistake.path, wrong=mistake.wrong, expected=mistake.expected)


@attrs.frozen(kw_only=True)
class ApiHeldCertificate:
    """A certificate that the partner's file names."""

    sha256: str
    subject: str
    issuer: str
    since: datetime
    until: datetime
    days_left: Annotated[int, phrase("negative after its end")]
    file: str
    problem: Annotated[str | None, phrase("code of why it proves nothing now")]


@attrs.frozen(kw_only=True)
class ApiPartnerSettings:
    """A partner as its file says, which may be ahead of what the hub uses."""

    code: str
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
        names = {each.name for each in attrs.fields(ApiHeldCertificate)} - {"since", "until", "problem"}
        return cls(
            code=view.partner.code,
            sha256=look.sha256,
            settings=view.settings,
            certificates=[
                ApiHeldCertificate(
                    **{name: getattr(each, name) for name in names},
                    since=each.not_before,
                    until=each.not_after,
                    problem=None if each.problem is None else each.problem.code,
                )
                for each in view.certificates
            ],
            granted=view.granted,
            files=view.files,
            secrets=look.secrets,
            pending=look.pending,
            mistakes=list(map(ApiMistake.of, look.mistakes)),
        )


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
            changes=_cut(edit.changes),
            diff=_cut(edit.diff),
            warnings=list(map(ApiMistake.of, edit.warnings)),
            units_added=_cut(edit.units),
            deliveries_left=sum(judged.left.values()),
        )


def _cut(lines: Sequence[str]) -> list[str]:
    ends = accumulate(len(line.encode()) for line in lines)
    return [line for line, end in zip(lines, ends, strict=True) if end <= _LINES]


@attrs.frozen(kw_only=True)
class ApiIntegrationStep:
    """A first message of a partner."""

    step: FirstStep
    name: Phrase
    do: Annotated[Phrase, phrase("what the partner does to take it")]
    at: Annotated[datetime | None, phrase("null: not yet")]
    message: str | None
    code: Annotated[str | None, phrase("of a refusal")]


@attrs.frozen(kw_only=True)
class ApiIntegrationService:
    """A service that the partner may call."""

    name: str
    address: str
    operations: Sequence[str]


@attrs.frozen(kw_only=True)
class ApiIntegration:
    """What a partner's developers need, and how far they are."""

    code: str
    services: Sequence[ApiIntegrationService]
    steps: Sequence[ApiIntegrationStep]

    @classmethod
    def of(cls, facts: IntegrationFacts, steps: Sequence[StepState]) -> "ApiIntegration":
        """Return what the integration page says."""
        return cls(
            code=facts.partner.code,
            services=[
                ApiIntegrationService(name=each.contract.name, address=each.address, operations=each.operations)
                for each in facts.services
            ],
            steps=[
                ApiIntegrationStep(
                    step=each.step,
                    name=STEPS[each.step][0],
                    do=STEPS[each.step][1],
                    at=each.at,
                    message=each.message,
                    code=each.code or None,
                )
                for each in steps
            ],
        )
