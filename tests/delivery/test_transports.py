"""Transports and forms are found by being there: a new one is one new file, and no list names it."""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.task import Clock

import adapters
import hub.delivery
from hub.cli.partner import handshake
from hub.config import Partner, read_config
from hub.delivery.mail_connection import MailConnector
from hub.delivery.transports import list_carriers
from hub.domain.conversations import Request
from hub.domain.errors import ConfigurationFault
from hub.node.consistency import find_adapter_mistakes
from hub.runtime.call_progress import CallProgress
from hub.runtime.thread_pool import run_at_once
from tests import homes
from tests.province import NOW

PIGEON = '''"""Carries requests by pigeon."""

from hub.domain.conversations import Reply

SCHEMES = ("pigeon",)


def carrier(post, work, now, reactor):
    async def carry(request, partner, progress):
        return Reply(200, request.body + b" flew")

    return carry
'''
LOFT = '''"""A loft that pigeons fly to."""

SCHEMES = ("pigeon",)


class Loft:
    def deliver(self, consignment, now):
        """Let nothing fly."""


def adapter(terms):
    return Loft()
'''


def now():
    return datetime.now(UTC)


def made():
    return list_carriers(MailConnector(None, cast("Any", None), now), run_at_once, now, None)


@pytest.fixture
def pigeons(tmp_path, monkeypatch):
    """The transport `pigeon` beside the others, and the adapter `loft` that speaks to it."""
    for package, name, text in ((hub.delivery, "pigeon_transport.py", PIGEON), (adapters, "loft/__init__.py", LOFT)):
        beside = tmp_path / package.__name__
        (beside / name).parent.mkdir(parents=True)
        (beside / name).write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(beside)])
    yield
    for name in ("hub.delivery.pigeon_transport", "adapters.loft"):
        sys.modules.pop(name, None)


def test_each_scheme_that_is_not_http_has_its_transport():
    assert set(made()) == {"smtp", "smtps", "imap", "imaps", "file"}


@pytest.mark.usefixtures("pigeons")
def test_a_transport_is_found_by_being_there():
    progress = CallProgress(cast("Any", Clock()), 30.0)
    loft = cast("Partner", SimpleNamespace(code="loft"))
    carrying: Any = made()["pigeon"](Request("pigeon://loft/", b"it"), loft, progress)
    with pytest.raises(StopIteration) as end:
        carrying.send(None)
    assert end.value.value.body == b"it flew"


@pytest.mark.usefixtures("pigeons")
def test_two_transports_of_one_scheme_are_a_mistake_of_the_program(monkeypatch):
    import hub.delivery.file_transport

    monkeypatch.setattr(hub.delivery.file_transport, "SCHEMES", ("pigeon",))
    with pytest.raises(RuntimeError, match=r"hub\.delivery\.pigeon_transport: another transport carries pigeon"):
        made()


@pytest.mark.usefixtures("pigeons")
def test_a_partner_may_have_a_url_of_the_new_scheme_if_its_adapter_speaks_to_it(tmp_path):
    home = homes.begin(tmp_path / "tinh")
    loft = 'receive = "push"\nadapter = "{}"\nurl = "pigeon://10.0.0.5:7/"\nunits = ["H55.77"]\n[policy]\ntransport = "{}"\n'

    def mistakes(adapter, transport):
        (home / "partners/loft.toml").write_text(loft.format(adapter, transport))
        try:
            return [each.path for each in find_adapter_mistakes(read_config(home / "hub.toml", {}))]
        except ConfigurationFault as fault:
            return [each.path for each in fault.mistakes]

    assert mistakes("loft", "tls") == []
    assert mistakes("loft", "plain") == []
    assert mistakes("documents", "tls") == ["partners/loft.toml: url"]
    assert "partners/loft.toml: url" in mistakes("loft", "mutual-tls")


def test_the_check_says_that_a_url_of_the_new_scheme_lacks_its_port():
    loft = Partner(code="loft", name="", certificates=(), url="pigeon://10.0.0.5/")
    config: Any = SimpleNamespace(partners={"loft": loft})
    refused, unreachable, _ = handshake.try_partners(config, NOW)
    assert refused == []
    assert ["names no host and port" in str(each.wrong) for each in unreachable] == [True]
