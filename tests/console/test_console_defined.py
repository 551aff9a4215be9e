"""What the console calls a service that the configuration defines, its messages and its milestones."""

import re

import pytest

from hub.console.permissions import Role
from tests import homes
from tests.console_town import Browser
from tests.services.test_defined_services import SAMPLE, define, make_town


@pytest.mark.parametrize("defined", [True, False], ids=["defined", "removed since"])
def test_its_names_are_those_of_its_toml_and_its_words_once_it_is_gone(town, tmp_path, defined):
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh")))
    made.engine.dispose()
    made.engine = town.engine
    (identity,) = re.findall("<DocumentId>(.*?)<", made.ask(SAMPLE))[:1]
    town.services = dict(made.live.config.services) if defined else {}
    town.add("op", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("op")
    names = ("Phản ánh, kiến nghị", "đã trả lời") if defined else ("phananh", "tra-loi")
    assert browser.get(f"/messages/{identity}").status == 200
    assert [name for name in names if name not in browser.page] == []
    assert browser.get("/messages").status == 200
    assert names[0] in browser.page
