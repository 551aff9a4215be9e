"""The page of private names tells of each that the hub takes of a library, and of no other."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PAGE = (ROOT / "docs/explanation/private-names.md").read_text("utf-8")
#: Which the documentation of the standard library and of SQLAlchemy has.
DOCUMENTED = {"_asdict", "_replace", "_fields", "_make", "_mapping", "_exit"}


def list_rows() -> list[list[str]]:
    """Return the cells of the page's table: library, names, files, purpose, tests."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def trees() -> list[tuple[Path, list[ast.AST]]]:
    """Return each file of the project with the nodes of its tree."""
    files = [each for folder in ("hub", "adapters", "twisted", "demo") for each in (ROOT / folder).rglob("*.py")]
    return [(each.relative_to(ROOT), list(ast.walk(ast.parse(each.read_text("utf-8"))))) for each in sorted(files)]


def list_own_names() -> set[str]:
    """Return the names that the project gives itself: of functions, classes, variables and fields."""
    own = set[str]()
    for _, nodes in trees():
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own.add(node.attr)
    return own


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def test_every_private_name_of_a_library_is_on_the_page():
    told = {name for row in list_rows() for name in quoted(row[1])}
    own, missing = list_own_names() - told, set[str]()
    for path, nodes in trees():
        for node in nodes:
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own | told | DOCUMENTED:
                missing.add(f"{path}: {node.attr}")
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(
                ("hub", "adapters", "lienthong")
            ):
                names = [*(node.module or "").split("."), *(each.name for each in node.names)]
                missing |= {f"{path}: {name}" for name in names if is_private(name) and name not in told}
    assert missing == set()


def test_every_name_of_the_page_is_used_where_it_says_and_has_its_test():
    for _, names, files, _, tests in list_rows():
        texts = [(ROOT / file).read_text("utf-8") for file in quoted(files)]
        for name in quoted(names):
            assert not texts or any(name in text for text in texts), name
        for test in quoted(tests):
            assert test == "./dev lint" or (ROOT / test).is_file(), test
