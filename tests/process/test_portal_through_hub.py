"""What a one-stop office hands in at the hub is at the national portal, once, and counted so; a wrong password is a person's business."""

import tomllib
from datetime import date
from types import SimpleNamespace

import pytest
from cryptography import x509

from lienthong_demo.plan.dossiers import Dossier, DossierStep
from lienthong_demo.protocol.client import HubClient, Wire
from lienthong_demo.protocol.signing import PartnerIdentity, WireSignature
from tests.offices import opened
from tests.process.test_national_portal import DEMANDING
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 24)
PARTNER = """
name = "Cổng Dịch vụ công quốc gia"
receive = "push"
url = "{url}/XrdAdapter/RestService/forward"
adapter = "dvcqg"
services = ["dossiers"]

[settings]
username = "h55"
password-file = "partners/dvcqg.password"
madonvi = "000.00.00.H55"
integrate = "mapi/integrate"
share = "mapi/share"

[policy]
transport = "plain"
collect = "300ms"
first-retry = "100ms"
max-retry = "10m"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A hub that runs, the portal beside it, and the one-stop software of some units."""
    directory = tmp_path_factory.mktemp("portal")
    hub = RunningHub(directory / "tinh")
    with opened("dvcqg", directory, *DEMANDING) as portal:
        (hub.home / "partners/dvcqg.toml").write_text(PARTNER.format(url=portal.url), "utf-8")
        password(hub, "mat-khau-mau")
        unit = tomllib.loads((hub.home / "partners/sotttt.toml").read_text())["units"][0]
        hub.start()
        files = hub.files("sotttt")
        signature = WireSignature(
            PartnerIdentity.load(files["key"], files["certificate"]),
            x509.load_pem_x509_certificate((hub.home / "pki/hub.crt").read_bytes()),
        )
        address = hub.soap.removesuffix("/soap/documents")
        client = HubClient(
            address, Wire(files["key"], files["certificate"], files["ca"]), signature, service="dossiers"
        )
        yield SimpleNamespace(hub=hub, portal=portal, client=client, unit=unit)
        hub.close()


def password(hub, said):
    (hub.home / "partners/dvcqg.password").write_text(said + "\n", "utf-8")


def dossier(world, number, status="2", **changes):
    return {**Dossier(world.unit, number, DAY, status=status).state(), **changes}


def told(world, *dossiers):
    answer = world.client.submit("SyncDossiers", OrganId=world.unit, HoSo=list(dossiers))
    assert answer.accepted, answer
    return answer.document_id


def delivered(world, message, state="delivered"):
    until(lambda: [state for state, _ in world.hub.states(message).values()] == [state], f"{message} to be {state}")


def synced(world):
    return [
        line["message_id"] for line in world.hub.cli("report", "--facts", "--json") if line["milestone"] == "synced"
    ]


def counted(world):
    return world.portal.order("count", unit=world.unit)["dossiers"]


def test_dossiers_and_their_progress_are_brought_to_the_portal_and_counted_as_synced(world):
    told(world, dossier(world, 1), dossier(world, 2))
    world.portal.mood("unavailable", times=2)
    step = Dossier(world.unit, 1, DAY, status="2").progress(DossierStep(1, "4"), DAY)
    assert world.client.submit("UpdateDossierProgress", OrganId=world.unit, TienDo=[step]).accepted
    last = told(world, dossier(world, 1, status="4"))
    there = {"dossiers": 2, "by_status": {"4": 1, "2": 1}, "steps": 1}
    until(lambda: world.portal.order("count", unit=world.unit) == there, "all of it to be there")
    delivered(world, last)
    assert len(synced(world)) == 2


def test_a_dossier_that_the_portal_refuses_is_a_dead_letter_that_says_why_and_is_not_synced(world):
    message = told(world, dossier(world, 31, MaTTHC="1.999999"))
    delivered(world, message, "dead")
    assert "MaTTHC = 1.999999" in str(world.hub.cli("show", message, "--json"))
    assert len(synced(world)) == counted(world)


def test_the_lists_of_the_portal_are_in_force_at_the_hub(world):
    until(lambda: len(world.hub.cli("categories", "--json")) == 3, "the lists")
    [row] = world.hub.cli("categories", "LayDanhSachTTHC", "2.000815", "--json")
    assert row["name"] == "Chứng thực bản sao từ bản chính"


def test_a_wrong_password_is_tried_no_more_until_a_person_has_put_it_right(world):
    password(world.hub, "sai")
    world.hub.cli("reload")
    world.portal.order("expire")
    message = told(world, dossier(world, 41))

    def standing():
        [partner] = [line for line in world.hub.cli("partners", "list", "--json") if line["code"] == "dvcqg"]
        return partner["standing"]

    until(lambda: standing()["breaker"] == "open", "the breaker to open")
    assert "login as h55" in standing()["reason"]
    refused = len(world.portal.noted("login-refused"))
    assert 1 <= refused <= 2, "once by the delivery, once by the collection"
    password(world.hub, "mat-khau-mau")
    world.hub.cli("reload")
    world.hub.cli("resume", "dvcqg")
    delivered(world, message)
    assert len(world.portal.noted("login-refused")) <= 2
    assert len(synced(world)) == counted(world)
