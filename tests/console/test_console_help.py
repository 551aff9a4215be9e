"""Help in the console: each page of docs/ is there, its links lead to what exists, and each page names the right one."""

import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from hub.console import help_pages
from hub.console.help_pages import (
    LARGEST_PICTURE,
    HelpLibrary,
    name_error_help,
    read_help_folder,
    read_help_library,
    read_help_pictures,
)
from hub.console.request import LANGUAGE
from hub.domain.errors import SENTENCES, Unready
from hub.language.languages import Language
from hub.operations.accounts.permissions import Role
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import RequestRefused
from tests.conftest import ROOT
from tests.console_town import Browser
from tests.pages import DOCS, anchors, sections

PAGES = read_help_library().pages
ADDRESSES = ["/".join(address) for address in sorted(PAGES)]
ENGLISH_ONLY = {each for each in PAGES if each[0] == "explanation"}
REPORT = "/reports/edoc/H55.13/2026-12"

#: The head of a PNG file of 7 × 9 pixels.
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x07\0\0\0\x09"


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and the text of its headings."""

    def __init__(self, page):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append("")
            self._open = True

    def handle_endtag(self, tag):
        self._open &= not re.fullmatch("h[1-6]", tag)

    def handle_data(self, data):
        if self._open:
            self.headings[-1] += data

    def having(self, name):
        """Return the values of an attribute, in order."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


@pytest.fixture
def stranger(town):
    return Browser(town)


