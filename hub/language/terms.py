"""Names what the hub keeps as a word or a code: events, states, kinds, milestones, outcomes, statuses, roles, checks.

Each has a name and an explanation of one line. The words themselves stay as they are in the journal, in JSON and in
logs. Does not know which of them a reader sees, nor where.

A word means something only within its scope, because services use the same one for different things: `accepted` is a
state of a message, an answer to an invitation, and a verdict on a report. The key of a term is `SCOPE/WORD`.

    event                          the events of docs/reference/events.md
    message, delivery, attempt     the states of a message and of a delivery; the outcomes of an attempt
    signature, status              the standing of a packet's own signature; the two digits of a status (QCVN 102)
    service                        the services
    documents, dossiers, …         of that service: the kinds of its messages, the milestones of its facts, its outcomes
    reports                        also the states of a report, and the steps before its first revision
    verdict, role, check           a declared cell beside the counted one; the roles of the console; what /readyz checks
    node, link, breaker, duty      the states of a node, of a link, of a breaker; the kinds of duties
    content, relation              what of a message was opened; what a linked message is to another
    concern                        what the overview says needs attention
    plan, item, replay             the states of a replay plan and of its deliveries; why a delivery is not replayed
    effect, revocation             what a change does to a delivery; the revocation status of a certificate
    receive, mark                  how a partner receives; where a unit of the registry comes from
    unit-level, unit-kind          the level of a unit; what it is
    retention, backup, era         the states of a part that goes; what became of a backup; why an era of the journal began
    migration                      whether a migration only adds

The reason that a delivery has is a text of the journal which begins with such a word (`describe_reason`).
"""

import re
from collections.abc import Mapping

import attrs

from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import KNOWN_ERRORS


@attrs.frozen
class Term:
    """What a reader is told of one word."""

    name: Phrase
    meaning: Phrase  #: one sentence


def find_term(scope: str, word: str) -> Term | None:
    """Return the term of *word* in *scope*; None if the word is not ours, such as the name of a list of a partner."""
    return TERMS.get(f"{scope}/{word}")


def name_word(scope: str, word: str) -> Phrase | str:
    """Return the name of *word* in *scope*; the word itself if it has none."""
    term = find_term(scope, word)
    return word if term is None else term.name


def describe_reason(reason: str) -> Phrase | str:
    """Return what a stored *reason* says: why a delivery is dead, waits or was stopped, or why an attempt failed.

    What the hub does not say by itself stays as it is: the words of a partner, of a person, of the network.
    """
    for pattern, said in _REASONS.items():
        if (found := re.fullmatch(pattern, reason, re.DOTALL)) is None:
            continue
        arguments: dict[str, object] = dict(found.groupdict())
        if "reason" in arguments:
            arguments["reason"] = describe_reason(found["reason"])
        if "effect" in arguments:
            arguments["effect"] = name_word("effect", found["effect"])
        return Phrase(said.id, arguments)
    return reason


#: What a library writes around a reason says nothing.
_ONLY = Phrase("{reason}")
#: How a stored reason is written -> how it is said.
_REASONS: Mapping[str, Phrase] = {
    r"locked": phrase("the account is locked"),
    r"given up by (?P<person>[^:]*): (?P<reason>.*)": phrase("given up by {person}: {reason}"),
    r"given up: (?P<reason>.*)": phrase("given up: {reason}"),
    r"suspended: (?P<reason>.*)": phrase("suspended: {reason}"),
    r"refused: (?P<reason>.*)": phrase("refused: {reason}"),
    r"set aside: (?P<reason>.*)": phrase("set aside: {reason}"),
    r"the hub stopped (?P<times>\d+|…) times in a row while it was sent": phrase(
        "the hub stopped {times} times in a row while it was sent"
    ),
    r"(?P<effect>recalled|removed|replaced|updated|corrected): (?P<change>.*)": phrase("{effect}, message {change}"),
    r"connection failed: (?P<reason>.*)": phrase("connection failed: {reason}"),
    r"connection broke: (?P<reason>.*)": phrase("connection broke: {reason}"),
    r"Connection was refused by other side.*": phrase("the other side refuses the connection"),
    # of Twisted, whose sentences end with the system's: `…: 113: No route to host.`
    r"(?:TCP connection timed out|User timeout caused connection failure).*": phrase(
        "no connection came about in the time allowed"
    ),
    r"(?:An error occurred while connecting|No route to host|Couldn't bind|Connection lost|Connection to the other "
    r"side was lost in a non-clean fashion): (?:\S+: )?(?P<reason>.*?)\.?": _ONLY,
    r"Error: \[\('SSL routines', '[^']*', '(?P<reason>[^']*)'\)\]": phrase("TLS failed: {reason}"),
    r"Connection was closed cleanly\.?": phrase("the other side closed the connection"),
    r"Connection to the other side was lost in a non-clean fashion\.?": phrase("the connection was lost"),
    r"no answer within (?P<seconds>\S+) s": phrase("no answer within {seconds} seconds"),
    r"ConnectionLost: (?P<reason>.*)": phrase("connection broke: {reason}"),
    r"ConnectionDone: (?P<reason>.*)": phrase("connection broke: {reason}"),
    r"(?:[A-Z]\w*Error: )?\[Errno (?:\d+\]|…) (?P<reason>.*)": _ONLY,
    r"DNS lookup failed: no results for hostname lookup: (?P<host>.*?)\.?": phrase(
        "the name of the host was not found: {host}"
    ),
    r"DNS lookup failed: (?P<reason>.*)": phrase("the name of the host was not found: {reason}"),
    r"the conversation took too long": phrase("the conversation took too long"),
    r"the answer is longer than (?P<octets>\d+|…) octets": phrase("the answer is longer than {octets} octets"),
    r"HTTP (?P<status>\d+): the answer fits no outcome of the mapping": phrase(
        "HTTP {status}: the answer fits no outcome of the mapping"
    ),
    r"HTTP (?P<status>\d+): access denied": phrase("HTTP {status}: access denied"),
    r"HTTP (?P<status>\d+): no SOAP answer": phrase("HTTP {status}: no SOAP answer"),
    r"HTTP (?P<status>\d+): (?P<problem>(?:unsigned|signature-|timestamp-|algorithm-|certificate-).*)": phrase(
        "HTTP {status}: the answer does not have a good signature of the partner: {problem}"
    ),
    r"(?P<operation>[^\s:]+): the answer has no (?P<path>\S+)": phrase("{operation}: the answer has no {path}"),
    r"the message does not fit the partner: (?P<problem>.*)": phrase("the message does not fit the partner: {problem}"),
    r"our credentials are not accepted": phrase("our credentials are not accepted"),
    r"a month is being closed": phrase("a month is being closed"),
    r"an earlier version runs on (?P<nodes>.*)": phrase("an earlier version runs on {nodes}"),
    r"another process is at it": phrase("another process is at it"),
    r"the table (?P<name>\S+) is in use": phrase("the table {name} is in use"),
    r"the node is stopping": phrase("the node is stopping"),
    r"(?P<name>archive-[^:]*): the file is absent": phrase("{name}: the file is absent"),
    r"the copy needs (?P<journal>\d+) octets in (?P<data>.*), and only (?P<left>\d+) may be used": phrase(
        "the copy needs {journal} octets in {data}, and only {left} may be used"
    ),
    r"it was made, but not sent: (?P<said>.*)": phrase("it was made, but not sent: {said}"),
    r"there is no (?P<program>\S+) here; install the client of PostgreSQL's version": phrase(
        "there is no {program} here; install the client of PostgreSQL's version"
    ),
    r"another backup of this hub is being made or restored": phrase(
        "another backup of this hub is being made or restored"
    ),
    r"the hub ended meanwhile, or the journal did not answer": phrase(
        "the hub ended meanwhile, or the journal did not answer"
    ),
    r"its process ended with (?P<code>\S+)": phrase("its process ended with {code}"),
    r"(?P<file>/[^:]*): (?P<reason>.*)": phrase("{file}: {reason}"),
    **{re.escape(each.id): each for each in KNOWN_ERRORS.values()},
}

_STATUSES: Mapping[str, Term] = {
    "01": Term(phrase("arrived"), phrase("The document has reached the receiving unit (status 01).")),
    "02": Term(phrase("refused for receipt"), phrase("The receiving unit does not take the document on (status 02).")),
    "03": Term(phrase("taken on"), phrase("The receiving unit has entered the document in its register (status 03).")),
    "04": Term(phrase("assigned"), phrase("The receiving unit has assigned the document to somebody (status 04).")),
    "05": Term(phrase("being processed"), phrase("The receiving unit works on the document (status 05).")),
    "06": Term(phrase("completed"), phrase("The receiving unit has finished the work on the document (status 06).")),
    "13": Term(phrase("asked back"), phrase("The sender asks for the document to be given back (status 13).")),
    "15": Term(
        phrase("agreed to the change"),
        phrase("The receiving unit agrees to the recall, update or replacement (status 15)."),
    ),
    "16": Term(
        phrase("refused the change"),
        phrase("The receiving unit refuses the recall, update or replacement (status 16)."),
    ),
}

