"""What a simulated partner's calls look like on a screen and in JSON lines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hub.cli.screen import FAILED, OK, PARTLY, UNAVAILABLE, say, say_count, t
from hub.domain.local_time import HANOI
from hub.domain.model import Problem
from hub.simulator.partner_site import SimulatedCall, SimulatedPartner
from hub.simulator.tally import SimulationTally


def say_outcome(outcome: Any) -> str:
    return {"accepted": t("accepted"), "refused": t("refused"), "unavailable": t("unavailable")}[str(outcome)]


# --- what is printed -------------------------------------------------------------------------------------------------


def write_simulated_call(call: SimulatedCall) -> dict[str, object]:
    """Return one call for `--json`."""
    fields: dict[str, object] = {
        "kind": "call",
        "number": call.number,
        "at": call.at,
        "answer": None if call.answer is None else str(call.answer),
        "again": call.again,
    }
    if (received := call.received) is None:
        return fields | {"passed": None}
    fields |= {
        "passed": received.failed is None,
        "check": None if received.failed is None else str(received.failed),
        "problems": [{"code": each.code, "detail": str(each.detail)} for each in received.problems],
        "message_id": received.message_id,
        "sha256": received.sha256,
        "size": received.size,
    }
    if (packet := received.packet) is not None:
        fields["packet"] = {
            "kind": str(packet.kind),
            "code": packet.code,
            "subject": packet.subject,
            "sender": packet.sender,
            "recipients": list(packet.recipients),
            "status": packet.status,
        }
    return fields


def say_simulated_call(call: SimulatedCall) -> str:
    answer = t("fault") if call.answer is None else str(call.answer)
    words = [say_time_of_day(call.at), f"← {call.number}", answer]
    if (received := call.received) is None:
        return "  ".join([*words, t("connection closed")])
    if received.failed is not None:
        failed = f"{_say_check(received.failed)}: {say_problems(received.problems)}"
        return "  ".join([*words, t("NOT right: {what}", what=failed)])
    words += [t("all right"), received.message_id]
    if (packet := received.packet) is not None:
        recipients = ", ".join(packet.recipients) or ", ".join(each.organ for each in packet.responses)
        words.append(f"{packet.status or packet.code} {packet.sender} → {recipients}")
    return "  ".join([*words, *([t("again")] if call.again else [])])


def _say_check(check: str) -> str:
    return {
        "envelope": t("envelope"),
        "signature": t("signature"),
        "contract": t("contract"),
        "packet": t("packet"),
    }[str(check)]


def say_problems(problems: Sequence[Problem]) -> str:
    """Return the codes and details. A detail that is an answer of a hub is already a sentence."""
    return "; ".join(f"{each.code}: {say(each.detail)}" if each.detail else each.code for each in problems)[:500]


def say_time_of_day(at: datetime) -> str:
    return f"{at.astimezone(HANOI):%H:%M:%S}"


def write_simulation_summary(tally: SimulationTally, partner: SimulatedPartner) -> dict[str, object]:
    """Return the summary for `--json`."""
    return {
        "kind": "summary",
        "calls": tally.calls,
        "again": tally.again,
        "answers": dict(tally.answers),
        "failed": dict(tally.failed),
        "turned_away": partner.turned_away,
        "sent": dict(tally.sent),
    }


def say_simulation_summary(tally: SimulationTally, turned_away: int) -> str:
    answers = ", ".join(f"{kind} {say_count(number)}" for kind, number in sorted(tally.answers.items()))
    lines = [
        t(
            "{calls} calls ({answers}), {again} of them again",
            calls=say_count(tally.calls),
            answers=answers or "–",
            again=say_count(tally.again),
        )
    ]
    if tally.failed:
        failed = ", ".join(f"{_say_check(check)} {say_count(number)}" for check, number in sorted(tally.failed.items()))
        lines.append(t("Did not pass a check: {failed}", failed=failed))
    if turned_away:
        lines.append(t("Connections of others than the hub: {number}", number=say_count(turned_away)))
    if tally.sent:
        sent = ", ".join(
            f"{say_outcome(outcome)} {say_count(number)}" for outcome, number in sorted(tally.sent.items())
        )
        lines.append(t("Sent: {sent}", sent=sent))
    return "\n".join(lines)


def choose_exit_code(tally: SimulationTally) -> int:
    accepted, refused = tally.sent["accepted"], tally.sent["refused"]
    if not tally.passed or (refused and not accepted):
        return FAILED
    if tally.sent["unavailable"] and not accepted:
        return UNAVAILABLE
    return PARTLY if refused or tally.sent["unavailable"] else OK