@pytest.fixture
def op(town):
    town.add("op", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("op")
    return browser


@pytest.fixture(scope="module")
def shown():
    """The elements of each page in each language, without the layout around it."""
    library = read_help_library()
    return {
        (address, language): Elements(str(library.render(page, language)))
        for address, page in PAGES.items()
        for language in Language
    }


# --- the pages --------------------------------------------------------------------------------------------------------


def test_every_page_of_the_documentation_is_a_help_page_in_both_languages():
    files = {path.relative_to(DOCS).with_suffix("").parts for path in DOCS.rglob("*.md")}
    assert set(PAGES) == {each for each in files if each[0] != "vi"}
    assert {address for address, page in PAGES.items() if set(page.texts) == {*Language}} == set(PAGES) - ENGLISH_ONLY
    assert {("vi", *address) for address in set(PAGES) - ENGLISH_ONLY} == {each for each in files if each[0] == "vi"}


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("language", Language)
def test_a_page_has_its_title_its_headings_and_their_anchors(stranger, address, language):
    page = PAGES[tuple(address.split("/"))]
    text = page.texts.get(language, page.texts[Language.EN])
    assert stranger.get(f"/help/{address}?lang={language}").status == 200
    found = Elements(stranger.page)
    (title,) = re.findall(r"<h1[^>]*>(.*?)</h1>", stranger.page)
    assert re.sub(r"<[^>]+>", "", unescape(title)) == text.title
    assert f"<title>{text.title} – Tỉnh</title>" in unescape(stranger.page)
    written = Language.VI if language in page.texts and language == "vi" else Language.EN
    assert found.having("lang")[0] == language
    assert ("article", {"class": "prose", "lang": written}) in found.elements
    assert len(found.headings) == len(sections(DOCS / text.file))
    assert anchors(DOCS / text.file) <= set(found.having("id"))
    for twin in page.texts.values():
        assert anchors(DOCS / twin.file) <= set(found.having("id")), "a link leads to the same place in both languages"
    assert len(found.having("id")) == len(set(found.having("id"))), "each id once"


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_an_anchor_that_exist(shown):
    wrong, followed = [], 0
    for (address, language), found in shown.items():
        for link in found.having("href"):
            place, _, anchor = unquote(link).partition("#")
            if re.match(r"https?://", place):
                continue
            there = tuple(place.removeprefix("/help/").split("/")) if place else address
            if (there, language) not in shown or (anchor and anchor not in shown[there, language].having("id")):
                wrong.append((address, language, link))
            followed += 1
    assert wrong == []
    assert followed > 400


def test_no_page_brings_a_script_a_style_or_anything_from_elsewhere(shown):
    for where, found in shown.items():
        assert {tag for tag, _ in found.elements} & {"script", "style", "iframe", "object", "form"} == set(), where
        assert all(re.match(r"/help/(vi/)?pictures/", each) for each in found.having("src")), where
        assert found.having("style") == [], where
        assert [name for _, attributes in found.elements for name in attributes if name.startswith("on")] == [], where


def test_what_is_wider_than_the_screen_is_scrolled_by_keyboard(shown):
    for where, found in shown.items():
        tables = [tag for tag, _ in found.elements].count("table")
        sheets = [attributes for _, attributes in found.elements if attributes.get("class") == "sheet"]
        assert len(sheets) == tables, where
        assert {each["tabindex"] for each in sheets} <= {"0"}
        assert {each["aria-labelledby"] for each in sheets} <= set(found.having("id")), where
        assert {attributes.get("tabindex") for tag, attributes in found.elements if tag == "pre"} <= {"0"}, where


@pytest.mark.parametrize("language", Language)
def test_every_code_has_its_place_on_the_page_of_errors(shown, language):
    ids = set(shown[("reference", "errors"), language].having("id"))
    assert set(SENTENCES) <= ids
    assert {name_error_help(code).partition("#")[2] for code in SENTENCES} <= ids
    assert name_error_help("N.MessageHeader.Code") == "/help/reference/errors#N."
    assert name_error_help("<none>") == "/help/reference/errors"


# --- who reads them ---------------------------------------------------------------------------------------------------


def test_the_language_is_the_readers(town, stranger):
    stranger.get("/help/howto/replay")
    vietnamese = PAGES["howto", "replay"].texts[Language.VI].title
    english = PAGES["howto", "replay"].texts[Language.EN].title
    assert vietnamese in stranger.page
    stranger.get("/help/howto/replay?lang=en")
    assert english in stranger.page
    assert stranger.cookies[LANGUAGE] == "en"
    stranger.get("/help/howto/replay")
    assert english in stranger.page, "the choice is kept"
    assert english in (Browser(town, languages="en").get("/help/howto/replay").content.decode())
    stranger.get("/help/howto/replay?lang=vi")
    assert "/help/howto/replay?lang=en" in stranger.links(), "the same page in the other language"
    assert "[English]" not in stranger.page
    assert "hreflang" not in stranger.page.partition("<main")[2], "the line that names the other file is left out"


def test_help_needs_no_session_and_shows_nothing_of_one(op, stranger):
    for place in ("/help", "/help/howto/read-a-report"):
        assert stranger.get(place).status == op.get(place).status == 200
        assert op.page == stranger.page
        assert 'name="proof"' not in op.page
    assert op.get("/account").status == 200, "the session is still there"


@pytest.mark.parametrize("language", Language)
def test_the_list_of_all_pages_names_each_once(stranger, language):
    stranger.get(f"/help?lang={language}")
    listed = [link for link in stranger.links() if link.startswith("/help/")]
    assert sorted(listed) == sorted(page.path for page in PAGES.values())
    for page in PAGES.values():
        assert page.title(language) in unescape(stranger.page)
    marked = [attributes for _, attributes in Elements(stranger.page).elements if attributes.get("lang") == "en"]
    assert len([each for each in marked if (each.get("href") or "").startswith("/help/")]) == (
        len(ENGLISH_ONLY) if language == "vi" else 0
    )


@pytest.mark.parametrize(
    "place",
    [
        *("/help/none", "/help/howto", "/help/howto/replay.md", "/help/vi/howto/replay", "/help/howto/replay/more"),
        *("/help/../pyproject.toml", "/help/%2e%2e/pyproject.toml", "/help/..%2fCONTRIBUTING", "/help/howto%2freplay"),
        *("/help/examples/subscriber.py", "/help/", "/help//etc/passwd", "/help/howto/Replay"),
    ],
)
def test_an_address_that_is_not_in_the_table_is_no_page(town, place):
    browser = Browser(town)
    try:
        status = browser.get(place).status
    except RequestRefused as refused:  # by the reader of addresses, before the pages see it
        status = refused.status
    assert status == 404


def test_help_takes_no_forms(stranger):
    stranger.get("/help")
    assert stranger.post("/help/howto/replay").status == 404


# --- which page explains which ----------------------------------------------------------------------------------------


def helped(browser):
    """Return where the link of the open page leads, after following it."""
    (place,) = re.findall(r'<a href="([^"]*)" rel="help">(?:Trợ giúp|Help)</a>', browser.page)
    assert browser.get(place.partition("#")[0]).status == 200
    anchor = place.partition("#")[2]
    assert not anchor or anchor in Elements(browser.page).having("id")
    return place


@pytest.mark.parametrize("language", Language)
def test_each_page_leads_to_the_page_that_explains_it(town, op, language):
    message = town.take(1)
    expected = {
        "/": "/help/howto/operate",
        "/units": "/help/howto/read-a-report",
        "/events": "/help/reference/events",
        "/failures": "/help/howto/replay",
        "/late": "/help/howto/late",
        REPORT: "/help/howto/read-a-report",
        f"{REPORT}/sent": "/help/howto/read-a-report",
        REPORT.replace("reports", "declarations"): "/help/howto/declare-a-report",
        REPORT.replace("reports", "signing"): "/help/howto/sign-a-report",
        f"/messages/{message}": "/help/reference/console",
        "/messages": "/help/reference/console",
        "/readiness": "/help/howto/operate",
        "/account": "/help/reference/console",
        "/none": "/help/reference/console",
        "/help": "/help",
        "/help/howto/replay": "/help",
    }
    for place, page in expected.items():
        op.get(f"{place}?lang={language}")
        assert helped(op) == page, place
    stranger = Browser(town)
    stranger.get("/")
    assert helped(stranger) == "/help/reference/console"


def test_every_template_of_a_page_says_which_page_explains_it():
    """Those of the help itself lead to the list; that of a refusal is told by its code."""
    for path in sorted((ROOT / "hub/web/templates").glob("*.jinja")):
        text = path.read_text("utf-8")
        if "extends" in text and not path.name.startswith(("help", "error")):
            for place in re.findall(r'"/help/([^"]+)"', re.findall(r"{% set help = (.*) %}", text)[0]):
                assert tuple(place.split("/")) in PAGES, path.name


@pytest.mark.parametrize("code", ["facts-outstanding", "hub-busy", "journal-unavailable"])
def test_a_refusal_with_a_code_leads_to_the_code(town, op, code, monkeypatch):
    async def facts(_services):
        raise Unready(code)

    monkeypatch.setattr(op.pages.parts.turns, "_facts", facts)
    assert op.get(REPORT).status == 503
    assert helped(op) == f"/help/reference/errors#{code}"


# --- what is written --------------------------------------------------------------------------------------------------


def rendered(tmp_path, text, **others):
    (tmp_path / "howto").mkdir()
    (tmp_path / "howto/a.md").write_text(f"# A\n\n{text}\n", "utf-8")
    for name, content in others.items():
        (tmp_path / f"howto/{name}.md").write_text(content, "utf-8")
    library = HelpLibrary(read_help_folder(tmp_path))
    return str(library.render(library.pages["howto", "a"], Language.VI))


def test_what_looks_like_html_is_shown_and_not_run(tmp_path):
    made = rendered(tmp_path, "<script>x</script> `<b>` <b onclick=x>\n\n<div>\n\n    <i>\n\n```\n</code><u>\n```\n")
    tags = {tag for tag, _ in Elements(made).elements}
    assert tags == {"h1", "p", "code", "pre"}
    assert "&lt;script&gt;x&lt;/script&gt;" in made


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("b.md", "/help/howto/b"),
        ("b.md#đến-muộn", "/help/howto/b#%C4%91%E1%BA%BFn-mu%E1%BB%99n"),
        ("../howto/b.md", "/help/howto/b"),
        ("#here", "#here"),
        ("https://example.org/x?a=1&b=2", "https://example.org/x?a=1&b=2"),
        ("../../adapters/README.md", None),
        ("../../../etc/passwd", None),
        ("/etc/b.md", None),
        ("b.py", None),
        ("c.md", None),
        ("//evil.example/b.md", None),
        ("javascript:x", None),
        ("ftp://example.org/", None),
    ],
)
def test_a_link_leads_to_a_page_to_a_site_or_is_plain_text(tmp_path, link, address):
    made = rendered(tmp_path, f"Xem [**chữ** này]({link}).", b="# B\n")
    assert [unescape(each) for each in Elements(made).having("href")] == ([] if address is None else [address])
    assert "<strong>chữ</strong> này" in made


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("a", PNG, ("7", "9")),
        ("large", PNG + bytes(LARGEST_PICTURE), None),
        ("script", b"<svg onload=x>", None),
        ("short", PNG[:20], None),
    ],
)
def test_a_picture_is_shown_in_its_size_or_is_its_text(tmp_path, name, content, size):
    (tmp_path / "pictures").mkdir()
    (tmp_path / f"pictures/{name}.png").write_bytes(content)
    (tmp_path / "a.md").write_text(
        f"# A\n\n![Một **trang**](pictures/{name}.png)\n\n![Xa](https://evil.example/x.png)\n"
    )
    library = HelpLibrary(read_help_folder(tmp_path), read_help_pictures(tmp_path))
    made = str(library.render(library.pages["a",], Language.EN))
    assert ("evil" in made, "Xa" in made) == (False, True)
    found = Elements(made).having("src")
    if size is None:
        assert (found, "Một **trang**" in made) == ([], True)
        return
    (picture,) = library.pictures.values()
    assert found == [picture.address]
    assert (str(picture.width), str(picture.height)) == size
    assert 'alt="Một trang"' in made


