"""Turns the documentation in `docs/` into help pages: `docs/howto/replay.md` is `/help/howto/replay`.

A page is shown in the reader's language if it is written in it, otherwise in English. The table of pages is built once,
from the files that exist then: an address is looked up in it and never becomes a file name. The Markdown is CommonMark
with tables; HTML in it is shown as text. A link to another page of the documentation leads to that page here. A link to
any other file of the repository becomes plain text. A picture is a PNG file below `pictures/` of at most
`LARGEST_PICTURE` octets; any other one becomes its alternative text.

Contains no sessions, no journal and no layout of a page.
"""

import hashlib
import posixpath
import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from markupsafe import Markup

from hub.domain.errors import SENTENCES
from hub.formats.xsd_schemas import find_schema_root
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_name_sort_key
from hub.operations.page_paths import build_page_path

#: First piece of the address of each page.
HELP = "help"
#: The groups of the table of contents, in order: the folder and its heading. The first holds the pages in no folder.
GROUPS: tuple[tuple[str, Phrase], ...] = (
    ("", phrase("To begin with")),
    ("howto", phrase("How-to guides")),
    ("reference", phrase("Reference")),
    ("explanation", phrase("Explanations, in English")),
)
#: The page of the error codes.
_ERRORS = ("reference", "errors")
#: Folder of the Vietnamese pages, below `docs/`.
_VIETNAMESE = "vi"
#: The line under the title that names the page in the other language. The console has a link of its own for that.
_TWIN = re.compile(r"\A(# .+\n\n)\[(?:Tiếng Việt|English)\]\([^)\s]+\)\n")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
#: Maximum octets of a picture; a larger file is none.
LARGEST_PICTURE = 60 * 1024
#: The folder of the pictures, below `docs/` and below `docs/vi/`.
_PICTURES = "pictures"
#: First octets of a PNG file, before its width and height.
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
#: The anchor of the main part of every page (base.html.jinja).
_MAIN = "content"


@attrs.frozen
class HelpText:
    """A page in one language."""

    file: str  #: path below `docs/`, with `/`
    title: str
    source: str = attrs.field(repr=False)  #: the Markdown


@attrs.frozen
class HelpPage:
    """A page in each language in which it is written; every page is written in English."""

    address: tuple[str, ...]  #: the pieces after `/help`
    texts: Mapping[Language, HelpText]

    @property
    def path(self) -> str:
        """The address of the page."""
        return build_page_path(HELP, *self.address)

    def choose(self, language: Language) -> Language:
        """Return the language in which a reader of *language* gets the page."""
        return language if language in self.texts else Language.EN

    def title(self, language: Language) -> str:
        """Return the title for a reader of *language*."""
        return self.texts[self.choose(language)].title


@attrs.frozen
class HelpPicture:
    """A picture of the pages."""

    content: bytes = attrs.field(repr=False)
    address: str
    width: int
    height: int


@attrs.frozen
class HelpLibrary:
    """All pages, and those that were rendered already; and the pictures, by their paths below `docs/`."""

    pages: Mapping[tuple[str, ...], HelpPage]
    pictures: Mapping[str, HelpPicture] = attrs.field(factory=dict)
    _rendered: dict[tuple[tuple[str, ...], Language], Markup] = attrs.field(factory=dict, init=False, repr=False)

    def find_rendered(self, page: HelpPage, language: Language) -> Markup | None:
        """Return the content of *page* if `render` made it already."""
        return self._rendered.get((page.address, page.choose(language)))

    def render(self, page: HelpPage, language: Language) -> Markup:
        """Return the content of *page* for a reader of *language*, from its `h1` on, as HTML."""
        chosen = page.choose(language)
        twin = next((text for other, text in page.texts.items() if other is not chosen), None)
        html = _render_text(page.texts[chosen], [] if twin is None else _list_anchors(twin.source), self)
        return self._rendered.setdefault((page.address, chosen), html)

    def group_pages(self, language: Language) -> list[tuple[Phrase, list[HelpPage]]]:
        """Return the table of contents: each group with its pages, ordered by their titles."""
        groups = []
        for folder, heading in GROUPS:
            found = [page for page in self.pages.values() if "/".join(page.address[:-1]) == folder]
            if found:
                groups.append((heading, sorted(found, key=lambda page: make_name_sort_key(page.title(language)))))
        return groups


@cache
def read_help_library() -> HelpLibrary:
    """Return the pages in `docs/` of the checkout, or of the wheel, which has it beside the schemas."""
    folder = find_schema_root() / "docs"
    return HelpLibrary(read_help_folder(folder), read_help_pictures(folder))


def read_help_folder(folder: Path) -> dict[tuple[str, ...], HelpPage]:
    """Return the pages in *folder* by their addresses. A Vietnamese page without an English one is none."""
    texts: dict[tuple[str, ...], dict[Language, HelpText]] = {}
    for path in sorted(folder.rglob("*.md")):
        pieces = path.relative_to(folder).with_suffix("").parts
        vietnamese = pieces[0] == _VIETNAMESE
        source = path.read_text("utf-8")
        title = source.partition("\n")[0].lstrip("# ").replace("`", "")
        said = HelpText(path.relative_to(folder).as_posix(), title, source)
        address = pieces[1:] if vietnamese else pieces
        texts.setdefault(address, {})[Language.VI if vietnamese else Language.EN] = said
    return {address: HelpPage(address, said) for address, said in texts.items() if Language.EN in said}


