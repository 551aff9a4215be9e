"""Says what is wrong with a value: what was found, what its simple type allows, and what to do.

Knows the facets of XML Schema 1.0, and by which of its errors libxml2 names each. Does not find mistakes.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from hub.formats.models.xsd_model import INTEGERS, ModelValue
from hub.language.phrases import Phrase, phrase, phrases, verbatim

#: The most letters of a value, and the most values or names of a list, that a sentence repeats.
_LONGEST, _LISTED = 60, 20


def explain_value(kind: ModelValue, text: str, error: str) -> Phrase | None:
    """Return what is wrong with *text*, which libxml2 refused as a value of *kind* by the error of the type *error*.

    Return None if that is not known here. It costs some microseconds.
    """
    say = _FACETS.get(error)
    return None if say is None else say(kind, " ".join(text.split()))


def say_pattern(found: object, patterns: Iterable[str]) -> Phrase:
    """Return what to say of a value that matches none of *patterns*."""
    return phrase(
        "“{found}” does not have the form {pattern}; write it so",
        found=shorten_text(found),
        pattern=list_texts(patterns),
    )


def say_enumeration(found: object, values: Iterable[object]) -> Phrase:
    """Return what to say of a value that is none of *values*."""
    listed = list_texts(shorten_text(value) for value in values)
    return phrase(
        "“{found}” is none of the allowed values; write one of: {values}", found=shorten_text(found), values=listed
    )


def say_too_long(length: int, most: int) -> Phrase:
    """Return what to say of a value that has *length* characters, and may have *most*."""
    return phrases(
        "has {length} characters, and at most {count} is allowed; shorten it",
        "has {length} characters, and at most {count} are allowed; shorten it",
        count=most,
        length=length,
    )


def say_too_short(length: int, least: int) -> Phrase:
    """Return what to say of a value that has *length* characters, and must have *least*."""
    if not length:
        return phrase("is empty; write its value")
    return phrases(
        "has {length} characters, and {count} is the least; lengthen it",
        "has {length} characters, and {count} are the least; lengthen it",
        count=least,
        length=length,
    )


def say_other_length(length: int, wanted: int) -> Phrase:
    """Return what to say of a value that has *length* characters, and must have exactly *wanted*."""
    if not length:
        return phrase("is empty; write its value")
    return phrases(
        "has {length} characters; it must have {count}",
        "has {length} characters; it must have {count}",
        count=wanted,
        length=length,
    )


def say_too_little(found: object, limit: object, *, exclusive: bool) -> Phrase:
    """Return what to say of a value below *limit*, which is itself not allowed if *exclusive*."""
    said, bound = shorten_text(found), str(limit)
    if exclusive:
        return phrase("“{found}” is too little; it must be more than {limit}", found=said, limit=bound)
    return phrase("“{found}” is too little; the least is {limit}", found=said, limit=bound)


def say_too_much(found: object, limit: object, *, exclusive: bool) -> Phrase:
    """Return what to say of a value above *limit*, which is itself not allowed if *exclusive*."""
    said, bound = shorten_text(found), str(limit)
    if exclusive:
        return phrase("“{found}” is too much; it must be less than {limit}", found=said, limit=bound)
    return phrase("“{found}” is too much; the most is {limit}", found=said, limit=bound)


def say_digits(found: object, limit: int, *, fraction: bool) -> Phrase:
    """Return what to say of a number with more than *limit* digits; of those behind the point if *fraction*."""
    if fraction:
        return phrase(
            "“{found}” has too many digits after the point; at most {limit} are allowed",
            found=shorten_text(found),
            limit=limit,
        )
    return phrase("“{found}” has too many digits; at most {limit} are allowed", found=shorten_text(found), limit=limit)


#: What a value of a built-in type is, by the name of the type.
_TYPES: Mapping[str, Phrase] = {
    **dict.fromkeys(INTEGERS, phrase("a whole number such as 12")),
    **dict.fromkeys(("decimal", "float", "double"), phrase("a number such as 12.5")),
    "boolean": phrase("true or false"),
    "date": phrase("a day such as 2026-01-31"),
    "dateTime": phrase("a time such as 2026-01-31T08:30:00+07:00"),
    "time": phrase("a time of day such as 08:30:00"),
    "base64Binary": phrase("base64"),
    "hexBinary": phrase("hexadecimal digits"),
}


def say_type(found: object, name: str) -> Phrase:
    """Return what to say of a value that is not of the built-in type with the local *name*; "": it is not known."""
    wanted = _TYPES.get(name, verbatim(f"xs:{name}" if name else "?"))
    if found in ("", None):
        return phrase("is empty; write {type}", type=wanted)
    return phrase("“{found}” has the wrong type; write {type}", found=shorten_text(found), type=wanted)


def say_children() -> Phrase:
    """Return what to say of an element with children that should have a value."""
    return phrase("has elements inside, where a value belongs; write the value only")


def say_too_many(count: int, most: int) -> Phrase:
    """Return what to say of an element that occurs *count* times, and may occur *most* times."""
    return phrases(
        "occurs {times} times, and at most {count} is allowed; remove the others",
        "occurs {times} times, and at most {count} are allowed; remove the others",
        count=most,
        times=count,
    )


#: What to say by the type of libxml2's error.
_FACETS: Mapping[str, Callable[[ModelValue, str], Phrase | None]] = {
    "SCHEMAV_CVC_PATTERN_VALID": lambda kind, text: say_pattern(
        text, (each for some in kind.patterns for each in some)
    ),
    "SCHEMAV_CVC_ENUMERATION_VALID": lambda kind, text: say_enumeration(
        text, (each.value for each in kind.choices or ())
    ),
    "SCHEMAV_CVC_MAXLENGTH_VALID": lambda kind, text: say_too_long(len(text), kind.most or 0),
    "SCHEMAV_CVC_MINLENGTH_VALID": lambda kind, text: say_too_short(len(text), kind.least),
    "SCHEMAV_CVC_LENGTH_VALID": lambda kind, text: say_other_length(len(text), kind.least),
    "SCHEMAV_CVC_MININCLUSIVE_VALID": lambda kind, text: say_too_little(text, kind.min_inclusive, exclusive=False),
    "SCHEMAV_CVC_MINEXCLUSIVE_VALID": lambda kind, text: say_too_little(text, kind.min_exclusive, exclusive=True),
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": lambda kind, text: say_too_much(text, kind.max_inclusive, exclusive=False),
    "SCHEMAV_CVC_MAXEXCLUSIVE_VALID": lambda kind, text: say_too_much(text, kind.max_exclusive, exclusive=True),
    "SCHEMAV_CVC_TOTALDIGITS_VALID": lambda kind, text: say_digits(text, kind.total_digits or 0, fraction=False),
    "SCHEMAV_CVC_FRACTIONDIGITS_VALID": lambda kind, text: say_digits(text, kind.fraction_digits or 0, fraction=True),
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": lambda kind, text: say_type(text, kind.builtin),
    "SCHEMAV_CVC_TYPE_3_1_2": lambda _kind, _text: say_children(),
}


def shorten_text(value: object, longest: int = _LONGEST) -> str:
    """Return *value* on one line, cut to what a sentence can hold."""
    text = " ".join(str(value)[: 4 * longest].split())
    return text if len(text) <= longest else f"{text[:longest]}…"


def list_texts(texts: Iterable[str]) -> str:
    """Return *texts* as a list; of many the first ones."""
    some = list(islice(texts, _LISTED + 1))
    return ", ".join(some[:_LISTED]) + (", …" if len(some) > _LISTED else "")
