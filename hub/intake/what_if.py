"""Judges past packets again by other schemas or another policy, to see what would change. Writes and sends nothing.

Compares two judgements made now: by the rules in force, and by the rules that are tried. So a unit or a certificate that
has changed since the packet came is not taken for an effect of the rules. Does not know the journal.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from hub.config import Partner
from hub.domain.errors import Mistake
from hub.domain.model import DOCUMENTS, Message, Problem
from hub.edxml.schema import load_packet_schema
from hub.intake.admission import judge_message
from hub.partner.policy import Policy, parse_policy
from hub.soap.documents_requests import SendDocument
from hub.units.province import Province

#: Keys of a policy by which a packet is judged. The others say how it is delivered.
JUDGING = ("profile", "signature", "sha1", "vxp-signature", "revocation")


class RulesEffect(StrEnum):
    """What the tried rules would change for a packet."""

    WOULD_REFUSE = "would-refuse"  #: it is accepted now
    WOULD_ACCEPT = "would-accept"  #: it is refused now
    OTHER_REASONS = "other-reasons"  #: it is refused by both, for other reasons


@attrs.frozen(kw_only=True)
class TriedRules:
    """The rules that are tried; what is not given stays as it is."""

    schemas: Path | None = None  #: a folder of schemas (`load_packet_schema`)
    policy: Mapping[str, Any] = attrs.field(factory=dict)  #: attributes of `Policy`, for every partner

    def require_schemas(self) -> None:
        """Load the schemas. Raises OSError, ConfigurationFault or etree.LxmlError if they are missing or broken."""
        for kind in ("document", "status"):
            _ = load_packet_schema(kind, self.schemas)


@attrs.frozen(kw_only=True)
class RejudgedMessage:
    """A message for which the tried rules would change something."""

    message: Message
    effect: RulesEffect
    problems: tuple[Problem, ...]  #: by the tried rules; of `WOULD_ACCEPT` by the rules in force


def parse_tried_policy(assignments: Iterable[str]) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the attributes of a policy that `KEY=VALUE` in *assignments* give, and the mistakes in them."""
    pairs = {key.strip(): value.strip() for key, _, value in (each.partition("=") for each in assignments)}
    read, mistakes = parse_policy(pairs, "--policy")
    return {
        _write_key_name(key): getattr(read, _write_key_name(key))
        for key in pairs
        if hasattr(Policy, _write_key_name(key))
    }, mistakes


def _write_key_name(key: str) -> str:
    return key.replace("-", "_")


def rejudge_message(
    content: bytes, message: Message, province: Province, rules: TriedRules, *, corrected: bool
) -> RejudgedMessage | None:
    """Judge the packet *content* of *message* by the rules in force and by *rules*. Return None if nothing would change.

    *corrected*: a person had corrected it, and the hub signed it. Also None if its partner is not configured any more.
    """
    partner = province.config.partners.get(message.partner)
    if partner is None:
        return None
    before = _judge_again(content, message, partner, province, None, corrected=corrected)
    tried = attrs.evolve(partner, policy=attrs.evolve(partner.policy, **rules.policy))
    after = _judge_again(content, message, tried, province, rules.schemas, corrected=corrected)
    if _write_problems(before) == _write_problems(after):
        return None
    if not before:
        effect = RulesEffect.WOULD_REFUSE
    else:
        effect = RulesEffect.OTHER_REASONS if after else RulesEffect.WOULD_ACCEPT
    return RejudgedMessage(message=message, effect=effect, problems=after or before)


def _judge_again(
    content: bytes, message: Message, partner: Partner, province: Province, schemas: Path | None, *, corrected: bool
) -> tuple[Problem, ...]:
    entry = judge_message(
        SendDocument(content, message.message_id),
        partner,
        province,
        DOCUMENTS,
        message.received_at,
        message.id,
        corrected=corrected,
        schemas=schemas,
        sealed=False,
    )
    return entry.problems


def _write_problems(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(each.code, str(each.detail)) for each in problems]
