"""Translates texts by the catalogues in `locale/`, which `./dev words` keeps and compiles. Does not choose the language."""

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText
from hub.language.system_errors import describe_error, name_system_error

DOMAIN, FOLDER = "lienthong", Path(__file__).parent / "locale"


@cache
def open_catalogue(language: Language) -> gettext.NullTranslations:
    """Return the compiled catalogue of a language. Raises FileNotFoundError if it was not compiled (`./dev words`)."""
    return gettext.translation(DOMAIN, FOLDER, [language])


def translate(text: object, language: Language) -> str:
    """Return *text* in a language. For an error it is said what happened; of one among the arguments not in which file.

    What else is neither a `Phrase` nor a `SaidText` is a name or a value, and the same in each language.
    """
    if isinstance(text, Exception):
        text = describe_error(text)
    if isinstance(text, SaidText):
        return text.vietnamese if language is Language.VI else text.english
    if not isinstance(text, Phrase):
        return str(text)
    catalogue = open_catalogue(language)
    arguments: Mapping[str, object] = {
        name: translate(value, language) if isinstance(value, Phrase | SaidText) else value
        for name, value in ((name, _name_error(value)) for name, value in text.arguments.items())
    }
    if text.plural is not None:
        sentence = catalogue.ngettext(text.id, text.plural, arguments["count"])  # type: ignore[arg-type]
    else:
        sentence = catalogue.gettext(text.id)
    return Phrase.fill(sentence, arguments)


def _name_error(value: object) -> object:
    return name_system_error(value) if isinstance(value, Exception) else value


def say_both(text: object) -> tuple[str, str]:
    """Return *text* in Vietnamese and in English, for an answer whose reader is not known."""
    return translate(text, Language.VI), translate(text, Language.EN)
