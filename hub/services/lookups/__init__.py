"""The service `lookups`: each answered question is one result of the unit that asked.

Knows the record that the journal keeps of a lookup. Does not know the answer.

The record is written by `hub.services.lookups.operations.write_lookup_record`. It names the official, the purpose and
the dossier. Of the question itself it holds only a keyed hash.
"""

from datetime import datetime

from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Fact, Problem, Record
from hub.formats import safe_xml, xsd_types
from hub.language.phrases import phrase
from hub.services import Service
from hub.services.lookups.operations import NAME, NAMESPACE, OPERATIONS, list_lookup_milestones


def read_lookup_record(content: bytes, at: datetime, message: str) -> Record:
    """Read one record of a lookup. Raises Rejected if *content* is something else."""
    root = safe_xml.parse_safe_xml(content)
    said = {etree.QName(leaf).localname: xsd_types.read_xs_token(leaf) for leaf in root.iterchildren("*")}
    operation = OPERATIONS.get(said.get("Operation", ""))
    if root.tag != f"{{{NAMESPACE}}}Lookup" or operation is None or not said.get("OrganId"):
        raise Rejected(Problem("contract-broken", phrase("no record of a lookup")))
    key = said.get("Key") or message
    fact = Fact(unit=said["OrganId"], service=NAME, key=key, milestone=operation.milestone, at=at, message=message)
    return Record(
        kind=operation.milestone,
        sender=said["OrganId"],
        keys=(key,),
        subject=said.get("Purpose", ""),
        facts=(fact,),
    )


SERVICE = Service(
    name=NAME,
    read=read_lookup_record,
    milestones=frozenset(list_lookup_milestones()),
    operations=frozenset(OPERATIONS),
)
