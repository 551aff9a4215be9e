"""Defines the hub's errors, one class for each party at fault, and the table of error codes with their sentences.

`Rejected` (the message) and `CallRefused` (the call around it) are faults of the sender. `Unready` is a passing fault
of the hub. `ConfigurationFault` is a fault of the operator. A fault of a partner is an `Outcome`, not an error. Every
other exception is a defect of the hub: it is logged, and the caller reads `hub-error`. Does not know which module
raises which code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from hub.domain.model import Detail, ElementPlace, Problem
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText, phrase, verbatim

#: Code -> what is wrong and what to do. The keys `N.`, `R.`, `T.` and `M.` stand for codes that
#: consist of this prefix and a path.
SENTENCES: dict[str, Phrase] = {
    "N.": phrase("A required element is missing; add it and send again"),
    "R.": phrase("The value is out of range; correct it and send again"),
    "T.": phrase("The value has the wrong type; correct it and send again"),
    "M.": phrase("The value does not match its counterpart; correct it"),
    "action-mismatch": phrase("SOAPAction disagrees with the Body's element; leave it empty or set it right"),
    "algorithm-refused": phrase("The signature algorithm is not accepted; use RSA-SHA256 with exclusive C14N"),
    "attachment-not-signed": phrase(
        "The signature does not cover the attachment; sign it (Attachment-Content-Signature-Transform) "
        "or send it by MTOM"
    ),
    "attachment-unknown": phrase("Attachments and cid references do not match one to one; check each Content-ID"),
    "attribute-unknown": phrase("The attribute is not in QCVN 102; remove it"),
    "audience-mismatch": phrase(
        "The call was signed for another receiver (its wsa:To is not this hub); address it to this hub and sign again"
    ),
    "calendar-too-large": phrase(
        "The calendar has too many series, days, lines or attendees; end its series sooner, or send it "
        "in several packets"
    ),
    "calendar-unreadable": phrase("The calendar cannot be read; compare it with RFC 5545"),
    "call-not-granted": phrase(
        "Your system is not granted this operation; the operator grants it by the key calls (lienthong "
        "partners add CODE --replace --calls …)"
    ),
    "certificate-expired": phrase("The certificate is outside its validity; renew it"),
    "certificate-revoked": phrase("The certificate is revoked; replace it"),
    "certificate-unknown": phrase("The certificate belongs to no registered partner; ask the operator to register it"),
    "certificate-untrusted": phrase("The certificate does not chain to a trusted anchor; ask the operator"),
    "certificate-weak": phrase(
        "The certificate's key is too weak; replace it by RSA from 2048 bits, or EC on P-256, P-384 or P-521"
    ),
    "child-order": phrase("The child elements are in the wrong order; reorder them"),
    "closing-tampered": phrase(
        "A closed month was edited in the database, so nothing of it is given out; ask the operator to restore it "
        "(lienthong report close) and to find out who did it"
    ),
    "column-unknown": phrase(
        "The form has no such column, or the column takes no declared figure; use one of the keys named"
    ),
    "contract-broken": phrase("The call breaks the service contract; compare it with the WSDL"),
    "correction-differs": phrase(
        "The message was accepted and counted, so a corrected one keeps its kind, From and DocumentId; write them as "
        "they were"
    ),
    "declaration-missing": phrase(
        "The unit has declared nothing for this form and period; call SubmitWorkloadReport first"
    ),
    "disk-low": phrase("The hub's disk is nearly full; send again later"),
    "doctype-refused": phrase("A DOCTYPE is not accepted; remove it"),
    "document-not-found": phrase("There is no such message for your system; check the id"),
    "drill-mixed": phrase("Test units of a drill exchange with one another only; use units of one kind"),
    "dossier-unknown": phrase("No dossier of this code is known at a unit your system may send for; check both codes"),
    "element-unknown": phrase("The element is not in QCVN 102; remove it"),
    "evidence-differs": phrase(
        "The evidence of a closed month differs from the closing; ask the operator to count again "
        "(lienthong report close), then try again"
    ),
    "facts-outstanding": phrase("Facts of accepted messages are still being written; ask again in a few minutes"),
    "form-unknown": phrase("There is no such form for the period; use one of the forms named"),
    "hub-busy": phrase("The hub is overloaded; send again later"),
    "hub-error": phrase("The hub failed; send again later and give the operator the tracking id"),
    "id-reused": phrase("This MessageId was already used for other content; use a new one"),
    "incident-unreadable": phrase("The incident data cannot be read; compare it with the reference"),
    "journal-damaged": phrase("The hub's journal is damaged and must be restored; send again later"),
    "journal-moved": phrase("The file of the hub's journal was moved or replaced; send again later"),
    "journal-unavailable": phrase("The journal cannot be written now; send again later"),
    "key-unavailable": phrase("The hub cannot sign now; send again later"),
    "list-unreadable": phrase(
        "The list cannot be read or was refused; the previous list stays in use; check the provider's answer"
    ),
    "lookup-not-served": phrase("No system answers this operation; contact the operator"),
    "lookup-refused": phrase("The queried system refused; check what you sent"),
    "lookup-unavailable": phrase("The queried system does not answer now; call again later with the same MessageId"),
    "media-type": phrase(
        "The HTTP media type is not supported; send text/xml, application/soap+xml or multipart/related, not compressed"
    ),
    "multipart-broken": phrase("The multipart/related body is malformed; compare it with RFC 2387 and MTOM"),
    "nobody-left": phrase(
        "Each recipient has the document, is still to get it, or had it taken back, so there is nobody to send the "
        "corrected packet to; check the recipients"
    ),
    "not-correctable": phrase("This message cannot be corrected; see what was found"),
    "not-fetched": phrase("The message was not fetched, so it cannot be confirmed; call GetDocument first"),
    "not-must-understand": phrase("A mustUnderstand header is not understood; remove it"),
    "not-ours": phrase("No recipient belongs to the province; check the recipients"),
    "not-the-sender": phrase(
        "Only the unit that sent a document may recall, update or replace it; check the DocumentId"
    ),
    "not-well-formed": phrase("The XML is not well-formed at the place given; correct it and send again"),
    "not-yours": phrase("That unit does not belong to your system; check the code"),
    "official-not-for-unit": phrase(
        "The signer may not sign for this unit; let the right person sign, or ask the operator to enter the assignment"
    ),
    "official-not-in-office": phrase(
        "The signer was not assigned on the day of signing; let an assigned official sign"
    ),
    "official-unknown": phrase(
        "The signer's certificate is not registered; use the registered one, or bring this one to the operator"
    ),
    "operation-unknown": phrase("There is no such operation; compare it with the WSDL"),
    "packet-signature-invalid": phrase(
        "The packet's own signature is invalid: the packet changed after signing, or the certificate is "
        "no longer valid; sign it again"
    ),
    "packet-signature-unverifiable": phrase(
        "The packet's own signature cannot be checked; sign an enveloped XMLDSig, RSA-SHA256, with a "
        "registered certificate"
    ),
    "packet-unreadable": phrase("This is not an edXML packet of QCVN 102; check its root element and namespace"),
    "packet-unsignable": phrase(
        "The hub cannot sign the packet: take out comments and CDATA sections, and keep one edXMLHeader"
    ),
    "packet-unsigned": phrase("The packet is not signed; sign the whole packet (enveloped XMLDSig)"),
    "pdf-unsupported": phrase(
        "This hub cannot verify signed PDF files; sign the XML file, or ask the operator to install the extra pades"
    ),
    "period-not-closed": phrase(
        "The month named is not closed; wait until the hub closes it early in the morning, or ask the "
        "operator to close it"
    ),
    "period-not-ended": phrase(
        "The period has not ended and its numbers may change; download the report for signing after the "
        "period has ended"
    ),
    "period-unreadable": phrase("The period cannot be read; write it like 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026"),
    "secret-refused": phrase("A secret document may not be sent over the hub; send it another way"),
    "quota-exceeded": phrase(
        "The unit has used up its lookups of the day; ask again tomorrow, or contact the operator"
    ),
    "replayed": phrase("This signed call was received before and would change data now; sign it again and call again"),
    "reason-missing": phrase("A new revision needs a reason; write it and send again"),
    "report-already-signed": phrase(
        "This revision is already signed; to sign again, make a new revision with a reason and sign that one"
    ),
    "report-changed": phrase(
        "The content differs from the downloaded report; download it again and sign that file with a "
        "tool that does not change the XML"
    ),
    "batch-file": phrase("The file is not a signed report of this form and period; check which file it is"),
    "report-not-closed": phrase(
        "The report is not closed: there is nothing to sign; get the XML report of an ended period, then sign that file"
    ),
    "report-other-revision": phrase(
        "The signed file is another report or revision; download the newest revision of this report, "
        "sign it and submit it"
    ),
    "report-signatures": phrase(
        "The file must hold exactly one signature, at the end, after the hub's seal; download it again and sign once"
    ),
    "report-unsigned": phrase(
        "No official has signed the report; sign it (XAdES-B, enveloped) and submit the signed file"
    ),
    "revocation-unknown": phrase(
        "The revocation status of the certificate is unknown now; send again later, or contact the operator"
    ),
    "sender-not-allowed": phrase("Your system may not send for this unit; ask the operator"),
    "signature-covers-too-little": phrase("The signature must cover Body and Timestamp; sign both"),
    "signature-incomplete": phrase(
        "The signature is neither XAdES-B nor XAdES-T: too little is signed, or it contains extra parts; sign again as "
        "XAdES-B or XAdES-T (Baseline-B, Baseline-T), enveloped"
    ),
    "signature-invalid": phrase(
        "The signature is invalid: the content changed after signing, or was signed incorrectly"
    ),
    "signature-order": phrase(
        "Two different persons sign this report: first the one who draws it up, then, over that signature, the head of the "
        "unit; let the right one sign the file that the hub gives out now"
    ),
    "signing-time": phrase(
        "The signing time is in the future or before the report was closed; correct the clock of the "
        "signing machine and sign again"
    ),
    "stamp-invalid": phrase(
        "The time stamp on the signature proves nothing: it is damaged, belongs to another signature, or uses weak "
        "algorithms; sign again and let the tool get a new time stamp"
    ),
    "stamp-missing": phrase(
        "This hub takes only signatures with a time stamp; turn on time stamping (XAdES-T, PAdES-T) in the signing tool "
        "and sign again"
    ),
    "stamp-time": phrase(
        "The time of the time stamp is in the future, or before the report was closed; get a new time stamp, and if it "
        "is refused again tell the operator"
    ),
    "stamp-untrusted": phrase(
        "The hub does not trust the authority that made the time stamp; choose another time-stamping service in the "
        "signing tool, sign without a time stamp where that is allowed, or ask the operator"
    ),
    "soap-version": phrase("The SOAP version is not supported or does not match the Content-Type; use SOAP 1.1 or 1.2"),
    "timestamp-expired": phrase("The Timestamp has expired; check your clock and sign again"),
    "timestamp-future": phrase("The Timestamp is in the future; correct your clock"),
    "timestamp-missing": phrase("The Timestamp is missing; add it and sign it"),
    "too-deep": phrase("The XML is nested too deeply or has too many attributes"),
    "too-large": phrase("The message is over the size limit; send less"),
    "too-many-enclosures": phrase(
        "There are too many calendars or incident reports in one packet; send them in several packets"
    ),
    "too-many-facts": phrase("The message reports too many results; split it into several messages"),
    "too-many-traces": phrase("There are too many statuses for one answer; narrow the call with Since or DocumentId"),
    "unit-inactive": phrase("The unit is not active on this day; use its successor's code"),
    "unit-not-below": phrase(
        "This unit is not below the reporting unit; check the code, or let that unit declare for itself"
    ),
    "unit-unknown": phrase("No unit has this code; check it"),
    "unit-without-system": phrase("No system receives for this unit yet; send it another way"),
    "unsigned": phrase("There is no WS-Security signature; sign Body and Timestamp"),
}


def find_error_sentence(code: str) -> Phrase:
    """Return the sentence of *code*.

    A code with a path is found by its prefix. Raises KeyError for an unknown code.
    """
    return SENTENCES[code] if code in SENTENCES else SENTENCES[code[:2]]


def explain_refusal(refusal: str) -> list[tuple[str, Phrase | None]]:
    """Return the reasons of a refusal as the journal keeps them (`code: detail; …`), each with the sentence of its code.

    None stands beside a piece of a detail which contains the sign that separates the reasons.
    """
    found: list[tuple[str, Phrase | None]] = []
    for each in refusal.split("; "):
        try:
            found.append((each, find_error_sentence(each.partition(": ")[0])))
        except KeyError:
            found.append((each, None))
    return found


def describe_problem(problem: Problem, *languages: Language) -> str:
    """Return what a reader is told of *problem*: its sentence, then the detail.

    Both are in each of *languages*, in both for an answer whose reader is not known. A detail without words comes once,
    at the end.
    """
    sentence, detail = find_error_sentence(problem.code), problem.detail
    said = [f"{translate(sentence, language)}." for language in languages or Language]
    if isinstance(detail, Phrase | SaidText):
        details = [translate(detail, language) for language in languages or Language]
        return " / ".join(f"{one} [{other}]" for one, other in zip(said, details, strict=True))
    return " / ".join(said) + (f" [{detail}]" if detail else "")


def write_problem_json(problem: Problem) -> dict[str, object]:
    """Return *problem* for JSON and for the journal: `code`, `detail` in English, and what else is known of it.

    That is `detail_vi`, the detail in Vietnamese if it has words, and of an element `path`, `line`, `column` and `label`.
    """
    said: dict[str, object] = {"code": problem.code, "detail": str(problem.detail)}
    vietnamese = translate(problem.detail, Language.VI)
    if vietnamese != said["detail"]:
        said["detail_vi"] = vietnamese
    place = problem.place
    if place is not None:
        said |= {"path": place.path, "line": place.line}
        said |= {} if place.column is None else {"column": place.column}
        said |= {"label": place.label} if place.label else {}
    return said


def read_problem_json(fields: Mapping[str, Any]) -> Problem:
    """Return the problem that `write_problem_json` wrote, now or when it wrote only `code` and `detail`."""
    english = str(fields.get("detail") or "")
    detail = SaidText(english, str(fields["detail_vi"])) if fields.get("detail_vi") else english
    place = None
    if fields.get("path"):
        column, label = fields.get("column"), str(fields.get("label") or "")
        place = ElementPlace(str(fields["path"]), int(fields.get("line") or 0), column, label)
    return Problem(str(fields["code"]), detail, place)


def shorten_detail(detail: Detail, most: int) -> Detail:
    """Return *detail*, or the first *most* characters of its English text if that is longer."""
    said = str(detail)
    if len(said) <= most:
        return detail
    return said[:most] if isinstance(detail, str) else verbatim(said[:most])


def _rebuild_error(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an error that was pickled. Its constructor takes other arguments than those that it keeps."""
    return kind.__new__(kind, *args)


