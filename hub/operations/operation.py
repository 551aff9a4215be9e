"""Defines an operation as a value: what it takes, the right it needs, what it does, what it answers, and its words.

Every face is a projection of it: `hub.api.projection` makes an address of it, `hub.cli.projection` a command. Contains no
operation, and knows no HTTP, no command line and no SQL.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import attrs

from hub.language.phrases import Phrase, phrase

if TYPE_CHECKING:
    from hub.config import Config
    from hub.operations.accounts.permissions import Permission
    from hub.operations.accounts.users import User
    from hub.store.transactions import Transaction

#: Marks a text or a list that only the limit of the body bounds.
LONG = "long"
#: Explains the field of a search that takes the `Cursor` of the page before.
CURSOR = phrase("next of the page before")
Cursor = Annotated[str | None, phrase("the value of cursor for the next page; null: there is none")]
#: Marks a field of an answer that is shown once: an order that is repeated under its key gets null in its place.
ONCE = "once"


class RefusalKind(Enum):
    """What is the matter with an order that is refused."""

    ABSENT = "what the order is about is not there"
    UNKNOWN = "a field names something that is not there"
    CONFLICT = "what is there already does not allow it"
    UNFIT = "a field cannot be so"


@attrs.frozen
class RefusalMeaning:
    """What a code of refusal is about."""

    kind: RefusalKind
    field: str = ""


class OperationRefused(Exception):
    """The order is refused, and nothing was changed. `code` is stable; `why` says it to a person."""

    def __init__(self, code: str, why: Phrase) -> None:
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why


# --- what an operation takes ------------------------------------------------------------------------------------------


@attrs.frozen
class Option:
    """How the command line says a field. The option has the name of the field, that of a list the word for one of it."""

    about: Phrase
    metavar: str | None = None
    typed: str = ""  #: the name of the option, if it is another one
    least: int | None = None  #: the least number
    default: int | None = None  #: the number that is meant without the option, if it is another one here


@attrs.frozen
class Subject:
    """What an operation is about: a piece of its address, and the first argument of its command."""

    name: str
    about: Phrase
    typed: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True)
    )  #: the name of the argument


@attrs.frozen(kw_only=True)
class AskedField:
    """A field of the class that an operation takes."""

    name: str
    kind: type  #: of its value, or of each value of a list
    many: bool  #: it is a list
    default: Any  #: `attrs.NOTHING` if it must be given
    marks: tuple[Any, ...]  #: what stands beside its type: the phrase that explains it, its `Option`, `ONCE`

    @property
    def option(self) -> Option | None:
        """How the command line says it."""
        return next((each for each in self.marks if isinstance(each, Option)), None)

    @property
    def about(self) -> Phrase | None:
        """What explains it; None: only the command line has it."""
        return next((each for each in self.marks if isinstance(each, Phrase)), None)


def list_fields(kind: type) -> Sequence[AskedField]:
    """Return the fields of an attrs class in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_read_field(each.name, hints[each.name], each.default) for each in attrs.fields(kind))


def _read_field(name: str, hint: Any, default: Any) -> AskedField:
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    inner = [each for each in get_args(hint) if each not in {type(None), Ellipsis}]
    many = isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Sequence)
    return AskedField(name=name, kind=inner[0] if inner else hint, many=many, default=default, marks=marks)


def hide_secrets(answer: Any) -> Any:
    """Return *answer* without the values of the fields that are shown once."""
    return attrs.evolve(answer, **{each.name: None for each in list_fields(type(answer)) if ONCE in each.marks})


# --- the operation ----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class OperationCall:
    """One call of an operation: what is asked, by whom, when, over which configuration."""

    subject: str = ""
    asked: Any = None  #: of the class that the operation takes
    by: str  #: as events name who acts: an account, or `OWNER/TOKEN`
    maker: "User | None" = (
        None  #: whose rights bound what is given away; None: the account of the name, if there is one
    )
    now: datetime
    config: "Config"
    random: Callable[[int], bytes] = secrets.token_bytes  #: returns so many random octets


#: One step of a transaction; it returns the answer, or raises `OperationRefused`.
Step = Callable[["Transaction"], Any]


@attrs.frozen(kw_only=True)
class CommandWords:
    """How the command line says an operation and shows its answer."""

    name: str  #: behind the name of the topic
    about: Phrase
    examples: tuple[str, ...] = ()
    write_row: Callable[
        [Any], Mapping[str, object]
    ]  #: returns what `--json` says of an answer, or of each item of a list
    columns: Mapping[str, Phrase] = attrs.field(factory=dict)  #: the titles of a table, by key of a row
    scopes: Mapping[str, str] = attrs.field(
        factory=dict
    )  #: the scope of the word that a key has: a person reads its name
    empty: Phrase | None = None  #: said where a table has no row
    said: Phrase | None = None  #: what was done; its arguments are the keys of the row
    prints: str = ""  #: the key whose value is the whole output; what was done is a remark then
    refusals: Mapping[str, Phrase] = attrs.field(factory=dict)  #: by code, what is said instead of the reason


@attrs.frozen(kw_only=True)
class HubOperation:
    """One operation. It either reads, or changes something and writes an event."""

    name: str
    about: Phrase
    rights: "tuple[Permission, ...]"  #: of which one is needed
    whole: bool = False  #: it is about what belongs to no unit, so who is limited to some units may not
    unlimited: bool = False  #: it gives rights, so who is limited to some units or partners may not
    subject: Subject | None = None
    takes: type | None = None  #: an attrs class
    answers: type  #: an attrs class; that of a list has the field `items`
    write: Callable[[Any], Any] = lambda answer: answer  #: makes one of it of what the step returns
    does: str  #: `module:function` that takes an `OperationCall` and returns the `Step`; imported when it is called
    heavy: bool = False  #: to prepare it takes long, so that it is for a worker thread
    event: str = ""  #: the event that it writes; none: it only reads
    makes: bool = False  #: it makes what was not there
    address: str  #: of the API, behind `/api/v1`
    command: CommandWords | None = None  #: None: no command is made of it

    def prepare(self, call: OperationCall) -> Step:
        """Return the step that does it. Raises `OperationRefused`, as the step may."""
        module, name = self.does.split(":")
        step: Step = getattr(import_module(module), name)(call)
        return step


@attrs.frozen(kw_only=True)
class Topic:
    """The operations on one kind of thing: a group of commands and a tag of the API."""

    name: str
    about: Phrase
    operations: tuple[HubOperation, ...]
    refusals: Mapping[str, RefusalMeaning]  #: by code
