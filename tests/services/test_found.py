"""A service and a form of report are found by being there: one file each, and no list names them."""

import subprocess
import sys

from tests.conftest import ROOT

SERVICE = '''"""Feedback of citizens: what each report says."""

from hub.services import Service


def read(content, received, message):
    """Read nothing: here it only matters that the service is found."""
    raise NotImplementedError


SERVICE = Service(name="feedback", read=read, milestones=frozenset(["answered"]))
'''
FORM = """id = "feedback"
service = "feedback"
title = { vi = "Phản ánh", en = "Feedback" }
basis = { vi = "Biểu thử", en = "A form to try" }
counted = { vi = "phản ánh", en = "reports" }

[[column]]
key = "answered"
kind = "flow"
vi = "Đã trả lời"
en = "Answered"
milestones = ["answered"]
"""
FIND = """import sys
from pathlib import Path

import hub.services

hub.services.__path__.append(sys.argv[1])  # before anything asks for the services: they are read once
from hub.intake import grants
from hub.report.form import folder
from tests.province import GRANTING

[form] = folder.read_form_folder(Path(sys.argv[2]))[:1]
print(hub.services.list_services()["feedback"].name, "feedback" in grants.list_grant_names(GRANTING), "inner" in grants.list_grant_names(GRANTING), form.id, [each.key for each in form.columns])
"""


def test_a_new_service_may_be_granted_and_a_new_form_counts_it(tmp_path):
    services, forms = tmp_path / "services", tmp_path / "forms"
    services.mkdir()
    forms.mkdir()
    (services / "feedback.py").write_text(SERVICE, "utf-8")
    internal = SERVICE.replace('"feedback"', '"inner"').replace("read=read", "read=read, internal=True")
    (services / "inner.py").write_text(internal, "utf-8")
    (forms / "feedback.toml").write_text(FORM, "utf-8")
    command = [sys.executable, "-c", FIND, services, forms]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "feedback True False feedback ['answered']\n"
