"""Which language a reader gets."""

import pytest

from hub.language.languages import Language, choose_environment_language, choose_language

VI, EN = Language.VI, Language.EN


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, VI),
        ({"LANG": ""}, VI),
        ({"LANG": "C"}, VI),
        ({"LANG": "POSIX"}, VI),
        ({"LANG": "C.UTF-8"}, VI),
        ({"LANG": "vi_VN.UTF-8"}, VI),
        ({"LANG": "fr_FR.UTF-8"}, VI),
        ({"LANG": "en_US.UTF-8"}, EN),
        ({"LANG": "en"}, EN),
        ({"LC_MESSAGES": "en_GB.UTF-8"}, EN),
        ({"LANG": "vi_VN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, EN),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "vi_VN.UTF-8"}, VI),
        ({"LANG": "vi_VN.UTF-8", "LC_ALL": "en_US.UTF-8"}, EN),
        ({"LC_MESSAGES": "en_US.UTF-8", "LANG": "en_US.UTF-8", "LC_ALL": "C"}, VI),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "", "LC_MESSAGES": ""}, EN),
        ({"LANG": "en_US.UTF-8", "LC_CTYPE": "vi_VN.UTF-8", "LANGUAGE": "vi"}, EN),
    ],
)
def test_the_first_variable_that_is_set_and_not_empty_decides(environment: dict[str, str], language: Language) -> None:
    assert choose_environment_language(environment) == language


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, "", VI),
        (None, None, "en-US,en;q=0.9", EN),
        (None, None, "vi,en;q=0.9", VI),
        (None, None, "en;q=0.5,vi;q=0.9", VI),
        (None, None, "fr", VI),
        (None, None, "en;q=x", VI),
        (None, "en", "vi", EN),
        ("vi", "en", "en", VI),
        ("xx", "yy", "en", EN),
    ],
)
def test_a_page_is_in_the_language_asked_for_then_the_one_kept_then_the_browsers(
    asked: str | None, kept: str | None, accepted: str, language: Language
) -> None:
    assert choose_language(asked, kept, accepted) == language
