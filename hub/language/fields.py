"""Names the fields of messages, deliveries and events (`fields.json`), and the words in them, as their readers see them.

Does not know other values, nor how a reader sees them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hub.language.catalogues import open_catalogue
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.language.tables import read_table
from hub.language.terms import Term, find_term, read_terms

#: The scope of the words (`hub.language.terms`) that a field contains.
_SCOPES = {
    "alert": "alert",
    "sending": "alert",
    "answer": "status",
    "condition": "condition",
    "content": "content",
    "outcome": "attempt",
    "plan_state": "plan",
    "role": "role",
    "service": "service",
    "severity": "severity",
    "signature": "signature",
    "state": "delivery",
    "status": "status",
    "transition": "transition",
    "was": "delivery",
}
_OF_SERVICE = {"kind", "milestone", "outcome"}  #: fields whose words are first of all those of a service


@cache
def read_field_names() -> Mapping[str, Phrase]:
    """Return what each field is called. Raises OSError if the table cannot be opened, which is read once."""
    return {field: Phrase(name) for field, name in read_table("fields").items()}


def open_words() -> None:
    """Read every catalogue and table of words: what says that no file can be opened must be open."""
    for language in Language:
        open_catalogue(language)
    read_terms()
    read_field_names()


def find_field_term(key: str, word: str, service: str) -> Term | None:
    """Return the term of *word* in the field *key* of what is about a message of *service*; None if it is no word of ours."""
    scopes = (service if key in _OF_SERVICE else None, _SCOPES.get(key))
    return next((term for scope in scopes if scope and (term := find_term(scope, word))), None)


def choose_detail(fields: Mapping[str, Any], language: Language) -> Mapping[str, Any]:
    """Return the *fields* of an event, or of a problem in it, with the detail in *language* only."""
    if "detail_vi" not in fields:
        return fields
    kept = {key: value for key, value in fields.items() if key != "detail_vi"}
    return kept | ({"detail": fields["detail_vi"]} if language is Language.VI else {})


def name_field(key: str) -> Phrase | str:
    """Return what the field *key* is called; the key itself if it has no name."""
    return read_field_names().get(key, key)
