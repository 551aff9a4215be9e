"""What `./dev size` counts."""

from pathlib import Path

import pytest

from tests import size

FILES = {
    "hub/a/one.py": '''"""Say what it is."""

import os  # a comment


def f() -> str:
    """Two
    lines."""

    from hub.b import two

    return """a text
is code"""
''',
    "hub/b/two.py": """from typing import TYPE_CHECKING

from hub.a.one import f

if TYPE_CHECKING:
    from hub.a import three
""",
    "hub/a/three.py": "# nothing\n",
    "hub/a/__init__.py": "",
    "hub/b/__init__.py": "",
}


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, size.Source]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {each.name: each for each in size.read_sources(tmp_path, ["hub"])}


def test_a_line_of_code_is_neither_blank_nor_of_comments_and_docstrings(sources):
    assert {name: each.code for name, each in sources.items()} == {
        "hub.a": 0,
        "hub.a.one": 5,
        "hub.a.three": 0,
        "hub.b": 0,
        "hub.b.two": 4,
    }


def test_a_circle_is_found_through_an_import_inside_a_function_and_not_through_one_for_types(sources):
    counted = size.measure(list(sources.values()))
    assert (counted["circles of files"], counted["imports inside functions"]) == (1, 1)
    assert counted["pairs of names beside each other that import each other"] == 0, "hub.a and hub.b are packages"


def test_folders_of_a_package_that_import_each_other_are_a_pair():
    graph = {"hub.p.x.one": {"hub.p.y.two"}, "hub.p.y.three": {"hub.p.x.four"}, "hub.p.x.four": set[str]()}
    assert size.find_mutual_folders(graph) == [("hub.p.x", "hub.p.y")]
    assert size.find_circles(graph) == []


def test_no_files_of_the_project_import_one_another_in_a_circle():
    counted = size.measure(size.read_sources(size.ROOT))
    assert counted["circles of files"] == 0
    assert counted["pairs of names beside each other that import each other"] == 0


def test_the_sample_partners_are_named_as_they_are_imported_and_counted_apart(tmp_path: Path) -> None:
    for name in ("hub/a.py", "demo/lienthong_demo/plan.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    sources = size.read_sources(tmp_path)
    assert [each.name for each in sources] == ["hub.a", "lienthong_demo.plan"]
    assert (
        size.measure([*sources, size.read_source("hub.b", "def f_g(): pass\n")])["code lines in the wheel of a node"]
        == 2
    )
