"""A reload is one assignment: no part of a node has a province, a configuration or adapters of its own that could grow old."""

import ast
from pathlib import Path

import pytest

import hub

HOUSE = Path(hub.__file__).parent
#: What a reload replaces.
REPLACED = {"Province", "Config", "Routes", "Adapter", "Anchors"}
ROOMS = ("intake", "workload", "monitoring", "delivery", "feed", "web", "console", "lookup", "node")


def kept(source: str) -> list[str]:
    """Return the fields of mutable attrs classes that would keep what a reload replaces, past the reload."""
    found: list[str] = []
    if "attrs.define" not in source:
        return found
    for made in ast.walk(ast.parse(source)):
        if not isinstance(made, ast.ClassDef) or made.name.startswith("_"):
            continue  # what a module makes for itself ends with the call
        if not any("attrs.define" in ast.unparse(each) for each in made.decorator_list):
            continue  # a frozen value is of one call or one conversation, which keeps what it began with
        for field in made.body:
            if not isinstance(field, ast.AnnAssign) or "init=False" in ast.unparse(field):
                continue
            names = {each.id for each in ast.walk(field.annotation) if isinstance(each, ast.Name)}
            if names & REPLACED:
                found.append(f"{made.name}.{ast.unparse(field.target)}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_part_keeps_what_a_reload_replaces(room):
    for file in sorted((HOUSE / room).rglob("*.py")):
        assert not kept(file.read_text("utf-8")), file.name


def test_a_part_that_kept_its_province_would_be_found():
    part = "@attrs.define(eq=False)\nclass Part:\n    province: Province\n    _look: Callable[[], Config]\n    live: Live\n"
    assert kept(part) == ["Part.province", "Part._look"]
