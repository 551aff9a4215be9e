"""Reads the mapping of a partner that is described by its WSDL: which operations are called, with what, and what the
answers mean.

Knows the tables and keys of docs/reference/soap-partners.md, and names every mistake with its place. Does not know the
WSDL: `hub.partner.mapping_check` tells whether an operation or an element exists. Does not compare the SHA-256 of a file:
`hub.config.partners.partner_files` does, where it reads the file.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import attrs

from hub.partner.mapping_values import AnswerPath, Step, Value

T = TypeVar("T")

_SECRET = "secrets."  # noqa: S105 - the name of a source
#: The sources by which a partner can tell a repetition from a new message.
IDENTIFYING = ("message.id", "message.message-id", "message.document-id", "message.sha256")


class Then(StrEnum):
    """What an answer means."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    POSTPONED = "postponed"
    CREDENTIALS = "credentials"
    LOGIN = "login"
    NEXT = "next"


@attrs.frozen
class AnswerCondition:
    """A condition on an answer: the text at *path* is one of *texts*; `*` is any text, an empty one none."""

    path: AnswerPath
    texts: tuple[str, ...]


@attrs.frozen
class OutcomeRule:
    """One entry of `outcome`."""

    when: tuple[AnswerCondition, ...]
    then: Then
    reasons: tuple[AnswerPath, ...] = ()
    after: timedelta | AnswerPath | None = None
    of_recipient: bool = False  #: a refusal of one of several recipients, not of the message


@attrs.frozen
class KeptValues:
    """What is kept of an answer, by name, and how long. Without a life it is kept for the conversation only."""

    values: Mapping[str, AnswerPath]
    life: timedelta | AnswerPath | None = None
    of_message: bool = False


@attrs.frozen
class Field:
    """One value and where it goes."""

    path: tuple[Step, ...]
    value: Value
    written: str  #: the path as written


@attrs.frozen
class ListField:
    """Repeated elements at *path*: one for each item of *each*."""

    path: tuple[Step, ...]
    each: Value
    fields: tuple[Field, ...]
    written: str


@attrs.frozen(kw_only=True)
class MappedStep:
    """One call of a conversation."""

    place: str  #: where it stands, such as `deliver[2]`
    operation: str
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: sources and the texts of which each must be one
    each: Value | None = None  #: one placeholder: the step is taken once for each of its items
    hands_over: bool = False
    action: str | None = None
    mtom: bool = False
    input: tuple[Field, ...] = ()
    header: tuple[Field, ...] = ()
    lists: tuple[ListField, ...] = ()
    http: tuple[tuple[str, Value], ...] = ()
    keep: KeptValues | None = None
    outcomes: tuple[OutcomeRule, ...] = ()
    # of a collection
    list: AnswerPath | None = None
    id: tuple[Step, ...] = ()
    cursor: AnswerPath | None = None
    content: AnswerPath | None = None
    service: str = "documents"
    confirm: bool = False
    # of a question
    answer: tuple[tuple[str, AnswerPath], ...] = ()

    @property
    def values(self) -> tuple[Value, ...]:
        """Return every value that the step writes."""
        return (
            *(each.value for each in (*self.input, *self.header)),
            *(value for _, value in self.http),
            *((self.each,) if self.each is not None else ()),
            *(each.each for each in self.lists),
            *(field.value for each in self.lists for field in each.fields),
        )


@attrs.frozen
class UserName:
    """A user name and its password; *digest*: of a UsernameToken, as PasswordDigest."""

    username: Value
    password: Value
    digest: bool = False


@attrs.frozen
class ClientCredentials:
    """How a token is requested (RFC 6749, 4.4)."""

    url: Value
    client_id: Value
    client_secret: Value
    scope: Value | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the secrets that it uses."""
        places = (place for each in (self.url, self.client_id, self.client_secret) for place in each.placeholders)
        used = {place.source.removeprefix(_SECRET) for place in places if place.source.startswith(_SECRET)}
        return tuple(sorted(used))


@attrs.frozen
class MappedSecurity:
    """What the partner asks for."""

    sign: bool = False
    verify: bool = False
    username_token: UserName | None = None
    basic: UserName | None = None
    oauth2: ClientCredentials | None = None
    http: tuple[tuple[str, Value], ...] = ()

    @property
    def values(self) -> tuple[Value, ...]:
        """Return every value that it writes."""
        named = [each for each in (self.username_token, self.basic) if each is not None]
        token = self.oauth2
        return (
            *(value for each in named for value in (each.username, each.password)),
            *((token.url, token.client_id, token.client_secret) if token else ()),
            *((token.scope,) if token and token.scope else ()),
            *(value for _, value in self.http),
        )


@attrs.frozen(kw_only=True)
class SoapMapping:
    """A mapping."""

    file: str  #: name of the WSDL beside the mapping
    service: str | None = None
    port: str | None = None
    files: tuple[str, ...] = ()  #: names of the files beside the mapping that the WSDL needs, itself among them
    security: MappedSecurity = attrs.field(factory=MappedSecurity)
    namespaces: Mapping[str, str] = attrs.field(factory=dict)
    tables: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    deliver: tuple[MappedStep, ...] = ()
    collect: tuple[MappedStep, ...] = ()
    ask: Mapping[str, tuple[MappedStep, ...]] = attrs.field(factory=dict)

    @property
    def steps(self) -> tuple[MappedStep, ...]:
        """Return all steps."""
        return (*self.deliver, *self.collect, *(step for steps in self.ask.values() for step in steps))

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the settings and of the secrets that the mapping uses."""
        values = (*self.security.values, *(value for step in self.steps for value in step.values))
        sources = {place.source for value in values for place in value.placeholders}
        sources |= {source for step in self.steps for source, _ in step.only}
        named = [
            tuple(sorted(each.partition(".")[2] for each in sources if each.startswith(f"{kind}.")))
            for kind in ("settings", "secrets")
        ]
        return named[0], named[1]
