"""A service that the configuration defines: its schema, and which of its values mean what (docs/reference/services.md).

Holds the values of `services/NAME/service.toml` after reading (`hub.config.service_files`). Does not know TOML, and does
not read messages (`hub.services.defined.reading`).
"""

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
from lxml import etree

from hub.formats.xsd_schemas import SchemaFiles
from hub.language.languages import Language
from hub.services import CountableFacts

if TYPE_CHECKING:
    from hub.formats.models.xsd_model import SchemaModel
    from hub.soap.wsdl import Contract


@attrs.frozen
class BilingualName:
    """A name or a sentence in both languages."""

    vi: str
    en: str

    def say(self, language: Language) -> str:
        """Return the text in *language*: English for `en`, else Vietnamese."""
        return self.en if language == Language.EN else self.vi


@attrs.frozen
class ValuePath:
    """The way from an element to others: local names of elements, separated by `/`.

    It begins at the item that a fact is read from, or with `/` at the root element of the message. A step `..` is the
    element above. The last step may be `@NAME`, an attribute.
    """

    written: str
    from_root: bool = attrs.field(init=False, eq=False, repr=False)  #: it begins at the root element
    steps: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)  #: without the attribute
    #: the name of the attribute; empty: the value is the text of the element
    attribute: str = attrs.field(init=False, eq=False, repr=False)
    #: the name of the child that it leads to; empty: it is longer
    only: str = attrs.field(init=False, eq=False, repr=False)

    @from_root.default
    def _begins_at_root(self) -> bool:
        return self.written.startswith("/")

    @steps.default
    def _list_steps(self) -> tuple[str, ...]:
        return tuple(each for each in self.written.strip("/").split("/") if not each.startswith("@"))

    @attribute.default
    def _read_attribute(self) -> str:
        last = self.written.rpartition("/")[2]
        return last[1:] if last.startswith("@") else ""

    @only.default
    def _read_only_step(self) -> str:
        return self.written if self.steps == (self.written,) and self.written != ".." else ""


class DayFormat(StrEnum):
    """How a day is written."""

    XSD = "xsd"  #: `xs:date`, or `xs:dateTime`, of which the day in Hà Nội counts
    COMPACT = "yyyyMMdd"  #: digits behind it are a time and do not count
    SLASHED = "dd/MM/yyyy"


@attrs.frozen(kw_only=True)
class DayValue:
    """Where a day stands, and how it is written."""

    path: ValuePath
    format: DayFormat = DayFormat.XSD


@attrs.frozen(kw_only=True)
class AmountValue:
    """Where a number stands. The amount of a fact is *times* the number, which must give a whole number."""

    path: ValuePath
    times: int = 1


@attrs.frozen(kw_only=True)
class ValueCondition:
    """A test of the values at a path: one of them is among *values*; without *values*: there is one."""

    path: ValuePath
    values: frozenset[str] | None = None
    holds: bool = True  #: False: the test must fail


@attrs.frozen(kw_only=True)
class FactRule:
    """Which values become a fact.

    There is a fact for each item that meets the conditions, if the elements of its day and of its amount are there.
    """

    milestone: str
    each: ValuePath | None = None  #: a fact for each such element; paths of the rule then begin there
    conditions: tuple[ValueCondition, ...] = ()
    unit: ValuePath | None = None  #: the unit that it counts for; None: that of the item
    key: tuple[ValuePath, ...] | None = None  #: its business key; None: that of the item
    day: DayValue | None = None
    due: DayValue | None = None
    amount: AmountValue | None = None
    counterpart: ValuePath | None = None
    attributes: tuple[tuple[str, ValuePath], ...] = ()  #: by name

    def list_paths(self) -> Iterator[ValuePath]:
        """Yield every path that it reads."""
        yield from filter(None, (self.each, self.unit, self.counterpart))
        yield from self.key or ()
        yield from (each.path for each in (self.day, self.due, self.amount, *self.conditions) if each is not None)
        yield from (path for _, path in self.attributes)


class Repetition(StrEnum):
    """What a message does that tells of a key and a milestone again."""

    FIRST = "first"  #: nothing: the first telling counts
    EACH = "each"  #: it counts as well