def read_help_pictures(folder: Path) -> dict[str, HelpPicture]:
    """Return the pictures in *folder* by their paths below it. An address changes with the content of its file."""
    found = {}
    for place in (_PICTURES, f"{_VIETNAMESE}/{_PICTURES}"):
        for path in sorted((folder / place).glob("*.png")):
            with path.open("rb") as file:
                content = file.read(LARGEST_PICTURE + 1)
            if len(content) > LARGEST_PICTURE or not content.startswith(_PNG) or len(content) < len(_PNG) + 8:
                continue
            width, height = struct.unpack_from(">II", content, len(_PNG))
            name = path.relative_to(folder).as_posix()
            version = hashlib.sha256(content).hexdigest()[:16]
            found[name] = HelpPicture(content, f"/{HELP}/{name}?{version}", width, height)
    return found


def name_error_help(code: str) -> str:
    """Return the address of the explanation of an error code; of the page of all codes, if it is not known."""
    page = build_page_path(HELP, *_ERRORS)
    known = code if code in SENTENCES else code[:2]  # a code with a path is explained by its prefix
    return f"{page}#{known}" if known in SENTENCES else page


def make_anchor(title: str) -> str:
    """Return the anchor of a heading from its Markdown, as the usual viewers of a repository make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _list_anchors(source: str) -> list[str]:
    return [make_anchor(title) for title in _HEADING.findall(_FENCED.sub("", source))]


def _render_text(text: HelpText, twin: Sequence[str], library: HelpLibrary) -> Markup:
    """Return *text* as HTML.

    Each heading has its own anchor and that of the same heading in the other language (*twin*), so that a link leads to
    the same place in both languages. A row that begins with a code has that code as its anchor.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_TWIN.sub(r"\1", text.source))
    own = [make_anchor(tokens[at + 1].content) for at, token in enumerate(tokens) if token.type == "heading_open"]
    others = list(twin) if len(twin) == len(own) else own
    taken, made, number, section = {_MAIN, *own, *others}, [], 0, ""
    for at, token in enumerate(tokens):
        match token.type:
            case "heading_open":
                section = own[number]
                token.attrSet("id", section)
                if others[number] not in own:
                    spare = _make_raw_token(f'<span id="{escapeHtml(others[number])}"></span>')
                    tokens[at + 1].children = [spare, *(tokens[at + 1].children or ())]
                number += 1
            case "table_open":
                made.append(
                    _make_raw_token(
                        f'<div class="sheet" role="group" tabindex="0" aria-labelledby="{escapeHtml(section)}">'
                    )
                )
            case "tr_open":
                code = _read_code(tokens[at + 2])
                if code and code not in taken:
                    token.attrSet("id", code)
                    taken.add(code)
            case "th_open" if not tokens[at + 1].content:
                token.tag = tokens[at + 2].tag = "td"  # it heads nothing
            case "th_open":
                token.attrSet("scope", "col")
            case "inline":
                _lead_links(token.children or [], text.file, library.pages)
                token.children = [_show_picture(each, text.file, library) for each in token.children or []]
            case "fence" | "code_block":  # what is wider than the screen is scrolled by keyboard too
                made.append(_make_raw_token(f'<pre tabindex="0"><code>{escapeHtml(token.content)}</code></pre>\n'))
                continue
        made.append(token)
        if token.type == "table_close":
            made.append(_make_raw_token("</div>\n"))
    return Markup(markdown.renderer.render(made, markdown.options, {}))  # noqa: S704 - it is ours, and escapes


def _make_raw_token(html: str) -> Token:
    return Token("html_inline", "", 0, content=html)


def _read_code(cell: Token) -> str:
    """Return the code that is all that *cell* holds; empty if it holds anything else."""
    children = cell.children or []
    code = children[0].content if len(children) == 1 and children[0].type == "code_inline" else ""
    return code if re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", code) else ""


def _lead_links(children: Sequence[Token], file: str, pages: Mapping[tuple[str, ...], HelpPage]) -> None:
    """Give each link its address in the console. A link without one is left out; its text stays."""
    hidden = False
    for child in children:
        if child.type == "link_open":
            address = _find_address(str(child.attrGet("href") or ""), file, pages)
            hidden = address is None
            child.attrSet("href", address or "")
            child.hidden = hidden
        elif child.type == "link_close":
            child.hidden = hidden


def _show_picture(token: Token, file: str, library: HelpLibrary) -> Token:
    """Return *token*; a picture with its address and size, or as text if there is no such picture."""
    if token.type != "image":
        return token
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), str(token.attrGet("src") or "")))
    picture = library.pictures.get(path)
    if picture is None:
        return Token("text", "", 0, content=token.content)
    token.attrSet("src", picture.address)
    token.attrSet("width", str(picture.width))
    token.attrSet("height", str(picture.height))
    token.attrSet("loading", "lazy")
    return token


def _find_address(href: str, file: str, pages: Mapping[tuple[str, ...], HelpPage]) -> str | None:
    """Return where a link in *file* leads; None if it is to a file that is no page."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return href if parts.scheme in {"http", "https", "mailto"} else None
    if not parts.path:
        return href
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), parts.path))
    page = pages.get(tuple(path.removeprefix(f"{_VIETNAMESE}/").removesuffix(".md").split("/")))
    if page is None or not path.endswith(".md"):
        return None
    return page.path + (f"#{parts.fragment}" if parts.fragment else "")
