"""A running hub takes up what is changed of a partner, by page and by command, and tests the connection with a real one."""

import re
from html import unescape

import pytest

from tests.packets import document
from tests.process.test_console_port import PASSWORD, Caller
from tests.running import until

pytestmark = pytest.mark.slow


def fields(caller):
    """Return what the last form of the open page sends."""
    form = caller.page.rpartition("<form")[2]
    return {
        name: unescape(value) for name, value in re.findall(r'<input[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', form)
    }


def test_a_partner_is_changed_by_page_and_by_command_while_the_hub_runs(hub):
    (hub.home / "word").write_text(f"{PASSWORD}\n", "utf-8")
    hub.cli("users", "add", "op", "--role", "operator", "--password-file", hub.home / "word")
    hub.start()
    op = Caller(hub)
    assert op.sign_in("op") == 303
    path, before = hub.home / "partners/vpub.toml", (hub.home / "partners/vpub.toml").read_text("utf-8")
    op.call("GET", "/partners/vpub/settings")
    typed = {"receive": "push", "policy.timeout": "7s"}
    assert op.call("POST", "/partners/vpub/settings", fields(op) | typed)[0] == 200
    assert path.read_text("utf-8") == before
    status, headers = op.call("POST", "/partners/vpub/settings", fields(op) | {"reason": "mạng mới"})
    assert (status, headers["Location"]) == (303, "/partners/vpub?done=1")
    assert path.read_text("utf-8") == f'{before}\n[policy]\ntimeout = "7s"\n'
    op.call("GET", "/partners/vpub")
    assert "hub.toml" not in op.page.partition("<main")[2].partition("<h2")[0], "nothing is pending, nothing is wrong"
    told = until(lambda: hub.cli("events", "--json", "--kind", "configuration-reloaded"), "the event of the reload")
    assert told[-1]["changes"] == ["~ partners/vpub: policy.timeout"]

    hub.letterbox("vpub")
    hub.cli("send", _packet(hub), "--as", "sotttt")
    until(lambda: len(hub.received("vpub")) == 1, "the document")
    steps = hub.cli("partners", "test", "vpub", "--json")
    assert {step["step"]: step["verdict"] for step in steps if step["direction"] == "out"} == {
        "dns": "good",
        "tcp": "good",
        "tls": "good",
        "server-certificate": "good",
        "client-certificate": "good",
        "answer": "good",
    }
    (last,) = [step for step in hub.cli("partners", "test", "sotttt", "--json") if step["step"] == "last-call"]
    assert last["verdict"] == "good"
    assert op.call("POST", "/partners/vpub/test", {"proof": op.proof})[0] == 200
    assert "HỎNG" not in op.page
    assert len(hub.received("vpub")) == 1, "a test sends no document"

    hub.cli("partners", "set", "vpub", "--unset", "policy.timeout", "--reload")
    hub.cli("partners", "remove", "vpub", "--reason", "bỏ", code=0)
    hub.cli("partners", "remove", "vpub", "--reason", "bỏ", "--yes", "--leave-deliveries", "--reload")
    op.call("GET", "/partners")
    assert "/partners/vpub" not in op.page
    assert "/partners/sotttt" in op.page


def _packet(hub):
    path = hub.home / "packet.edxml"
    path.write_bytes(document("x", "H55.12"))
    return path
