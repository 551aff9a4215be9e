"""A reload, or news of a CA, ends connections to servers that are not trusted any more, and no others."""

from datetime import timedelta
from typing import Any, cast

import attrs
import pytest
from twisted.internet.task import Clock

from hub import config
from hub.delivery.http_transport import Sender
from hub.domain.model import Receive
from hub.runtime.http_client import Unreachable
from hub.security.anchors import Anchors
from hub.security.crl_ocsp import RevocationList
from hub.units.live import Live, Setup
from hub.units.province import Province
from tests import homes, pki
from tests.pki import NOW

CA = pki.authority()
ONE, OTHER = pki.partner("vpub"), pki.partner("sotttt")


def partner(code, *whose):
    return config.Partner(
        code=code,
        name="",
        certificates=tuple(each.certificate for each in whose),
        receive=Receive.PUSH,
        url="https://127.0.0.1/x",
    )


@attrs.define(eq=False)
class Opened:
    """An open connection, to a server that has shown a certificate."""

    peer: Any
    parted: bool = False

    def read_peer(self):
        return (self.peer.certificate,)

    def part(self):
        self.parted = True


class Exchange:
    """A hub with two partners that it pushes to, and one open connection to each."""

    def __init__(self, made):
        self.made = made
        self.live = Live(Setup(cast("Any", None)))
        self.configure(partner("vpub", ONE), partner("sotttt", OTHER))
        self.sender = Sender(self.live, cast("Any", Clock()), lambda: NOW)
        self.vpub, self.sotttt = (self.open(code, whose) for code, whose in (("vpub", ONE), ("sotttt", OTHER)))

    def configure(self, *partners, **said):
        anchors = Anchors([CA.certificate], [CA.crl()])
        changed = attrs.evolve(self.made, anchors=anchors, partners={each.code: each for each in partners}, **said)
        self.live.setup = Setup(Province.of(changed, []))

    def open(self, code, whose):
        client = self.sender._client(self.live.config.partners[code])
        made = Opened(whose)
        client.note_open(cast("Any", made))
        return made

    def sweep(self):
        """Do what follows a change; return the codes of what was distrusted."""
        self.sender.note_trust_change()
        found = {peer.owner: peer.find_flaw() for peer in self.sender.list_peers()}
        return {code: flaw for code, flaw in found.items() if flaw}


@pytest.fixture
def exchange(tmp_path):
    return Exchange(config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml"))


def test_a_reload_that_changes_nothing_of_a_partner_keeps_its_connections_and_its_client(exchange):
    client = exchange.sender._client(exchange.live.config.partners["vpub"])
    exchange.configure(partner("vpub", ONE), partner("sotttt", OTHER))
    assert exchange.sweep() == {}
    assert exchange.sender._client(exchange.live.config.partners["vpub"]) is client
    assert not exchange.vpub.parted


def test_a_replaced_certificate_of_a_server_ends_its_connections_before_the_next_request(exchange):
    before = exchange.live.config.partners["vpub"]
    exchange.configure(partner("vpub", CA.issue("newer")), partner("sotttt", OTHER))
    assert exchange.sweep() == {"vpub": "certificate-unknown"}
    exchange.sender._client(before)  # by a conversation that began before the reload
    assert (exchange.vpub.parted, exchange.sotttt.parted) == (True, False)


def test_news_of_a_revocation_ends_the_connections_of_that_server(exchange):
    crl = CA.crl(ONE.certificate, begins=NOW - timedelta(minutes=1))
    exchange.live.config.anchors.set_revocations([RevocationList(crl)], {})
    assert exchange.sweep() == {"vpub": "certificate-revoked"}


def test_a_removed_partner_is_called_no_more_not_even_by_a_conversation_that_began_before(exchange):
    before = exchange.live.config.partners["vpub"]
    exchange.configure(partner("sotttt", OTHER))
    assert exchange.sweep() == {"vpub": "certificate-unknown"}
    with pytest.raises(Unreachable, match="not a partner any more"):
        exchange.sender._client(before)


def test_the_hubs_own_certificate_is_shown_on_new_connections_only_so_the_old_ones_end(exchange):
    mine = pki.authority("Other CA").issue("hub")
    exchange.configure(partner("vpub", ONE), partner("sotttt", OTHER), tls=mine, identity=mine)
    assert exchange.sweep() == dict.fromkeys(("vpub", "sotttt"), "certificate-replaced")