@attrs.frozen(kw_only=True)
class MessageRule:
    """What one kind of message says.

    The paths of `message_id`, `sender`, `item`, `subject`, `corrects` and `recipient` begin at the root.
    """

    element: str  #: the Clark name of the root element
    kind: str
    name: BilingualName
    message_id: ValuePath | None = None  #: None: the SHA-256 of the message is its id
    sender: ValuePath
    item: ValuePath | None = None  #: the repeated element; None: the message is one item
    unit: ValuePath | None = None  #: from the item; None: the sender
    key: tuple[ValuePath, ...]  #: from the item; several values are one key together
    subject: ValuePath | None = None
    repetition: Repetition = Repetition.FIRST
    corrects: ValuePath | None = None  #: if there is such an element, the amounts are differences to what was told
    delivered: bool = True
    by_name: bool = False  #: only a partner whose `calls` names it may send it
    recipient: ValuePath | None = None  #: the units whose systems get it; None: every system that takes the service
    facts: tuple[FactRule, ...] = ()

    def count_paths(self) -> int:
        """Return how many paths are read for each item; those that begin at the root are read once for all."""
        paths = [*self.key, *filter(None, [self.unit]), *(path for fact in self.facts for path in fact.list_paths())]
        return sum(not each.from_root for each in paths)

    @property
    def operation(self) -> str:
        """The name of the operation: the local name of the root element."""
        return etree.QName(self.element).localname


@attrs.frozen(kw_only=True)
class DefinedService:
    """One service: `services/NAME/`."""

    name: str
    title: BilingualName
    schema: SchemaFiles
    settings: bytes = attrs.field(repr=False)  #: the octets of `service.toml`
    messages: tuple[MessageRule, ...]
    milestones: tuple[tuple[str, BilingualName], ...]
    shipped: bool = False  #: the hub brings it along (`hub/services/shipped`)
    tells: bool = False  #: its messages only report figures about units (`Service.may_report_any_unit`)
    #: other editions of the schema, by name, for the partners whose `contracts` name them; the rules are the same
    editions: tuple[tuple[str, SchemaFiles], ...] = ()
    #: what the schema describes, as `schema_check` found it; None: it is derived where it is needed
    model: "SchemaModel | None" = attrs.field(default=None, eq=False, repr=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the folder: of each file by name, its name, its size and its octets."""
        digest = hashlib.sha256()
        others = {file: octets for _, schema in self.editions for file, octets in schema.files}
        files = others | dict(self.schema.files)
        for name, octets in (("service.toml", self.settings), *sorted(files.items())):
            digest.update(f"{name}\0{len(octets)}\0".encode() + octets)
        return digest.hexdigest()

    def choose_edition(self, edition: str) -> "DefinedService":
        """Return the service with this edition of its schema; empty: the main one. Raises KeyError."""
        return attrs.evolve(self, schema=dict(self.editions)[edition], editions=(), model=None) if edition else self

    @property
    def countable(self) -> CountableFacts:
        """What a form of report can name of its facts."""
        return CountableFacts(self.name, frozenset(dict(self.milestones)), self.attributes)

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes that its facts may have."""
        return frozenset(name for rule in self.messages for fact in rule.facts for name, _ in fact.attributes)

    def find_rule(self, element: object) -> MessageRule | None:
        """Return the rule for messages with the root *element*, a Clark name. Return None if there is none."""
        return next((each for each in self.messages if each.element == element), None)

    def find_term(self, word: str) -> BilingualName | None:
        """Return the name of a milestone or a kind of message. Return None if it has none here."""
        named = dict(self.milestones) | {each.kind: each.name for each in self.messages}
        return named.get(word)


def load_defined_model(defined: DefinedService) -> "SchemaModel":
    """Return what the schema of a service describes. Takes a third of a second unless it is known.

    Raises ConfigurationFault if xmlschema does not accept the schema.
    """
    from hub.formats.models.schema_loading import (
        load_schema_model,  # every command reads this module, few have a service
    )

    files, main = dict(defined.schema.files), defined.schema.main
    return defined.model or load_schema_model({main: files[main], **files}, main)


@lru_cache(maxsize=64)
def load_defined_contract(defined: DefinedService) -> "Contract":
    """Return the contract of a service. Raises as `load_defined_model`."""
    from hub.soap.defined_contract import DefinedOperation, make_defined_contract  # every command reads this module

    operations = [
        DefinedOperation(each.operation, each.element, f"{each.name.vi} / {each.name.en}") for each in defined.messages
    ]
    documentation = f"{defined.title.vi} / {defined.title.en}"
    model = load_defined_model(defined)
    return make_defined_contract(defined.name, documentation, operations, defined.schema, model)
