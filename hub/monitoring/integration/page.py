"""Says the facts of an integration and its checklist in the reader's language: for the console, and for the kit. Pure."""

from collections.abc import Sequence

from hub.domain.errors import SENTENCES
from hub.domain.model import Receive
from hub.language.catalogues import say_both
from hub.language.phrases import Phrase, phrase
from hub.monitoring.integration.facts import IntegrationFacts, describe_shown_certificate
from hub.monitoring.integration.first_messages import FirstStep, StepState
from hub.partner.policy import write_policy

#: What each step is called, and what the partner does to take it.
STEPS: dict[FirstStep, tuple[Phrase, Phrase]] = {
    FirstStep.CALLED: (
        phrase("The first call came"),
        phrase(
            "Call over TLS with the certificate of your system. Questions (Get…, List…, Check…) leave no trace; send "
            "a document."
        ),
    ),
    FirstStep.CERTIFICATE: (
        phrase("Its certificate was verified"),
        phrase("It must be one of those below, valid and not revoked. A new one goes to the operator first."),
    ),
    FirstStep.SIGNED: (
        phrase("Its signature was verified"),
        phrase("Sign Body and Timestamp by WS-Security, as in the samples, with a clock that is right."),
    ),
    FirstStep.DOCUMENT: (
        phrase("A document was accepted"),
        phrase("Send an edXML packet by SendDocument, verify the receipt and keep it."),
    ),
    FirstStep.STATUS: (
        phrase("A status was accepted"),
        phrase("Send a status of a document that you received by UpdateTraces."),
    ),
    FirstStep.FETCHED: (
        phrase("A message was fetched"),
        phrase("Ask with GetPendingDocumentIds, then fetch with GetDocument."),
    ),
    FirstStep.CONFIRMED: (
        phrase("A fetched message was confirmed"),
        phrase("Confirm with ConfirmReceived, after the packet is stored for good."),
    ),
    FirstStep.PUSHED: (
        phrase("A message that the hub pushed was accepted"),
        phrase("Serve SendDocument at the address below. The same MessageId may come again; accept it again."),
    ),
    FirstStep.REFUSED: (
        phrase("A first refusal was seen"),
        phrase("Send a document to a unit that does not exist, and show ErrorList to your users."),
    ),
    FirstStep.CORRECTED: (
        phrase("After the refusal a message was accepted"),
        phrase("Correct the document and send it again."),
    ),
}
#: Keys of the policy that the partner's developers must know.
_POLICY = ("signature", "profile", "sha1", "max-age", "clock-skew", "intake-rate", "intake-concurrency")


def arrange_integration(facts: IntegrationFacts, steps: Sequence[StepState]) -> dict[str, object]:
    """Return the values of the page. *steps*: the checklist; nothing if the journal was not read."""
    policy = write_policy(facts.partner.policy)
    return {
        "facts": facts,
        "partner": facts.partner,
        "steps": [(each, *STEPS[each.step]) for each in steps],
        "taken": sum(each.at is not None for each in steps),
        "own": [(name, describe_shown_certificate(each)) for name, each in facts.own],
        "anchors": [describe_shown_certificate(each) for each in facts.anchors],
        "shown": [describe_shown_certificate(each) for each in facts.partner.certificates],
        "policy": [(key, policy[key]) for key in _POLICY if key in policy],
        "pushed": facts.partner.receive is Receive.PUSH,
        "fetches": facts.partner.receive is Receive.FETCH,
        "errors": [(code, *say_both(sentence)) for code, sentence in sorted(SENTENCES.items())],
    }
