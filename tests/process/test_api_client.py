"""A client that a stock generator makes of the hub's own document runs the stories of an integration engineer, over a real port."""

import hashlib
import importlib
import json
import ssl
import subprocess
import sys
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from hub.cli.documents_client import SubmissionRefused
from lienthong_demo.plan.packets import write_document_packet
from tests.officials import by_xmlsec
from tests.pki import authority, pem
from tests.running import until
from tests.test_project import BIN

pytestmark = pytest.mark.slow
NOW = datetime.now(UTC)  # a hub of its own has the machine's clock
PERSONS = authority("Persons of today", NOW)
AN = PERSONS.issue("An")


@pytest.fixture
def client(hub, tmp_path, monkeypatch):
    """The hub with a paused partner and a token, and what is generated of its document."""
    appoint(hub)
    hub.cli("pause", "vpub", "--reason", "bảo trì")
    (token,) = hub.cli("tokens", "add", "ky-su", "--role", "operator", "--owner", "an", "--json")
    hub.start()
    status, document = hub.get("/api/v1/openapi.json")
    assert status == 200
    (tmp_path / "openapi.json").write_bytes(document)
    (tmp_path / "settings.yml").write_text("post_hooks: []\n")
    command = [BIN / "openapi-python-client", "generate", "--meta", "none", "--config", tmp_path / "settings.yml"]
    command += ["--path", tmp_path / "openapi.json", "--output-path", tmp_path / "lienthong_client"]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr, done.stdout
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Generated(hub, token["token"])
    with made.http:
        yield made
    for name in [each for each in sys.modules if each.startswith("lienthong_client")]:
        del sys.modules[name]


def appoint(hub) -> None:
    """Let An sign the reports of H55.13."""
    folder = hub.home / "officials"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(pem(PERSONS.certificate))
    (folder / "an.crt").write_bytes(pem(AN.certificate))
    (folder / "an.toml").write_text('name = "An"\ncertificates = ["officials/an.crt"]\nunits = ["H55.13"]\n')
    with (hub.home / "hub.toml").open("a") as settings:
        settings.write('\n[officials]\nanchors = ["officials/ca.crt"]\n')


class Generated:
    """The generated client, with a token."""

    def __init__(self, hub, token: str) -> None:
        tls = ssl.create_default_context(cafile=str(hub.home / "pki/ca.crt"))
        made: Any = importlib.import_module("lienthong_client").AuthenticatedClient
        self.http = made(base_url=f"{hub.admin}/api/v1", token=token, verify_ssl=tls, timeout=60)

    def __call__(self, place: str, *words: Any, status: int = 200, **said: Any) -> Any:
        """Call the function at *place*, such as `messages.list_messages`; return what it read."""
        module: Any = importlib.import_module(f"lienthong_client.api.{place}")
        answer = module.sync_detailed(*words, client=self.http, **said)
        assert answer.status_code == status, answer.content
        return answer.parsed

    def model(self, name: str, **said: Any) -> Any:
        """Return a value of the document."""
        return getattr(importlib.import_module("lienthong_client.models"), name)(**said)


def send(hub, number: int, *recipients: str) -> bytes:
    packet = write_document_packet(
        "H55.13", recipients, number=str(number), notation="SNV-VP", subject="V/v x", promulgated=date(2026, 11, 20)
    )
    with hub.client("sotttt") as partner:
        partner.send(packet)
    return packet


