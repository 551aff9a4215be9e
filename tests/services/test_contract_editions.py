"""Two editions of a contract side by side: each partner uses its own, and moves when it is ready."""

from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred

from hub import config
from hub.config import describe_config_changes
from hub.domain.errors import ConfigurationFault
from hub.formats.spool import Drawer, Octets
from hub.intake.endpoint import JournalAccess
from hub.monitoring.integration.facts import gather_facts
from hub.node.check import check_config
from hub.node.soap_port import DefinedIntakes, _SoapResource
from hub.partner.throttle import Throttle
from hub.runtime.thread_pool import run_at_once
from hub.services.defined.reading import read_defined_message
from hub.soap.attachments import Manner
from hub.store.inline_database import InlineDatabase
from hub.units.live import Setup
from hub.units.province import Province
from tests import homes, pki
from tests.pki import NOW
from tests.services.test_defined_services import SAMPLE, SETTINGS, UNITS, XSD, define, make_town
from tests.signatures import Layout, stamp

#: The next edition: every complaint also says how it came.
NEXT = XSD.replace(
    '<xs:element name="LinhVuc" type="Ma"/>',
    '<xs:element name="LinhVuc" type="Ma"/><xs:element name="KenhNhan" type="Ma"/>',
)
LATER = SAMPLE.replace("</LinhVuc>", "</LinhVuc><KenhNhan>di-dong</KenhNhan>").replace("2026-11-0001", "2026-11-0002")


def write(home, schema=NEXT, name="2"):
    define(home, SETTINGS.replace("[milestones]", f'[editions]\n"{name}" = "phananh-2.xsd"\n\n[milestones]', 1))
    (home / "services/phananh/phananh-2.xsd").write_text(schema, "utf-8")
    return home


class Pair:
    """A hub with two partners, of which one uses the next edition."""

    def __init__(self, place, home):
        self.town = make_town(place, home)
        self.old, self.new = self.town.who, pki.partner("vpub")
        self.pin("2")
        access = JournalAccess(InlineDatabase(self.town.engine), run_at_once, lambda: None, lambda: None)
        intakes = DefinedIntakes(self.town.live, access, lambda: NOW, Throttle(lambda: 0.0), lambda: 0.0)
        self.port = _SoapResource(self.town.live, intakes)

    def pin(self, edition):
        """Let the second partner use *edition*, as a reload does."""
        made = self.town.live.config
        pinned = (f"phananh@{edition}",) if edition else ()
        mine = attrs.evolve(made.partners["vpub"], contracts=pinned, units=("H55.01", "*"), calls=("phananh",))
        changed = attrs.evolve(made, partners={**made.partners, "vpub": mine})
        self.town.live.setup = Setup(Province.of(changed, UNITS))

    def ask(self, who, content):
        """Return the answer to *content*, sent by *who* to the port."""
        request = SimpleNamespace(channel=SimpleNamespace(certificate=who.certificate))
        service = self.port.getChild(b"phananh", request)
        layout = Layout(content=content, created=stamp(NOW), expires=stamp(NOW.replace(minute=5)))
        done: list[Any] = []
        asked = service._intake.answer(Octets.of(layout.signed(who)), Manner(), who.certificate, Drawer())
        _ = Deferred.fromCoroutine(asked).addCallback(done.append)
        return done[0].body.read().decode()


@pytest.fixture
def pair(tmp_path):
    made = Pair(tmp_path, write(homes.begin(tmp_path / "tinh")))
    yield made
    made.town.engine.dispose()


def test_each_partner_is_judged_by_its_own_edition_and_its_facts_are_counted_alike(pair):
    assert "<IsSuccess>true" in pair.ask(pair.old, SAMPLE)
    assert "<IsSuccess>true" in pair.ask(pair.new, LATER)
    assert "KenhNhan" in pair.ask(pair.old, LATER.replace("0002", "0003")), "the main edition does not have it"
    assert "KenhNhan" in pair.ask(pair.new, SAMPLE.replace("0001", "0004")), "the next one demands it"
    assert len(pair.town.facts()) == 4, "what both reported is the same"


def test_a_partner_moves_by_itself_and_back_without_a_restart(pair):
    pair.pin("")
    assert "KenhNhan" in pair.ask(pair.new, LATER)
    pair.pin("2")
    assert "<IsSuccess>true" in pair.ask(pair.new, LATER.replace("0002", "0005"))


def test_the_kit_of_each_has_its_own_contract(pair):
    made = pair.town.live.config

    def published(code):
        facts = gather_facts(made, made.partners[code], ())
        (service,) = [each for each in facts.services if each.contract.name == "phananh"]
        return b"".join(service.contract.xsd(name) for name in service.contract.schema_names)

    assert b"KenhNhan" in published("vpub")
    made = attrs.evolve(made, partners={**made.partners, "vpub": attrs.evolve(made.partners["vpub"], contracts=())})
    assert b"KenhNhan" not in published("vpub")


def test_a_kept_message_is_read_again_whichever_edition_it_came_by(pair):
    defined = pair.town.live.config.services["phananh"]
    for content in (SAMPLE, LATER):
        assert read_defined_message(defined, content.encode(), NOW, "m").keys


def test_an_edition_that_is_not_there_or_does_not_fit_the_rules_is_refused_with_the_reload(tmp_path):
    home = write(homes.begin(tmp_path / "tinh"))
    before = config.read_config(home / "hub.toml")
    path = home / "partners/vpub.toml"
    text = path.read_text("utf-8")
    path.write_text(f'contracts = ["phananh@3"]\n{text}', "utf-8")
    with pytest.raises(ConfigurationFault) as caught:
        config.read_config(home / "hub.toml")
    assert [mistake.path for mistake in caught.value.mistakes] == ["partners/vpub.toml: contracts"]
    path.write_text(f'contracts = ["phananh@2"]\n{text}', "utf-8")
    assert describe_config_changes(before, config.read_config(home / "hub.toml")) == ["~ partners/vpub: contracts"]
    write(home, NEXT.replace('name="NgayNhan"', 'name="NgayNhap"'))
    found = check_config(home / "hub.toml", NOW)
    places = [mistake.path for mistake in found.mistakes if "services" in mistake.path]
    assert places == ["services/phananh/service.toml: message[0].fact[0].day (edition 2)"]
    write(home, NEXT.replace('name="GuiPhanAnh"', 'name="Gui"'))
    with pytest.raises(ConfigurationFault) as caught:
        config.read_config(home / "hub.toml")
    assert cast("Any", caught.value).mistakes[0].path == "services/phananh/service.toml: editions"
