"""Defines what a report printed as paper says of its revision: its number and state, who signed at which place, the date.

Knows languages. Knows no journal and verifies nothing: `hub.workload.given_paper` fills it in.
"""

from datetime import datetime

import attrs

from hub.domain.local_time import HANOI
from hub.domain.model import ReportState
from hub.language import terms
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.signed.minutes import CorrectionMinutes
from hub.report.words import NONE, write_moment

_PREPARED, _HEAD = phrase("Prepared by"), phrase("Head of the unit")
_BY_HAND, _SEALED = phrase("(Signature and full name)"), phrase("(Signature, full name and seal)")


@attrs.frozen(kw_only=True)
class PrintedSignature:
    """A signature as paper shows it."""

    name: str
    serial: str  #: the serial number of the certificate, in hexadecimal
    at: datetime  #: the time of signing, by the signer's clock


@attrs.frozen(kw_only=True)
class PrintedRevision:
    """A revision that was given out, as paper shows it."""

    revision: int
    state: ReportState
    sha256: str  #: of the sealed report
    reason: str = ""  #: why it was made; "" for the first
    before: str = ""  #: the SHA-256 of the sealed report that it replaces; "" for the first
    minutes: tuple[CorrectionMinutes, ...] = ()  #: of each revision after the first, oldest first
    drafter: PrintedSignature | None = None
    head: PrintedSignature | None = None


@attrs.frozen(kw_only=True)
class SigningPlace:
    """A place for a signature: who signs, how, and the signature that is there, in lines."""

    who: str
    how: str
    signed: tuple[str, ...] = ()


def write_revision_line(revision: PrintedRevision | None, language: Language) -> str:
    """Return the number and the state of a revision and its SHA-256, which revision it replaces and why; "" for a report
    that was not given out.
    """
    if revision is None:
        return ""
    state = translate(terms.name_word("reports", revision.state), language)
    said = phrase("Revision {revision} – {state}", revision=revision.revision, state=state)
    line = f"{translate(said, language)} · SHA-256 {revision.sha256}"
    if not revision.before:
        return line
    replaced = phrase(
        "It replaces revision {before} (SHA-256 {sha256}). Reason: {reason}",
        before=revision.revision - 1,
        sha256=revision.before,
        reason=revision.reason or NONE,
    )
    return f"{line}. {translate(replaced, language)}"


def write_place_and_date(revision: PrintedRevision | None, language: Language) -> str:
    """Return the line of place and date over the signatures: the day on which the head signed, else dots."""
    day, month, year = "…", "…", "…"
    if revision is not None and revision.head is not None:
        day, month, year = f"{revision.head.at.astimezone(HANOI):%d %m %Y}".split()
    said = phrase("…………, day {day} month {month} year {year}", day=day, month=month, year=year)
    return translate(said, language)


def list_signing_places(revision: PrintedRevision | None, language: Language) -> tuple[SigningPlace, SigningPlace]:
    """Return the places of the drafter and of the head of the unit."""
    found = (None, None) if revision is None else (revision.drafter, revision.head)
    titles = ((_PREPARED, _BY_HAND), (_HEAD, _SEALED))
    one, other = (
        SigningPlace(
            who=translate(who, language),
            how=translate(how, language),
            signed=() if each is None else _write_signature(each, language),
        )
        for (who, how), each in zip(titles, found, strict=True)
    )
    return one, other


def _write_signature(signature: PrintedSignature, language: Language) -> tuple[str, ...]:
    signed = phrase("Signed digitally at {at}", at=write_moment(signature.at))
    serial = phrase("certificate {serial}", serial=signature.serial)
    return signature.name, translate(signed, language), translate(serial, language)
