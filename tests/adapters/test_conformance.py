"""Every adapter is a folder that explains itself: pure code, a README, and samples of whole conversations that hold."""

import ast
import hashlib
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from lxml import etree

import adapters
from hub.domain.conversations import (
    Accepted,
    Answer,
    Arrival,
    Collected,
    Judged,
    Postponed,
    Query,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.domain.model import Consignment, Message, MessageState, Problem
from hub.formats.spool import Drawer, Octets
from hub.partner.adapter_settings import AdapterNotes, Terms
from hub.security import wss_verify
from hub.security.anchors import Anchors
from hub.soap import attachments, envelope
from tests.pki import NOW, partner

FOLDER = Path(adapters.__file__).parent
CASES = sorted(path.parent for path in FOLDER.glob("*/samples/*/outcome.toml"))
OUTCOMES: dict[str, Any] = {
    "accepted": Accepted,
    "refused": Refused,
    "unavailable": Unavailable,
    "postponed": Postponed,
}
OUTCOMES |= {"collected": Collected, "answer": Answer}
URL = "https://partner.example.vn/soap/documents"
MAX_AGE = timedelta(seconds=900)

#: What an adapter may import besides hub's own rules: nothing that reads a clock, a file, a socket or chance.
PURE = {
    "attrs",
    "base64",
    "collections",
    "cryptography",
    "datetime",
    "email",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "io",
    "itertools",
    "json",
    "lxml",
    "math",
    "re",
    "typing",
    "unicodedata",
    "urllib",
    "zipfile",
    "zoneinfo",
}
CLOCKS = {"now", "utcnow", "today"}


def consignment(content, service):
    message = Message(
        id="01936f1e-7c80-7000-8000-000000000001",
        partner="sotttt",
        message_id="m-1",
        service=service,
        kind="document",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=("H55.1",), attempt=1)


def terms(name, case=None):
    """Return the terms that `terms.toml` of the case or of `samples/` names: `url`, `[settings]`, `[secrets]`, `[notes]`.

    Trusted is who is in `samples/anchors.pem`. The files beside the one that a setting names are the terms' files.
    """
    samples = FOLDER / name / "samples"
    path = next((each for each in ((case or samples) / "terms.toml", samples / "terms.toml") if each.exists()), samples)
    said = tomllib.loads(path.read_text()) if path.is_file() else {}
    kept = AdapterNotes()
    for note, text in said.pop("notes", {}).items():
        kept.keep(note, text, NOW + timedelta(hours=1))
    for setting in adapters.list_adapter_settings(name):
        if setting.file and setting.name in said.get("settings", {}):
            beside = (samples / said["settings"][setting.name]).parent
            said["files"] = {each.name: each.read_bytes() for each in beside.iterdir()}
    path = samples / "terms.toml"
    said = {"url": URL, "certificates": (partner("vpub").certificate,)} | said
    if (anchors := path.with_name("anchors.pem")).exists():
        said["anchors"] = Anchors(x509.load_pem_x509_certificates(anchors.read_bytes()))
    return Terms(partner="vpub", identity=partner("hub"), notes=kept, **said)


def begin(case):
    """Return the conversation of the case: a collection, a question, or the delivery of its message."""
    name, wanted = case.parent.parent.name, tomllib.loads((case / "outcome.toml").read_text())
    adapter: Any = adapters.make_adapter(name, terms(name, case))
    if (case / "query.toml").exists():
        said = tomllib.loads((case / "query.toml").read_text())
        return adapter.ask(Query(said["operation"], said["fields"], "01936f1e-7c80-7000-8000-000000000001"), NOW)
    if "begin" in wanted:
        return adapter.collect(wanted["begin"], NOW)
    content = found(case, "message.edxml", "message.xml").read_bytes()
    return adapter.deliver(consignment(content, wanted.get("service", "documents")), NOW)


def converse(case):
    """Hold the conversation; return what was asked, what arrived, and the outcome."""
    conversation, answers = begin(case), replies(case)
    asked, arrived = [], []
    outcome: Any
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Arrival):
                arrived.append(step)
                said = tomllib.loads((case / f"arrival-{len(arrived)}.toml").read_text())
                problems = tuple(Problem(code) for code in said.get("problems", ()))
                step = conversation.send(Judged(accepted=not problems, problems=problems))
                continue
            asked.append(step)
            reply = next(answers, None)
            assert reply is not None, f"the adapter wants more replies than the sample has: {step.url}"
            step = conversation.send(reply)
    except StopIteration as end:
        outcome = end.value
    return asked, arrived, outcome


def found(case, *names):
    """Return the first of *names* in the case or, for all cases alike, beside them."""
    for path in [case / name for name in names] + [case.parent / name for name in names]:
        if path.is_file():
            return path
    raise AssertionError(f"{case}: none of {names}")


