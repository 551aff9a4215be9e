"""`lienthong send` and `lienthong fetch` as a partner's clerk types them: files, exit codes, JSON."""

import hashlib
import json

import pytest
from click.testing import CliRunner
from cryptography import x509

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Problem
from hub.security import signing, wss_verify
from hub.security.certificates import Identity
from hub.soap import documents_requests, documents_responses, envelope
from tests import homes
from tests.packets import document
from tests.stage import HUB, ME, PACKET, SHA256, arguments, build_taken, hub, now, receipt, signed, take


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return homes.begin(tmp_path_factory.mktemp("made") / "tinh")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "van ban.edxml"
    path.write_bytes(PACKET)
    return path


def typed(*words, lang="en_US.UTF-8", stdin=None):
    return CliRunner(env={"LANG": lang}).invoke(lienthong, [str(word) for word in words], input=stdin)


def away(where):
    """The options of a clerk who has no hub.toml."""
    return [word for name in ("key", "certificate", "ca", "url") for word in (f"--{name}", where[name])]


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


class Shelf:
    """A hub's side of fetching: what waits for whom, until it is confirmed."""

    def __init__(self, waiting, *, broken=()):
        self.waiting = {unit: list(ids) for unit, ids in waiting.items()}
        self.broken = broken
        self.fetched = []

    def __call__(self, call):
        match call:
            case documents_requests.GetPendingDocumentIds(organ):
                if organ not in self.waiting:
                    fault = envelope.write_fault(
                        documents_requests.NAMESPACE, [Problem("not-yours", organ)], server=False, tracking="t"
                    )
                    return 500, {}, fault
                return signed(documents_responses.build_pending_response(self.waiting[organ][:2]))
            case documents_requests.GetDocument(document_id):
                self.fetched.append(document_id)
                if document_id in self.broken:
                    problem = Problem("document-not-found", document_id)
                    return (
                        500,
                        {},
                        envelope.write_fault(documents_requests.NAMESPACE, [problem], server=False, tracking="t"),
                    )
                return signed(
                    documents_responses.build_document_response(
                        documents_responses.Document(document_id, f"m-{document_id}", document_id.encode())
                    )
                )
            case documents_requests.ConfirmReceived(document_id, organ):
                self.waiting[organ].remove(document_id)
                return signed(documents_responses.build_confirmed_response())
        raise AssertionError(call)


# --- send ---------------------------------------------------------------------------------------------------------------


def test_away_from_any_hub_a_key_a_certificate_a_ca_and_an_address_are_enough(tmp_path, file):
    with hub(tmp_path, take) as where:
        kept = tmp_path / "receipt.xml"
        done = typed("send", file, *away(where), "--message-id", "m-1", "--receipt", kept, "--json")
    assert done.exit_code == 0, done.output
    (row,) = rows(done)
    assert row["accepted"] is True
    assert (row["document_id"], row["message_id"], row["sha256"]) == ("d-1", "m-1", SHA256)
    assert kept.read_text() == row["receipt"]
    root, _ = wss_verify.unseal_document(kept.read_bytes(), [HUB.certificate], now())
    assert documents_responses.read_receipt(root).document_id == "d-1"


def test_a_packet_may_come_from_standard_input(tmp_path):
    with hub(tmp_path, take) as where:
        done = typed("send", "-", *away(where), stdin=PACKET)
    assert done.exit_code == 0, done.output
    assert done.stdout == "Accepted: d-1\n"


def test_a_sample_partner_needs_only_its_name(tmp_path, made, file):
    config = read_config(made / "hub.toml")
    sotttt = Identity.read(made / "pki/partners/sotttt.key", made / "pki/partners/sotttt.crt")
    ca = x509.load_pem_x509_certificate((made / "pki/ca.crt").read_bytes())

    def answer(call):
        return signed(
            build_taken("SendDocument", "d-1", receipt(call, config.identity)),
            config.identity,
        )

    with hub(tmp_path, answer, config.identity, clients=ca, caller=sotttt, port=config.soap.port):
        done = typed("-c", made / "hub.toml", "send", file, "--as", "sotttt", lang="vi_VN.UTF-8")
    assert done.exit_code == 0, done.output
    assert done.stdout == "Đã nhận: d-1\n"


