"""The operations of the lookups service: reads questions, names them by a keyed hash, builds records and responses.

Knows which parts of a question the journal may keep. Knows no partner.

The journal keeps what is asked about a person only as a keyed hash. An identification number has so few digits that a
plain SHA-256 of it can be found by trying all numbers. So a question is named by an HMAC whose key is stored outside
the database.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import attrs
from lxml import etree

from hub.domain.conversations import Answer
from hub.domain.model import Problem
from hub.formats import xsd_types
from hub.soap.envelope import build_element, build_error_list

NAME = "lookups"
NAMESPACE = "urn:lienthong:lookups:1"


@attrs.frozen(kw_only=True)
class LookupOperation:
    """One operation of the service."""

    milestone: str  #: of the fact that records its completion
    answers: tuple[str, ...]  #: the fields of the answer, in the order of the contract
    key: str = ""  #: for an operation that has an effect: the field that identifies the effect; empty for a pure query


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

#: The fields that every question has beside its own.
_COMMON = ("OrganId", "Officer", "Purpose", "Dossier", "MessageId")


@attrs.frozen(kw_only=True)
class LookupQuestion:
    """One question as it was asked. Its fields may contain personal data."""

    operation: str
    organ: str
    officer: str
    purpose: str
    dossier: str = ""
    message_id: str | None = None
    fields: Mapping[str, str] = attrs.field(repr=False)

    @property
    def rule(self) -> LookupOperation:
        """Return the definition of its operation."""
        return OPERATIONS[self.operation]

    @property
    def key(self) -> str:
        """Return what identifies the effect: the order number or the dossier code; empty for a pure query."""
        name = self.rule.key
        return self.dossier if name == "Dossier" else self.fields.get(name, "")

    @property
    def asked(self) -> Mapping[str, str]:
        """Return the fields that are sent to the partner."""
        return {**self.fields, "Dossier": self.dossier} if self.rule.key == "Dossier" else self.fields


def read_lookup_question(child: etree._Element) -> LookupQuestion:
    """Read a call that has been validated against the contract."""
    leaves = {etree.QName(leaf).localname: leaf for leaf in child.iterchildren("*")}
    said = {
        name: xsd_types.read_leaf_text(leaf)
        if name == "Data"
        else xsd_types.read_xs_token(leaf)  # a form is forwarded exactly as it was written
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
    """Return the problems of *question* that no schema can express. Their details never quote the question."""
    if question.operation == "VerifyCitizen" and not question.fields.keys() & {"CitizenId", "OldId"}:
        return (Problem("N.VerifyCitizen.CitizenId", "OldId"),)
    return ()


def name_question(question: LookupQuestion, key: bytes) -> str:
    """Return the name of a question: HMAC-SHA256 by *key*, hex.

    It depends on what is asked, not on who asks or why.
    """
    said = [question.operation, sorted(question.asked.items())]
    return hmac.new(key, json.dumps(said, ensure_ascii=False).encode(), hashlib.sha256).hexdigest()


def write_lookup_record(question: LookupQuestion, named: str) -> bytes:
    """Return the record that the journal keeps of *question*: who asked, why, and the name of the question.

    It holds nothing about the person asked about. The same question by the same official for the same purpose gives the
    same octets.
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
    """Return *answer* as octets for the cache, before they are encrypted."""
    return json.dumps(answer.fields, ensure_ascii=False, separators=(",", ":")).encode()


def read_kept_answer(octets: bytes) -> Answer:
    """Return the answer that `write_kept_answer` wrote."""
    return Answer(tuple((name, text) for name, text in json.loads(octets)))


def build_lookup_response(operation: str, lookup: str, answer: Answer, at: datetime) -> etree._Element:
    """Return the response: the answer's fields in the order of the contract, and the time of the answer."""
    response = _report_problems(operation, ())
    _add_leaf(response, "LookupId", lookup)
    for name in OPERATIONS[operation].answers:
        for text in (text for field, text in answer.fields if field == name):
            if name == "Row":
                _fill_row(response, json.loads(text))
            else:
                _add_leaf(response, name, text)
    _add_leaf(response, "At", xsd_types.write_xs_datetime(at))
    return response


def build_lookup_refusal(operation: str, lookup: str, problems: Sequence[Problem]) -> etree._Element:
    """Return the response of a lookup that has no answer, with each of *problems*."""
    response = _report_problems(operation, problems)
    _add_leaf(response, "LookupId", lookup)
    return response


def _report_problems(operation: str, problems: Sequence[Problem]) -> etree._Element:
    response = build_element(NAMESPACE, f"{operation}Response", {})
    report = build_element(NAMESPACE, "Report", {"IsSuccess": "false" if problems else "true"})
    report.append(build_error_list(NAMESPACE, problems))
    response.append(report)
    return response


def _fill_row(response: etree._Element, columns: Mapping[str, str]) -> None:
    row = etree.SubElement(response, f"{{{NAMESPACE}}}Row")
    row.extend(build_element(NAMESPACE, "Column", {"Name": name, "Value": text}) for name, text in columns.items())


def _add_leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = text


def list_lookup_milestones() -> Iterable[str]:
    """Return the milestone of each operation."""
    return (rule.milestone for rule in OPERATIONS.values())
