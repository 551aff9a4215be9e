"""Signs PDF as officials' tools do, by pyHanko; and as nobody should.  Knows nothing of how the hub verifies."""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.security.certificates import Identity
from tests.officials import AN


def by_pyhanko(
    given: bytes,
    identity: Identity = AN,
    *,
    box: tuple[int, int, int, int] | None = None,
    page: int = -1,
    kind: str = "PADES",
    name: str = "Ky",
    also: Callable[[Any], None] = lambda _writer: None,
    tsa: Identity | None = None,
    at: datetime | None = None,
) -> bytes:
    """Return *given* with a signature; *box*: where it is seen, *also*: what the same update does besides; *tsa*: who
    stamps its value, *at* that time.
    """
    pytest.importorskip("pyhanko.sign.signers")
    from asn1crypto import keys, x509  # type: ignore[import-untyped]
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers
    from pyhanko.sign.timestamps import DummyTimeStamper
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    def load(one: Identity) -> tuple[Any, Any]:
        secret = one.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return x509.Certificate.load(one.certificate.public_bytes(Encoding.DER)), keys.PrivateKeyInfo.load(secret)

    certificate, key = load(identity)
    signer = signers.SimpleSigner(signing_cert=certificate, signing_key=key, cert_registry=SimpleCertificateStore())
    stamper = None if tsa is None else DummyTimeStamper(*load(tsa), fixed_dt=at)
    said = signers.PdfSignatureMetadata(field_name=name, md_algorithm="sha256", subfilter=fields.SigSeedSubFilter[kind])
    writer = IncrementalPdfFileWriter(BytesIO(given))
    also(writer)
    field = fields.SigFieldSpec(name, on_page=page, box=box)
    made = signers.PdfSigner(said, signer=signer, timestamper=stamper, new_field_spec=field)
    signed: bytes = made.sign_pdf(writer).getvalue()
    return signed


def annotate(page: int) -> Callable[[Any], None]:
    """Return what draws a box over the numbers of *page*."""

    def add(writer: Any) -> None:
        from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, NumberObject, pdf_name, pdf_string

        box = ArrayObject(map(NumberObject, (0, 0, 800, 500)))
        entries = {"/Type": pdf_name("/Annot"), "/Subtype": pdf_name("/FreeText"), "/Rect": box}
        note = DictionaryObject({**entries, "/Contents": pdf_string("9")})
        writer.register_annotation(writer.find_page_for_modification(page)[0], writer.add_object(note))

    return add


def open_action(writer: Any) -> None:
    """Let the document do something when it is opened."""
    from pyhanko.pdf_utils.generic import DictionaryObject, pdf_name, pdf_string

    writer.root["/OpenAction"] = DictionaryObject({"/S": pdf_name("/JavaScript"), "/JS": pdf_string("x")})
    writer.update_root()


def other_content(writer: Any) -> None:
    """Let the last page show nothing."""
    from pyhanko.pdf_utils.generic import StreamObject

    page = writer.find_page_for_modification(-1)[0].get_object()
    page["/Contents"] = writer.add_object(StreamObject(stream_data=b""))
    writer.update_container(page)


def swell(writer: Any) -> None:
    """Add a stream of 64 MB that is packed into 64 kB."""
    from pyhanko.pdf_utils.generic import StreamObject

    stream = StreamObject(stream_data=b"\0" * (64 << 20))
    stream.compress()
    writer.add_object(stream)
