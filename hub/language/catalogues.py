"""Translates texts by the catalogues in `locale/`, which `./dev words` keeps and compiles. Does not choose the language."""

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText

DOMAIN, FOLDER = "lienthong", Path(__file__).parent / "locale"


@cache
def open_catalogue(language: Language) -> gettext.NullTranslations:
    """Return the compiled catalogue of a language. Raises FileNotFoundError if it was not compiled (`./dev words`)."""
    return gettext.translation(DOMAIN, FOLDER, [language])


def translate(text: object, language: Language) -> str:
    """Return *text* in a language. What is neither a `Phrase` nor a `SaidText` is a name or a value, and the same in each."""
    if isinstance(text, SaidText):
        return text.vietnamese if language is Language.VI else text.english
    if not isinstance(text, Phrase):
        return str(text)
    catalogue = open_catalogue(language)
    arguments: Mapping[str, object] = {
        name: translate(value, language) if isinstance(value, Phrase | SaidText) else value
        for name, value in text.arguments.items()
    }
    if text.plural is not None:
        sentence = catalogue.ngettext(text.id, text.plural, arguments["count"])  # type: ignore[arg-type]
    else:
        sentence = catalogue.gettext(text.id)
    return Phrase.fill(sentence, arguments)


def say_both(text: object) -> tuple[str, str]:
    """Return *text* in Vietnamese and in English, for an answer whose reader is not known."""
    return translate(text, Language.VI), translate(text, Language.EN)
