"""Lists the terms under which a message is found: its words without diacritics, and marks for codes and hashes.

Does not know where terms are stored. The same function lists the terms of a message and tests it, so an index of terms
and a look at the message cannot disagree.
"""

import re
from collections.abc import Iterable

from hub.language.sorting import fold_text

#: Terms kept of one message, characters kept of a term, and characters read of a text. The rest cannot be found.
MOST, LONGEST, READ = 200, 40, 2_000
#: Hexadecimal digits of a SHA-256 that are a term.
DIGITS = 12
#: The term of a refused call, which is no message.
REFUSED_CALL = "call:refused"
_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
#: A code in a stored reason, such as `unit-unknown`, `E05`, `HTTP 503`.
_CODE = re.compile(r"(?:HTTP )?[A-Za-z0-9._-]{1,40}", re.ASCII)


def split_words(text: str) -> list[str]:
    """Return the words and numbers of *text*, folded: `15/SNV-VP` becomes `15`, `snv`, `vp`; `05` becomes `5`.

    A change from digits to letters separates, too, so spaces and signs make no difference.
    """
    words = _WORD.findall(fold_text(text[:READ]))
    return [(each.lstrip("0") or "0" if each[0].isdecimal() else each)[:LONGEST] for each in words]


def list_words(code: str | None, subject: str | None) -> set[str]:
    """Return the words of a document's number and notation and of its subject, at most `MOST`.

    The letters of a notation are also one word: people leave its signs out (`15SNVVP`).
    """
    number = split_words(code or "")
    letters = [each for each in number if not each[0].isdecimal()]
    joined = ["".join(letters)[:LONGEST]] if len(letters) > 1 else []
    return set([*number, *joined, *split_words(subject or "")][:MOST])


def list_codes(reason: str | None) -> set[str]:
    """Return the codes in a stored reason such as `refused: E05: no such unit; E07`, in lower case.

    A piece of the text is a code if it is one word. `write_code_pieces` says how SQL finds the same.
    """
    pieces = (reason or "")[:READ].lower().replace(": ", "; ").split("; ")
    return {each for each in pieces if re.fullmatch(_CODE, each.upper())}


def write_code_pieces(code: str) -> str:
    """Return what stands in a stored reason that has *code*, once each `: ` in it became `; ` and `; ` surrounds it."""
    return f"; {code.lower()}; "


def mark_refusal(code: str) -> str:
    """Return the term of the messages that the hub refused with *code*."""
    return f"refusal:{code.lower()}"


def mark_answer(code: str) -> str:
    """Return the term of the messages that a partner answered with *code*."""
    return f"answer:{code.lower()}"


def mark_sha256(sha256: str) -> str:
    """Return the term of the messages with this SHA-256, or its first 12 or more digits."""
    return f"sha256:{sha256[:DIGITS].lower()}"


def list_message_terms(code: str | None, subject: str | None, refusal: str | None, sha256: str) -> set[str]:
    """Return all terms that a message has from its arrival on."""
    return {*list_words(code, subject), *map(mark_refusal, list_codes(refusal)), mark_sha256(sha256)}


def has_words(words: Iterable[str], code: str | None, subject: str | None) -> bool:
    """Tell whether a message has all *words*, folded ones."""
    return list_words(code, subject).issuperset(words)