def test_a_generated_client_runs_the_stories(hub, client):
    packet = send(hub, 15, "H55.1", "H55.12")
    with pytest.raises(SubmissionRefused):
        send(hub, 16, "H55.999")
    for number in range(17, 20):
        send(hub, number, "H55.1")

    # find a refused document by its number and read why
    models: Any = importlib.import_module("lienthong_client.models")
    found = client("messages.list_messages", q="16/SNV-VP", state=models.MessageState.REFUSED)
    assert [each.refusal.partition(":")[0] for each in found.items] == ["unit-unknown"]
    read = client("messages.get_message", found.items[0].id)
    assert read.reasons[0].sentence == "Không có đơn vị mang mã này; hãy kiểm tra mã"

    # replay a dead letter to one of two recipients
    (letter,) = client("messages.list_messages", q="15/SNV-VP").items
    opened = client("messages.get_content", letter.id)
    assert hashlib.sha256(opened.payload.read()).hexdigest() == letter.sha256 == hashlib.sha256(packet).hexdigest()
    hub.cli("give-up", letter.id, "--reason", "gửi nhầm", "--yes")
    hub.letterbox("vpub")
    client("partners.resume_partner", "vpub", body=client.model("ReasonGiven", reason="xong"))
    tested = client("partners.test_partner", "vpub")
    assert tested.works, [(each.name, each.found) for each in tested.steps]
    seen = client("partners.get_partner_settings", "vpub").sha256
    change = client.model("PartnerChange", seen=seen, set_=["policy.timeout=11s"], reason="mạng chậm", apply=True)
    made = [client("partners.change_partner", "vpub", body=change, idempotency_key="k0") for _ in range(2)]
    assert [each.applied for each in made] == [True, True], "the second is the kept answer"
    assert client("partners.change_partner", "vpub", body=change, status=409).code == "file-changed"
    order = client.model("ReplayOrder", reason="đã sửa", id=[letter.id], recipient="H55.1", start=True)
    plans = [client("replays.make_plan", body=order, idempotency_key="k1", status=202) for _ in range(2)]
    assert plans[0].id == plans[1].id, "the same order"
    until(lambda: client("replays.get_plan", plans[0].id).state == "done", "the plan to be done")
    until(lambda: client("replays.get_plan", plans[0].id).results.to_dict() == {"delivered": 1}, "its delivery")
    states = {each.recipient: each.state for each in client("messages.get_message", letter.id).deliveries}
    assert states == {"H55.1": "delivered", "H55.12": "dead"}

    # what a stricter signature would change
    rules = client.model("RulesOrder", policy=["signature=both"], q="15/SNV-VP")
    trial = client("what_if.try_rules", body=rules, status=202).id
    until(lambda: client("what_if.get_trial", trial).state != "running", "the trial to end")
    tried = client("what_if.get_trial", trial)
    assert (tried.state, tried.judged, tried.effects.to_dict()) == ("done", 1, {"would-refuse": 1})
    assert [each.problems[0].code for each in tried.changes] == ["packet-unsigned"]

    # plan, start, pause, resume and cancel a bulk
    until(lambda: client("messages.list_messages", delivery=models.DeliveryState.DELIVERED).count == 4, "the others")
    bulk = client.model("ReplayOrder", reason="khôi phục", to="vpub", again=True, rate="1/m")
    plan = client("replays.make_plan", body=bulk, idempotency_key="k2", status=202).id
    until(lambda: client("replays.get_plan", plan).state == "planned", "the plan to be chosen")
    assert client("replays.get_plan", plan).chosen == 5
    for step, state in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client(f"replays.{step}_plan", plan).state == state
    assert len(client("replays.list_plan_items", plan).items) == 5
    refused = client("replays.resume_plan", plan, status=409)
    assert (refused.code, refused.status) == ("state-unfit", 409)
    assert client("status.get_status").nodes == 1
    heard_over_the_port(hub, client)
    declared_and_signed(client, models)


def declared_and_signed(client, models):
    """A unit declares, and its report is closed, signed with a key and handed in."""
    report = ("edoc", "H55.13", f"{NOW.year - 1}-10")
    assert client("reports.get_declaration", *report).declaration is None
    cells = [client.model("DeclaredFigure", column="sent_inside", figure=7, unit="H55.13")]
    order = client.model("DeclarationOrder", cells=cells, note="đếm tay")
    made = [client("reports.declare_report", *report, body=order, idempotency_key="d") for _ in range(2)]
    declared = client("reports.get_declaration", *report).declaration
    assert made[0].message == made[1].message == declared.message
    assert [(each.declared, each.counted, each.difference) for each in declared.cells] == [(7, 0, 7)]
    closed = client("reports.close_report", *report, body=client.model("ClosingOrder"))
    given = client("reports.get_document_to_sign", *report).payload.read()
    assert hashlib.sha256(given).hexdigest() == closed.sha256
    types: Any = importlib.import_module("lienthong_client.types")
    unsigned = client("reports.hand_in_document", *report, body=types.File(payload=BytesIO(given)), status=422)
    assert [each.name for each in unsigned.problems] == ["report-unsigned"]
    signed = by_xmlsec(given, AN, datetime.now(UTC))
    both = [client("reports.hand_in_document", *report, body=types.File(payload=BytesIO(signed))) for _ in range(2)]
    assert [(each.official, each.sha256) for each in both] == [("an", hashlib.sha256(signed).hexdigest())] * 2
    (revision,) = client("reports.get_report_life", *report).revisions
    assert (revision.state, revision.signing.message) == (models.ReportState.SIGNED, both[0].message)
    large = types.File(payload=BytesIO(b"x" * 200_000))
    refused = client("reports.hand_in_document", *report, body=large, status=422)
    assert [each.name for each in refused.problems] == ["not-well-formed"], "it is read, larger as it is than an order"


def heard_over_the_port(hub, client):
    """What no generated client does: wrong tokens, bodies without end, other methods."""
    http: Any = client.http.get_httpx_client()
    wrong = http.get("/token", headers={"Authorization": "Bearer lt_00000000_x"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (401, "application/problem+json")
    large = http.post("/partners/vpub/pause", content=b"x" * 100_000, headers={"Accept-Language": "en"})
    assert (large.status_code, large.json()["code"]) == (413, "too-large")
    assert http.request("DELETE", "/token").status_code == 405
    head = http.head("/token")
    assert (head.status_code, head.content) == (200, b"")
    assert http.get(f"{hub.admin}/api/v2/token").status_code == 404
    assert http.get(f"{hub.admin}/api").status_code == 404
    exported = [json.loads(line) for line in http.get("/messages/export").text.splitlines()]
    assert len(exported) == 5
    log = Path(hub.log).read_text("utf-8")
    assert "Bearer" not in log
