"""A run of one file of tests imports what that file needs; what all tests change is changed when it is imported."""

import importlib
import subprocess
import sys

from tests.conftest import ROOT
from tests.upon_import import change_upon_import


def test_a_module_is_changed_as_soon_as_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "changed_upon_import.py").write_text("SECONDS = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    change_upon_import("changed_upon_import", lambda module: setattr(module, "SECONDS", module.SECONDS + 3))
    change_upon_import("changed_upon_import", lambda module: setattr(module, "SECONDS", module.SECONDS * 10))

    module = importlib.import_module("changed_upon_import")
    assert module.SECONDS == 50
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert module.__loader__.get_source("changed_upon_import") == "SECONDS = 2\n"  # type: ignore[union-attr]

    change_upon_import("changed_upon_import", lambda module: setattr(module, "SECONDS", 0))
    assert module.SECONDS == 0


def test_what_every_test_may_rely_on_imports_no_part_of_the_hub():
    script = "import sys, tests.conftest; print({each.split('.')[0] for each in sys.modules} & {%s})"
    heavy = "'hub', 'lienthong_demo', 'sqlalchemy', 'twisted', 'lxml', 'cryptography', 'hypothesis', 'structlog'"
    done = subprocess.run([sys.executable, "-c", script % heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