def test_a_refusal_exits_1_and_tells_every_reason(tmp_path, file):
    problems = [Problem("unit-unknown", "H55.1"), Problem("N.MessageHeader.Code")]
    with hub(tmp_path, lambda _: signed(documents_responses.build_refused_response("SendDocument", problems))) as where:
        done = typed("send", file, *away(where))
        told = typed("send", file, *away(where), "--json")
    assert done.exit_code == told.exit_code == 1
    assert "unit-unknown" in done.stderr
    assert "N.MessageHeader.Code" in done.stderr
    (row,) = rows(told)
    assert row["accepted"] is False
    assert [error["code"] for error in row["errors"]] == ["unit-unknown", "N.MessageHeader.Code"]


def test_a_fault_exits_1_with_its_tracking_id(tmp_path, file):
    fault = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("certificate-unknown")], server=False, tracking="t-9"
    )
    with hub(tmp_path, lambda _: (500, {}, fault)) as where:
        done = typed("send", file, *away(where))
    assert done.exit_code == 1
    assert "t-9" in done.stderr


def test_a_hub_that_cannot_now_exits_69(tmp_path, file):
    fault = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("journal-unavailable")], server=True, tracking="t"
    )
    with hub(tmp_path, lambda _: (500, {"Retry-After": "5"}, fault)) as where:
        done = typed("send", file, *away(where), "--json")
    assert done.exit_code == 69
    (row,) = rows(done)
    assert row["accepted"] is None
    assert row["retry_after"] == 5.0
    gone = typed("send", file, *away(where))
    assert gone.exit_code == 69
    assert gone.stderr.startswith("Error: unavailable: ")


def test_without_a_name_or_all_four_files_the_usage_is_wrong(tmp_path, made, file):
    given = away(arguments(tmp_path, "https://127.0.0.1:1/"))
    for words in (given[:0], given[:6], given[2:]):
        assert typed("send", file, *words).exit_code == 2
    assert typed("-c", made / "hub.toml", "send", file, "--as", "nobody").exit_code == 2
    assert typed("send", tmp_path / "none", *given).exit_code == 2


# --- fetch --------------------------------------------------------------------------------------------------------------


def test_everything_that_waits_is_written_then_confirmed(tmp_path):
    shelf = Shelf({"H55.13": ["d-1", "d-2", "d-3"], "H55.14": ["d-3", "d-4"]})
    into = tmp_path / "den" / "nay"
    with hub(tmp_path, shelf) as where:
        done = typed("fetch", into, *away(where), "--unit", "H55.13", "--unit", "H55.14", "--confirm", "--json")
    assert done.exit_code == 0, done.output
    assert shelf.waiting == {"H55.13": [], "H55.14": []}
    assert shelf.fetched == ["d-1", "d-2", "d-3", "d-4"]  # what waits for two units is fetched once
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {
        f"{name}.edxml": name.encode() for name in ("d-1", "d-2", "d-3", "d-4")
    }
    told = rows(done)
    assert [(row["unit"], row["document_id"]) for row in told] == [
        ("H55.13", "d-1"),
        ("H55.13", "d-2"),
        ("H55.13", "d-3"),
        ("H55.14", "d-3"),
        ("H55.14", "d-4"),
    ]
    assert told[0]["message_id"] == "m-d-1"
    assert told[0]["size"] == 3
    assert told[0]["confirmed"] is True


def test_without_confirm_it_goes_on_waiting(tmp_path):
    shelf = Shelf({"H55.13": ["d-1"]})
    with hub(tmp_path, shelf) as where:
        for _ in range(2):
            done = typed("fetch", tmp_path / "den", *away(where), "--unit", "H55.13")
            assert done.exit_code == 0, done.output
    assert shelf.waiting == {"H55.13": ["d-1"]}


