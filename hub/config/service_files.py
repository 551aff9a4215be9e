"""Reads the services that are defined by an XSD and TOML: those of the operator, each a folder `services/NAME/` with an XSD
and a `service.toml`, and those of the hub, each a file `hub/services/shipped/NAME.toml` with `xsd/lienthong/1/NAME.xsd`.

Knows the keys, and that the schema compiles. Whether its elements are as the keys say, `lienthong check` finds
(`hub.services.defined.schema_check`). All keys: docs/reference/services.md.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import attrs
from lxml import etree

import hub.services
from hub.config.table import ConfigTable
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import DOCUMENTS
from hub.domain.sanitize import show_value
from hub.formats import xsd_schemas as xsd
from hub.formats.models.xsd_files import gather_schema_folder
from hub.formats.xsd_schemas import SchemaFiles
from hub.language.phrases import phrase, verbatim
from hub.language.system_errors import name_system_error
from hub.services import CountableFacts, list_services
from hub.services.defined import (
    AmountValue,
    BilingualName,
    DayFormat,
    DayValue,
    DefinedService,
    FactRule,
    MessageRule,
    Repetition,
    ValueCondition,
    ValuePath,
)

FOLDER, SETTINGS = "services", "service.toml"
#: The most services; of one, octets of `service.toml`, kinds of messages, and facts of one kind. Those of its schema:
#: `hub.formats.models.xsd_files`.
MOST_SERVICES, MOST_OCTETS, MOST_MESSAGES, MOST_FACT_RULES = 50, 1 << 20, 20, 40
#: The most paths that one kind of message reads of each item, without those that begin at the root: 0.2 s for the most
#: items (`tests/costs/defined.py`).
MOST_PATHS = 100
#: The most editions of a schema beside the main one.
MOST_EDITIONS = 4
_EDITION = r"[0-9a-z][0-9a-z.-]{0,15}"
SHIPPED = Path(hub.services.__file__).parent / "shipped"
_NAME = r"[a-z][a-z0-9-]{0,31}"
_WORD = r"[a-z][a-z0-9_-]{0,63}"
_STEP = r"(?!\.\.(?:/|$))[\w.-]+"
#: A path goes up first or not at all: so what is above is read once for all items below it.
_PATH = rf"/?(?:\.\.(?:/\.\.){{0,4}}(?:/{_STEP}){{0,9}}|{_STEP}(?:/{_STEP}){{0,9}})(?:/@[\w.-]+)?|@[\w.-]+"
_PATH_EXPECTED = phrase('names of elements with / between, such as "Item/Day", "/OrganId", "../Day" or "Item/@code"')
_WORD_EXPECTED = phrase("small letters, digits, - and _, such as done-late")


def read_service_folders(home: Path, mistakes: list[Mistake]) -> dict[str, DefinedService]:
    """Return the services in the folders below `services/` of *home*, by name. Mistakes are added to *mistakes*."""
    found: dict[str, DefinedService] = {}
    folders = [each for each in sorted((home / FOLDER).glob("*")) if each.is_dir() and not each.name.startswith(".")]
    if len(folders) > MOST_SERVICES:
        wrong = phrase("{count} services", count=len(folders))
        mistakes.append(Mistake(f"{FOLDER}/", wrong, phrase("at most {most}", most=MOST_SERVICES)))
    for folder in folders[:MOST_SERVICES]:
        before = len(mistakes)
        service = _read_folder(folder, mistakes)
        if service is not None and len(mistakes) == before:
            found[service.name] = service
    return found


@cache
def read_shipped_services() -> Mapping[str, DefinedService]:
    """Return the services of `hub/services/shipped`, by name. Raises ConfigurationFault; OSError if a file is missing."""
    root, found = xsd.find_schema_root() / "xsd/lienthong/1", {}
    for path in sorted(SHIPPED.glob("*.toml")):
        mistakes = list[Mistake]()
        settings = path.read_bytes()
        table = ConfigTable(_parse_toml(settings, path.name, mistakes) or {}, path.name, mistakes)
        schema = SchemaFiles(f"{path.stem}.xsd", tuple(gather_schema_folder(root / f"{path.stem}.xsd", root).items()))
        service = _read_service(table, path.stem, settings, schema)
        table.close()
        if mistakes or service is None:
            raise ConfigurationFault(mistakes)
        found[path.stem] = attrs.evolve(service, shipped=True)
    return found


def read_services(
    table: ConfigTable, home: Path, mistakes: list[Mistake]
) -> tuple[Mapping[str, DefinedService], tuple[CountableFacts, ...]]:
    """Return the services of the province in *home* that are defined by a schema, and what a form can name of their facts.
    *table*: `[services]` of hub.toml. Mistakes are added to *mistakes*.

    A service of the operator replaces one of the hub with its name. One that is switched off takes no calls, but what it
    brought can still be counted.
    """
    own, shipped = read_service_folders(home, mistakes), read_shipped_services()
    off = table.texts("off", ())
    for name in off:
        if name not in shipped:
            expected = phrase("one of {names}", names=", ".join(shipped))
            table.wrong("off", phrase("there is no service {service}", service=name), expected)
    table.close()
    chosen = {name: each for name, each in {**shipped, **own}.items() if name in own or name not in off}
    counted = {name: each.countable for name, each in {**shipped, **own}.items()}
    for name in shipped.keys() & own.keys():
        ours, theirs = counted[name], shipped[name].countable
        counted[name] = CountableFacts(name, ours.milestones | theirs.milestones, ours.attributes | theirs.attributes)
    return chosen, tuple(each for _, each in sorted(counted.items()))


def _read_folder(folder: Path, mistakes: list[Mistake]) -> DefinedService | None:
    name, shown = folder.name, f"{FOLDER}/{folder.name}"
    if not re.fullmatch(_NAME, name):
        expected = phrase("small letters, digits and -, at most 32, the first a letter")
        mistakes.append(Mistake(shown, phrase("{name} is not a name of a service", name=repr(name)), expected))
        return None
    if name == DOCUMENTS or name in list_services():
        wrong = phrase("the hub has a service {name} already", name=name)
        mistakes.append(Mistake(shown, wrong, phrase("another name")))
        return None
    settings = _read_file(folder / SETTINGS, f"{shown}/{SETTINGS}", mistakes)
    if settings is None:
        return None
    content = _parse_toml(settings, f"{shown}/{SETTINGS}", mistakes)
    if content is None:
        return None
    table = ConfigTable(content, f"{shown}/{SETTINGS}", mistakes)
    main = table.text(
        "xsd", f"{name}.xsd", like=r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", expected=phrase("a file of this folder")
    )
    schema = _read_schema(folder, main, shown, mistakes)
    editions = _read_editions(table, folder, shown, mistakes)
    service = _read_service(table, name, settings, schema, editions)
    table.close()
    return service


def _read_editions(
    table: ConfigTable, folder: Path, shown: str, mistakes: list[Mistake]
) -> tuple[tuple[str, SchemaFiles], ...]:
    """Return the other editions of the schema: `[editions]`, NAME = FILE."""
    said = table.table("editions")
    named = said.pairs()
    if len(named) > MOST_EDITIONS:
        said.wrong("", phrase("{count} editions", count=len(named)), phrase("at most {most}", most=MOST_EDITIONS))
    found = []
    for name, file in sorted(named.items())[:MOST_EDITIONS]:
        if not re.fullmatch(_EDITION, name) or not isinstance(file, str):
            said.wrong(name, phrase("{value} does not fit", value=show_value(file)), phrase("a file of this folder"))
            continue
        schema = _read_schema(folder, file, shown, mistakes)
        if schema is not None:
            found.append((name, schema))
    return tuple(found)


def _read_file(path: Path, shown: str, mistakes: list[Mistake]) -> bytes | None:
    try:
        if path.stat().st_size > MOST_OCTETS:
            mistakes.append(Mistake(shown, phrase("is too large"), phrase("at most {most} octets", most=MOST_OCTETS)))
            return None
        return path.read_bytes()
    except OSError as error:
        mistakes.append(_make_unreadable_mistake(shown, error))
        return None


def _make_unreadable_mistake(shown: str, error: OSError) -> Mistake:
    wrong = phrase("cannot be read: {strerror}", strerror=name_system_error(error))
    return Mistake(shown, wrong, phrase("a file of the service (docs/reference/services.md)"))


def _parse_toml(octets: bytes, shown: str, mistakes: list[Mistake]) -> Mapping[str, object] | None:
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        mistakes.append(Mistake(shown, phrase("is not TOML: {error}", error=error), phrase("TOML in UTF-8")))
        return None


def _read_schema(folder: Path, main: str, shown: str, mistakes: list[Mistake]) -> SchemaFiles | None:
    """Return the schema of the file *main*, with every file that it names, directly or by others. All are in *folder*."""
    from hub.soap.defined_contract import name_answers_file  # every command reads this module, and few have a service

    if not main:
        return None
    try:
        files = gather_schema_folder(folder / main, folder)
    except ConfigurationFault as fault:
        mistakes.extend(attrs.evolve(each, path=f"{shown}/{each.path}") for each in fault.mistakes)
        return None
    except OSError as error:
        mistakes.append(_make_unreadable_mistake(f"{shown}/{main}", error))
        return None
    for name in files:
        if not xsd.is_file_name(name) or name in {SETTINGS, name_answers_file(folder.name)}:
            expected = phrase("files of the folder, by their name alone")
            mistakes.append(Mistake(f"{shown}/{main}", phrase("it names {file}", file=show_value(name)), expected))
            return None
    schema = SchemaFiles(main, tuple(sorted(files.items())))
    try:
        _ = xsd.compile_schema(schema)
    except (OSError, etree.LxmlError) as error:
        mistakes.append(
            Mistake(f"{shown}/{main}", verbatim(error), phrase("an XML schema (XSD 1.0) that libxml2 compiles"))
        )
        return None
    return schema


def _check_editions(
    table: ConfigTable,
    schema: SchemaFiles,
    editions: Sequence[tuple[str, SchemaFiles]],
    messages: Sequence[MessageRule],
) -> None:
    """Note the elements of *messages* that an edition of the schema lacks."""
    for edition, other in editions:
        known = set(_list_roots(other).values())
        for rule in messages:
            if rule.element not in known:
                expected = phrase("the elements of the messages, as in {file}", file=schema.main)
                table.wrong(
                    "editions", phrase("{name} has no element {element}", name=edition, element=rule.element), expected
                )


def _read_service(
    table: ConfigTable,
    name: str,
    settings: bytes,
    schema: SchemaFiles | None,
    editions: tuple[tuple[str, SchemaFiles], ...] = (),
) -> DefinedService | None:
    title = _read_name(table, "name")
    tells = table.flag("tells", default=False)
    said = table.table("milestones")
    milestones = {}
    for word in said.pairs():
        if not re.fullmatch(_WORD, word):
            said.wrong(word, phrase("{word} is not a name of a milestone", word=show_value(word)), _WORD_EXPECTED)
        milestones[word] = _read_name(said, word)
    roots = None if schema is None else _list_roots(schema)
    entries = _read_tables(table, "message", MOST_MESSAGES)
    if not entries and not table.given("message"):
        table.wrong("message", phrase("is missing"), phrase("at least one table [[message]]"))
    messages = [_read_message(each, milestones, roots) for each in entries]
    _require_different(entries, "element", [rule.operation for rule in messages])
    _require_different(entries, "kind", [rule.kind for rule in messages])
    used = {fact.milestone for rule in messages for fact in rule.facts}
    for word in milestones:
        if word not in used:
            said.wrong(word, phrase("no fact has it"), phrase("a milestone of some [[message.fact]]"))
    if schema is None or table.has_mistakes:
        return None
    service = DefinedService(
        name=name,
        title=title,
        schema=schema,
        settings=settings,
        messages=tuple(messages),
        milestones=tuple(milestones.items()),
        tells=tells,
        editions=editions,
    )
    _check_editions(table, schema, editions, messages)
    from hub.soap.defined_contract import compile_answers

    try:
        for each in (schema, *(other for _, other in editions)):
            _ = compile_answers(name, [rule.operation for rule in messages], each)
    except etree.LxmlError as error:
        table.wrong(
            "xsd", verbatim(error), phrase("names that the schema of the answers does not use (NAME-answers.xsd)")
        )
        return None
    return service


def _require_different(tables: Sequence[ConfigTable], key: str, values: Sequence[str]) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            tables[number].wrong(key, phrase("{value} stands in another table", value=value), phrase("each once"))


def _list_roots(schema: SchemaFiles) -> dict[str, str]:
    """Return the Clark name of each element that a message may be, by its local name: those of the main file first."""
    found: dict[str, str] = {}
    for name in (schema.main, *dict(schema.files)):
        root = xsd.parse_schema_text(schema.read(name))
        space = root.get("targetNamespace", "")
        for each in root.iterchildren(f"{{{xsd.XSD}}}element"):
            found.setdefault(each.get("name", ""), f"{{{space}}}{each.get('name')}" if space else "")
    return {local: clark for local, clark in found.items() if clark}


def _read_message(
    table: ConfigTable, milestones: Mapping[str, BilingualName], roots: Mapping[str, str] | None
) -> MessageRule:
    local = table.text("element")
    if local and roots is not None and local not in roots:
        expected = phrase("one of {names}", names=", ".join(sorted(roots)) or "–")
        table.wrong(
            "element", phrase("the schema has no element {name} in a namespace", name=show_value(local)), expected
        )
    expected = phrase("{first} or {each}", first=Repetition.FIRST, each=Repetition.EACH)
    repetition = table.text("repeat", Repetition.FIRST, like="|".join(Repetition), expected=expected)
    rule = MessageRule(
        element=(roots or {}).get(local, local) or "-",
        kind=table.text("kind", like=_WORD, expected=_WORD_EXPECTED) or "-",
        name=_read_name(table, "name"),
        message_id=_read_path(table, "id"),
        sender=_read_path(table, "sender", needed=True) or ValuePath("-"),
        item=_read_path(table, "item"),
        unit=_read_path(table, "unit"),
        key=_read_paths(table, "key", needed=True) or (),
        subject=_read_path(table, "subject"),
        repetition=Repetition(repetition or Repetition.FIRST),
        corrects=_read_path(table, "corrects"),
        delivered=table.flag("deliver", default=True),
        by_name=table.flag("by_name", default=False),
        recipient=_read_path(table, "recipient"),
        facts=tuple(_read_fact(each, milestones) for each in _read_tables(table, "fact", MOST_FACT_RULES)),
    )
    if rule.count_paths() > MOST_PATHS:
        wrong = phrase("it reads {count} values of each item", count=rule.count_paths())
        table.wrong("fact", wrong, phrase("at most {most}", most=MOST_PATHS))
    if rule.recipient is not None and not rule.delivered:
        table.wrong("recipient", phrase("is set although deliver = false"), phrase("only one of the two"))
    table.close()
    return rule


def _read_tables(table: ConfigTable, key: str, most: int) -> Sequence[ConfigTable]:
    """Return the tables [[*key*]], the first *most* of them; more is a mistake."""
    entries = table.tables(key) or []
    if len(entries) > most:
        table.wrong(key, phrase("{count} tables", count=len(entries)), phrase("at most {most}", most=most))
    return entries[:most]


def _read_fact(table: ConfigTable, milestones: Mapping[str, BilingualName]) -> FactRule:
    milestone = table.text("milestone")
    if milestone and milestone not in milestones:
        expected = phrase("one of [milestones]: {names}", names=", ".join(sorted(milestones)) or "–")
        table.wrong("milestone", phrase("there is no milestone {name}", name=show_value(milestone)), expected)
    attributes = table.table("attributes")
    named = []
    for word in attributes.pairs():
        if not re.fullmatch(_WORD, word) or word in _RESERVED:
            expected = phrase("another name, in small letters, digits, - and _")
            attributes.wrong(word, phrase("{word} is not a name of an attribute", word=show_value(word)), expected)
        if (path := _read_path(attributes, word)) is not None:
            named.append((word, path))
    conditions = (*_read_conditions(table, "when", holds=True), *_read_conditions(table, "unless", holds=False))
    rule = FactRule(
        milestone=milestone or "-",
        each=_read_path(table, "each"),
        conditions=conditions,
        unit=_read_path(table, "unit"),
        key=_read_paths(table, "key"),
        day=_read_day(table, "day"),
        due=_read_day(table, "due"),
        amount=_read_amount(table),
        counterpart=_read_path(table, "counterpart"),
        attributes=tuple(named),
    )
    table.close()
    return rule


#: The names that a condition of a form already has for the fields of facts.
_RESERVED = frozenset({"unit", "outside", "paper", "signature", "document_type", "counterpart"})


def _read_name(table: ConfigTable, key: str) -> BilingualName:
    said = table.table(key)
    if not table.given(key):
        table.wrong(key, phrase("is missing"), phrase('a name in both languages, { vi = "…", en = "…" }'))
        return BilingualName("-", "-")
    name = BilingualName(*(said.text(language, like=r"[^\n\r]{1,200}") for language in ("vi", "en")))
    said.close()
    return name


def _read_path(table: ConfigTable, key: str, *, needed: bool = False) -> ValuePath | None:
    if not table.given(key) and not needed:
        table.allow(key)
        return None
    text = table.text(key, like=_PATH, expected=_PATH_EXPECTED)
    return ValuePath(text) if text else None


def _read_paths(table: ConfigTable, key: str, *, needed: bool = False) -> tuple[ValuePath, ...] | None:
    if not table.given(key) and not needed:
        table.allow(key)
        return None
    texts = table.texts(key)
    if table.given(key) and not texts:
        table.wrong(key, phrase("is empty"), _PATH_EXPECTED)
    for each in texts:
        if not re.fullmatch(_PATH, each):
            table.wrong(key, phrase("{value} does not fit", value=show_value(each)), _PATH_EXPECTED)
    return tuple(map(ValuePath, texts[:5]))


def _read_conditions(table: ConfigTable, key: str, *, holds: bool) -> Iterable[ValueCondition]:
    said = table.table(key)
    for path, values in said.pairs().items():
        expected = phrase("a list of texts, or true: there is a value, or false: there is none")
        if not re.fullmatch(_PATH, path):
            said.wrong(path, phrase("{value} does not fit", value=show_value(path)), _PATH_EXPECTED)
        elif isinstance(values, bool):
            yield ValueCondition(path=ValuePath(path), holds=values is holds)
        elif isinstance(values, list) and values and all(isinstance(each, str) for each in values):
            yield ValueCondition(path=ValuePath(path), values=frozenset(values), holds=holds)
        else:
            said.wrong(path, phrase("{value} does not fit", value=show_value(values)), expected)


def _read_day(table: ConfigTable, key: str) -> DayValue | None:
    """Return where a day stands: a path, or `{ at = PATH, as = FORMAT }`."""
    if not table.is_table(key):
        path = _read_path(table, key)
        return None if path is None else DayValue(path=path)
    said = table.table(key)
    path = _read_path(said, "at", needed=True)
    expected = phrase("one of {words}", words=", ".join(DayFormat))
    form = said.text("as", DayFormat.XSD, like="|".join(DayFormat), expected=expected)
    said.close()
    return DayValue(path=path, format=DayFormat(form)) if path is not None and form else None


def _read_amount(table: ConfigTable) -> AmountValue | None:
    """Return where an amount stands: a path, or `{ at = PATH, times = NUMBER }`."""
    if not table.is_table("amount"):
        path = _read_path(table, "amount")
        return None if path is None else AmountValue(path=path)
    said = table.table("amount")
    path = _read_path(said, "at", needed=True)
    times = said.number("times", 1, least=1, most=1_000_000)
    said.close()
    return AmountValue(path=path, times=times or 1) if path is not None else None
