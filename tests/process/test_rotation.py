"""A partner changes its certificate while the hub runs: nothing restarts, and only connections of the old one end."""

import tomllib

import pytest

from hub.cli.documents_client import SubmissionRefused
from tests.packets import document
from tests.waiting import SOON

pytestmark = pytest.mark.slow


def test_old_and_new_overlap_and_then_the_old_is_gone(hub):
    for name in ("old", "new", "gateway"):
        hub.issue(name)
    unit = tomllib.loads((hub.home / "partners/vpub.toml").read_text())["units"][0]

    def agree(code, *names, policy=()):
        words = [word for name in names for word in ("--certificate", hub.files(name)["certificate"])]
        words += [word for each in policy for word in ("--policy", each)]
        hub.cli("partners", "add", code, *words, "--unit", "*", "--replace")
        if hub.process is not None:
            hub.cli("reload")

    agree("soyte", "old")
    hub.start()
    with hub.client("old") as old, hub.client("new") as new:
        first = old.send(document(to=unit), "m-1")
        line = old._connection.sock
        agree("soyte", "old", "new")
        assert old.send(document(to=unit), "m-1").receipt == first.receipt
        assert new.send(document(to=unit), "m-1").receipt == first.receipt  # one partner, whichever certificate
        kept = new._connection.sock
        agree("soyte", "new")
        line.settimeout(SOON)
        assert line.recv(1) == b"", "the connection of the old certificate is closed, long before it has been idle"
        with pytest.raises(SubmissionRefused, match="certificate-unknown"):
            old.send(document(to=unit), "m-3")  # on another connection
        new.send(document(to=unit), "m-2")
        assert new._connection.sock is kept, "the connection of the new one goes on"
        agree("gateway", "gateway")
        agree("soyte", "new", policy=["relay=gateway"])
        with hub.client("gateway") as gateway:
            gateway.identity = new.identity  # the department signs, its gateway calls
            assert gateway.send(document(to=unit), "m-1").receipt == first.receipt
    assert {row["partner"] for row in hub.cli("messages", "--state", "accepted", "--json")} == {"soyte"}
