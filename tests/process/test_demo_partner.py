"""The sample partners: what they sign, believe and note down."""

import base64
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import requests
from cryptography import x509
from lxml import etree

from hub.security import sample_pki as pki
from lienthong_demo.protocol.client import Wire
from lienthong_demo.protocol.letterbox import DOCUMENTS, Delivered, Letterbox, Shelf, make_server_context
from lienthong_demo.protocol.notebook import Notebook, read_notebook
from lienthong_demo.protocol.signing import SOAP, PartnerIdentity, Unbelievable, sign_call, verify_reply
from tests.waiting import PATIENCE

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@attrs.frozen
class Pair:
    """A hub and a partner with a letterbox, in one process."""

    pki: Path
    box: Letterbox
    told: list[Delivered]

    def identity(self, name: str) -> PartnerIdentity:
        """Load an identity of the sample PKI."""
        stem = self.pki / name
        return PartnerIdentity.load(stem.with_suffix(".key"), stem.with_suffix(".crt"))

    def push(self, message_id: str, content: bytes, *, tls: str = "hub", signer: str = "hub") -> requests.Response:
        """Push as the hub would."""
        envelope = _envelope(message_id, content)
        sign_call(envelope, self.identity(signer), datetime.now(UTC))
        wire = Wire(self.pki / f"{tls}.key", self.pki / f"{tls}.crt", self.pki / "ca.crt")
        with wire.session() as session:
            return session.post(
                f"https://127.0.0.1:{self.box.server_address[1]}/", etree.tostring(envelope), timeout=PATIENCE
            )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample PKI."""
    directory = tmp_path_factory.mktemp("pki") / "pki"
    pki.write_sample_pki(directory, ("vpub",), datetime.now(UTC))
    return directory


@pytest.fixture
def pair(keys: Path, tmp_path: Path) -> Iterator[Pair]:
    """A partner whose letterbox is open."""
    hub = x509.load_pem_x509_certificate((keys / "hub.crt").read_bytes())
    key, certificate = keys / "partners/vpub.key", keys / "partners/vpub.crt"
    told: list[Delivered] = []
    with Notebook(tmp_path / "vpub.jsonl") as notebook:
        tls = make_server_context(key, certificate, keys / "ca.crt")
        box = Letterbox(
            ("127.0.0.1", 0), tls, PartnerIdentity.load(key, certificate), hub, Shelf.reopen(notebook), told.append
        )
        thread = threading.Thread(target=box.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Pair(keys, box, told)
        box.shutdown()
        box.server_close()
        thread.join()


def _envelope(message_id: str, content: bytes) -> etree._Element:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    call = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{DOCUMENTS}}}SendDocument")
    etree.SubElement(call, f"{{{DOCUMENTS}}}MessageId").text = message_id
    etree.SubElement(call, f"{{{DOCUMENTS}}}Packet").text = base64.b64encode(content).decode()
    return envelope


def _success(reply: requests.Response) -> str | None:
    return etree.fromstring(reply.content).findtext(f".//{{{DOCUMENTS}}}IsSuccess")


def _received(pair: Pair) -> list[tuple[object, object]]:
    notes = read_notebook(pair.box.shelf.notebook.path)
    return [(note["document_id"], note["first"]) for note in notes if note["what"] == "received"]


def test_a_push_is_noted_before_it_is_answered_and_a_repetition_is_noted_as_one(pair: Pair) -> None:
    """The same MessageId and bytes again are answered again, and passed on once."""
    assert [_success(pair.push("m1", b"<a/>")) for _ in range(2)] == ["true", "true"]
    assert _received(pair) == [("m1", True), ("m1", False)]
    assert pair.told == [Delivered("m1", b"<a/>")]


def test_other_bytes_under_the_same_id_are_refused(pair: Pair) -> None:
    """The partner keeps what it took first."""
    pair.push("m1", b"<a/>")
    assert _success(pair.push("m1", b"<b/>")) == "false"
    assert _received(pair) == [("m1", True)]


def test_a_partner_that_goes_down_answers_nothing_over_connections_that_are_open(pair: Pair) -> None:
    """It must not refuse what it cannot note: the hub would not send that again."""
    pair.box.shelf.notebook.close()
    with pytest.raises(requests.ConnectionError):
        pair.push("m1", b"<a/>")


def test_what_was_taken_is_remembered_over_a_restart(pair: Pair) -> None:
    """A partner that comes back knows by its file what it has."""
    pair.push("m1", b"<a/>")
    again = Shelf.reopen(pair.box.shelf.notebook)
    assert not again.take(Delivered("m1", b"<a/>"), "push")
    with pytest.raises(ValueError, match="other bytes"):
        again.take(Delivered("m1", b"<b/>"), "push")


def test_the_answer_is_signed_by_the_partner(pair: Pair) -> None:
    """Body and Timestamp of the answer verify with the partner's certificate, and with no other."""
    reply = etree.fromstring(pair.push("m1", b"<a/>").content)
    partner, hub = (pair.identity(name).certificate for name in ("partners/vpub", "hub"))
    assert verify_reply(reply, partner, datetime.now(UTC)).tag == f"{{{SOAP}}}Body"
    with pytest.raises(Unbelievable):
        verify_reply(reply, hub, datetime.now(UTC))


