"""The declared pages: each function names what there is, each template has its page, the manual has the table of rights.

`./dev golden` writes the table anew.
"""

import inspect
import os
import re
from collections import defaultdict
from typing import Any, get_type_hints

import attrs
import pytest

from hub.console.page import PageDeclaration, PageReach
from hub.console.parts import ConsoleParts
from hub.console.registry import PAGES
from hub.console.request import ConsoleRequest
from hub.console.visit import Visit
from hub.operations.accounts.permissions import Role
from hub.operations.operation import list_fields
from tests.conftest import ROOT
from tests.console_town import Browser, Town

PARTS = get_type_hints(ConsoleParts)
#: Templates that are the answer to some form or address beside the declared one.
OTHERS = {"call", "error", "partner_new", "partner_refused", "shown_once", "what_if_form"}


def name_page(page: PageDeclaration) -> str:
    return f"{page.method} {page.address}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{name_page(page)} {page.answer.__name__}")
def test_a_page_takes_its_address_the_visit_and_parts(page: PageDeclaration) -> None:
    pieces = {each[1:-1]: tuple[str, ...] if each == "{rest}" else str for each in page.pieces if each.startswith("{")}
    given: dict[str, Any] = {**pieces, "asked" if page.public else "visit": ConsoleRequest if page.public else Visit}
    hints = get_type_hints(page.answer)
    for name in {*page.takes} - {"self"}:
        assert hints[name] == given.get(name, PARTS.get(name)), name
    if page.owner is not None:
        fields: Any = attrs.fields(page.owner)
        assert {each.alias: each.type for each in fields if each.init and PARTS[each.alias] != each.type} == {}
    assert inspect.getdoc(page.answer)


def test_no_two_pages_answer_the_same_request_but_the_first_page() -> None:
    names = [name_page(page) for page in PAGES]
    assert sorted({each for each in names if names.count(each) > 1}) == ["GET /"]


def test_a_form_reaches_no_further_than_the_page_that_shows_it() -> None:
    shown = {page.address: page for page in PAGES if page.method == "GET"}
    for page in PAGES:
        if page.method == "POST" and page.address in shown and not page.public:
            assert page.reach is shown[page.address].reach, page.address
            assert page.right or page.address == "/account", page.address
    assert {page.reach for page in PAGES} == {*PageReach}


def test_each_template_has_its_page() -> None:
    files = {each.name.partition(".")[0] for each in (ROOT / "hub/web/templates").glob("*.jinja")}
    declared = {page.template for page in PAGES} - {""}
    assert declared <= files
    extending = {
        each.name.partition(".")[0]
        for each in (ROOT / "hub/web/templates").glob("*.jinja")
        if '{% extends "base.html.jinja" %}' in each.read_text("utf-8")
    }
    assert extending - declared == OTHERS


FORMS = {page.address: page for page in PAGES if page.method == "POST" and len(page.does) == 1 and page.does[0].takes}


@pytest.mark.parametrize("address", FORMS)
def test_a_form_asks_what_its_operation_takes(town: Town, address: str) -> None:
    town.add("root", role=Role.ADMINISTRATOR)
    browser = Browser(town)
    browser.sign_in("root")
    assert browser.get(address).status == 200
    form = browser.page.partition(f'action="{address}"')[2].partition("</form>")[0]
    named = {"scopes" if each.startswith("scope.") else each for each in re.findall(r' name="([^"]+)"', form)}
    (operation,) = FORMS[address].does
    assert operation.takes is not None
    assert named - {"proof"} == {each.name for each in list_fields(operation.takes)}


#: The manual of each language, the head of its table of rights, and how it says which limits an account may have.
MANUALS = {
    "docs/reference/console.md": (
        "permission | roles | possible limits | addresses",
        "units, partners",
        "partners",
        "none",
    ),
    "docs/vi/reference/console.md": (
        "quyền | vai trò | giới hạn có thể có | địa chỉ",
        "đơn vị, đối tác",
        "đối tác",
        "không",
    ),
}


def write_rights(manual: str) -> str:
    """Return the table of the permissions that pages need, as the manual has it."""
    head, *reaches = MANUALS[manual]
    rows = defaultdict[tuple[Any, PageReach], list[str]](list)
    for page in PAGES:
        if page.right is not None:
            address = re.sub(
                r"\{(\w+?)(_id)?\}", lambda piece: "…" if piece[1] == "rest" else piece[1].upper(), page.address
            )
            rows[page.right, page.reach].append(f"`{address}`" if page.method == "GET" else f"`POST {address}`")
    lines = [f"| {head} |", "|---|---|---|---|"]
    for (right, reach), addresses in rows.items():
        roles = ", ".join(f"`{role}`" for role in Role if role.may(right))
        limits = reaches[[*PageReach].index(reach)]
        lines.append(f"| `{right}` | {roles} | {limits} | {', '.join(addresses)} |")
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("manual", MANUALS)
def test_the_manual_has_the_table_of_rights(manual: str) -> None:
    file, table = ROOT / manual, write_rights(manual)
    before, head, after = file.read_text("utf-8").partition(table.partition("\n")[0])
    kept, blank, rest = (head + after).partition("\n\n")
    assert head, "the head of the table"
    if os.environ.get("GOLDEN") == "record":
        file.write_text(before + table + blank[1:] + rest, "utf-8")
        kept = table
    assert kept.splitlines() == table.splitlines(), "`./dev golden` writes it anew"
