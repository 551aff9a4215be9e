"""The pages that need no sign-in, and at which nothing of a session is looked at: the documentation, and files beside it."""

from hub.console.help_pages import HelpLibrary
from hub.console.page import console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import PageFrame
from hub.domain.fair_queue import CONSOLE
from hub.language.catalogues import translate
from hub.operations.refusals import refuse_as_absent
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.web import layout
from hub.web.answers import ConsoleResponse


@console_page("GET", "/console/{name}", public=True)
def send_static_file(name: str) -> ConsoleResponse:
    """Return the style sheet, the icon or the script."""
    if name not in layout.BESIDE:
        raise refuse_as_absent()
    return ConsoleResponse(content=layout.read_static_file(name), content_type=layout.BESIDE[name], lasting=True)


@console_page("GET", "/help", template="help_contents", public=True)
def list_help(asked: ConsoleRequest, frame: PageFrame, library: HelpLibrary) -> ConsoleResponse:
    """Return the list of the pages of the documentation."""
    groups = [(translate(heading, asked.language), pages) for heading, pages in library.group_pages(asked.language)]
    return ConsoleResponse(content=frame.draw_public_page("help_contents", asked, {"groups": groups}))


@console_page("GET", "/help/{rest}", template="help", public=True)
async def show_help(
    asked: ConsoleRequest, rest: tuple[str, ...], frame: PageFrame, library: HelpLibrary, work: Work
) -> ConsoleResponse:
    """Return a page of the documentation, or a picture of one."""
    if picture := library.pictures.get("/".join(rest)):
        return ConsoleResponse(content=picture.content, content_type="image/png", lasting=True)
    page = library.pages.get(rest)
    if page is None:
        raise refuse_as_absent()
    content = library.find_rendered(page, asked.language)
    if content is None:
        content = await work(CONSOLE, THRESHOLD, library.render, page, asked.language)
    said = {"title": page.title(asked.language), "written": page.choose(asked.language), "content": content}
    return ConsoleResponse(content=frame.draw_public_page("help", asked, said))
