"""Sealed documents, such as a receipt: one that is believed is sealed for xmlsec too, and says what was sealed."""

from collections.abc import Iterator

from lxml import etree

from hub.domain.errors import Rejected
from hub.security import signing, wss_verify
from hub.security.anchors import Untrusted
from hub.security.wss_verify import Unverified
from hub.soap import documents_responses
from tests.fuzz import resigning
from tests.fuzz.identities import ANCHORS, PARTNER, STRANGER
from tests.fuzz.signature import by_xmlsec
from tests.fuzz.told import gist, tell
from tests.pki import NOW
from tests.signatures import DS, ENVELOPED, EXCLUSIVE, INCLUSIVE

LONGEST = 6144
CODES = {
    *("unsigned", "signature-invalid", "algorithm-refused", "certificate-unknown", "signature-covers-too-little"),
    *("certificate-untrusted", "certificate-expired", "certificate-revoked", "certificate-weak"),
}
WORDS = (
    "",
    "#R",
    EXCLUSIVE,
    INCLUSIVE,
    ENVELOPED,
    PARTNER.token,
    STRANGER.token,
    "0193",
    "m-1",
    "2026-11-24T08:00:00Z",
)
SAID = documents_responses.Receipt(document_id="0193", message_id="m-1", sha256="00" * 32, time=NOW)


trees = resigning.trees(WORDS)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    yield signing.seal_canonical(documents_responses.write_receipt(SAID), PARTNER)
    yield signing.seal_canonical(documents_responses.write_receipt(SAID), STRANGER)


#: What was sealed in the seeds, by the value of the signature.
SEALED = {
    "".join(etree.fromstring(each).findtext(f"{{{DS}}}Signature/{{{DS}}}SignatureValue", "").split()): SAID
    for each in seeds()
}


def judge(content: bytes) -> None:
    believed = []
    for trusted in ([PARTNER.certificate], ANCHORS):
        try:
            root, certificate = wss_verify.unseal_document(content, trusted, NOW)
        except (Unverified, Untrusted) as refused:
            (problem,) = refused.problems
            assert problem.code in CODES, problem
            tell(problem.code, gist(str(problem.detail)))
            believed.append(False)
            continue
        except Rejected:
            return
        believed.append(True)
        assert certificate in {PARTNER.certificate, STRANGER.certificate}
        if certificate == PARTNER.certificate:
            assert by_xmlsec(content), "xmlsec does not accept it"
        value = "".join(root.findtext(f"{{{DS}}}Signature/{{{DS}}}SignatureValue", "").split())
        tell("believed", value in SEALED)
        if value in SEALED:
            assert documents_responses.read_receipt(root) == SEALED[value], "what is believed is not what was sealed"
    assert believed[1] or not believed[0], "a certificate that is named is one that leads to the anchors"
