"""Judges whether the legal basis of each form is in force in the period that is running. Knows forms and the list of legal
texts. Changes nothing.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from hub.domain.errors import Mistake
from hub.domain.legal_texts import LEGAL_TEXTS, LegalText, choose_legal_text
from hub.language.phrases import SaidText, phrase
from hub.report.form.form import Form
from hub.report.form.period import Period

AHEAD = timedelta(days=31)  #: the time before the end of a text from which on it is told


def find_lapsed_bases(forms: Iterable[Form], month: Period) -> Iterable[Mistake]:
    """Yield each text that a form cites, that ended before *month*, or before the form begins, and that no other replaces.

    *month*: the one that is running.
    """
    for form, first in _list_running(forms, month):
        for cited in form.cites:
            text = choose_legal_text(cited, first)
            if text.is_ended(first):
                yield _tell_end(form, text, None)


def find_ending_bases(forms: Iterable[Form], month: Period, today: date) -> Iterable[Mistake]:
    """Yield each text that a form cites and that has ended in *month* or ends within `AHEAD`, with the text from then on;
    and each that a form writes out by its number although it has ended.
    """
    for form, first in _list_running(forms, month):
        for cited in form.cites:
            text = choose_legal_text(cited, first)
            if text.is_ended(max(first, today + AHEAD)) and not text.is_ended(first):
                yield _tell_end(form, text, text.replaced_by)
        written = form.citing or form.basis
        for text in LEGAL_TEXTS.values():
            if text.is_ended(first) and text.number in written.vi:
                yield _tell_end(form, text, text.replaced_by)


def _list_running(forms: Iterable[Form], month: Period) -> Iterable[tuple[Form, date]]:
    """Yield each form that is in force in *month* or later, with the first day from then on on which it is."""
    for form in forms:
        first = max(month.first, form.since or month.first)
        if form.until is None or first < form.until:
            yield form, first


def _tell_end(form: Form, text: LegalText, replaced_by: str | None) -> Mistake:
    wrong = phrase("{text} is in force until the day before {day}", text=_say_name(text), day=text.until)
    expected = phrase("a text that is in force in the period")
    if replaced_by is not None:
        after = LEGAL_TEXTS[replaced_by]
        cited = f"{{{text.id}}}"
        expected = phrase("{text} from {day} on, cited as {id_}", text=_say_name(after), day=after.since, id_=cited)
    return Mistake(f"form {form.id}: basis", wrong, expected)


def _say_name(text: LegalText) -> SaidText:
    return SaidText(text.en, text.vi)