@pytest.mark.parametrize(("tls", "signer"), [("partners/vpub", "hub"), ("hub", "partners/vpub")])
def test_only_the_hub_may_push(pair: Pair, tls: str, signer: str) -> None:
    """Neither the TLS identity nor the signer may be another's."""
    assert pair.push("m1", b"<a/>", tls=tls, signer=signer).status_code in (403, 500)
    assert _received(pair) == []


def _drop_timestamp(envelope: etree._Element) -> None:
    timestamp = next(envelope.iter("{*}Timestamp"))
    timestamp.getparent().remove(timestamp)  # type: ignore[union-attr]


def _wrap(envelope: etree._Element) -> None:
    body = envelope[-1]
    envelope.append(etree.fromstring(f'<s:Body xmlns:s="{SOAP}"><other/></s:Body>'))
    etree.SubElement(envelope[0], "kept").append(body)


def _swap(envelope: etree._Element) -> None:
    next(envelope.iter(f"{{{DOCUMENTS}}}MessageId")).text = "m2"


@pytest.mark.parametrize("spoil", [_drop_timestamp, _wrap, _swap])
def test_a_partner_believes_only_what_is_signed_where_it_stands(
    keys: Path, spoil: Callable[[etree._Element], None]
) -> None:
    """A dropped Timestamp, a wrapped Body and a changed value are not the hub's word."""
    hub = PartnerIdentity.load(keys / "hub.key", keys / "hub.crt")
    envelope = _envelope("m1", b"<a/>")
    sign_call(envelope, hub, NOW)
    assert verify_reply(envelope, hub.certificate, NOW)[0].tag == f"{{{DOCUMENTS}}}SendDocument"
    spoil(envelope)
    with pytest.raises(Unbelievable):
        verify_reply(envelope, hub.certificate, NOW)


@pytest.mark.parametrize("later", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_partner_believes_no_stale_answer(keys: Path, later: timedelta) -> None:
    """An answer of another hour may be a replayed one."""
    hub = PartnerIdentity.load(keys / "hub.key", keys / "hub.crt")
    envelope = _envelope("m1", b"<a/>")
    sign_call(envelope, hub, NOW)
    with pytest.raises(Unbelievable, match="Timestamp"):
        verify_reply(envelope, hub.certificate, NOW + later)


def test_a_half_written_line_does_not_count(tmp_path: Path) -> None:
    """Whoever was killed while writing had not answered; the next line begins afresh."""
    path = tmp_path / "n.jsonl"
    with Notebook(path) as notebook:
        notebook.write("sent", NOW, message_id="m1")
    with path.open("ab") as file:
        file.write(b'{"what": "se')
    assert [note["what"] for note in read_notebook(path)] == ["sent"]
    with Notebook(path) as notebook:
        notebook.write("received", NOW)
    assert [note["what"] for note in read_notebook(path)] == ["sent", "received"]
