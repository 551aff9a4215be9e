"""Published reports reach a portal that somebody else wrote: pushed in every mood, and pulled from the hub's feed."""

import hashlib
import json
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime

import attrs
import pytest

import adapters
from hub.domain.conversations import Accepted, Refused, Unavailable
from hub.domain.model import Consignment, Message, MessageState
from hub.partner.adapter_settings import Terms
from hub.report.counting import counting
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.signed.element import build_report_element
from hub.security import signing
from tests.atoms import A, judged
from tests.homes import lay_secret
from tests.offices import Office, hold, opened
from tests.pki import NOW, partner
from tests.running import PATIENCE, RunningHub, until

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
WORD = "m4u-kh0ng-dung-that"
PLACE = "/reports/edoc/H55.13/2026-10"


def consignment(revision=1):
    counted = counting.count_report(EDOC, [], parse_period("2026-10"), NOW, ("H55.13",))
    content = signing.seal_element(build_report_element(counted, {"H55.13": "Sở"}, [], revision), partner("hub"))
    message = Message(
        id=f"01936f1e-7c80-7000-8000-{revision:012}",
        partner="hub",
        message_id="publications/edoc",
        service="publications",
        kind="report",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256="",
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=("portal",), attempt=1)


@attrs.define
class Side:
    """The portal, and us before it."""

    office: Office

    def push(self, revision=1, word=WORD, patience=PATIENCE):
        terms = Terms(partner="portal", url=self.office.url, identity=partner("hub"), secrets={"secret": word})
        conversation = adapters.make_adapter("webportal", terms).deliver(consignment(revision), NOW)
        return hold(conversation, patience=patience).outcome

    def page(self, kind="json"):
        return self.office.order("page", path=f"{PLACE}.{kind}")


@pytest.fixture
def side(tmp_path):
    (tmp_path / "secret").write_text(f"{WORD}\n")
    with opened("webportal", tmp_path, "--secret-file", str(tmp_path / "secret")) as office:
        yield Side(office)


def test_a_published_report_is_a_page_and_data(side):
    assert side.push() == Accepted(f"{PLACE}.json")
    assert json.loads(side.page()["text"])["unit"] == "H55.13"
    assert "<table" in side.page("html")["text"]


def test_an_older_revision_never_takes_the_place_of_a_newer_one(side):
    side.push(2)
    assert side.push(1) == Accepted("it has a newer revision")
    assert side.page()["revision"] == 2


@pytest.mark.slow
def test_every_mood(side):
    for mood, outcome in (
        ("refuse", Refused),
        ("unavailable", Unavailable),
        ("garbage", Unavailable),
        ("denied", Unavailable),
    ):
        side.office.mood(mood, times=1)
        found = side.push()
        assert isinstance(found, outcome), mood
        assert getattr(found, "credentials", False) == (mood == "denied")
    side.office.mood("slow", seconds=1, times=1)
    assert isinstance(side.push(patience=0.2), Unavailable)
    until(lambda: side.office.noted("pushed"), "the slow one to have it all the same")
    side.office.mood("mute", times=1)
    assert isinstance(side.push(), Unavailable)
    assert side.push() == Accepted(f"{PLACE}.json")
    taken = [(line["path"], line["sha256"]) for line in side.office.noted("pushed")]
    assert len(set(taken)) == 2, "however often, the same pages"
    assert side.push(word="wrong") == Unavailable("HTTP 401: it does not know us", credentials=True)


# --- a running hub -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Reader:
    """Anybody."""

    hub: RunningHub

    def get(self, path, method="GET", **headers):
        """Return status, headers and octets."""
        context = ssl.create_default_context(cafile=str(self.hub.home / "pki/ca.crt"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        asked = urllib.request.Request(
            self.hub.admin + path,
            headers={name.replace("_", "-"): each for name, each in headers.items()},
            method=method,
        )
        try:
            with opener.open(asked, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@pytest.mark.slow
def test_what_a_person_has_published_is_pushed_and_can_be_pulled_and_nothing_else(hub):
    secret = lay_secret(hub.home, "portal", "secret", WORD)
    with opened("webportal", hub.home, "--secret-file", str(secret)) as portal:
        _publish_and_look(hub, portal)


def _publish_and_look(hub, portal):
    (hub.home / "partners/portal.toml").write_text(
        f'adapter = "webportal"\nreceive = "push"\nservices = ["publications"]\nurl = "{portal.url}"\n'
        '[policy]\ntransport = "plain"\n[settings]\nsecret-file = "secret"\n'
    )
    hub.config.write_text(hub.config.read_text() + "\n[portal]\npublish = true\n")
    hub.start()
    reader, year = Reader(hub), datetime.now(UTC).year - 1
    status, _, feed = reader.get("/public/feed.atom")
    assert status == 200
    assert not list(judged(feed).iterfind(f"{A}entry"))
    place = f"/public/reports/edoc/H55.13/{year}-10"
    assert reader.get(f"{place}.html")[0] == 404, "nobody has published it"

    hub.cli("report", "publish", "H55.13", f"{year}-10", code=2)
    hub.cli("report", "publish", "H55.13", f"{year + 2}-10", "--reason", "x", code=1)
    (told,) = hub.cli("report", "publish", "H55.13", f"{year}-10", "--reason", "QĐ 12/QĐ-UBND", "--json")
    (again,) = hub.cli("report", "publish", "H55.13", f"{year}-10", "--reason", "QĐ 12/QĐ-UBND", "--json")
    assert (told["revision"], told["fresh"], again["fresh"]) == (1, True, False)
    published = [each for each in hub.cli("trace", told["message"], "--json") if each["event"] == "report-published"]
    assert [each["reason"] for each in published] == ["QĐ 12/QĐ-UBND"]

    status, headers, page = reader.get(f"{place}.json")
    assert (status, json.loads(page)["unit"]) == (200, "H55.13")
    assert headers["Cache-Control"] == "public, max-age=60"
    assert reader.get(f"{place}.json", if_none_match=headers["ETag"])[::2] == (304, b"")
    assert reader.get(f"{place}.json", "HEAD")[::2] == (200, b"")
    assert reader.get(f"{place}/1.html")[0] == 200
    for nothing in (
        f"{place}/2.html",
        f"{place}.xml",
        "/public/",
        "/public/reports/edoc/H55.14/2026-10.html",
        "/public/%2e%2e/metrics",
    ):
        assert reader.get(nothing)[0] == 404, nothing
    _, _, feed = reader.get("/public/feed.atom")
    (entry,) = judged(feed).iterfind(f"{A}entry")
    assert "H55.13" in (entry.findtext(f"{A}title") or "")
    assert told["message"].encode() not in feed + page, "no ids of the hub's own"

    pull = {"url": f"{hub.admin}/public/feed.atom", "ca": str(hub.home / "pki/ca.crt")}
    assert portal.order("pull", **pull)["new"] == 2
    assert portal.order("pull", **pull)["new"] == 0
    until(lambda: len(portal.noted("pushed")) == 2, "both pages")
    noted = [*portal.noted("pushed"), *portal.noted("pulled")]
    hashes = {line["what"]: line["sha256"] for line in noted if str(line["path"]).endswith(".json")}
    assert hashes["pushed"] == hashes["pulled"] == hashlib.sha256(page).hexdigest(), "the same, however it came"
