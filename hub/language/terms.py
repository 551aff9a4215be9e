"""Names what the hub keeps as a word or a code: events, states, kinds, milestones, outcomes, statuses, roles, checks.

Each has a name and an explanation of one line, which are in `terms.json`: scope -> word -> name, explanation. The words
themselves stay as they are in the journal, in JSON and in logs. Does not know which of them a reader sees, nor where.

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
from functools import cache

import attrs

from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import KNOWN_ERRORS
from hub.language.tables import read_table


@attrs.frozen
class Term:
    """What a reader is told of one word."""

    name: Phrase
    meaning: Phrase  #: one sentence


@cache
def read_terms() -> Mapping[str, Term]:
    """Return every term by its key. Raises OSError if the table cannot be opened, which is read once."""
    scopes = read_table("terms")
    terms = {
        f"{scope}/{word}": Term(Phrase(name), Phrase(meaning))
        for scope, words in scopes.items()
        for word, (name, meaning) in words.items()
    }
    # the milestone of a fact that counts a status is called as the status is
    return terms | {f"documents/status-{code}": terms[f"status/{code}"] for code in scopes["status"]}


def find_term(scope: str, word: str) -> Term | None:
    """Return the term of *word* in *scope*; None if the word is not ours, such as the name of a list of a partner."""
    return read_terms().get(f"{scope}/{word}")


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