TERMS: Mapping[str, Term] = {
    "event/message-accepted": Term(
        phrase("accepted into the journal"), phrase("The message is in the journal; the receipt confirms it.")
    ),
    "event/message-refused": Term(
        phrase("message refused"), phrase("The message is stored with the reasons of its refusal.")
    ),
    "event/journal-moved": Term(
        phrase("the journal was moved"), phrase("The journal was moved here from another database.")
    ),
    "event/journal-upgraded": Term(
        phrase("the journal was upgraded"), phrase("Migrations brought the journal to the version of a newer program.")
    ),
    "event/retention-announced": Term(
        phrase("messages will go"), phrase("It was announced that messages of a month will go into an archive file.")
    ),
    "event/retention-archived": Term(
        phrase("messages were archived"), phrase("Messages of a month are in an archive file; now their rows go.")
    ),
    "event/retention-deleted": Term(
        phrase("archived messages have gone"),
        phrase("Messages that are in an archive file have gone from the journal."),
    ),
    "event/retention-withdrawn": Term(
        phrase("announced messages stay"),
        phrase("Nothing of the announced messages may go any more, or a person withdrew them."),
    ),
    "event/archive-given-up": Term(
        phrase("a lost archive file was given up"),
        phrase("An archive file was lost or damaged before all of it had gone; what is left goes into another one."),
    ),
    "event/message-repeated": Term(
        phrase("received again unchanged, same receipt"),
        phrase("The same bytes arrived again under the same id and got the same receipt."),
    ),
    "event/deviation-tolerated": Term(
        phrase("deviation from the standard, tolerated"),
        phrase("The packet departs from the standard in one respect and was accepted all the same."),
    ),
    "event/unit-succeeded": Term(
        phrase("a successor stands in the place of a unit"),
        phrase("The packet names a unit that has ended; the message counts to the unit that continues its work."),
    ),
    "event/packet-signature": Term(
        phrase("the packet's own signature"),
        phrase("The packet's own signature was checked; the event says with what result."),
    ),
    "event/sha1-used": Term(
        phrase("a signature used SHA-1"),
        phrase("A valid signature used SHA-1, which the policy of the partner tolerates."),
    ),
    "event/vxp-signature-used": Term(
        phrase("a signature of the VXP form"),
        phrase("The packet's valid signature has the observed VXP form, which the policy tolerates."),
    ),
    "event/document-unknown": Term(
        phrase("unknown document"),
        phrase("The document that the message refers to is not in the journal; the message is routed all the same."),
    ),
    "event/matched-by-number": Term(
        phrase("document found by its number alone"),
        phrase(
            "The status has no DocumentId and no date of its document: it is taken for an answer to the only document of "
            "that sender to this unit with this number and notation."
        ),
    ),
    "event/enclosure-ignored": Term(
        phrase("an enclosure was not counted"),
        phrase("A calendar or an incident report in the packet brought no facts, or not all."),
    ),
    "event/call-refused": Term(
        phrase("a call was refused"),
        phrase("A caller that is no partner, or that may not have what it asked for, or that calls too often."),
    ),
    "event/collection-failed": Term(
        phrase("collection from the partner failed"),
        phrase("A partner that the hub collects from did not answer, or answered nonsense."),
    ),
    "event/collection-resumed": Term(
        phrase("collection from the partner works again"),
        phrase("The partner that the hub collects from answers again."),
    ),
    "event/delivery-waiting": Term(
        phrase("delivery: waiting"), phrase("A delivery was made for a partner that is pushed to.")
    ),
    "event/delivery-held": Term(
        phrase("delivery: held to be fetched"), phrase("A delivery was made for a partner that fetches.")
    ),
    "event/delivery-overdue-held": Term(
        phrase("delivery: not fetched for three days"), phrase("Nobody has fetched and confirmed it for three days.")
    ),
    "event/delivery-fetched": Term(phrase("delivery: fetched"), phrase("The partner fetched it for the first time.")),
    "event/delivery-delivered": Term(
        phrase("delivery: delivered"), phrase("The partner accepted the push, or confirmed what it fetched.")
    ),
    "event/delivery-handed-over": Term(
        phrase("handed over to another partner"),
        phrase("The unit has ended; the partner of the unit that continues its work gets it."),
    ),
    "event/delivery-dead": Term(
        phrase("delivery: dead"),
        phrase("Refused, waited too long, given up by a person, or stopped by a change: it is not sent any more."),
    ),
    "event/delivery-possibly-twice": Term(
        phrase("delivery: possibly twice"),
        phrase(
            "Sent again after a lost answer to a partner that cannot tell the two apart: the recipient may have two."
        ),
    ),
    "event/delivery-suspended": Term(
        phrase("delivery: suspended"),
        phrase("It has waited too long; as the partner's policy says, it waits for a person and has not failed."),
    ),
    "event/delivery-resumed": Term(
        phrase("delivery: waiting again"), phrase("A person resumed the sending; a suspended delivery waits again.")
    ),
    "event/delivery-marked": Term(
        phrase("delivery: will not be sent"), phrase("A change stops it while it is being sent or is already dead.")
    ),
    "event/delivery-replayed": Term(
        phrase("delivery: queued again"), phrase("A person put a dead, suspended or delivered one back into the queue.")
    ),
    "event/attempt-started": Term(
        phrase("an attempt began"), phrase("A node took up the attempt; this is written before the call goes out.")
    ),
    "event/attempt-ended": Term(phrase("the attempt ended"), phrase("The attempt has an outcome.")),
    "event/attempt-interrupted": Term(
        phrase("the attempt was interrupted"),
        phrase("A stop or a crash interrupted it; the deliveries wait again and the attempt does not count."),
    ),
    "event/attempt-stale": Term(
        phrase("an answer came too late"),
        phrase("An answer arrived after the attempt had been given back; it moved nothing."),
    ),
    "event/status-moved": Term(phrase("new status"), phrase("A status moved the delivery forward.")),
    "event/status-kept": Term(
        phrase("status without effect"), phrase("A repeat, a step back, or an answer to nothing that is open.")
    ),
    "event/change-answered": Term(
        phrase("the recipient answered"), phrase("The recipient's first answer to this recall, update or replacement.")
    ),
    "event/deliveries-making": Term(
        phrase("deliveries are being made"),
        phrase("It has more recipients than one step may take: nobody is sent it before the others are added, too."),
    ),
    "event/deliveries-made": Term(phrase("all deliveries are made"), phrase("Each recipient has its delivery.")),
    "event/change-applying": Term(
        phrase("the change is being applied"),
        phrase("It stops more deliveries than one step may: the others are stopped next, and nobody is sent them."),
    ),
    "event/change-applied": Term(phrase("the change is applied"), phrase("Every delivery that it stops is stopped.")),
    "event/recall-agreed": Term(
        phrase("the recall was agreed to"), phrase("The recipient of the recalled document agreed.")
    ),
    "event/recall-refused": Term(
        phrase("the recall was refused"), phrase("The recipient of the recalled document refused.")
    ),
    "event/fact-recorded": Term(phrase("a fact was recorded"), phrase("A result was counted for a unit, once.")),
    "event/fact-differs": Term(
        phrase("a later figure differs from the recorded one"),
        phrase("A message reported a different number for a key that already has one; the recorded one stays."),
    ),
    "event/figure-corrected": Term(
        phrase("a declared figure was corrected"),
        phrase("A unit declared a month again; the difference to its earlier figure counts beside it."),
    ),
    "event/dossier-claimed": Term(
        phrase("another unit's dossier was reported"),
        phrase("A unit reported a dossier of another unit without being entitled to; nothing of it counts."),
    ),
    "event/dossier-disputed": Term(
        phrase("two units report one dossier"),
        phrase("Two units report one dossier as their own, and its code names neither; it counts in both."),
    ),
    "event/dossier-corrected": Term(
        phrase("days of a dossier were corrected"),
        phrase("The dossier's unit reported other days; they count from now on, in closed months as the form says."),
    ),
    "event/dossier-differs": Term(
        phrase("a dossier was reported differently"),
        phrase("Another unit reported other days of the dossier, or they changed too often; nothing changes."),
    ),
    "event/report-closed": Term(
        phrase("the report was closed for signing"),
        phrase("The report was given out to be signed; from now on this revision has the same octets for everybody."),
    ),
    "event/report-signed": Term(
        phrase("the signed report was accepted"), phrase("The document signed by an official was accepted.")
    ),
    "event/report-drafted": Term(
        phrase("the report signed by the drafter was accepted"),
        phrase("The document signed by the person who drew it up was accepted; it waits for the head of the unit."),
    ),
    "event/report-signature-refused": Term(
        phrase("a signed report was refused"), phrase("A document was not accepted as this report, signed.")
    ),
    "event/report-declared": Term(
        phrase("figures were declared"), phrase("A person imported the declaration of a unit from a workbook.")
    ),
    "event/report-handed-in": Term(
        phrase("the report was submitted"), phrase("A person submitted this report to a partner.")
    ),
    "event/report-revised": Term(
        phrase("the report was revised"),
        phrase("Another revision of a report that was submitted or published, and the reason."),
    ),
    "event/period-closed": Term(
        phrase("a period was closed"), phrase("A month of a form was closed: its figures are fixed.")
    ),
    "event/attestations-begun": Term(
        phrase("closed months are attested"),
        phrase("From now on nothing is closed without a signature of the hub's own key over what was closed."),
    ),
    "event/closing-restored": Term(
        phrase("a closed month was restored"),
        phrase("What somebody had edited in the database of a closed month is as it was closed again."),
    ),
    "event/tampering-found": Term(
        phrase("an edit of the database was found"),
        phrase("A closed month, or a fact, is not as the hub wrote it."),
    ),
    "event/unusual-figures": Term(
        phrase("unusual figures of a closed month"),
        phrase("Figures of a month were far from the mean of the months before it when it was closed."),
    ),
    "event/reminders-requested": Term(
        phrase("reminders of reports asked for"),
        phrase("A person asked to remind units by mail of reports that are not handed in."),
    ),
    "event/alert-ended": Term(
        phrase("an alert to a unit ended"),
        phrase("A unit was sent mail about what is due soon or late, or it could not be sent."),
    ),
    "event/hub-alert": Term(
        phrase("an alert to operators"),
        phrase("A condition of the hub began, grew worse, was told of again, or ended."),
    ),
    "event/hub-alert-acknowledged": Term(
        phrase("an alert to operators was acknowledged"), phrase("A person knows of the condition and sees to it.")
    ),
    "event/hub-alert-told": Term(
        phrase("operators were told of alerts"),
        phrase("Alerts were sent through a channel, or could not be sent for three days."),
    ),
    "event/report-row-revised": Term(
        phrase("a row of a closed month was revised"),
        phrase("A unit's row of a closed month was different when it was counted again."),
    ),
    "event/succession-recorded": Term(
        phrase("a deed of succession was recorded"),
        phrase("A person recorded that units end, and which units continue their work."),
    ),
    "event/succession-undone": Term(
        phrase("a deed of succession was undone"), phrase("A person undid a deed of succession; the units go on.")
    ),
    "event/report-published": Term(phrase("the report was published"), phrase("A person published the report.")),
    "event/replay": Term(
        phrase("deliveries queued again"), phrase("A person put dead or delivered ones back into the queue.")
    ),
    "event/message-corrected": Term(
        phrase("corrected"), phrase("A person corrected the message; another message went in its place.")
    ),
    "event/message-corrects": Term(
        phrase("goes in place of another"), phrase("A person made this message by correcting another one.")
    ),
    "event/replay-plan": Term(
        phrase("a replay plan changed"), phrase("A plan to replay was made, started, paused, ended or cancelled.")
    ),
    "event/give-up": Term(phrase("waiting deliveries were given up"), phrase("A person gave waiting deliveries up.")),
    "event/user-added": Term(phrase("an account was added"), phrase("A user may sign in at the console.")),
    "event/user-changed": Term(
        phrase("an account was changed"), phrase("The account has another role, or sees other units or partners.")
    ),
    "event/user-password-changed": Term(
        phrase("a password was changed"), phrase("The account has a new password; its sessions ended.")
    ),
    "event/user-codes-set": Term(
        phrase("one-time codes were set up"), phrase("The account needs one-time codes to sign in; its sessions ended.")
    ),
    "event/user-codes-removed": Term(
        phrase("one-time codes were removed"), phrase("The account signs in without codes again; its sessions ended.")
    ),
    "event/user-certificate-added": Term(
        phrase("a certificate for signing in was added"), phrase("The account may sign in by this client certificate.")
    ),
    "event/user-certificate-removed": Term(
        phrase("a certificate for signing in was removed"),
        phrase("The account signs in by this client certificate no longer; its sessions ended."),
    ),
    "event/user-identity-added": Term(
        phrase("a person at an OpenID provider was bound to an account"),
        phrase("The person signs in to the account through the provider."),
    ),
    "event/user-identity-removed": Term(
        phrase("a person at an OpenID provider was unbound from an account"),
        phrase("The person signs in to the account through the provider no longer; its sessions ended."),
    ),
    "event/user-locked": Term(
        phrase("an account was locked"), phrase("The user may not sign in until it is unlocked; its sessions ended.")
    ),
    "event/user-unlocked": Term(phrase("an account was unlocked"), phrase("The user may sign in again.")),
    "event/user-removed": Term(phrase("an account was removed"), phrase("The user may no longer sign in.")),
    "event/token-added": Term(
        phrase("a token was added"), phrase("A program may use the API with it, as far as its scopes and limits go.")
    ),
    "event/token-removed": Term(phrase("a token was removed"), phrase("The API refuses it from now on.")),
    "event/token-refused": Term(
        phrase("a token was refused"), phrase("A program sent a token that the API does not know, or that has expired.")
    ),
    "event/content-opened": Term(
        phrase("content was opened"),
        phrase("A person opened the content of a message, of an attachment or of a partner's reply."),
    ),
    "event/message-restored": Term(
        phrase("brought back from an archive file"),
        phrase("The bytes of the message are in the journal again, for a replay; earlier events stay in the file."),
    ),
    "event/user-signed-in": Term(phrase("a user signed in"), phrase("A session began.")),
    "event/user-sign-in-failed": Term(
        phrase("a sign-in failed"), phrase("The name or the password was wrong, or the account is locked.")
    ),
    "event/user-signed-out": Term(phrase("a user signed out"), phrase("Sessions ended, by the user or an operator.")),
    "event/key-rotation": Term(
        phrase("a step of changing the hub's certificate"),
        phrase("A new certificate of the hub was announced, taken into use, or the old one retired."),
    ),
    "event/configuration-reloaded": Term(
        phrase("the configuration was reloaded"), phrase("The running hub took up the changed configuration.")
    ),
    "event/backup-made": Term(
        phrase("a backup was made"),
        phrase("It was restored on trial, or at least read whole."),
    ),
    "event/backup-failed": Term(
        phrase("no backup was made"),
        phrase("The older backups are still there."),
    ),
    "event/era-begun": Term(
        phrase("an era of the journal began"),
        phrase("The journal was put back to an earlier moment, and the hub goes on with it."),
    ),
    "event/configuration-refused": Term(
        phrase("a changed configuration was refused"),
        phrase("The configuration has mistakes, so the hub keeps the old one."),
    ),
    "event/lookup-asked": Term(
        phrase("the lookup was sent"),
        phrase("Written before a question of an official goes out to a partner, once for each try."),
    ),
    "event/lookup-settled": Term(
        phrase("the lookup has a result"), phrase("The question was answered, refused, or could not be put.")
    ),
    "event/breaker-opened": Term(
        phrase("the circuit breaker opened"),
        phrase("The partner is unavailable: nothing is sent to it for a time, then one probe."),
    ),
    "event/breaker-closed": Term(phrase("the circuit breaker closed"), phrase("The partner answers again.")),
    "event/partner-paused": Term(
        phrase("sending to the partner was paused"),
        phrase(
            "A person, or the partner's policy when a delivery waited too long, stopped all sending to the partner."
        ),
    ),
    "event/partner-resumed": Term(
        phrase("sending to the partner was resumed"),
        phrase("A person resumed sending, or had an unavailable partner tried at once."),
    ),
    "event/rules-tried": Term(
        phrase("other rules were tried"),
        phrase("A person let past messages be judged, or a report be counted, by other rules. Nothing was changed."),
    ),
    "event/partner-changed": Term(
        phrase("a partner was changed"), phrase("A person changed settings or certificates of the partner.")
    ),
    "event/units-imported": Term(
        phrase("units were imported"), phrase("A person imported a list of units or of agencies into the registry.")
    ),
    "event/partner-removed": Term(
        phrase("a partner was removed"), phrase("A person removed the partner from the configuration.")
    ),
    "event/partner-called": Term(
        phrase("a partner was called by hand"),
        phrase("A person called an operation of the partner from the command line."),
    ),
    "event/trust-added": Term(
        phrase("a CA is trusted"), phrase("A person added a CA to those that the hub trusts, or a newer CRL of it.")
    ),
    "event/trust-removed": Term(
        phrase("a CA is trusted no longer"), phrase("A person removed a CA from those that the hub trusts.")
    ),
    "event/link-down": Term(phrase("the link is down"), phrase("Three probes of the link in a row failed.")),
    "event/link-up": Term(phrase("the link is up again"), phrase("Two probes of the link in a row succeeded.")),
    "message/accepted": Term(
        phrase("accepted by the hub"), phrase("The hub took the message over and gave a receipt.")
    ),
    "message/refused": Term(
        phrase("refused by the hub"), phrase("The hub did not accept the message; it is stored with the reasons.")
    ),
    "delivery/waiting": Term(phrase("waiting"), phrase("It waits for its turn to be sent.")),
    "delivery/sending": Term(phrase("being sent"), phrase("An attempt is under way.")),
    "delivery/held": Term(phrase("held"), phrase("It waits until the partner fetches it.")),
    "delivery/fetched": Term(phrase("fetched"), phrase("The partner has fetched it and not confirmed it yet.")),
    "delivery/delivered": Term(phrase("delivered"), phrase("The partner has it and has confirmed that.")),
    "delivery/suspended": Term(
        phrase("suspended"), phrase("It has waited too long; a person resumes it, replays it or gives it up.")
    ),
    "delivery/dead": Term(phrase("dead"), phrase("It is not sent any more unless a person replays it.")),
    "plan/planning": Term(phrase("being planned"), phrase("The hub is choosing the deliveries of the plan.")),
    "plan/planned": Term(phrase("planned"), phrase("The deliveries are chosen; nobody has started the plan.")),
    "plan/awaiting": Term(phrase("awaits approval"), phrase("Another person must approve the plan.")),
    "plan/running": Term(phrase("running"), phrase("The hub is queueing the deliveries of the plan.")),
    "plan/paused": Term(phrase("paused"), phrase("A person paused the plan.")),
    "plan/stopped": Term(phrase("stopped by errors"), phrase("As many deliveries died again as the plan allows.")),
    "plan/done": Term(
        phrase("all queued"), phrase("Every chosen delivery is queued or was left alone; partners may still take time.")
    ),
    "plan/cancelled": Term(phrase("cancelled"), phrase("A person cancelled the plan; what it queued stays queued.")),
    "trial/running": Term(phrase("running"), phrase("The hub is judging the messages again.")),
    "trial/done": Term(phrase("finished"), phrase("Every message of the search was judged again.")),
    "trial/cancelled": Term(phrase("cancelled"), phrase("A person cancelled the trial; what it found stays.")),
    "trial/failed": Term(phrase("failed"), phrase("The trial ended before all messages were judged.")),
    "item/planned": Term(phrase("planned"), phrase("It is chosen and not queued yet.")),
    "item/queued": Term(phrase("queued"), phrase("The plan has put it into the queue again.")),
    "item/left": Term(phrase("left alone"), phrase("It had changed since it was chosen.")),
    "item/excluded": Term(phrase("excluded"), phrase("The plan does not replay it.")),
    "replay/stopped": Term(
        phrase("taken back by a recall, an update or a replacement"),
        phrase("A recall, an update or a replacement took the document from this recipient."),
    ),
    "replay/corrected": Term(
        phrase("closed by a correction"), phrase("A person corrected the message, which went as another one instead.")
    ),
    "replay/has-it": Term(
        phrase("the recipient has the document"),
        phrase("The recipient has the document, or is still to get it, so the corrected one does not go there."),
    ),
    "replay/under-way": Term(phrase("still under way"), phrase("It has not ended yet, so it needs no replay.")),
    "replay/no-partner": Term(
        phrase("its partner does not receive any more"), phrase("The partner is not configured to receive.")
    ),
    "replay/not-kept": Term(phrase("its bytes are not kept"), phrase("The journal does not hold the bytes.")),
    "replay/archived": Term(
        phrase("its archive file is not there"),
        phrase("The bytes are in an archive file, which is not in its folder or damaged."),
    ),
    "replay/moved": Term(
        phrase("somebody else was faster"), phrase("It was replayed, or changed, after it had been chosen.")
    ),
    "attempt/accepted": Term(phrase("accepted by the partner"), phrase("The partner accepted the message.")),
    "attempt/refused": Term(
        phrase("refused by the partner"), phrase("The partner will never accept the message; it is not tried again.")
    ),
    "attempt/unavailable": Term(
        phrase("unavailable"),
        phrase("The partner could not be reached or its reply made no sense; the delivery is tried again."),
    ),
    "attempt/postponed": Term(
        phrase("postponed"), phrase("The partner is not ready; it is asked again later and the attempt does not count.")
    ),
    "attempt/interrupted": Term(
        phrase("interrupted"), phrase("The hub stopped or broke during the attempt, which does not count.")
    ),
    "signature/valid": Term(phrase("valid"), phrase("The packet's own signature is valid and of a known partner.")),
    "signature/invalid": Term(phrase("invalid"), phrase("The packet's own signature does not match the packet.")),
    "signature/unsigned": Term(
        phrase("unsigned, or signed in part"), phrase("The packet has no signature, or one that covers only a part.")
    ),
    "signature/unverifiable": Term(
        phrase("unverifiable"),
        phrase("The signature cannot be checked here, for instance because its certificate is unknown."),
    ),
    "service/documents": Term(
        phrase("electronic documents"), phrase("Packets of edXML (QCVN 102): documents, their changes and statuses.")
    ),
    "service/dossiers": Term(
        phrase("dossiers of administrative procedures"), phrase("Dossiers, their progress, and monthly figures.")
    ),
    "service/lookups": Term(
        phrase("lookups in national shared services"), phrase("Questions of officials to national systems.")
    ),
    "service/mail": Term(phrase("official mail"), phrase("Counts of the use of the shared mail system.")),
    "service/work": Term(phrase("work items"), phrase("Work assigned to units: done, late, returned, excused.")),
    "service/meetings": Term(phrase("meetings"), phrase("Calendars of meetings between units.")),
    "service/incidents": Term(
        phrase("information security incidents"), phrase("Incidents that systems of units report.")
    ),
    "service/links": Term(phrase("links to other systems"), phrase("Availability of the links, day by day.")),
    "service/reports": Term(phrase("workload reports"), phrase("Sealed reports, and declarations of units.")),
    "service/publications": Term(phrase("published reports"), phrase("Sealed reports that a person has published.")),
    "service/verdicts": Term(phrase("verdicts on reports"), phrase("What a recipient decided about a report.")),
    "service/categories": Term(phrase("shared code lists"), phrase("Code lists of the national portal.")),
    "documents/document": Term(phrase("document"), phrase("A new document.")),
    "documents/recall": Term(phrase("recall"), phrase("The sender recalls a document that it sent.")),
    "documents/update": Term(
        phrase("update"), phrase("The sender corrects a document that it sent, or changes its recipients.")
    ),
    "documents/replacement": Term(phrase("replacement"), phrase("The sender replaces a document by another.")),
    "documents/status": Term(phrase("status"), phrase("The receiving unit says what has become of a document.")),
    "documents/sent": Term(phrase("document sent"), phrase("The unit sent a document.")),
    "documents/sent-recall": Term(phrase("recall sent"), phrase("The unit sent a recall of a document.")),
    "documents/sent-update": Term(phrase("update sent"), phrase("The unit sent an update of a document.")),
    "documents/sent-replacement": Term(
        phrase("replacement sent"), phrase("The unit sent a document that replaces another.")
    ),
    "documents/received": Term(phrase("document received"), phrase("The unit's system received a document.")),
    "documents/handed-over": Term(
        phrase("document handed over"), phrase("The open document passed to the unit that continues the work.")
    ),
    "documents/taken-over": Term(
        phrase("document taken over"), phrase("The open document came from a unit that has ended.")
    ),
    "documents/taken-over-in-work": Term(
        phrase("document taken over in work"),
        phrase("The document came from a unit that has ended, which worked on it."),
    ),
    "documents/failed": Term(phrase("delivery failed"), phrase("A document of the unit could not be delivered.")),
    "documents/failed-over": Term(
        phrase("failure is over"), phrase("The document could not be delivered, and has been delivered since.")
    ),
    "dossiers/dossiers": Term(phrase("dossiers as they stand"), phrase("The unit reports how its dossiers stand.")),
    "dossiers/progress": Term(phrase("progress of dossiers"), phrase("The unit reports steps of work on dossiers.")),
    "dossiers/statistic": Term(
        phrase("monthly figures of dossiers"), phrase("The unit declares its own figures for a month.")
    ),
    "dossiers/received": Term(phrase("dossier received"), phrase("The unit has taken the dossier on.")),
    "dossiers/refused": Term(phrase("dossier not taken on"), phrase("The unit has not taken the dossier on.")),
    "dossiers/supplement-requested": Term(
        phrase("more papers requested"), phrase("The applicant was asked for further papers, for the first time.")
    ),
    "dossiers/supplemented": Term(
        phrase("papers supplemented"), phrase("The applicant has brought the papers of the first request.")
    ),
    "dossiers/supplement-requested-again": Term(
        phrase("more papers requested again"), phrase("The applicant was asked for further papers a second time.")
    ),
    "dossiers/supplemented-again": Term(
        phrase("papers supplemented again"), phrase("The applicant has brought the papers of the second request.")
    ),
    "dossiers/payment-requested": Term(phrase("payment requested"), phrase("The applicant was asked to pay.")),
    "dossiers/paused": Term(phrase("work paused"), phrase("The work on the dossier rests.")),
    "dossiers/waiting-1": Term(
        phrase("first wait begun"), phrase("The work waits for papers or a payment, or is paused: first time.")
    ),
    "dossiers/resumed-1": Term(phrase("first wait ended"), phrase("The work goes on after the first wait.")),
    "dossiers/waiting-2": Term(
        phrase("second wait begun"), phrase("The work waits for papers or a payment, or is paused: second time.")
    ),
    "dossiers/resumed-2": Term(phrase("second wait ended"), phrase("The work goes on after the second wait.")),
    "dossiers/waiting-3": Term(
        phrase("third wait begun"), phrase("The work waits for papers or a payment, or is paused: third time.")
    ),
    "dossiers/resumed-3": Term(phrase("third wait ended"), phrase("The work goes on after the third wait.")),
    "dossiers/fee-charged": Term(phrase("a fee is due"), phrase("The dossier has a fee above 0.")),
    "dossiers/paid-online": Term(
        phrase("paid online"),
        phrase("The fee was paid online, on the national portal or by the payment gateway of the province."),
    ),
    "dossiers/paid-direct": Term(
        phrase("paid at the counter"), phrase("The fee was paid, and not online by what the message says.")
    ),
    "dossiers/apologised": Term(
        phrase("letter of apology sent"), phrase("The unit sent the applicant a letter of apology for the delay.")
    ),
    "dossiers/registered": Term(
        phrase("dossier handed in"), phrase("The dossier was handed in and waits until it is received or refused.")
    ),
    "dossiers/passed-on": Term(
        phrase("dossier passed on before its receipt"),
        phrase("Nobody had taken the dossier on when it passed to the unit that continues the work."),
    ),
    "dossiers/papers-digitised": Term(phrase("papers digitised"), phrase("The dossier has a file of its papers.")),
    "dossiers/data-reused": Term(
        phrase("digitised data used again"),
        phrase("A paper of the dossier was taken from data that had been digitised."),
    ),
    "dossiers/store-used": Term(
        phrase("paper from the national store"),
        phrase("A paper of the dossier was taken from the store of the national portal."),
    ),
    "dossiers/population-data-used": Term(
        phrase("population data used"),
        phrase("The applicant was identified by VNeID, the national store or the population database."),
    ),
    "dossiers/result-file": Term(phrase("electronic result"), phrase("The dossier has a file of its result.")),
    "dossiers/days-taken": Term(
        phrase("days of work"),
        phrase("The days from the receipt to the end, without those on which papers were awaited."),
    ),
    "dossiers/finished": Term(phrase("work finished"), phrase("The work on the dossier has ended, done or withdrawn.")),
    "dossiers/withdrawn": Term(phrase("withdrawn by the applicant"), phrase("The applicant withdrew the dossier.")),
    "dossiers/returned": Term(phrase("result given back"), phrase("The applicant has the result.")),
    "dossiers/done": Term(phrase("work done"), phrase("The work on the dossier ended with a result.")),
    "dossiers/taken-over": Term(
        phrase("dossier taken over"), phrase("The open dossier came from a unit that has ended, or from another unit.")
    ),
    "dossiers/handed-over": Term(
        phrase("dossier handed over"), phrase("The open dossier passed to the unit that continues the work.")
    ),
    "dossiers/synced": Term(
        phrase("passed to the national portal"),
        phrase("The dossier was passed on to the national public service portal."),
    ),
    "dossiers/declared-received": Term(
        phrase("declared: received in the month"), phrase("The unit's own figure of dossiers received in the month.")
    ),
    "dossiers/declared-carried-over": Term(
        phrase("declared: carried over"), phrase("The unit's own figure of dossiers carried over from before.")
    ),
    "dossiers/declared-in-time": Term(
        phrase("declared: settled in time"), phrase("The unit's own figure of dossiers settled in time.")
    ),
    "dossiers/declared-late": Term(
        phrase("declared: settled late"), phrase("The unit's own figure of dossiers settled late.")
    ),
    "dossiers/declared-pending": Term(
        phrase("declared: in hand"), phrase("The unit's own figure of dossiers in hand.")
    ),
    "dossiers/declared-pending-late": Term(
        phrase("declared: in hand, overdue"), phrase("The unit's own figure of dossiers in hand and overdue.")
    ),
    "lookups/lookup-enterprise": Term(
        phrase("business registration looked up"), phrase("An official looked an enterprise up.")
    ),
    "lookups/lookup-category": Term(
        phrase("shared code list looked up"), phrase("An official looked a shared code list up.")
    ),
    "lookups/verify-citizen": Term(
        phrase("citizen verified"), phrase("An official had the identity of a citizen verified.")
    ),
    "lookups/postal-ordered": Term(
        phrase("return by post ordered"), phrase("The return of a result by public post was ordered.")
    ),
    "lookups/civil-status-sent": Term(
        phrase("civil status dossier sent on"), phrase("A civil status dossier was sent to the national system.")
    ),
    "lookups/judicial-record-requested": Term(
        phrase("judicial record requested"), phrase("A judicial record was requested from the national system.")
    ),
    "lookups/answered": Term(
        phrase("answered"), phrase("The partner, or an answer that the hub kept, answered the question.")
    ),
    "lookups/refused": Term(phrase("lookup refused"), phrase("The partner refused to answer.")),
    "lookups/unavailable": Term(phrase("the partner could not be asked"), phrase("The partner could not be reached.")),
    "lookups/reused": Term(
        phrase("answered as before"), phrase("The same question was put again and got the same answer.")
    ),
    "categories/LayDanhSachTTHC": Term(
        phrase("list of procedures"), phrase("The administrative procedures of the national portal.")
    ),
    "categories/LayDanhMucLinhVuc": Term(
        phrase("list of fields of procedures"), phrase("The fields that the national portal sorts its procedures by.")
    ),
    "categories/LayDanhMucCoQuan": Term(
        phrase("list of agencies"), phrase("The agencies as the national portal lists them.")
    ),
    "mail/usage": Term(phrase("mail usage"), phrase("Figures about the use of the shared mail system.")),
    "mail/correction": Term(
        phrase("correction of mail usage"), phrase("Differences that correct figures reported before.")
    ),
    "mail/handed-over": Term(
        phrase("accounts handed over"), phrase("The mail accounts passed to the unit that continues the work.")
    ),
    "mail/accounts-issued": Term(phrase("accounts issued"), phrase("Mail accounts that exist at the end of the day.")),
    "mail/accounts-active": Term(
        phrase("active accounts"), phrase("Mail accounts that signed in or sent mail at least once.")
    ),
    "mail/sent-internal": Term(
        phrase("mails sent inside"), phrase("Mails whose recipients are all inside the system.")
    ),
    "mail/sent-external": Term(
        phrase("mails sent to the outside"), phrase("Mails with at least one recipient outside the system.")
    ),
    "mail/received-internal": Term(
        phrase("mails received from inside"), phrase("Mails from inside the system, once for each mailbox.")
    ),
    "mail/received-external": Term(
        phrase("mails received from the outside"), phrase("Mails from outside the system, once for each mailbox.")
    ),
    "mail/refused-size": Term(
        phrase("mails refused for their size"), phrase("Mails that were refused because they are too large.")
    ),
    "mail/over-quota": Term(
        phrase("mailboxes nearly full"), phrase("Mailboxes over 90 % of their quota at the end of the day.")
    ),
    "mail/official-documents": Term(
        phrase("documents sent by mail instead of the hub"), phrase("Official documents that were sent by mail.")
    ),
    "work/items": Term(
        phrase("work assigned and done"), phrase("A system tells of work items: assigned, extended, done.")
    ),
    "work/judgements": Term(
        phrase("work judged"), phrase("A system tells which work was returned, excused or withdrawn.")
    ),
    "work/assigned": Term(phrase("work assigned"), phrase("A work item was assigned to the unit.")),
    "work/assigned-converted": Term(
        phrase("work assigned, converted"), phrase("The conversion factor of the assigned item, in hundredths.")
    ),
    "work/extended": Term(phrase("due day extended"), phrase("The due day of a work item was changed.")),
    "work/extended-2": Term(
        phrase("due day extended a second time"), phrase("The due day of a work item was changed a second time.")
    ),
    "work/extended-3": Term(
        phrase("due day extended a third time"), phrase("The due day of a work item was changed a third time.")
    ),
    "work/done": Term(phrase("work item done"), phrase("The unit has done a work item.")),
    "work/done-converted": Term(
        phrase("work done, converted"), phrase("The conversion factor of the item that was done, in hundredths.")
    ),
    "work/returned": Term(
        phrase("work returned for quality"), phrase("A work item was returned because of its quality.")
    ),
    "work/returned-2": Term(
        phrase("work returned a second time"), phrase("A work item was returned for quality a second time.")
    ),
    "work/returned-3": Term(
        phrase("work returned a third time"), phrase("A work item was returned for quality a third time.")
    ),
    "work/returned-4": Term(
        phrase("work returned a fourth time"), phrase("A work item was returned for quality a fourth time.")
    ),
    "work/returned-more": Term(
        phrase("work returned after the fourth time"),
        phrase("A work item was returned for quality more than four times."),
    ),
    "work/returned-converted": Term(
        phrase("return for quality, converted"), phrase("The conversion factor of the returned item, in hundredths.")
    ),
    "work/returned-2-converted": Term(
        phrase("second return, converted"), phrase("The factor of an item that was returned a second time.")
    ),
    "work/returned-3-converted": Term(
        phrase("third return, converted"), phrase("The factor of an item that was returned a third time.")
    ),
    "work/returned-4-converted": Term(
        phrase("fourth return, converted"), phrase("The factor of an item that was returned a fourth time.")
    ),
    "work/excused": Term(
        phrase("objective reason confirmed"), phrase("An objective reason for a delay was confirmed.")
    ),
    "work/withdrawn": Term(phrase("work withdrawn"), phrase("A work item is no longer to be done.")),
    "work/withdrawn-converted": Term(
        phrase("work withdrawn, converted"), phrase("The conversion factor of the withdrawn item, in hundredths.")
    ),
    "meetings/request": Term(phrase("invitation to a meeting"), phrase("The organizer calls a meeting or changes it.")),
    "meetings/publish": Term(phrase("meeting made known"), phrase("A meeting is made known without an invitation.")),
    "meetings/cancel": Term(phrase("cancellation of a meeting"), phrase("The organizer cancels a meeting.")),
    "meetings/reply": Term(
        phrase("reply to an invitation"), phrase("A unit answers an invitation, or says that it attended.")
    ),
    "meetings/called": Term(phrase("meeting called"), phrase("The unit called a meeting.")),
    "meetings/scheduled": Term(phrase("meeting scheduled"), phrase("The unit set the day of a meeting, or moved it.")),
    "meetings/series": Term(
        phrase("series of meetings scheduled"),
        phrase("The unit set the days of a series; earlier occurrences are superseded."),
    ),
    "meetings/cancelled": Term(phrase("meeting cancelled"), phrase("The unit cancelled a meeting that it had called.")),
    "meetings/accepted": Term(phrase("invitation accepted"), phrase("The unit will attend.")),
    "meetings/declined": Term(phrase("invitation declined"), phrase("The unit will not attend.")),
    "meetings/attended": Term(phrase("meeting attended"), phrase("The unit attended the meeting.")),
    "incidents/opened": Term(phrase("incident opened"), phrase("An incident began.")),
    "incidents/closed": Term(phrase("incident closed"), phrase("An incident was dealt with.")),
    "incidents/closing-seconds": Term(
        phrase("time to close the incident, in seconds"), phrase("How long the incident was open.")
    ),
    "links/availability": Term(
        phrase("availability of the links"), phrase("The minutes of a day in which each link was probed and up.")
    ),
    "links/link-probed": Term(phrase("minutes probed"), phrase("The minutes in which the link was probed.")),
    "links/link-up": Term(phrase("minutes up"), phrase("The probed minutes in which the link was up.")),
    "reports/report": Term(phrase("workload report"), phrase("A sealed report of a unit for a form and a period.")),
    "reports/signed-pdf": Term(
        phrase("signed PDF of a report"), phrase("The PDF of a revision with the signature of an official.")
    ),
    "publications/report": Term(phrase("published report"), phrase("A sealed report that a person has published.")),
    "reports/declaration": Term(phrase("declaration"), phrase("Figures that a unit declares for a form and a period.")),
    "verdicts/verdict": Term(phrase("verdict on a report"), phrase("What a recipient decided about a report.")),
    "reports/running": Term(phrase("the period runs"), phrase("The period has not ended; there is nothing to sign.")),
    "reports/month-open": Term(
        phrase("a month is not closed"), phrase("The period has ended and a month of it is not closed yet.")
    ),
    "reports/ready": Term(phrase("ready for signing"), phrase("The report may be given out to be signed.")),
    "reports/open": Term(phrase("not closed yet"), phrase("No revision of the report exists yet.")),
    "reports/closed": Term(
        phrase("closed, waits for signature"), phrase("The revision was given out and does not change any more.")
    ),
    "reports/drafted": Term(
        phrase("signed by the drafter, waits for the head of the unit"),
        phrase("The person who drew the report up has signed it; the head of the unit has not yet."),
    ),
    "reports/signed": Term(phrase("signed"), phrase("The document signed by an official was accepted.")),
    "reports/submitted": Term(phrase("submitted"), phrase("The report was submitted to its recipient.")),
    "reports/accepted": Term(phrase("report accepted"), phrase("The recipient accepted the report.")),
    "reports/returned": Term(
        phrase("report returned"), phrase("The recipient returned the report; it needs another revision.")
    ),
    "verdict/equal": Term(phrase("equal"), phrase("The declared figure is the counted one.")),
    "verdict/differs": Term(phrase("differs"), phrase("The declared figure is not the counted one.")),
    "verdict/no-evidence": Term(
        phrase("no evidence"), phrase("A number above 0 was declared, and no fact is behind the cell.")
    ),
    "role/viewer": Term(
        phrase("viewer"),
        phrase("Reads the reports of its units, and finds the messages behind them without their content."),
    ),
    "role/reader": Term(phrase("reader"), phrase("Reads the reports of its units, and the messages behind them.")),
    "role/clerk": Term(phrase("clerk"), phrase("Also declares figures and submits signed reports for its units.")),
    "role/engineer": Term(phrase("engineer"), phrase("Follows the exchange, opens content and replays deliveries.")),
    "role/approver": Term(
        phrase("approver"), phrase("Follows the exchange, opens content and approves what others plan to replay.")
    ),
    "role/operator": Term(phrase("operator"), phrase("May do everything but manage the accounts.")),
    "role/administrator": Term(phrase("administrator"), phrase("May do everything, and manages the accounts.")),
    "declaration/undeclared": Term(phrase("not declared"), phrase("The unit has declared no figures.")),
    "declaration/declared": Term(
        phrase("declared"), phrase("The unit has declared figures; they are compared when the period is closed.")
    ),
    "declaration/declared-equal": Term(
        phrase("declared, agrees"), phrase("Every figure that the unit declared is the counted one.")
    ),
    "declaration/declared-differing": Term(
        phrase("declared, differs"), phrase("At least one figure that the unit declared is not the counted one.")
    ),
    "permission/see-reports": Term(
        phrase("reports"), phrase("The reports of its units, and the facts behind their numbers.")
    ),
    "permission/declare": Term(phrase("declaring"), phrase("Declares figures for its units.")),
    "permission/sign": Term(phrase("signing"), phrase("Gets reports to sign, and hands in signed ones.")),
    "permission/find-messages": Term(
        phrase("finding messages"), phrase("Accepted messages of its units, without their content.")
    ),
    "permission/see-refused": Term(phrase("refusals"), phrase("Refused messages and refused calls.")),
    "permission/see-private": Term(
        phrase("private parts of lookups"), phrase("Who made a lookup, for what purpose and about what.")
    ),
    "permission/see-content": Term(
        phrase("content"), phrase("Bytes, packets, attachments and kept exchanges; each opening is recorded.")
    ),
    "permission/see-overview": Term(phrase("overview"), phrase("How the exchange with each partner stands.")),
    "permission/see-events": Term(phrase("events"), phrase("The list of events, and who opened content.")),
    "permission/acknowledge": Term(
        phrase("acknowledging alerts"), phrase("Acknowledge the alerts of the hub to operators.")
    ),
    "permission/see-readiness": Term(phrase("the hub's checks"), phrase("The checks of the hub, with their details.")),
    "permission/see-partners": Term(phrase("partners"), phrase("The partners and their certificates.")),
    "permission/see-replays": Term(phrase("replay plans"), phrase("The plans to replay deliveries.")),
    "permission/replay": Term(phrase("replaying"), phrase("Makes, starts, pauses, resumes and cancels replay plans.")),
    "permission/correct": Term(phrase("correcting"), phrase("Sends a corrected message, which the hub's key signs.")),
    "permission/approve": Term(phrase("approving"), phrase("Approves what another person has planned.")),
    "permission/manage-partners": Term(
        phrase("managing partners"), phrase("Changes partners and trusted certificates.")
    ),
    "permission/manage-users": Term(phrase("managing accounts"), phrase("Changes accounts and tokens.")),
    "check/database": Term(phrase("database"), phrase("The database answers.")),
    "check/file": Term(
        phrase("file of the database"), phrase("SQLite's file is whole, and the one that the hub has open.")
    ),
    "check/schema": Term(
        phrase("version of the database"), phrase("The database has the version that the program needs.")
    ),
    "check/chain": Term(phrase("chain of events"), phrase("No event waits too long for its number.")),
    "check/queue": Term(phrase("writing to the journal"), phrase("Steps are written to the journal without delay.")),
    "check/disk": Term(phrase("disk space"), phrase("There is room on the disk.")),
    "check/resources": Term(
        phrase("files and memory"), phrase("The hub may open files and gets memory from the system.")
    ),
    "check/keys": Term(
        phrase("the hub's keys and certificates"), phrase("The hub's certificates are valid and its key can sign.")
    ),
    "check/clock": Term(phrase("clock"), phrase("The journal has no event from the future.")),
    "check/revocation": Term(
        phrase("revocation lists"), phrase("No partner is kept out because revocation data is overdue.")
    ),
    "check/links": Term(phrase("links to partners"), phrase("The links of this node are up.")),
    "check/workers": Term(phrase("worker processes"), phrase("All worker processes serve the SOAP port.")),
    "check/era": Term(
        phrase("era of the journal"),
        phrase("The journal is the one that this node has seen until now."),
    ),
    "check/receipts": Term(
        phrase("receipts after a restore"),
        phrase("No message with a receipt is missing since a restore."),
    ),
    "check/closings": Term(
        phrase("figures as they were closed"),
        phrase("No closed month and no fact was edited in the database."),
    ),
    "check/restart": Term(phrase("changed settings"), phrase("No changed setting waits for a restart of this node.")),
    "check/writer": Term(
        phrase("writer of the journal"),
        phrase("The only writer has time left, and no partner wants more than its share."),
    ),
    "node/alive": Term(phrase("alive"), phrase("The node keeps saying that it runs.")),
    "node/lapsed": Term(phrase("lapsed"), phrase("The node has not been heard from for too long.")),
    "node/stopped": Term(phrase("stopped"), phrase("The node was stopped.")),
    "content/bytes": Term(phrase("exact bytes"), phrase("The exact bytes of the message were downloaded.")),
    "content/packet": Term(phrase("packet as text"), phrase("The packet was shown line by line.")),
    "content/attachment": Term(phrase("attachment"), phrase("An attachment of the packet was downloaded.")),
    "content/reply": Term(phrase("the partner's reply"), phrase("The reply of a partner to an attempt was shown.")),
    "relation/answers": Term(phrase("answers"), phrase("This message is a status about that document.")),
    "relation/answers-by-number": Term(
        phrase("answers, by its number alone"),
        phrase(
            "This message is a status that names neither DocumentId nor date; that document is the only one of its sender to "
            "this unit with this number and notation."
        ),
    ),
    "relation/answered-by-number": Term(
        phrase("answered by, by its number alone"),
        phrase(
            "That message is a status that names neither DocumentId nor date; this document is the only one of its sender to "
            "that unit with this number and notation."
        ),
    ),
    "relation/answered-by": Term(phrase("answered by"), phrase("That message is a status about this document.")),
    "relation/changes": Term(phrase("changes"), phrase("This message recalls, updates or replaces that document.")),
    "relation/changed-by": Term(
        phrase("changed by"), phrase("That message recalls, updates or replaces this document.")
    ),
    "relation/corrects": Term(
        phrase("corrects"), phrase("A person corrected that message, and this one went in its place.")
    ),
    "relation/corrected-by": Term(
        phrase("corrected by"), phrase("A person corrected this message, and that one went in its place.")
    ),
    "relation/same-document": Term(
        phrase("the same document"), phrase("That message carries the same document of the same unit.")
    ),
    "relation/same-id": Term(
        phrase("the same sender's id"), phrase("Its sender gave that message the same message id.")
    ),
    "link/unknown": Term(phrase("never probed"), phrase("The link was never probed.")),
    "link/up": Term(phrase("reachable"), phrase("The other side can be reached.")),
    "link/down": Term(phrase("unreachable"), phrase("The other side cannot be reached.")),
    "link/silent": Term(phrase("silent"), phrase("The node has said nothing of the link for too long.")),
    "alert/due": Term(phrase("due soon"), phrase("What is due within some working days.")),
    "alert/overdue": Term(phrase("late"), phrase("What is late, once a week.")),
    "alert/report": Term(
        phrase("report not handed in"), phrase("Reports that are not handed in, when a person asks to remind of them.")
    ),
    "alert/requested": Term(phrase("asked for"), phrase("A person has asked for the mail; a node sends it soon.")),
    "alert/sending": Term(phrase("being sent"), phrase("A node is sending the mail.")),
    "alert/sent": Term(phrase("sent"), phrase("The mail server has taken the mail.")),
    "alert/failed": Term(phrase("not sent"), phrase("The mail server has certainly not taken the mail.")),
    "alert/unsure": Term(
        phrase("perhaps sent"), phrase("Nobody knows whether the mail arrived. It is not sent again.")
    ),
    "condition/partner-down": Term(
        phrase("partner cannot be reached"), phrase("The hub cannot bring messages to the partner.")
    ),
    "condition/link-down": Term(
        phrase("host cannot be reached"), phrase("A host of `[links]` that is no partner does not answer.")
    ),
    "condition/dead-letters": Term(
        phrase("dead letters"), phrase("Deliveries to the partner are not sent any more unless a person acts.")
    ),
    "condition/suspended-deliveries": Term(
        phrase("suspended deliveries"), phrase("Deliveries to the partner wait for a person's decision.")
    ),
    "condition/waiting-long": Term(
        phrase("deliveries wait too long"), phrase("The oldest delivery to the partner has waited too long.")
    ),
    "condition/certificate": Term(
        phrase("certificate ends"), phrase("A certificate ends within 30 days, or has ended.")
    ),
    "condition/crl-stale": Term(
        phrase("revocation list overdue"), phrase("The revocation data of a CA are overdue: nothing of it is trusted.")
    ),
    "condition/disk-low": Term(phrase("little disk space"), phrase("A disk that the hub writes to has little room.")),
    "condition/returned-reports": Term(
        phrase("returned reports before a closing"),
        phrase("The next month is about to close, and reports of the last closed month are returned."),
    ),
    "condition/chain-behind": Term(
        phrase("chain of events behind"), phrase("Events wait for their number and hash for too long.")
    ),
    "condition/node-lost": Term(
        phrase("node lost"), phrase("A node writes no heartbeat any more, and was not stopped.")
    ),
    "condition/backup-old": Term(
        phrase("backup missing"), phrase("The last good backup is too old, or the last backup failed.")
    ),
    "condition/budget-tight": Term(
        phrase("database near its budget"), phrase("The database has used most of its budget, or soon will have.")
    ),
    "condition/retention-late": Term(
        phrase("retention stands still"),
        phrase("Messages that were announced to go into an archive file should have gone days ago."),
    ),
    "condition/receipts-awaited": Term(
        phrase("messages awaited after a restore"),
        phrase("Messages that have a receipt are missing since a restore, and have not come again."),
    ),
    "condition/figures-edited": Term(
        phrase("figures edited in the database"),
        phrase("A closed month, or a fact, is not as the hub wrote it: somebody edited the database."),
    ),
    "condition/restart-pending": Term(
        phrase("restart pending"), phrase("A changed setting takes effect only when the node is restarted.")
    ),
    "condition/writer-busy": Term(
        phrase("busy writer"),
        phrase("The only writer of a node's journal is always busy, or a partner wants more than its share of it."),
    ),
    "backup/running": Term(phrase("being made"), phrase("A backup is being made and tried.")),
    "backup/good": Term(phrase("good"), phrase("The backup was made and tried.")),
    "backup/failed": Term(phrase("failed"), phrase("There is no new backup; the older ones are still there.")),
    "era/made": Term(
        phrase("the journal was made"), phrase("The journal was made, or is from before eras were counted.")
    ),
    "era/restored": Term(phrase("a backup was restored"), phrase("The journal was restored from a backup.")),
    "era/adopted": Term(
        phrase("put back by other tools"), phrase("Other tools had put the journal back, and a person said so.")
    ),
    "migration/before": Term(phrase("only adds"), phrase("Programs that do not know it keep working.")),
    "migration/after": Term(phrase("removes"), phrase("Only programs that know it work after it.")),
    "retention/announced": Term(
        phrase("announced"), phrase("It was announced that these messages will go, not before the day.")
    ),
    "retention/archived": Term(
        phrase("archived, its rows are going"), phrase("The archive file is written and verified; the rows are going.")
    ),
    "retention/gone": Term(
        phrase("gone"), phrase("The messages are in the archive file and have gone from the journal.")
    ),
    "retention/withdrawn": Term(
        phrase("withdrawn"), phrase("Nothing of what was announced may go any more, or a person withdrew it.")
    ),
    "severity/warning": Term(phrase("warning"), phrase("Somebody should see to it in the next days.")),
    "severity/error": Term(phrase("error"), phrase("Something does not work, and somebody should see to it today.")),
    "severity/critical": Term(phrase("critical"), phrase("The hub works no more, or soon will not: act now.")),
    "transition/raised": Term(phrase("began"), phrase("The condition is met since now.")),
    "transition/worse": Term(phrase("worse"), phrase("The condition is graver than it was.")),
    "transition/more": Term(phrase("more"), phrase("Something was added after the alert had been acknowledged.")),
    "transition/ended": Term(phrase("ended"), phrase("The condition is not met any more.")),
    "transition/reminder": Term(phrase("still"), phrase("The condition goes on, and nobody has acknowledged it.")),
    "breaker/closed": Term(phrase("connected"), phrase("Messages are sent to the partner.")),
    "breaker/open": Term(phrase("cut off"), phrase("Nothing is sent to the partner for a time.")),
    "breaker/half-open": Term(phrase("being probed"), phrase("One message is sent to the partner, as a probe.")),
    "duty/facts": Term(phrase("facts to write"), phrase("Facts of an accepted message that are still to be written.")),
    "duty/attachments": Term(
        phrase("attachments to read"), phrase("Attachments of an accepted message that are still to be read.")
    ),
    "duty/deliveries": Term(
        phrase("deliveries to make"), phrase("Deliveries of an accepted message that are still to be made.")
    ),
    "duty/stops": Term(
        phrase("deliveries to stop"),
        phrase("Deliveries that an accepted recall, update or replacement is still to stop."),
    ),
    "concern/no-node": Term(phrase("no hub runs"), phrase("No node of the hub has reported within the last seconds.")),
    "concern/breaker": Term(
        phrase("the partner is cut off"), phrase("The circuit breaker is open, because the partner did not answer.")
    ),
    "concern/link": Term(phrase("the link is down"), phrase("The latest probes did not reach the partner.")),
    "concern/certificate": Term(
        phrase("the certificate ends"), phrase("The partner's last certificate has ended, or ends within 30 days.")
    ),
    "concern/suspended": Term(
        phrase("deliveries are suspended"), phrase("Deliveries have waited too long; they wait for a person.")
    ),
    "concern/late": Term(
        phrase("a delivery is late"), phrase("A delivery has waited for more than an hour to be sent to the partner.")
    ),
    "concern/restart": Term(
        phrase("a restart is pending"), phrase("A changed setting takes effect only when the node is restarted.")
    ),
    "concern/receipts": Term(
        phrase("receipts without a message"),
        phrase(
            "The journal was put back, and messages that have a receipt are missing: their senders must send them again."
        ),
    ),
    "concern/unconfigured": Term(
        phrase("not configured"), phrase("Deliveries wait for a partner that the configuration does not name.")
    ),
    "effect/recalled": Term(phrase("stopped by a recall"), phrase("A recall stopped the delivery.")),
    "effect/removed": Term(phrase("stopped by an update"), phrase("An update removed the recipient.")),
    "effect/corrected": Term(
        phrase("closed by a correction"), phrase("A person corrected the message, which went as another one instead.")
    ),
    "effect/replaced": Term(phrase("stopped by a replacement"), phrase("Another document replaces this one.")),
    "effect/updated": Term(phrase("updated"), phrase("An update follows the document; it stops nothing.")),
    "effect-of-rules/would-refuse": Term(phrase("would be refused"), phrase("It is accepted now.")),
    "effect-of-rules/would-accept": Term(phrase("would be accepted"), phrase("It is refused now.")),
    "effect-of-rules/other-reasons": Term(
        phrase("would be refused for other reasons"), phrase("It is refused now, for other reasons.")
    ),
    "revocation/good": Term(phrase("not revoked"), phrase("The certificate is not revoked.")),
    "revocation/revoked": Term(phrase("revoked by the issuer"), phrase("The issuer has revoked the certificate.")),
    "revocation/unknown": Term(
        phrase("revocation unknown"), phrase("No current data says whether the certificate is revoked.")
    ),
    "receive/none": Term(phrase("receives nothing"), phrase("The hub has no messages for the partner.")),
    "receive/fetch": Term(phrase("fetches"), phrase("The partner fetches the messages for its units by itself.")),
    "receive/push": Term(phrase("is pushed to"), phrase("The hub sends the messages to the address of the partner.")),
    "mark/synthetic": Term(phrase("a sample"), phrase("The unit is invented, for samples.")),
    "mark/added": Term(phrase("added with a partner"), phrase("The unit was added together with its partner.")),
    "mark/national": Term(
        phrase("of the national list"), phrase("The agency is outside the province, known from the national list.")
    ),
    "unit-level/central": Term(phrase("central"), phrase("The unit belongs to the central government.")),
    "unit-level/province": Term(phrase("provincial"), phrase("The unit belongs to the province.")),
    "unit-level/district": Term(
        phrase("of the districts"), phrase("The unit belonged to a district. There are none since 1 July 2025.")
    ),
    "unit-level/commune": Term(phrase("of the communes"), phrase("The unit belongs to a commune or a ward.")),
    "unit-kind/committee": Term(phrase("People's Committee"), phrase("The unit is a People's Committee.")),
    "unit-kind/council": Term(
        phrase("elected body"), phrase("The unit is a People's Council or serves elected representatives.")
    ),
    "unit-kind/office": Term(phrase("office"), phrase("The unit is the office of a body.")),
    "unit-kind/department": Term(phrase("department"), phrase("The unit is a department of the province.")),
    "unit-kind/division": Term(phrase("division"), phrase("The unit is a part of a department or of a committee.")),
    "unit-kind/board": Term(phrase("board"), phrase("The unit is a board.")),
    "unit-kind/inspectorate": Term(phrase("inspectorate"), phrase("The unit inspects.")),
    "unit-kind/centre": Term(phrase("centre"), phrase("The unit provides public services.")),
    "unit-kind/school": Term(phrase("school"), phrase("The unit is a school.")),
    "unit-kind/health": Term(phrase("hospital or health station"), phrase("The unit provides health care.")),
    "unit-kind/party": Term(phrase("Party"), phrase("The unit is a body of the Party.")),
    "unit-kind/mass": Term(
        phrase("Front or mass organisation"), phrase("The unit is of the Fatherland Front or a mass organisation.")
    ),
    "unit-kind/armed": Term(phrase("armed forces"), phrase("The unit is of the military or the police.")),
    "unit-kind/sector": Term(
        phrase("agency of a ministry"), phrase("The unit is an agency of a ministry or of the central government here.")
    ),
    "unit-kind/other": Term(phrase("another kind"), phrase("The unit is of none of these kinds.")),
    "unit-kind/drill": Term(
        phrase("test unit"), phrase("The unit exists for an inspector's drill and is in no total of the province.")
    ),
    # the milestone of a fact that counts a status is called as the status is
    **{f"status/{code}": term for code, term in _STATUSES.items()},
    **{f"documents/status-{code}": term for code, term in _STATUSES.items()},
}
