"""Says what the journal keeps as a word or as a field to the person at the command line. Knows no command and no SQL.

The names of words are those of `hub.language.terms`; the names of fields, those of docs/reference/events.md, are in
`hub.language.fields`. Nothing under `--json` passes here: there words and fields stay as they are.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from hub.cli.screen import read_language, say, say_count, say_instant, t
from hub.domain.errors import explain_refusal
from hub.domain.local_time import localise_instant
from hub.language.fields import choose_detail, find_field_term, name_field
from hub.language.phrases import Phrase
from hub.language.terms import describe_reason, name_word
from hub.report.words import write_number

#: Problems that are named where an event is on one line; `show` has all of them.
_PROBLEMS = 3


def fill_words(said: Phrase, arguments: Mapping[str, object]) -> str:
    """Return *said* with these *arguments*, in the language of the user."""
    return say(Phrase(said.id, arguments))


def say_word(scope: str, word: object) -> str:
    """Return the name of *word* in the user's language; the word itself if it has none, "" for None."""
    return "" if word is None else say(name_word(scope, str(word)))


def say_filter_word(scope: str, word: object) -> str:
    """Return the name of *word* and, in parentheses, the word, which the user types as the value of an option."""
    name = say_word(scope, word)
    return name if word is None or name == str(word) else f"{name} ({word})"


def say_field(key: str) -> str:
    """Return what the field *key* is called."""
    return say(name_field(key))


def say_fields(fields: Mapping[str, object], service: str = "") -> str:
    """Return the fields that have a value on one line. *service* is that of the message that they are about."""
    said = ((say_field(key), say_value(key, value, service)) for key, value in fields.items())
    return "; ".join(f"{name}: {value}" for name, value in said if value)


def say_value(key: str, value: object, service: str = "") -> str:
    """Return the value of the field *key* as a person reads it; "" if it has none."""
    match value:
        case None:
            return ""
        case bool():
            return t("yes") if value else t("no")
        case int():
            return say_count(value)
        case datetime():
            return say_instant(value)
        case [{"code": _}, *_] if isinstance(value, list) and len(value) > _PROBLEMS:
            return f"{say_value(key, value[:_PROBLEMS], service)}, … (+{len(value) - _PROBLEMS})"
        case list() | tuple():
            return ", ".join(filter(None, (say_value(key, each, service) for each in value)))
        case Mapping() if "code" in value:
            told = choose_detail(value, read_language())
            return f"{told['code']}: {told['detail']}" if told.get("detail") else str(told["code"])
        case Mapping():
            return ", ".join(f"{name}: {_say_change(one)}" for name, one in value.items())
    word = str(value)
    if key in ("reason", "stopped"):
        return say(describe_reason(word))
    if key == "state":
        return say_filter_word("delivery", word)
    term = find_field_term(key, word, service)
    return localise_instant(word) if term is None else say(term.name)


def say_refusal(refusal: str) -> str:
    """Return the reasons of a refusal as the pages say them: the sentence of each code, and what was found."""
    found = explain_refusal(refusal)
    return "; ".join(each if sentence is None else f"{say(sentence)} [{each}]" for each, sentence in found)


def _say_change(value: object) -> str:
    match value:
        case [was, is_]:
            return f"{_say_change(was)} → {_say_change(is_)}"
        case int():
            return say_count(value)
    return "–" if value is None else str(value)


def say_figure(value: int | Decimal) -> str:
    """Return a number of a report as it is written in the user's language."""
    return write_number(value, read_language())
