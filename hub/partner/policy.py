"""The policy agreed with one partner, and the delays between its retries. Knows the keys, not where a policy is stored.

The keys are those of docs/reference/configuration.md. A key or value that has no effect yet is refused, never silently
ignored.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

import attrs

from hub.domain.errors import Mistake
from hub.domain.model import AfterGiveUp, PacketProfile, RevocationRule
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.partner import rate_limit as rate
from hub.partner.rate_limit import Rate

_UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1)}
_UNITS |= {"h": timedelta(hours=1), "d": timedelta(days=1)}
_DURATION = re.compile(r"([0-9]{1,6})(ms|s|m|h|d)", re.ASCII)

#: The expected form of a duration, for error messages.
DURATION_EXPECTED = phrase("a duration: a whole number and ms, s, m, h or d, such as 30s, 5m or 14d")


class RequiredSignature(StrEnum):
    """What of a call must be signed: the envelope (message), the packet, or both."""

    MESSAGE = "message"
    PACKET = "packet"
    BOTH = "both"


class PartnerTransport(StrEnum):
    """How a partner is called: over TLS in which both show a certificate, or only the server, or without TLS."""

    MUTUAL_TLS = "mutual-tls"
    TLS = "tls"
    PLAIN = "plain"


@attrs.frozen(kw_only=True)
class Policy:
    """How the hub deals with one partner. The defaults are those of docs/reference/configuration.md."""

    signature: RequiredSignature = RequiredSignature.MESSAGE  #: what of its calls must be signed
    profile: PacketProfile = PacketProfile.OBSERVED  #: how strictly packets are read
    sha1: bool = False  #: whether a signature may use SHA-1; each use is logged
    vxp_signature: bool = False  #: whether a packet signature of the observed VXP form is checked; each use is logged
    max_age: timedelta = timedelta(seconds=900)  #: maximum age of a signed call
    clock_skew: timedelta = timedelta(seconds=60)  #: tolerance for the partner's clock
    #: what an unavailable revocation status means, see `Anchors.check`
    revocation: RevocationRule = RevocationRule.CONFIGURED
    relay: str = ""  #: code of a partner whose connections may carry this one's signed calls; empty: none
    first_retry: timedelta = timedelta(seconds=1)  #: the first delay between two attempts
    max_retry: timedelta = timedelta(minutes=5)  #: the longest delay between two attempts
    give_up: timedelta = timedelta(days=14)  #: a delivery that has waited this long for it is not tried any more
    after_give_up: AfterGiveUp = AfterGiveUp.DEAD  #: what becomes of such a delivery
    timeout: timedelta = timedelta(seconds=30)  #: for one call to the partner
    concurrency: int = 4  #: maximum number of messages sent to it at the same time, by all nodes together
    rate: Rate | None = None  #: maximum rate of messages sent to it, by all nodes together
    intake_connections: int = 256  #: maximum number of its open connections to the SOAP port, per node
    intake_spool: int = 1 << 30  #: octets of its large bodies being received or answered, per node
    #: how the hub calls it: over mutual TLS, over TLS with a server certificate only, or without TLS
    transport: PartnerTransport = PartnerTransport.MUTUAL_TLS
    collect: timedelta | None = None  #: interval at which the hub collects from it; None: never
    intake_concurrency: int = 200  #: maximum number of its calls answered at a time, per node
    intake_rate: Rate | None = None  #: maximum rate at which its calls may begin, per node


def find_longest_delay(policy: Policy, attempt: int) -> timedelta:
    """Return the longest delay after the failed *attempt* (1, 2 …): it doubles from `first_retry` to `max_retry`."""
    doublings = min(attempt - 1, 62)
    return timedelta(seconds=min(policy.first_retry.total_seconds() * 2.0**doublings, policy.max_retry.total_seconds()))


def choose_delay(policy: Policy, attempt: int, random: float) -> timedelta:
    """Return the delay after the failed *attempt* (1, 2 …). *random* is in [0, 1).

    The delay is anywhere between the minimum and the current step ("full jitter"), so that messages that failed
    together return spread over the whole step. The minimum is a tenth of `first_retry`, so that no message returns at
    once to a partner that has just failed.
    """
    least, most = policy.first_retry / 10, find_longest_delay(policy, attempt)
    return least + (most - least) * random


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text like `500ms`, `30s`, `5m`, `2h` or `14d`. Raises ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration")
    return int(found[1]) * _UNITS[found[2]]


def write_duration(length: timedelta) -> str:
    """Return *length* as it is written in a configuration: the inverse of `parse_duration`."""
    for unit, step in reversed(_UNITS.items()):
        if length >= step and not length % step:
            return f"{length // step}{unit}"
    return f"{length // _UNITS['ms']}ms"


_NONE = "none"
#: Maximum of each key: more concurrent messages than any known partner supports, each with a connection and its octets;
#: the calls that a node answers at a time (`throttle.ANSWERING`); the connections that the port keeps open
#: (`connection_limits.MOST`).
_MOST = {"concurrency": 64, "intake-concurrency": 1000, "intake-connections": 4000}
_MIB = re.compile(r"([1-9][0-9]{0,6})MiB", re.ASCII)

#: Values of each key.
_CHOICES: Mapping[str, type[StrEnum]] = {
    "signature": RequiredSignature,
    "profile": PacketProfile,
    "revocation": RevocationRule,
    "transport": PartnerTransport,
    "after-give-up": AfterGiveUp,
}
# minimum, in seconds
_DURATIONS = {
    "max-age": 1.0,
    "clock-skew": 0.0,
    "first-retry": 0.001,
    "max-retry": 0.001,
    "give-up": 1.0,
    "timeout": 0.1,
    "collect": 0.1,
}
KEYS = (
    "signature",
    "profile",
    "sha1",
    "vxp-signature",
    "max-age",
    "clock-skew",
    "revocation",
    "relay",
    "first-retry",
    "max-retry",
    "give-up",
    "after-give-up",
    "timeout",
    "concurrency",
    "rate",
    "intake-connections",
    "intake-spool",
    "transport",
    "collect",
    "intake-concurrency",
    "intake-rate",
)


def write_policy(policy: Policy) -> dict[str, str]:
    """Return every key of *policy* as it is written in a configuration."""

    def text(name: str, value: object) -> str:
        if name == "intake_spool":
            return f"{policy.intake_spool >> 20}MiB"
        if isinstance(value, timedelta):
            return write_duration(value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return _NONE if value in (None, "") else str(value)

    return {name.replace("_", "-"): text(name, value) for name, value in attrs.asdict(policy, recurse=False).items()}


def parse_policy(pairs: Mapping[str, object], place: str) -> tuple[Policy, list[Mistake]]:
    """Return the policy in *pairs* (key -> text, as in a configuration) and all mistakes, each at *place*`.key`.

    A wrong value is replaced by the default, so a policy with mistakes is only good for finding more mistakes.
    """
    chosen: dict[str, object] = {}
    mistakes: list[Mistake] = []
    for key, text in pairs.items():
        value = _read_value(key, text)
        if isinstance(value, _Wrong):
            mistakes.append(Mistake(f"{place}.{key}", value.wrong, value.expected))
        else:
            chosen[key.replace("-", "_")] = value
    policy = Policy(**chosen)  # type: ignore[arg-type]  # `_read_value` gives each key its type
    if policy.first_retry > policy.max_retry:
        wrong = phrase(
            "{duration} is longer than max-retry, {duration2}",
            duration=write_duration(policy.first_retry),
            duration2=write_duration(policy.max_retry),
        )
        mistakes.append(Mistake(f"{place}.first-retry", wrong, phrase("first-retry at most max-retry")))
    if policy.relay and policy.signature == RequiredSignature.PACKET:
        wrong = phrase('it stands beside signature = "packet"')
        expected = phrase("signature=message or both: only a signed envelope says whose call a relay carries")
        mistakes.append(Mistake(f"{place}.relay", wrong, expected))
    return policy, mistakes


@attrs.frozen
class _Wrong:
    wrong: Phrase
    expected: Phrase


def _read_value(key: str, text: object) -> str | bool | int | timedelta | Rate | _Wrong | None:
    if key not in KEYS:
        return _Wrong(phrase("unknown key"), phrase("one of {keys}", keys=", ".join(KEYS)))
    if not isinstance(text, str):
        return _Wrong(
            phrase("{text} is not a text", text=show_value(text)),
            phrase("text in quotes, such as {_example}", _example=_example(key)),
        )
    if key == "relay":
        return "" if text == _NONE else text or _Wrong(phrase("it is empty"), phrase("the code of a partner, or none"))
    if key in _CHOICES:
        return _read_choice(key, text)
    if key == "collect" and text == _NONE:
        return None
    if key in _DURATIONS:
        return _read_length(text, timedelta(seconds=_DURATIONS[key]))
    if key in _MOST:
        return _read_number(text, _MOST[key])
    if key == "intake-spool":
        found = _MIB.fullmatch(text)
        return (
            int(found[1]) << 20
            if found
            else _Wrong(phrase("{text} is not a size", text=repr(text)), phrase("a whole number and MiB"))
        )
    if key in {"rate", "intake-rate"}:
        return None if text == _NONE else _read_rate(text)
    if text not in {"yes", "no"}:
        return _Wrong(phrase("{text} is neither yes nor no", text=repr(text)), phrase("yes or no"))
    return text == "yes"


def _read_choice(key: str, text: str) -> StrEnum | _Wrong:
    choices = _CHOICES[key]
    try:
        return choices(text)
    except ValueError:
        return _Wrong(
            phrase("{text} is not known", text=repr(text)), phrase("one of {words}", words=", ".join(choices))
        )


def _read_length(text: str, least: timedelta) -> timedelta | _Wrong:
    try:
        length = parse_duration(text)
    except ValueError:
        return _Wrong(phrase("{text} is not a duration", text=repr(text)), DURATION_EXPECTED)
    return (
        length
        if length >= least
        else _Wrong(
            phrase("{text} is too short", text=text), phrase("at least {duration}", duration=write_duration(least))
        )
    )


def _read_number(text: str, most: int) -> int | _Wrong:
    good = text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most
    return (
        int(text)
        if good
        else _Wrong(
            phrase("{text} is not a valid number", text=repr(text)),
            phrase("a whole number from 1 to {most}", most=most),
        )
    )


def _read_rate(text: str) -> Rate | _Wrong:
    try:
        return Rate.read(text)
    except ValueError:
        return _Wrong(phrase("{text} is not a rate", text=repr(text)), rate.EXPECTED)


_EXAMPLES = {
    "relay": '"soyte"',
    "concurrency": '"4"',
    "intake-connections": '"256"',
    "intake-spool": '"1024MiB"',
    "rate": '"20/s"',
    "intake-concurrency": '"200"',
    "intake-rate": '"20/s"',
}


def _example(key: str) -> str:
    if key in _EXAMPLES:
        return _EXAMPLES[key]
    return '"30s"' if key in _DURATIONS else '"no"' if key not in _CHOICES else f'"{next(iter(_CHOICES[key]))}"'