class Rejected(Exception):
    """The sender's fault: the message is refused and the answer lists every problem."""

    #: the `hub.journal.replay_guard.ReplayMark` of the signed call that is refused; None if no signature was verified
    mark: Any = None

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.code}: {problem.detail}" for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_error, (type(self), self.args), vars(self)


class CallRefused(Rejected):
    """The sender's fault in the call itself: transport, security or contract.

    No message was judged. Becomes a SOAP Client fault.
    """


class Unready(Exception):
    """A passing fault of the hub: the caller may send the same call again.

    Becomes a SOAP Server fault with Retry-After.
    """

    def __init__(self, code: str, detail: Detail = "", retry_after: int = 5) -> None:
        super().__init__(f"{code}: {detail}")
        self.problem = Problem(code, detail)
        self.retry_after = retry_after  #: seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_error, (type(self), self.args), vars(self)


@attrs.frozen
class Mistake:
    """One mistake of a configuration: where it is, what is wrong, what is expected."""

    path: str
    wrong: Phrase
    expected: Phrase

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong} ({self.expected})"


def write_mistake_json(mistake: Mistake) -> dict[str, str]:
    """Return *mistake* for JSON and for logs, whose words are English whoever reads them."""
    return {"path": mistake.path, "wrong": str(mistake.wrong), "expected": str(mistake.expected)}


class ConfigurationFault(Exception):
    """The operator's fault. Carries all mistakes found, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)