def test_a_sample_partner_fetches_for_all_its_units(tmp_path, made):
    config = read_config(made / "hub.toml")
    sotttt = Identity.read(made / "pki/partners/sotttt.key", made / "pki/partners/sotttt.crt")
    asked = []

    def answer(call):
        asked.append(call.organ_id)
        return signed(documents_responses.build_pending_response([]), config.identity)

    with hub(tmp_path, answer, config.identity, clients=config.authorities[0], caller=sotttt, port=config.soap.port):
        done = typed("-c", made / "hub.toml", "fetch", tmp_path / "den", "--as", "sotttt")
    assert done.exit_code == 0, done.output
    assert tuple(asked) == config.partners["sotttt"].units
    assert typed("-c", made / "hub.toml", "fetch", tmp_path / "den", "--as", "vpcp").exit_code == 2  # owns no unit


def test_what_cannot_be_fetched_is_told_and_the_rest_comes(tmp_path):
    shelf = Shelf({"H55.13": ["d-1", "d-2"]}, broken={"d-1"})
    with hub(tmp_path, shelf) as where:
        done = typed("fetch", tmp_path / "den", *away(where), "--unit", "H55.13", "--json")
        assert done.exit_code == 3
        shelf.waiting["H55.13"] = ["d-1"]
        assert typed("fetch", tmp_path / "den", *away(where), "--unit", "H55.13").exit_code == 1
        assert typed("fetch", tmp_path / "den", *away(where), "--unit", "H01").exit_code == 1
    refused, taken = rows(done)
    assert refused["document_id"] == "d-1"
    assert refused["errors"][0]["code"] == "document-not-found"
    assert taken["document_id"] == "d-2"


def test_an_id_cannot_write_outside_the_folder(tmp_path):
    with hub(tmp_path, Shelf({"H55.13": ["../../x/y", ".."]})) as where:
        done = typed("fetch", tmp_path / "a" / "b", *away(where), "--unit", "H55.13")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"...edxml", "..%2F..%2Fx%2Fy.edxml"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b"}


def test_what_cannot_be_written_is_not_confirmed(tmp_path):
    shelf = Shelf({"H55.13": ["d-1"]})
    (tmp_path / "den" / "d-1.edxml").mkdir(parents=True)
    with hub(tmp_path, shelf) as where:
        done = typed("fetch", tmp_path / "den", *away(where), "--unit", "H55.13", "--confirm")
    assert done.exit_code == 1
    assert "d-1.edxml" in done.stderr
    assert shelf.waiting == {"H55.13": ["d-1"]}


def test_send_signs_the_packet_too_when_asked(tmp_path):
    path = tmp_path / "van ban.edxml"
    path.write_bytes(document())
    sent = []

    def keep(call):
        sent.append(call.packet)
        return take(call)

    with hub(tmp_path, keep) as where:
        result = typed("send", path, *away(where), "--sign-packet", "--message-id", "m", "--json")
        assert result.exit_code == 0, result.output
        again = typed("send", path, *away(where), "--sign-packet", "--message-id", "m")
        assert again.exit_code == 0, again.output
    assert sent[0] == sent[1] == signing.sign_packet(document(), ME)
    assert rows(result)[0]["sha256"] == hashlib.sha256(sent[0]).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        PACKET,
        b"<a",
        signing.sign_packet(document(), ME),
        document() + b"<!-- -->",
        document().replace(b"</edXML:Subject>", b"<![CDATA[]]></edXML:Subject>"),
    ],
    ids=["with a dummy", "no XML", "signed already", "with a comment", "with CDATA"],
)
def test_a_packet_that_cannot_be_signed_is_not_sent(tmp_path, content):
    path = tmp_path / "van ban.edxml"
    path.write_bytes(content)
    with hub(tmp_path, lambda _: pytest.fail("sent")) as where:
        result = typed("send", path, *away(where), "--sign-packet")
    assert result.exit_code == 1
    assert "the packet cannot be signed" in result.stderr
