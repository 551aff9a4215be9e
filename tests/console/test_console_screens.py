"""Every screen of the console, in each of its states and both languages: judged by axe, nowhere wider than its window, nothing cut off.

The pictures of the documentation are made of some of them.
"""

import os
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.console.help_pages import LARGEST_PICTURE
from hub.console.registry import PAGES
from hub.language.languages import Language
from hub.operations.accounts import passwords
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from hub.web import layout
from hub.web.answering import HEADERS
from tests import databases
from tests.browsing import REPLACE, Judge, Look, chromium, window
from tests.conftest import ROOT
from tests.console.screen_town import ScreenTown, make_screen_town
from tests.console.screens import Hub, Screen, ScreenVisitor, list_screens
from tests.console_town import HOST, NOBODY, Town

#: Every way to look at a page. Of two that follow each other only the language differs.
LOOKS = tuple(
    Look(language, width, scheme)
    for width, scheme in ((1280, "light"), (390, "dark"), (390, "light"), (1280, "dark"))
    for language in (("vi", "en") if width == 1280 else ("en", "vi"))
)


#: Where the documentation has its pictures, by language, below `docs/`.
PICTURES = {"en": "pictures", "vi": "vi/pictures"}
#: The height of the highest picture, in pixels.
HIGHEST = 1000
#: What is printed of a sheet of A4 across, without its margins of 10 mm, in pixels of CSS.
A4_ACROSS = 1047
#: Addresses that give a file, or lead elsewhere.
NO_SCREENS = {
    ("sign-out",),
    ("reports",),
    ("late.csv",),
    ("late.xlsx",),
    ("month",),
    ("month", "*", "*", "remind"),
    ("messages.csv",),
    ("messages.jsonl",),
    ("tokens", "*"),
    ("console", "*"),
    ("integration", "*", "*"),
    ("messages", "*", "content"),
    ("messages", "*", "receipt"),
    ("messages", "*", "attachments", "*"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScreenTown]:
    """The hub at work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "NOBODY", NOBODY)
        found = make_screen_town(tmp_path_factory.mktemp("screens") / "tinh")
        yield found
        found.office.engine.dispose()


@pytest.fixture(scope="module")
def screens(made: ScreenTown) -> list[Screen]:
    return list(list_screens(made))


@pytest.fixture(scope="module")
def visitor(made: ScreenTown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScreenVisitor]:
    """Who opens the screens."""
    folder = tmp_path_factory.mktemp("empty")
    idle, new = (Town(transactions.open_journal(databases.sqlite(folder / f"{one}.db"))) for one in (Hub.IDLE, Hub.NEW))
    idle.add("minh", role=Role.ADMINISTRATOR)
    found = ScreenVisitor({Hub.WORKS: made.town, Hub.IDLE: idle, Hub.NEW: new})
    render = layout.render_page

    def note(template: str, language: Language, said: Mapping[str, object]) -> bytes:
        found.rendered.add(template)
        return render(template, language, said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "render_page", note)
        yield found
    for town in (idle, new):
        town.engine.dispose()


@pytest.fixture
def judge(browser: Any) -> Iterator[Judge]:
    """A window of the console, and what is judged in it."""
    context = window(browser, 1280, "light")
    yield Judge(open_console(context))
    context.close()


def open_console(context: Any) -> Any:
    """Open an empty page at the console's address, where only its own style sheet, icon and script are loaded."""

    def answer(route: Any) -> None:
        name = urlsplit(route.request.url).path.rpartition("/")[2]
        content = layout.read_static_file(name) if name else b"<!DOCTYPE html><title>-</title>"
        headers = HEADERS | {"Content-Type": layout.BESIDE.get(name, "text/html"), "Cache-Control": "max-age=600"}
        route.fulfill(body=content, headers=headers)

    context.route("**/*", answer)
    page = context.new_page()
    page.goto(f"https://{HOST}/")
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def open_screen(visitor: ScreenVisitor, screen: Screen, language: str) -> str:
    """Return the page of a screen as it comes."""
    answer = visitor.open(screen, language)
    assert answer.status == screen.status, (screen.name, answer.location)
    assert answer.content_type.startswith("text/html"), screen.name
    page = answer.content.decode()
    assert f'<html lang="{language}"' in page, screen.name
    return page


def list_routes() -> Iterator[tuple[str, ...]]:
    """Return each address of the console: its pieces, `*` for any; at its end `**` for any more pieces."""
    for page in PAGES:
        yield tuple("**" if each == "{rest}" else "*" if each.startswith("{") else each for each in page.pieces)


def leads_to(route: tuple[str, ...], address: str) -> bool:
    """Tell whether *address* is one of *route*."""
    pieces = [each for each in urlsplit(address).path.split("/") if each]
    if route[-1:] == ("**",):
        route, pieces = route[:-1], pieces[: len(route) - 1]
    return len(route) == len(pieces) and all(word in {"*", piece} for word, piece in zip(route, pieces, strict=True))


@pytest.mark.slow
def test_every_address_in_the_code_has_a_screen(screens: list[Screen]) -> None:
    routes = set(list_routes())
    assert {("signing", "*", "*", "*"), ("messages", "*", "packet"), ("partners", "*", "test")} <= routes
    without = {route for route in routes - NO_SCREENS if not any(leads_to(route, screen.address) for screen in screens)}
    assert without == set(), "tests/console/screens.py"
    assert routes >= NO_SCREENS
    assert len({screen.name for screen in screens}) == len(screens)


@pytest.mark.slow
def test_every_screen_is_judged_in_one_look(screens: list[Screen], visitor: ScreenVisitor, judge: Judge) -> None:
    """The looks alternate; `test_every_screen_is_judged_in_every_look` takes all of them."""
    found = []
    for place, look in enumerate(LOOKS[::2]):
        for screen in screens[place :: len(LOOKS[::2])]:
            judge.show(open_screen(visitor, screen, look.language), look)
            found += [(screen.name, look, each) for each in (*judge.find_cut(), *judge.run_axe())]
    assert found == []
    assert list_templates() - visitor.rendered == set(), "each page has a screen in tests/console/screens.py"


@pytest.mark.slow
def test_a_printed_report_has_all_its_columns_on_its_sheet(
    screens: list[Screen], visitor: ScreenVisitor, judge: Judge
) -> None:
    wide = [each for each in screens if each.name in {"report", "report-wide", "report-points"}]
    assert len(wide) == 3
    for screen, language in product(wide, ("vi", "en")):
        judge.show(open_screen(visitor, screen, language), Look(language, A4_ACROSS, "light"))
        judge.page.emulate_media(media="print")
        assert judge.find_cut() == [], (screen.name, language)


def list_templates() -> set[str]:
    """Return the templates of whole pages."""
    folder = Path(layout.__file__).parent / "templates"
    pages = {path.name.partition(".")[0]: path.read_text("utf-8") for path in folder.glob("*.jinja")}
    return {name for name, text in pages.items() if text.startswith('{% extends "base')}


@pytest.mark.soak
def test_every_screen_is_judged_in_every_look(screens: list[Screen], visitor: ScreenVisitor, judge: Judge) -> None:
    found = []
    for screen in screens:
        for language in ("vi", "en"):
            page = open_screen(visitor, screen, language)
            looks = [look for look in LOOKS if look.language == language]
            judge.show(page, looks[0])
            for look in looks:
                judge.turn(look)
                found += [(screen.name, look, each) for each in judge.find_cut()]
            for look in looks:
                judge.turn(look)
                found += [(screen.name, look, each) for each in judge.run_axe()]
    assert found == []


# --- the pictures of the documentation ------------------------------------------------------------------------------------


@pytest.mark.soak
def test_the_pictures_of_the_documentation_are_made(
    screens: list[Screen], visitor: ScreenVisitor, tmp_path: Path
) -> None:
    """With `PICTURES` they are left in that folder, which has the shape of `docs/`: `./dev pictures` writes them there."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    for language, place in PICTURES.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        with chromium("--hide-scrollbars", f"--lang={language}", env={**os.environ, "LANGUAGE": language}) as browser:
            context = window(browser, 1280, "light")
            page = open_console(context)
            for screen in screens:
                if screen.pictured:
                    page.evaluate(REPLACE, open_screen(visitor, screen, language))
                    made = shrink(page.screenshot(full_page=True, clip=cut_picture(page)))
                    (folder / place / f"{screen.name}.png").write_bytes(made)
                    assert len(made) <= LARGEST_PICTURE, screen.name
            context.close()
    for place in PICTURES.values():
        assert {path.stem for path in (folder / place).glob("*.png")} == {
            each.name for each in screens if each.pictured
        }


def cut_picture(page: Any) -> dict[str, float]:
    """Return the part of the page that its picture shows: from the top, at most so high, down to the end of what is there."""
    end = page.evaluate("document.querySelector('main').lastElementChild.getBoundingClientRect().bottom + 24")
    return {"x": 0, "y": 0, "width": 1280, "height": min(end, HIGHEST)}


def shrink(content: bytes) -> bytes:
    """Return a picture with at most 32 colours, which is what a page of text needs."""
    image = pytest.importorskip("PIL.Image")
    kept = BytesIO()
    few = image.open(BytesIO(content)).convert("RGB").quantize(32, dither=image.Dither.NONE)
    few.save(kept, "PNG", optimize=True)
    return kept.getvalue()


@pytest.mark.slow
def test_each_pictured_screen_has_its_picture_in_both_languages(screens: list[Screen]) -> None:
    pictured = {screen.name for screen in screens if screen.pictured}
    for place in PICTURES.values():
        assert {path.stem for path in (ROOT / "docs" / place).iterdir()} == pictured, "make them: ./dev pictures"
    files = [path for place in PICTURES.values() for path in (ROOT / "docs" / place).iterdir()]
    assert max(path.stat().st_size for path in files) <= LARGEST_PICTURE
    assert sum(path.stat().st_size for path in files) <= 3_000_000
