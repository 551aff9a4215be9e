"""What the operating system says is said in the reader's language, and in English as errno(3) has it."""

import errno
import os
import ssl

import pytest

from hub.language import system_errors
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error


@pytest.mark.parametrize("number", sorted(system_errors.KNOWN_ERRORS), ids=errno.errorcode.get)
def test_an_error_of_the_system_has_its_english_name_and_a_vietnamese_one(number: int) -> None:
    said = name_system_error(OSError(number, os.strerror(number)))
    assert str(said) == os.strerror(number)
    assert translate(said, Language.VI) != str(said)


def test_an_error_in_a_sentence_is_said_in_its_language_and_alone_with_its_file() -> None:
    error = OSError(errno.EACCES, os.strerror(errno.EACCES), "/etc/x")
    assert translate(phrase("it cannot be used: {error}", error=error), Language.VI).endswith(": không có quyền")
    assert translate(error, Language.VI) == "/etc/x: không có quyền"


def test_an_error_of_tls_is_none_of_the_system() -> None:
    assert str(name_system_error(ssl.SSLError(1, "no shared cipher"))) == "no shared cipher"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EXDEV, "Invalid cross-device link"), "Invalid cross-device link"),
        (ValueError("not Base64"), "not Base64"),
        (OSError(), "OSError"),
    ],
    ids=["unknown", "not of the system", "without words"],
)
def test_any_other_error_keeps_its_own_words(error: Exception, words: str) -> None:
    assert str(name_system_error(error)) == words
