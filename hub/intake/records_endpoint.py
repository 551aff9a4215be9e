"""The endpoint of a service whose calls contain a record: one element with the work of a unit.

The service knows its fields.

The message is the exclusive canonical form of the verified element. The same element gives the same octets, whatever
prefixes or white space the caller's toolkit puts around it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy

import attrs
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xml_cost, xsd_types
from hub.formats.spool import Octets
from hub.intake.admission import judge_record
from hub.intake.endpoint import Answer, Case, JournalAccess
from hub.language.phrases import phrase
from hub.services import Service
from hub.services.defined import ValuePath
from hub.soap import documents_responses
from hub.soap.wsdl import Contract
from hub.units.province import Province

#: Answers an operation that contains no message. The call is `Case.opened.call`, a `QueryCall`.
Query = Callable[[JournalAccess, Case], Awaitable[etree._Element]]  # noqa: SLF001 - lxml has no other name


_MESSAGE_ID = ValuePath("MessageId")
#: Maximum octets of all binary values of a record. They are in its content as base64, which is read as a whole.
BINARY = 8 << 20
_LONGEST_ID = 200  #: characters of a message id, as the contracts of the hub say


@attrs.frozen
class RecordCall:
    """A call that contains a message."""

    content: bytes  #: exclusive canonical form of the element
    message_id: str | None  #: the sender's id of the message, if it gave one


@attrs.frozen(eq=False)
class QueryCall:
    """A call that asks for something: its verified and validated element."""

    child: etree._Element  #: the element in the Body


@attrs.frozen(eq=False)
class RecordsEndpoint:
    """The endpoint of a service that accepts records."""

    contract: Contract  #: the contract of the service
    _service: Service  #: reads the records
    _access: JournalAccess  #: access to the journal
    _queries: Mapping[str, Query] = attrs.field(factory=dict)  #: by operation; every other operation contains a message
    #: the service for one province, where it differs between provinces
    _make_service: Callable[[Province], Service] | None = None
    #: by the Clark name of the root element: where the sender's id of the message stands; None: it gives none. Without
    #: an entry the id is the child MessageId
    _ids: Mapping[str, ValuePath | None] = attrs.field(factory=dict)
    _weight: int = 1  #: how many times as much as the hub's own services each element costs to read

    def read(self, child: etree._Element, octets: Sequence[bytes | Octets]) -> RecordCall | QueryCall:
        """See `Endpoint`. Raises CallRefused (`contract-broken`) for an element without a canonical form, and
        (`too-large`) for one with more than `BINARY` octets of binary values.
        """
        if etree.QName(child).localname in self._queries:
            return QueryCall(child)
        whole = self._fill(child, octets) if octets else child
        try:
            content = etree.tostring(whole, method="c14n", exclusive=True, with_tail=False)
        except etree.C14NError as error:  # a relative namespace URI
            raise CallRefused(
                Problem("contract-broken", phrase("no canonical form: {error}", error=str(error)))
            ) from None
        return RecordCall(content, self._read_id(child))

    def _fill(self, child: etree._Element, octets: Sequence[bytes | Octets]) -> etree._Element:
        """Return *child* with the canonical base64 of its binary values, of which the call may have brought some apart."""
        size = sum(map(len, octets))
        if size > BINARY:
            raise CallRefused(Problem("too-large", f"{size} > {BINARY}"))
        whole = deepcopy(child)  # the call is kept as it came
        for element, value in zip(whole.iter(*self.contract.binary), octets, strict=True):
            element.text = xsd_types.encode_canonical_base64(value if isinstance(value, bytes) else value.read())
            del element[:]
        return whole

    def _read_id(self, child: etree._Element) -> str | None:
        path = self._ids.get(child.tag, _MESSAGE_ID)
        if path is None:
            return None
        found = child
        for step in path.steps:
            inside = found.find("{*}" + step)
            if inside is None:
                return None
            found = inside
        text = found.get(path.attribute, "") if path.attribute else xsd_types.read_xs_token(found)
        if len(text) > _LONGEST_ID:
            raise CallRefused(
                Problem(
                    "contract-broken",
                    phrase("{path}: longer than {most} characters", path=path.written, most=_LONGEST_ID),
                )
            )
        return text or None

    @property
    def is_private(self) -> bool:
        """See `Endpoint`."""
        return False

    def carries_message(self, call: object) -> bool:
        """See `Endpoint`."""
        return isinstance(call, RecordCall)

    async def perform(self, case: Case) -> Answer:
        """See `Endpoint`."""
        call, operation, namespace = case.opened.call, case.opened.operation, self.contract.namespace
        if not isinstance(call, RecordCall):
            return await self._queries[operation](self._access, case)
        self._access.require_space()
        entry = await self._access.work(
            case.owner,
            xml_cost.estimate_record(call.content) * self._weight,
            judge_record,
            self._make_service(case.province) if self._make_service else self._service,
            call.content,
            call.message_id,
            case.partner.code,
            case.province,
            case.now,
            case.tracking,
        )
        taken = await self._access.record(
            case.owner,
            attrs.evolve(entry, sha1=case.sha1, envelope=case.opened.envelope, trace=case.trace),
            case.province.routes,
            case.opened.mark,
        )
        if taken.problems:
            return documents_responses.build_refused_response(operation, taken.problems, namespace)
        assert taken.receipt is not None
        return documents_responses.write_taken_response(operation, taken.id, taken.receipt, namespace)
