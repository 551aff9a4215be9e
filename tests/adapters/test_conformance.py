"""Every adapter is a folder that explains itself: pure code, a README, and samples of whole conversations that hold."""

import ast
import hashlib
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

import adapters
from hub import envelope, signature
from hub.model import (
    Accepted,
    Consignment,
    Message,
    MessageState,
    Outcome,
    Postponed,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from tests.pki import NOW, partner

FOLDER = Path(adapters.__file__).parent
CASES = sorted(path.parent for path in FOLDER.glob("*/samples/*/outcome.toml"))
OUTCOMES = {"accepted": Accepted, "refused": Refused, "unavailable": Unavailable, "postponed": Postponed}
URL = "https://partner.example.vn/soap/documents"
MAX_AGE, SKEW = timedelta(seconds=900), timedelta(seconds=60)

#: What an adapter may import besides hub's own rules: nothing that reads a clock, a file, a socket or chance.
PURE = {
    "attrs",
    "base64",
    "collections",
    "cryptography",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "itertools",
    "json",
    "lxml",
    "math",
    "re",
    "typing",
    "urllib",
}
CLOCKS = {"now", "utcnow", "today"}


def consignment(content):
    message = Message(
        id="01936f1e-7c80-7000-8000-000000000001",
        partner="sotttt",
        message_id="m-1",
        service="documents",
        kind="document",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=("H55.1",), attempt=1)


def converse(name, content, replies):
    """Hold the conversation; return what was asked, and the outcome."""
    adapter = adapters.adapter(
        name,
        url=URL,
        identity=partner("hub"),
        certificates=(partner("vpub").certificate,),
        max_age=MAX_AGE,
        skew=SKEW,
    )
    conversation = adapter.deliver(consignment(content), NOW)
    asked = [next(conversation)]
    try:
        for reply in replies:
            request = conversation.send(reply)
            asked.append(request)
    except StopIteration as end:
        return asked, end.value
    raise AssertionError("the adapter wants more replies than the sample has")


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
    expected = found(case, f"request-{number}.xml", f"request-{number}.body")
    assert request.url.startswith("https://")
    if expected.suffix == ".body":
        assert request.body == expected.read_bytes()
        return
    verified = signature.verify(etree.fromstring(request.body), [partner("hub").certificate], NOW, max_age=MAX_AGE)
    assert plain(envelope.only_child(verified.body)) == plain(etree.parse(expected).getroot())


def check_outcome(outcome: Outcome, expected):
    assert isinstance(outcome, OUTCOMES[expected.pop("outcome")])
    for field, value in expected.items():
        assert getattr(outcome, field) == value


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.parent.name}-{case.name}" for case in CASES])
def test_each_sample_conversation_is_held_as_written(case):
    name = case.parent.parent.name
    content = found(case, "message.edxml").read_bytes()
    asked, outcome = converse(name, content, replies(case))
    for number, request in enumerate(asked, 1):
        check_request(case, number, request)
    assert len(asked) == len(list(case.glob("reply-*.status")))
    check_outcome(outcome, tomllib.loads((case / "outcome.toml").read_text()))


@pytest.mark.parametrize("name", adapters.names())
def test_a_repetition_asks_for_the_same_under_the_same_id(name):
    """The partner can drop what it already has."""
    case = next(case for case in CASES if case.parent.parent.name == name)
    content = found(case, "message.edxml").read_bytes()
    for _ in range(2):
        asked, _ = converse(name, content, replies(case))
        for number, request in enumerate(asked, 1):
            check_request(case, number, request)


@pytest.mark.parametrize("name", adapters.names())
def test_an_adapter_says_where_its_dialect_comes_from(name):
    text = (FOLDER / name / "README.md").read_text()
    assert "**Source.**" in text
    assert "**Quirks.**" in text


@pytest.mark.parametrize("name", adapters.names())
def test_an_adapter_shows_an_acceptance_a_refusal_and_an_outage(name):
    shown = {
        tomllib.loads((case / "outcome.toml").read_text())["outcome"]
        for case in CASES
        if case.parent.parent.name == name
    }
    assert shown >= {"accepted", "refused", "unavailable"}


@pytest.mark.parametrize("name", adapters.names())
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


def test_an_adapter_is_found_by_its_folder():
    assert set(adapters.names()) == {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    with pytest.raises(KeyError):
        adapters.adapter("nobody", url=URL, identity=partner("hub"), certificates=(), max_age=MAX_AGE, skew=SKEW)
