"""Names the fields of messages, deliveries and events, and the words in them, as their readers see them.

Does not know other values, nor how a reader sees them.
"""

from collections.abc import Mapping
from typing import Any

from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.terms import Term, find_term

#: What a field of a message, a delivery or an event is called.
FIELDS: Mapping[str, Phrase] = {
    "about": phrase("about"),
    "added": phrase("units added"),
    "address": phrase("address"),
    "alert": phrase("alert"),
    "aliases": phrase("other codes"),
    "amount": phrase("amount"),
    "answer": phrase("answer"),
    "answers": phrase("answered message"),
    "approved_by": phrase("approved by"),
    "archive": phrase("archive file"),
    "archives": phrase("archive files"),
    "attachment": phrase("attachment"),
    "attempts": phrase("attempts"),
    "attributes": phrase("attributes"),
    "by": phrase("done by"),
    "by_unit": phrase("reported for"),
    "certificate": phrase("certificate"),
    "changed": phrase("units changed"),
    "changes": phrase("changes"),
    "chosen": phrase("chosen"),
    "claim": phrase("claim of the token"),
    "code": phrase("code"),
    "condition": phrase("condition"),
    "content": phrase("content"),
    "corrected": phrase("corrected message"),
    "counterpart": phrase("counterpart"),
    "crashed": phrase("the hub stopped suddenly"),
    "day": phrase("day"),
    "deed": phrase("deed"),
    "deliveries": phrase("deliveries"),
    "detail": phrase("detail"),
    "detail_vi": phrase("detail in Vietnamese"),
    "diff": phrase("changed numbers"),
    "document": phrase("DocumentId"),
    "document_id": phrase("DocumentId"),
    "document_type": phrase("type of document"),
    "documents": phrase("DocumentId"),
    "dossier": phrase("dossier"),
    "due": phrase("due"),
    "error": phrase("error of the provider"),
    "estates": phrase("handed over"),
    "facts": phrase("facts"),
    "fields": phrase("number of fields"),
    "figures": phrase("unit, column, figure, sum before, months before"),
    "form": phrase("form"),
    "format": phrase("format of the file"),
    "from": phrase("answered by"),
    "hash": phrase("hash"),
    "heard_at": phrase("answered at"),
    "held": phrase("recorded number"),
    "held_day": phrase("recorded day"),
    "held_due": phrase("recorded due day"),
    "held_message": phrase("message that was recorded"),
    "id": phrase("id"),
    "issuer": phrase("issuer"),
    "items": phrase("number of things"),
    "key": phrase("business key"),
    "kind": phrase("kind"),
    "late": phrase("late messages"),
    "level": phrase("level"),
    "link": phrase("link"),
    "mark": phrase("mark"),
    "matched": phrase("matched by"),
    "message_id": phrase("the sender's id"),
    "milestone": phrase("milestone"),
    "mistakes": phrase("mistakes"),
    "must_change": phrase("must be changed at the next sign-in"),
    "name": phrase("name"),
    "node": phrase("node"),
    "number": phrase("number"),
    "officer": phrase("officer"),
    "official": phrase("file of the official"),
    "opened": phrase("times in a row"),
    "operation": phrase("operation"),
    "original": phrase("message that was corrected"),
    "outcome": phrase("outcome"),
    "outside": phrase("outside the province"),
    "owner": phrase("owner"),
    "paper": phrase("also on paper"),
    "parent": phrase("unit above"),
    "partner": phrase("partner"),
    "partners": phrase("partners"),
    "period": phrase("period"),
    "place": phrase("place"),
    "plan": phrase("replay plan"),
    "plan_state": phrase("state of the plan"),
    "policy": phrase("keys of the policy"),
    "prefix": phrase("first letters of the token"),
    "problems": phrase("reasons of the refusal"),
    "purpose": phrase("purpose"),
    "question": phrase("digest of the question"),
    "queued": phrase("queued"),
    "reason": phrase("reason"),
    "received_at": phrase("received"),
    "recipient": phrase("recipient"),
    "recipients": phrase("recipients"),
    "reference": phrase("decision"),
    "refusal": phrase("reasons of the refusal"),
    "revision": phrase("number of the revision"),
    "role": phrase("role"),
    "rows": phrase("rows"),
    "scopes": phrase("scopes"),
    "search": phrase("search"),
    "sender": phrase("from"),
    "sending": phrase("how it ended"),
    "serial": phrase("serial number"),
    "service": phrase("service"),
    "sessions": phrase("sessions"),
    "sha256": phrase("SHA-256"),
    "severity": phrase("severity"),
    "signature": phrase("the packet's own signature"),
    "signed-at": phrase("signed at"),
    "silences": phrase("partners that may have told a part only"),
    "since": phrase("since"),
    "size": phrase("size in octets"),
    "source": phrase("source"),
    "stamp-certificate": phrase("SHA-256 of the time stamp's certificate"),
    "stamp-serial": phrase("number of the time stamp"),
    "stamped-at": phrase("time stamp"),
    "stamped-by": phrase("time stamp by"),
    "state": phrase("state"),
    "status": phrase("status of the document"),
    "stopped": phrase("what stopped it"),
    "subject": phrase("subject of the certificate"),
    "successor": phrase("successor"),
    "successors": phrase("successors"),
    "token": phrase("token"),
    "tracking": phrase("tracking id"),
    "transition": phrase("change"),
    "unit": phrase("unit"),
    "units": phrase("units"),
    "until": phrase("until"),
    "unusual": phrase("unusual figures"),
    "urgency": phrase("urgency"),
    "user": phrase("account"),
    "was": phrase("state before"),
    "was_partner": phrase("partner before"),
    "world": phrase("units and due days kept"),
}
#: The scope of the words (`hub.language.terms`) that a field contains.
_SCOPES = {
    "alert": "alert",
    "sending": "alert",
    "answer": "status",
    "condition": "condition",
    "content": "content",
    "outcome": "attempt",
    "plan_state": "plan",
    "role": "role",
    "service": "service",
    "severity": "severity",
    "signature": "signature",
    "state": "delivery",
    "status": "status",
    "transition": "transition",
    "was": "delivery",
}
_OF_SERVICE = {"kind", "milestone", "outcome"}  #: fields whose words are first of all those of a service


def find_field_term(key: str, word: str, service: str) -> Term | None:
    """Return the term of *word* in the field *key* of what is about a message of *service*; None if it is no word of ours."""
    scopes = (service if key in _OF_SERVICE else None, _SCOPES.get(key))
    return next((term for scope in scopes if scope and (term := find_term(scope, word))), None)


def choose_detail(fields: Mapping[str, Any], language: Language) -> Mapping[str, Any]:
    """Return the *fields* of an event, or of a problem in it, with the detail in *language* only."""
    if "detail_vi" not in fields:
        return fields
    kept = {key: value for key, value in fields.items() if key != "detail_vi"}
    return kept | ({"detail": fields["detail_vi"]} if language is Language.VI else {})


def name_field(key: str) -> Phrase | str:
    """Return what the field *key* is called; the key itself if it has no name."""
    return FIELDS.get(key, key)