def replies(case):
    for number in range(1, len(list(case.glob("reply-*.status"))) + 1):
        status, *lines = (case / f"reply-{number}.status").read_text().splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        yield Reply(int(status), found(case, f"reply-{number}.xml", f"reply-{number}.body").read_bytes(), headers)


def plain(element):
    octets = etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
    return etree.tostring(etree.fromstring(octets, etree.XMLParser(remove_blank_text=True)), method="c14n")


def check_request(case, number, request: Request):
    expected = found(case, *(f"request-{number}.{kind}" for kind in ("xml", "soap", "body", "http")))
    schemes = adapters.list_url_schemes(case.parent.parent.name)
    assert request.url.partition(":")[0] in schemes
    if expected.suffix == ".body":
        assert request.body == expected.read_bytes()
        return
    if expected.suffix == ".http":
        check_http(request, expected.read_bytes())
        return
    if expected.suffix == ".soap":
        check_envelope(request, expected.read_bytes())
        return
    verified = wss_verify.verify_envelope(
        etree.fromstring(request.body), [partner("hub").certificate], NOW, max_age=MAX_AGE
    )
    assert plain(envelope.find_only_child(verified.body)) == plain(etree.parse(expected).getroot())


def check_envelope(request: Request, expected: bytes):
    """Compare the header fields that the sample begins with, and the envelope, whatever parts its octets travel in."""
    head, _, written = expected.partition(b"\n\n")
    check_http(request, head)
    sent = {name.lower(): value for name, value in request.headers}
    how = attachments.read_http_manner(sent["content-type"], sent.get("soapaction"))
    unpacked = attachments.unpack_body(Octets.of(request.body), how, frozenset(), Drawer())
    said, wanted = (
        etree.canonicalize(etree.tostring(each, encoding="unicode"), strip_text=True, rewrite_prefixes=True)
        for each in (unpacked.root, etree.fromstring(written))
    )
    assert said == wanted


def check_http(request: Request, expected: bytes):
    """Compare the first line, each header that the sample names, and the body unless the sample ends with the headers."""
    head, blank, body = expected.partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    assert f"{request.method} {request.url}" == first
    sent = {name.lower(): value for name, value in request.headers}
    for line in lines:
        name, _, value = line.partition(":")
        begins = value.strip().removesuffix("…")
        assert sent.get(name.strip().lower(), "").startswith(begins), name
        assert sent.get(name.strip().lower()) == begins or value.endswith("…"), name
    if blank:
        assert request.body == body


def check_outcome(outcome: Any, expected):
    assert isinstance(outcome, OUTCOMES[expected.pop("outcome")]), outcome
    for field, value in expected.items():
        if field == "fields":
            assert [list(pair) for pair in outcome.fields] == value
        elif field not in {"begin", "service"}:
            assert getattr(outcome, field) == value, (field, outcome)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.parent.name}-{case.name}" for case in CASES])
def test_each_sample_conversation_is_held_as_written(case):
    asked, arrived, outcome = converse(case)
    for number, request in enumerate(asked, 1):
        check_request(case, number, request)
    assert len(asked) == len(list(case.glob("reply-*.status")))
    for number, arrival in enumerate(arrived, 1):
        said = tomllib.loads((case / f"arrival-{number}.toml").read_text())
        assert arrival.message_id == said["message_id"]
        assert arrival.service == said.get("service", "documents")
        assert arrival.content == found(case, f"arrival-{number}.body", "arrival.body").read_bytes()
    assert len(arrived) == len(list(case.glob("arrival-*.toml")))
    check_outcome(outcome, tomllib.loads((case / "outcome.toml").read_text()))
    if isinstance(outcome, Accepted) and not asked[0].url.startswith("file:"):
        assert any(each.hands_over for each in asked), "otherwise nobody is told what a lost answer leaves open"


@pytest.mark.parametrize("name", adapters.list_adapter_names())
def test_a_repetition_asks_for_the_same_under_the_same_id(name):
    """The partner can drop what it already has."""
    case = next(case for case in CASES if case.parent.parent.name == name)
    for _ in range(2):
        asked, _, _ = converse(case)
        for number, request in enumerate(asked, 1):
            check_request(case, number, request)


@pytest.mark.parametrize("name", adapters.list_adapter_names())
def test_an_adapter_says_where_its_dialect_comes_from(name):
    text = (FOLDER / name / "README.md").read_text()
    assert "**Source.**" in text
    assert "**Quirks.**" in text


