"""What a browser asks of the console: addresses, languages, passwords, each read in one way only."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.console import edge
from hub.console.request import sanitize_redirect
from hub.language.languages import Language, choose_language
from hub.language.sorting import fold_text
from hub.operations.accounts import passwords
from hub.operations.accounts.users import NameUnfit, normalise_user_name
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import RequestRefused
from hub.web import answering, layout


@given(st.lists(st.text(min_size=1).filter(lambda text: text.isprintable() and text not in {".", ".."}), max_size=4))
@pytest.mark.slow
def test_an_address_leads_back_to_what_it_was_made_of(pieces):
    assert answering.read_path_pieces(build_page_path(*pieces).encode("ascii")) == tuple(pieces)


@pytest.mark.parametrize(
    "path",
    [
        *("", "reports", "//", "//evil.example", "/a//b", "/a/", "/.", "/..", "/a/../b", "/%2e%2e", "/a/%2E%2e/b"),
        *("/%00", "/a%0d%0aSet-Cookie:x", "/%ff", "/%c0%ae%c0%ae", "/" + "a" * 5000, "*", "/%E2%80%AE", "https://x/"),
    ],
)
def test_a_path_with_a_trick_in_it_names_nothing(path):
    with pytest.raises(RequestRefused) as refused:
        answering.read_path_pieces(path.encode())
    assert refused.value.status == 404


def test_a_piece_is_decoded_once():
    assert answering.read_path_pieces(b"/%252e%252e/a%2Fb") == ("%2e%2e", "a/b")


@pytest.mark.parametrize("query", ["a=%ff", "é=1", "&".join(f"a{n}=1" for n in range(40))])
def test_a_query_that_is_no_text_or_too_long_is_refused(query):
    with pytest.raises(RequestRefused):
        edge._read_pairs(query.encode())


def test_of_a_name_that_comes_twice_the_first_counts():
    assert edge._read_pairs(b"proof=1&proof=2&x=&y") == {"proof": "1", "x": "", "y": ""}


@given(st.text())
def test_who_signed_in_stays_on_this_host(text):
    place = sanitize_redirect(text)
    assert place.startswith("/")
    assert not re.match(r"/[/\\]", place)
    assert place in {text, "/"}


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, "", "vi"),
        (None, None, "fr", "vi"),
        (None, None, "en", "en"),
        (None, None, "en-US,en;q=0.9", "en"),
        (None, None, "vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        (None, None, "en,vi", "vi"),
        (None, None, "en;q=x,vi", "vi"),
        ("en", "vi", "vi", "en"),
        (None, "en", "vi", "en"),
        ("fr", "x", "en", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_then_the_one_kept_then_the_browsers(asked, kept, accepted, language):
    assert choose_language(asked, kept, accepted) == language


@given(st.text(max_size=40), st.text(max_size=40), st.binary(min_size=16, max_size=16))
def test_a_hash_is_matched_by_its_password_and_no_other(password, other, salt):
    kept = passwords.hash_password(password, salt, passwords.HashCost(n=2))
    assert passwords.matches_hash(password, kept)
    assert kept.startswith("scrypt$2$8$3$")
    same = passwords.hash_password(other, salt, passwords.HashCost(n=2)) == kept
    assert passwords.matches_hash(other, kept) is same


def test_a_hash_keeps_the_parameters_it_was_made_with():
    kept = passwords.hash_password("x", b"0" * 16, passwords.HashCost(n=3, r=1, p=1))
    assert kept.split("$")[:4] == ["scrypt", "3", "1", "1"]
    assert passwords.matches_hash("x", kept)


@pytest.mark.slow
def test_the_hash_of_nobody_costs_what_the_others_cost_and_matches_nothing():
    assert passwords.NOBODY.split("$")[:4] == passwords.hash_password("x" * 12, b"0" * 16).split("$")[:4]
    assert not passwords.matches_hash("", passwords.NOBODY)


@pytest.mark.parametrize("password", ["", "short", "a" * 12, "a" * 300, "nguyenvanan2", "NGUYENVANAN2"])
def test_a_password_that_will_not_do(password):
    with pytest.raises(passwords.PasswordUnfit):
        passwords.check_password(password, "nguyenvanan2")


def test_a_password_that_will_do():
    passwords.check_password("mười hai ký tự", "an")


@pytest.mark.parametrize("name", ["", ".an", "a b", "a/b", "á", "a" * 65, "a\n", "a\x00"])
def test_what_is_no_name_of_a_user(name):
    if name == "a\n":
        assert normalise_user_name(name) == "a"
        return
    with pytest.raises(NameUnfit):
        normalise_user_name(name)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Sở Nội vụ", "so noi vu"),
        ("ĐÀ  LẠT", "da lat"),
        ("Ủy ban nhân dân xã Ea H'Đing", "uy ban nhan dan xa ea h'ding"),
    ],
)
def test_text_without_its_diacritics(text, plain):
    assert fold_text(text) == plain


def test_a_value_in_a_sentence_of_a_page_is_text():
    page = layout._TEMPLATES.from_string(
        '{{ _("Note: {note}", note=note) }} {{ ngettext("from {shown} fact", "from {shown} facts", count=2, shown=note) }}'
    )
    evil = "<b>'\"{count}{{ 7 }}&"
    shown = "&lt;b&gt;&#39;&#34;{count}{{ 7 }}&amp;"
    assert page.render(layout.make_sayers(Language.EN), note=evil) == f"Note: {shown} from {shown} facts"


@pytest.mark.parametrize(
    ("value", "field", "service", "shown"),
    [
        ("02", "status", "documents", "02 (refused for receipt)"),
        ("recall", "kind", "documents", "recall"),
        ("usage", "kind", "mail", "mail usage"),
        ("LayDanhMucKhac", "kind", "categories", "LayDanhMucKhac"),
        ("unavailable", "outcome", "documents", "unavailable"),
        ("answered", "outcome", "lookups", "answered"),
        (["x", "02"], "status", "documents", "x, 02 (refused for receipt)"),
        (
            [{"code": "doctype-refused", "detail": "line 2"}, {"code": "id-reused"}],
            "problems",
            "",
            "doctype-refused: line 2, id-reused",
        ),
        (True, "paper", "documents", "yes"),
        ("02", "reason", "documents", "02"),
    ],
)
def test_a_word_in_an_event_is_shown_with_its_name(value, field, service, shown):
    assert layout.name_event_value(value, field, service, Language.EN) == shown


def test_a_refusal_says_the_sentence_of_each_code_in_the_language_of_its_reader():
    refusal = "doctype-refused: line 2; N.MessageHeader.Code: a; b"
    assert layout.write_refusal(refusal, Language.VI) == [
        "Không chấp nhận DOCTYPE; hãy bỏ đi rồi gửi lại [doctype-refused: line 2]",
        "Thiếu phần tử bắt buộc; hãy bổ sung rồi gửi lại [N.MessageHeader.Code: a]",
        "b",
    ]


def test_a_stored_reason_is_said_in_the_language_of_its_reader():
    assert layout.describe_stored_reason("given up by root: x", Language.VI).startswith("thôi gửi, do root")
    assert layout.describe_stored_reason(None, Language.VI) == ""
