"""A drill of work items by the commands alone: what `audit plan` prints lets it in, and it goes through the port of a running hub."""

import shlex

import pytest

pytestmark = pytest.mark.slow


def test_what_the_plan_prints_lets_the_drill_in_and_the_reports_agree(hub, tmp_path):
    folder = tmp_path / "dien-tap"
    words = ["audit", "plan", folder, "--province", "H55", "--service", "work", "--service", "mail", "--seed", 7]
    plan = hub.cli(*words, "--json", config=False)[0]
    assert plan["units"] == ["H55.K07", "H55.K07.1", "H55.K07.1.1", "H55.K07.2"]
    ca, crl, certificate = (folder / f"inspector{end}" for end in ("-ca.crt", "-ca.crl", ".crt"))
    units = shlex.join(word for unit in plan["units"] for word in ("--unit", unit))
    hub.cli("trust", "add", ca, "--crl", crl)
    hub.cli("units", "import", folder / "units.csv")
    hub.cli(
        "partners",
        "add",
        "k07",
        "--certificate",
        certificate,
        "--fetch",
        *shlex.split(units),
        "--calls",
        "mail,reports,work",
    )
    hub.start()
    way = ["--url", hub.soap.partition("/soap")[0], "--ca", hub.home / "pki/ca.crt", "--json"]
    (sent,) = hub.cli("audit", "send", folder, *way, config=False)
    assert (sent["sent"], sent["refused"]) == (plan["steps"], 2)
    (verdict,) = hub.cli("audit", "reconcile", folder, *way, config=False)
    assert (verdict["agrees"], verdict["differences"]) == (True, 0)
    trusted = ["--ca", ca, "--ca", hub.home / "pki/ca.crt", "--hub-certificate", hub.home / "pki/hub.crt"]
    found = hub.cli("verify", folder / "protocol.xml", *trusted, "--json", config=False)
    assert all(each["holds"] is not False for each in found)
    assert {each["check"] for each in found} >= {"seal", "sealer", "receipt", "drill"}
    (report,) = hub.cli("report", "H55", plan["period"], "--form", "congviec", "--json")
    assert all(row["unit"] not in plan["units"] for row in report["rows"])
    assert report["total"]["assigned"] == 0