def test_the_pictures_of_the_pages_are_open_to_everyone_and_nothing_else_in_their_folder(town):
    stranger = Browser(town)
    stranger.get("/help/reference/console?lang=vi")
    found = [each for each in Elements(stranger.page).having("src") if each.startswith("/help/vi/pictures/")]
    assert len(found) > 5
    answer = stranger.get(found[0])
    assert (answer.status, answer.content_type, answer.lasting) == (200, "image/png", True)
    assert answer.content.startswith(PNG[:16])
    for place in ("/help/pictures", "/help/pictures/none.png", "/help/pictures/..%2Freference%2Fconsole.md"):
        assert stranger.get(place).status == 404


def test_a_page_is_rendered_once(tmp_path, monkeypatch):
    library = HelpLibrary(PAGES)
    page = PAGES["howto", "replay"]
    assert library.find_rendered(page, Language.VI) is None
    made = library.render(page, Language.VI)
    assert library.find_rendered(page, Language.VI) is made
    assert library.find_rendered(page, Language.EN) is None
    explained = PAGES["explanation", "faults"]
    assert library.render(explained, Language.EN) is library.find_rendered(explained, Language.VI)


def test_the_address_of_a_page_is_written_as_any_other():
    assert all(page.path == build_page_path("help", *address) for address, page in PAGES.items())
    assert help_pages.make_anchor("`N.` và Đến muộn?") == "n-và-đến-muộn"
