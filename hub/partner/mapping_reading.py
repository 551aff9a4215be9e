"""A partner's mapping read from its file, with each mistake and its line; not what the mapping does."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import Phrase, phrase, verbatim
from hub.partner.mapping_table import QUOTED_TEXT, MappingTable
from hub.partner.mapping_values import AnswerPath, Step, Value, read_answer_path, read_path, read_value
from hub.partner.soap_mapping import (
    AnswerCondition,
    ClientCredentials,
    Field,
    KeptValues,
    ListField,
    MappedSecurity,
    MappedStep,
    OutcomeRule,
    SoapMapping,
    Then,
    UserName,
)

_SECRET = "secrets."  # noqa: S105 - the name of a source

#: Maximum octets of a mapping, and maximum steps of one conversation.
MOST_OCTETS = 256 * 1024
MOST_STEPS = 16
_GENERAL = ("settings.", "url", "partner", "now", "kept.")
_MESSAGE = (
    *(
        f"message.{each}"
        for each in (
            "id",
            "message-id",
            "service",
            "kind",
            "partner",
            "sender",
            "document-id",
            "code",
            "subject",
            "received-at",
            "sha256",
            "size",
        )
    ),
    "recipient",
    "recipients",
    "again",
    "content",
    "xml/",
)
#: The sources by the kind of conversation.
_SOURCES = {
    "deliver": (*_GENERAL, *_MESSAGE),
    "collect": (*_GENERAL, "cursor", "open.", "judged"),
    "ask": (*_GENERAL, "query."),
    "security": ("settings.", "url", "partner"),
}
#: WS-Addressing 1.0, which needs no declaration.
KNOWN_NAMESPACES: Mapping[str, str] = {"wsa": "http://www.w3.org/2005/08/addressing"}

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION_EXPECTED = phrase('a duration such as "30s", "15m", "1h", "1d"')


def read_mapping(content: bytes, name: str = "mapping.toml") -> SoapMapping:
    """Return the mapping in the file *name* with this *content*. Raises ConfigurationFault with every mistake."""
    mistakes = list[Mistake]()
    if len(content) > MOST_OCTETS:
        wrong = phrase("{count} octets", count=len(content))
        raise ConfigurationFault([Mistake(name, wrong, phrase("at most {most} octets", most=MOST_OCTETS))])
    try:
        table = MappingTable(tomllib.loads(content.decode()), name, mistakes)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        wrong = verbatim(str(error))
        raise ConfigurationFault([Mistake(name, wrong, phrase("a TOML file in UTF-8"))]) from error
    mapping = _read_mapping(table)
    if mistakes:
        raise ConfigurationFault(mistakes)
    return mapping


def _read_mapping(table: MappingTable) -> SoapMapping:
    wsdl = table.table("wsdl")
    file = wsdl.text("file", required=True, expected=phrase("the name of a file beside the mapping"))
    service, port, mtom = wsdl.text("service"), wsdl.text("port"), wsdl.flag("mtom")
    hashes = wsdl.table("sha256")
    files = tuple(hashes.names())
    if file is not None and file not in files:
        hashes.wrong(file, phrase("is missing"), phrase("the SHA-256 of every file that the WSDL needs"))
    wsdl.close()
    tables = _read_tables(table.table("tables"))
    spaces = table.table("namespaces")
    namespaces = dict(KNOWN_NAMESPACES)
    for prefix, space in spaces.items():
        if not isinstance(space, str) or not space or not re.fullmatch(r"[A-Za-z_][\w.-]*", prefix):
            spaces.misfit(prefix, space, phrase("a prefix, and a namespace in quotes"))
        namespaces[prefix] = str(space)
    asked = table.table("ask")
    mapping = SoapMapping(
        file=file or "",
        service=service,
        port=port,
        files=files,
        security=_read_security(table.table("security")),
        namespaces=namespaces,
        tables=tables,
        deliver=_read_steps(table, "deliver", "deliver", mtom=bool(mtom)),
        collect=_read_steps(table, "collect", "collect", mtom=bool(mtom)),
        ask={name: _read_steps(asked, name, "ask", mtom=bool(mtom)) for name in asked.names()},
    )
    table.close()
    _judge_mapping(mapping, table)
    return mapping


def _read_tables(table: MappingTable) -> dict[str, dict[str, str]]:
    found = dict[str, dict[str, str]]()
    for name in table.names():
        inside = table.table(name)
        found[name] = {}
        for key, value in inside.items():
            if not isinstance(value, str):
                inside.misfit(key, value, QUOTED_TEXT)
            found[name][key] = str(value)
    return found


def _read_security(table: MappingTable) -> MappedSecurity:
    sources = (*_SOURCES["security"], _SECRET)

    def value(inside: MappingTable, key: str, *, required: bool = True) -> Value:
        return inside.read(key, lambda text: read_value(text, sources), required=required) or Value(())

    def name(key: str, *, digest: bool = False) -> UserName | None:
        if not table.given(key):
            return None
        inside = table.table(key)
        made = UserName(value(inside, "username"), value(inside, "password"), bool(digest and inside.flag("digest")))
        inside.close()
        return made

    oauth2 = None
    if table.given("oauth2"):
        inside = table.table("oauth2")
        scope = value(inside, "scope", required=False) if inside.given("scope") else None
        oauth2 = ClientCredentials(
            value(inside, "url"), value(inside, "client-id"), value(inside, "client-secret"), scope
        )
        inside.close()
    found = MappedSecurity(
        sign=bool(table.flag("sign")),
        verify=bool(table.flag("verify")),
        username_token=name("username-token", digest=True),
        basic=name("basic"),
        oauth2=oauth2,
        http=_read_http(table, sources),
    )
    if found.sign and found.username_token:
        wrong = phrase("stands together with sign = true")
        table.wrong("username-token", wrong, phrase("one of the two, in one Security header"))
    if found.basic and found.oauth2:
        table.wrong("basic", phrase("stands together with oauth2"), phrase("one Authorization header"))
    table.close()
    return found


def _read_http(table: MappingTable, sources: Sequence[str]) -> tuple[tuple[str, Value], ...]:
    inside, found = table.table("http"), list[tuple[str, Value]]()
    for name in inside.names():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name) or name.lower() in _OWN:
            inside.wrong(name, phrase("no header field of a mapping"), phrase("another name of a header field"))
        value = inside.read(name, lambda text: read_value(text, sources))
        if value is not None:
            found.append((name, value))
    return tuple(found)


#: Header fields that the hub writes itself.
_OWN = {"content-type", "content-length", "host", "connection", "transfer-encoding", "soapaction", "expect", "te"}


def _read_steps(table: MappingTable, key: str, kind: str, *, mtom: bool) -> tuple[MappedStep, ...]:
    given = table.tables(key)
    if len(given) > MOST_STEPS:
        wrong = phrase("{count} steps", count=len(given))
        table.wrong(key, wrong, phrase("at most {most} steps", most=MOST_STEPS))
    steps = [_read_step(each, kind, mtom=mtom) for each in given[:MOST_STEPS]]
    if kind != "deliver" or not steps:
        return tuple(steps)
    if not any(each.hands_over for each in steps):
        undecided = [number for number, step in enumerate(given[: len(steps)]) if not step.given("hands-over")]
        sending = [
            number
            for number in undecided
            if any(value.uses("content", "xml", "item") for value in steps[number].values)
        ]
        chosen = sending or undecided[-1:]
        if not chosen:
            table.wrong(key, phrase("no step hands the message over"), phrase("hands-over = true in one of them"))
        steps = [attrs.evolve(each, hands_over=number in chosen) for number, each in enumerate(steps)]
    return tuple(steps)


def _read_step(table: MappingTable, kind: str, *, mtom: bool) -> MappedStep:
    sources: tuple[str, ...] = (*_SOURCES[kind], _SECRET)
    own, each = table.flag("mtom"), None
    if kind == "deliver" and table.given("each"):
        each = _read_each(table, ("xml/",), phrase("{xml.PATH}, and nothing else"))
        sources = (*sources, "item/")
    step = MappedStep(
        place=table.path,
        operation=table.text("operation", required=True) or "",
        only=_read_only(table.table("only"), kind),
        each=each,
        action=table.text("action", like=r"[\x21-\x7e]*", expected=phrase("a SOAPAction without spaces")),
        mtom=mtom if own is None else own,
        input=_read_fields(table.table("input"), sources),
        header=_read_fields(table.table("header"), sources),
        lists=_read_lists(table.table("list"), sources) if kind == "deliver" else (),
        http=_read_http(table, sources),
        keep=_read_keeping(table.table("keep"), kind) if table.given("keep") else None,
        outcomes=tuple(_read_outcome(each, kind) for each in table.tables("outcome")),
    )
    if kind == "deliver":
        step = attrs.evolve(step, hands_over=bool(table.flag("hands-over")))
    elif kind == "collect":
        step = attrs.evolve(
            step,
            list=table.read("list", read_answer_path),
            id=table.read("id", lambda text: read_path(text, answer=True)) or (),
            cursor=table.read("cursor", read_answer_path),
            content=table.read("content", read_answer_path),
            service=table.text("service", like="[a-z][a-z0-9-]*") or "documents",
            confirm=bool(table.flag("confirm")),
        )
        if step.list is not None and not table.given("id"):
            table.wrong(
                "id", phrase("is missing"), phrase("the path of the partner's id below each element of the list")
            )
        if sum((step.list is not None, step.confirm)) > 1 or (step.confirm and step.content):
            table.wrong(
                "", phrase("does more than one thing"), phrase("one of list, content and confirm for each step")
            )
    else:
        answered = table.table("answer")
        fields = list[tuple[str, AnswerPath]]()
        for name in answered.names():
            if path := answered.read(name, read_answer_path):
                fields.append((name, path))
        step = attrs.evolve(step, answer=tuple(fields))
    table.close()
    return step


def _read_only(table: MappingTable, kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    sources = [each for each in _SOURCES[kind] if not each.endswith("/") and each not in {"content", "kept."}]
    for source, value in table.items():
        if table.understand(source, f"{{{source}}}", lambda text: read_value(text, sources)) is not None:
            found.append((source, table.texts(source, value)))
    return tuple(found)


def _read_fields(table: MappingTable, sources: Sequence[str], *, of_list: bool = False) -> tuple[Field, ...]:
    found = list[Field]()
    for key, given in table.items():
        path = table.understand(key, key, _read_target)
        if isinstance(given, bool):
            text = str(given).lower()
        elif isinstance(given, int | float):
            text = str(given)
        elif isinstance(given, str):
            text = given
        else:
            table.misfit(key, given, phrase("a text in quotes, a number, true or false"))
            continue
        value = table.understand(key, text, lambda each: read_value(each, (*sources, "item/") if of_list else sources))
        if path is not None and value is not None:
            found.append(Field(path, value, key))
    return tuple(found)


def _read_target(written: str) -> tuple[Step, ...]:
    """Return the steps of a path that is written to. A header block may have a prefix."""
    prefix, colon, rest = written.partition(":")
    if colon and "/" not in prefix and "@" not in prefix:
        steps = read_path(rest)
        return (Step(f"{prefix}:{steps[0].name}", steps[0].number), *steps[1:]) if steps else ()
    return read_path(written, wildcard=True)


def _read_lists(table: MappingTable, sources: Sequence[str]) -> tuple[ListField, ...]:
    found = list[ListField]()
    for key in table.names():
        inside = table.table(key)
        path = table.understand(key, key, read_path)
        nested = "item/" in sources or any(key.startswith(f"{other.written}/") for other in found)
        allowed = ("recipients", "xml/", *(("item/",) if nested else ()))
        each = _read_each(inside, allowed, phrase("{recipients} or {xml.PATH}, and nothing else"))
        fields = _read_fields(inside.table("input"), sources, of_list=True)
        inside.close()
        if each is not None and path:
            found.append(ListField(path, each, fields, key))
    return tuple(found)


def _read_each(table: MappingTable, sources: Sequence[str], expected: Phrase) -> Value | None:
    """Return the value of `each`: one placeholder that stands for several items. None after a mistake."""
    each = table.read("each", lambda text: read_value(text, sources), required=True)
    if each is not None and (each.single is None or each.single.functions):
        table.wrong("each", phrase("is no placeholder"), expected)
        return None
    return each


def _read_keeping(table: MappingTable, kind: str) -> KeptValues:
    life: timedelta | AnswerPath | None = None
    if table.given("for"):
        life = _read_duration(table, "for")
    if table.given("for-seconds"):
        life = table.read("for-seconds", read_answer_path)
    of = table.text("of", like="message", expected=phrase('"message", in [[deliver]]'))
    if of and kind != "deliver":
        table.misfit("of", of, phrase('"message", in [[deliver]]'))
    values = dict[str, AnswerPath]()
    for name in table.names():
        if name in {"for", "for-seconds", "of"}:
            continue
        if not re.fullmatch(r"[A-Za-z][\w-]*", name):
            table.wrong(name, phrase("is no name"), phrase("letters, digits, _ and -"))
        if path := table.read(name, read_answer_path):
            values[name] = path
    return KeptValues(values, life, bool(of))


def _read_duration(table: MappingTable, key: str) -> timedelta | None:
    text = table.text(key, like=_DURATION.pattern, expected=_DURATION_EXPECTED)
    return None if text is None else _read_mapped_duration(text)


def _read_mapped_duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


_ABOUT_EXPECTED = phrase('"recipient", for a refusal of a delivery')


def _read_outcome(table: MappingTable, kind: str) -> OutcomeRule:
    when, conditions = table.table("when"), list[AnswerCondition]()
    for key, value in when.items():
        if path := when.understand(key, key, read_answer_path):
            conditions.append(AnswerCondition(path, when.texts(key, value)))
    allowed = [each for each in Then if kind == "deliver" or each is not Then.POSTPONED]
    expected = phrase("one of {keys}", keys=", ".join(allowed))
    then = table.text("then", required=True, like="|".join(allowed), expected=expected)
    reasons = list[AnswerPath]()
    for text in table.text_list("reason"):
        if path := table.understand("reason", text, read_answer_path):
            reasons.append(path)
    after: timedelta | AnswerPath | None = None
    if delay := table.text("after"):
        after = (
            _read_mapped_duration(delay)
            if _DURATION.fullmatch(delay)
            else table.understand("after", delay, read_answer_path)
        )
    about = table.text("about", like="recipient", expected=_ABOUT_EXPECTED)
    if about and (kind != "deliver" or then != Then.REFUSED):
        table.misfit("about", about, _ABOUT_EXPECTED)
    rule = OutcomeRule(tuple(conditions), Then(then or "accepted"), tuple(reasons), after, bool(about))
    if rule.then is Then.POSTPONED and after is None:
        table.wrong("after", phrase("is missing"), _DURATION_EXPECTED)
    table.close()
    return rule


def _judge_mapping(mapping: SoapMapping, table: MappingTable) -> None:
    """Record what no single key shows: names that nothing keeps or declares."""
    file = table.place()
    for steps in (mapping.deliver, mapping.collect, *mapping.ask.values()):
        kept = set[str]()
        for step in steps:
            table.mistakes.extend(_find_step_mistakes(step, kept, mapping, f"{file}: {step.place}"))
            kept |= set(step.keep.values) if step.keep else set()
    if mapping.collect:
        _judge_collection(mapping.collect, table)


def _find_step_mistakes(step: MappedStep, kept: AbstractSet[str], mapping: SoapMapping, at: str) -> Iterator[Mistake]:
    for place in (each for value in step.values for each in value.placeholders):
        name = place.source.partition(".")[2]
        if place.source.startswith("kept.") and name not in kept:
            wrong = phrase("no earlier step keeps {name}", name=name)
            yield Mistake(at, wrong, phrase("a name of keep of an earlier step"))
        for function in place.functions:
            if function.name == "map" and function.argument not in mapping.tables:
                wrong = phrase("there is no [tables.{name}]", name=function.argument)
                yield Mistake(at, wrong, phrase("the name of a table of codes"))
    for each in step.header:
        prefix, colon, _ = each.path[0].name.partition(":") if each.path else ("", "", "")
        if colon and prefix not in mapping.namespaces:
            wrong = phrase("the prefix {prefix} is not declared", prefix=prefix)
            yield Mistake(f"{at}.header.{each.written}", wrong, phrase("a prefix of [namespaces]"))


def _judge_collection(steps: Sequence[MappedStep], table: MappingTable) -> None:
    lists = [each for each in steps if each.list is not None]
    contents = [each for each in steps if each.content is not None]
    if len(lists) != 1 or len(contents) != 1 or sum(each.confirm for each in steps) > 1:
        wrong = phrase("the steps do not make a collection")
        expected = phrase(
            "one step with list, one with content (or both in one), at most one with confirm, in this order"
        )
        table.wrong("collect", wrong, expected)
