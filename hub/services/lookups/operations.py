"""The operations of the lookups service: how a question is read, named, kept and answered.  Knows what of it the journal may hold; no partner.

What is asked about a person reaches the journal as a keyed hash alone: an identification number has so few digits that a bare SHA-256
of it is soon guessed.  So the name of a question is an HMAC by a key that lies outside the database.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import attrs
from lxml import etree

from hub.domain.model import Answer, Problem
from hub.formats import xsd_types
from hub.soap.envelope import build_element, error_list

NAME = "lookups"
NAMESPACE = "urn:lienthong:lookups:1"


@attrs.frozen(kw_only=True)
class LookupOperation:
    """One operation."""

    milestone: str  #: of the fact that it was done
    answers: tuple[str, ...]  #: the answer's fields, in the order of the contract
    key: str = ""  #: it does something, once: the field whose value names what; empty where it only asks


OPERATIONS: Mapping[str, LookupOperation] = MappingProxyType(
    {
        "LookupEnterprise": LookupOperation(
            milestone="lookup-enterprise",
            answers=(
                "EnterpriseCode",
                "Name",
                "ShortName",
                "ForeignName",
                "TypeName",
                "Status",
                "FoundedOn",
                "Representative",
                "Address",
                "Activity",
            ),
        ),
        "LookupCategory": LookupOperation(milestone="lookup-category", answers=("Row",)),
        "VerifyCitizen": LookupOperation(milestone="verify-citizen", answers=("Exists",)),
        "OrderPostalReturn": LookupOperation(
            milestone="postal-ordered", answers=("OrderNumber", "Status", "Message"), key="OrderNumber"
        ),
        "RegisterCivilStatus": LookupOperation(
            milestone="civil-status-sent", answers=("Status", "Message"), key="Dossier"
        ),
        "RequestJudicialRecord": LookupOperation(
            milestone="judicial-record-requested", answers=("RecordId", "Status", "Message"), key="Dossier"
        ),
    }
)

#: What every question names beside its own fields.
_COMMON = ("OrganId", "Officer", "Purpose", "Dossier", "MessageId")


@attrs.frozen(kw_only=True)
class LookupQuestion:
    """One question as it was asked; its fields may tell of a person."""

    operation: str
    organ: str
    officer: str
    purpose: str
    dossier: str = ""
    message_id: str | None = None
    fields: Mapping[str, str] = attrs.field(repr=False)

    @property
    def rule(self) -> LookupOperation:
        """Return what holds for its operation."""
        return OPERATIONS[self.operation]

    @property
    def key(self) -> str:
        """Return what is done, where the operation does something: the number of the order, the code of the dossier."""
        name = self.rule.key
        return self.dossier if name == "Dossier" else self.fields.get(name, "")

    @property
    def asked(self) -> Mapping[str, str]:
        """Return the fields that go to the partner."""
        return {**self.fields, "Dossier": self.dossier} if self.rule.key == "Dossier" else self.fields


def read_lookup_question(child: etree._Element) -> LookupQuestion:
    """Read a call that the contract has validated."""
    leaves = {etree.QName(leaf).localname: leaf for leaf in child.iterchildren("*")}
    said = {
        name: xsd_types.read_leaf_text(leaf)
        if name == "Data"
        else xsd_types.read_xs_token(leaf)  # a form goes on as it was written
        for name, leaf in leaves.items()
    }
    operation = etree.QName(child).localname
    return LookupQuestion(
        operation=operation,
        organ=said["OrganId"],
        officer=said["Officer"],
        purpose=said["Purpose"],
        dossier=said.get("Dossier", ""),
        message_id=said.get("MessageId"),
        fields={name: text for name, text in said.items() if name not in _COMMON},
    )


def find_question_flaws(question: LookupQuestion) -> tuple[Problem, ...]:
    """Return what is wrong with *question* that no schema can say; no detail quotes what was asked."""
    if question.operation == "VerifyCitizen" and not question.fields.keys() & {"CitizenId", "OldId"}:
        return (Problem("N.VerifyCitizen.CitizenId", "OldId"),)
    return ()


def name_question(question: LookupQuestion, key: bytes) -> str:
    """Return the name of what is asked, whoever asks and why: HMAC-SHA256 by *key*, hex."""
    said = [question.operation, sorted(question.asked.items())]
    return hmac.new(key, json.dumps(said, ensure_ascii=False).encode(), hashlib.sha256).hexdigest()


def write_lookup_record(question: LookupQuestion, named: str) -> bytes:
    """Return what the journal holds of *question*: who asked, for what, and its name; nothing of whom it is about.

    The same question by the same official for the same purpose is the same octets.
    """
    fields = {
        "Operation": question.operation,
        "OrganId": question.organ,
        "Officer": question.officer,
        "Purpose": question.purpose,
        "Dossier": question.dossier or None,
        "Key": question.key or None,
        "Question": named,
    }
    return etree.tostring(build_element(NAMESPACE, "Lookup", fields), method="c14n", exclusive=True)


def write_kept_answer(answer: Answer) -> bytes:
    """Return *answer* as it is kept, before it is sealed."""
    return json.dumps(answer.fields, ensure_ascii=False, separators=(",", ":")).encode()


def read_kept_answer(octets: bytes) -> Answer:
    """Return the answer that was `write_kept_answer`."""
    return Answer(tuple((name, text) for name, text in json.loads(octets)))


def build_lookup_response(operation: str, lookup: str, answer: Answer, at: datetime) -> etree._Element:
    """Return the response: the answer's fields in the contract's order, and when it was heard."""
    response = _reported(operation, ())
    _leaf(response, "LookupId", lookup)
    for name in OPERATIONS[operation].answers:
        for text in (text for field, text in answer.fields if field == name):
            if name == "Row":
                _row(response, json.loads(text))
            else:
                _leaf(response, name, text)
    _leaf(response, "At", xsd_types.write_xs_datetime(at))
    return response


def build_lookup_refusal(operation: str, lookup: str, problems: Sequence[Problem]) -> etree._Element:
    """Return the response that there is no answer, for each of *problems*."""
    response = _reported(operation, problems)
    _leaf(response, "LookupId", lookup)
    return response


def _reported(operation: str, problems: Sequence[Problem]) -> etree._Element:
    response = build_element(NAMESPACE, f"{operation}Response", {})
    report = build_element(NAMESPACE, "Report", {"IsSuccess": "false" if problems else "true"})
    report.append(error_list(NAMESPACE, problems))
    response.append(report)
    return response


def _row(response: etree._Element, columns: Mapping[str, str]) -> None:
    row = etree.SubElement(response, f"{{{NAMESPACE}}}Row")
    row.extend(build_element(NAMESPACE, "Column", {"Name": name, "Value": text}) for name, text in columns.items())


def _leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = text


def list_lookup_milestones() -> Iterable[str]:
    """Return the milestone of each operation."""
    return (rule.milestone for rule in OPERATIONS.values())
