"""Defines a phrase, which is in no language yet: the id of its sentence, and the values that it names.

What the hub has to say to a person is made as a `Phrase` where it is found, and becomes a sentence where it is read
(`hub.language.catalogues`). Contains no translations.
"""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Phrase:
    """A sentence to be said: an id, which is the English sentence with `{name}` for each argument, and the arguments.

    A phrase or a `SaidText` among the arguments is said in the language of the sentence around it. `str()` gives the English sentence:
    that of logs and of JSON, which do not change with the reader.
    """

    id: str
    arguments: Mapping[str, object] = attrs.field(factory=dict, hash=False)
    plural: str | None = None  #: the id for any number but one; the number is the argument `count`

    def __str__(self) -> str:
        return self.fill(
            self.id if self.plural is None or self.arguments["count"] == 1 else self.plural, self.arguments
        )

    @staticmethod
    def fill(sentence: str, arguments: Mapping[str, object]) -> str:
        """Return *sentence* with the values of the arguments. A sentence without arguments is taken as it is."""
        return sentence.format_map(arguments) if arguments else sentence


@attrs.frozen
class SaidText:
    """A sentence that was said, as it is kept: in both languages. `str()` gives the English one."""

    english: str
    vietnamese: str

    def __str__(self) -> str:
        return self.english


def phrase(id: str, /, **arguments: object) -> Phrase:  # noqa: A002 - what gettext calls it
    """Return the phrase of that id with those arguments. `./dev words` finds each id by this call: it must be a literal."""
    return Phrase(id, arguments)


def pack_phrase(said: Phrase) -> dict[str, object]:
    """Return *said* as JSON can hold it, for another process that makes the sentence; values become texts."""
    arguments = {
        name: pack_phrase(value) if isinstance(value, Phrase) else value if isinstance(value, int) else str(value)
        for name, value in said.arguments.items()
    }
    return {"id": said.id, "arguments": arguments, "plural": said.plural}


def unpack_phrase(packed: Mapping[str, Any]) -> Phrase:
    """Return the phrase that `pack_phrase` packed."""
    arguments = {
        name: unpack_phrase(value) if isinstance(value, dict) else value for name, value in packed["arguments"].items()
    }
    return Phrase(packed["id"], arguments, packed["plural"])


def verbatim(value: object, /) -> Phrase:
    """Return a phrase that is only a value: a name, a number, what a library or a partner said."""
    return Phrase("{value}", {"value": value})


def phrases(one: str, many: str, /, *, count: int, **arguments: object) -> Phrase:
    """Return the phrase that names a number of things: *one* in English where *count* is 1, else *many*."""
    return Phrase(one, {"count": count, **arguments}, plural=many)
