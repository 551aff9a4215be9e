"""Reads the project's pages: sections, tables, fenced blocks, links.  Knows Markdown as we write it; nothing of the hub."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

DOCS = ROOT / "docs"
SUBSCRIBER = DOCS / "examples/subscriber.py"


@cache
def subscriber_of_the_page() -> Any:
    """Return the sample subscriber as a module, to call its parts."""
    made = spec_from_file_location("subscriber", SUBSCRIBER)
    assert made is not None
    assert made.loader is not None
    module = module_from_spec(made)
    made.loader.exec_module(module)
    return module


def every_page() -> list[Path]:
    """Return the pages beside the code and every page of docs/."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "adapters/README.md")),
        *sorted(DOCS.rglob("*.md")),
    ]


def sections(page: Path) -> dict[str, str]:
    """Return the text under each heading, up to the next heading of any level."""
    parts = re.split(r"^#+ +(.+)$", outside_fences(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parts(page: Path) -> dict[str, str]:
    """Return the text under each heading of the second and third level, fenced blocks included; under "" what stands before."""
    found = re.split(r"^#{2,3} +(.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def typed(text: str) -> str:
    """Return the commands that stand indented in *text*, which tests that need a machine of their own type."""
    return "".join(line[4:] + "\n" for line in text.splitlines() if line.startswith("    "))


def outside_fences(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in *text*, headings left out."""
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        rules = re.fullmatch(r"[|:\- ]+", line) or re.fullmatch(r"[|:\- ]+", following)
        if line.startswith("|") and not (rules and following.startswith("|-")) and not re.fullmatch(r"[|:\- ]+", line):
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def quoted(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def fenced(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language in *text*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Return where a page links to, other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", outside_fences(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as the usual viewers make them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in sections(page)}