@pytest.mark.parametrize("name", adapters.list_adapter_names())
def test_an_adapter_shows_an_acceptance_a_refusal_and_an_outage(name):
    shown = {
        tomllib.loads((case / "outcome.toml").read_text())["outcome"]
        for case in CASES
        if case.parent.parent.name == name
    }
    assert shown & {"accepted", "collected", "answer"}
    assert shown >= {"unavailable"}
    assert shown & {"refused", "collected"}


@pytest.mark.parametrize("name", adapters.list_adapter_names())
def test_an_adapter_reads_no_clock_file_or_socket(name):
    for path in (FOLDER / name).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            for module in imported:
                top = module.partition(".")[0]
                assert top in PURE | {"hub"} or module.startswith(f"adapters.{name}"), f"{path}: imports {module}"
            if isinstance(node, ast.Call):
                called = node.func
                assert not (isinstance(called, ast.Name) and called.id in {"open", "print", "input"}), path
                assert not (isinstance(called, ast.Attribute) and called.attr in CLOCKS), path


def test_the_files_of_a_shipped_mapping_are_those_that_it_lists():
    """The hub compares the hashes of an operator's mapping; those of its own are compared here."""
    mappings = [path for path in FOLDER.rglob("*.toml") if "[wsdl.sha256]" in path.read_text("utf-8")]
    assert FOLDER / "dancu" / "mapping.toml" in mappings
    for path in mappings:
        for name, digest in tomllib.loads(path.read_text("utf-8"))["wsdl"]["sha256"].items():
            assert hashlib.sha256((path.parent / name).read_bytes()).hexdigest() == digest, (path, name)


def test_an_adapter_is_found_by_its_folder():
    assert set(adapters.list_adapter_names()) == {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    with pytest.raises(KeyError):
        adapters.make_adapter("nobody", Terms(partner="vpub", url=URL, identity=partner("hub")))


ADDED = {
    "__init__.py": '''"""A system that takes octets as they are.  Knows its statuses; not HTTP, not the journal."""

import attrs

from hub.domain.conversations import Accepted, Refused, Request, Unavailable


@attrs.frozen
class Plain:
    url: str

    def deliver(self, consignment, now):
        reply = yield Request(self.url, consignment.content, (("Id", consignment.message.id),), hands_over=True)
        match reply.status:
            case 200:
                return Accepted(reply.body.decode())
            case 400:
                return Refused(reply.body.decode())
        return Unavailable(f"HTTP {reply.status}")


def adapter(terms):
    return Plain(terms.url)
''',
    "README.md": "**Source.** Made up.\n\n**Quirks.** None.\n",
    "samples/message.xml": "<report/>",
    "samples/request-1.body": "<report/>",
}
REPLIES = {"accepted": "200", "refused": "400", "unavailable": "503"}


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The folder of an adapter that is not in the hub's own folder, with three samples."""
    folder = tmp_path / "plain"
    cases = {f"samples/{name}/outcome.toml": f'outcome = "{name}"\n' for name in REPLIES}
    cases |= {f"samples/{name}/reply-1.status": status for name, status in REPLIES.items()}
    cases |= {f"samples/{name}/reply-1.body": "so be it" for name in REPLIES}
    for name, text in (ADDED | cases).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(tmp_path)])
    monkeypatch.setattr(sys.modules[__name__], "FOLDER", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "CASES", sorted(each.parent for each in folder.glob("samples/*/*.toml")))
    yield folder
    sys.modules.pop("adapters.plain", None)


def test_one_new_folder_is_an_adapter_and_is_held_to_the_same(added):
    assert "plain" in adapters.list_adapter_names()
    for case in CASES:
        test_each_sample_conversation_is_held_as_written(case)
    assert len(CASES) == len(REPLIES)
    test_a_repetition_asks_for_the_same_under_the_same_id("plain")
    test_an_adapter_says_where_its_dialect_comes_from("plain")
    test_an_adapter_shows_an_acceptance_a_refusal_and_an_outage("plain")
    test_an_adapter_reads_no_clock_file_or_socket("plain")


@pytest.mark.parametrize(
    ("file", "old", "new", "broken"),
    [
        ("__init__.py", "import attrs", "import attrs, socket", test_an_adapter_reads_no_clock_file_or_socket),
        ("README.md", "Quirks", "Oddities", test_an_adapter_says_where_its_dialect_comes_from),
        ("samples/request-1.body", "report", "other", test_a_repetition_asks_for_the_same_under_the_same_id),
        ("samples/unavailable/outcome.toml", "unav", "av", test_an_adapter_shows_an_acceptance_a_refusal_and_an_outage),
    ],
)
def test_a_new_folder_that_breaks_a_rule_is_seen(added, file, old, new, broken):
    text = (added / file).read_text("utf-8")
    (added / file).write_text(text.replace(old, new), "utf-8")
    with pytest.raises(AssertionError):
        broken("plain")
