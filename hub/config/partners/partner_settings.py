"""The settings of one partner: each with its value, its default, and the line of the file that sets it. Pure.

Also reads what a person writes to change them: `KEY=VALUE`, `KEY+=VALUE`, `KEY-=VALUE`. Knows the keys of
`partners/CODE.toml` and their types. Whether a value is right, the reader of the configuration says.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from hub.config.editing import Value
from hub.config.partners.partner_files import SECRET_EXPECTED, is_secret_name
from hub.config.values import Partner
from hub.language.phrases import Phrase, phrase
from hub.partner.adapter_settings import SECRET_FILE, Setting
from hub.partner.policy import KEYS, Policy, write_policy

#: Keys whose value is one text, and keys whose value is a list of texts.
TEXTS = ("name", "receive", "url", "adapter", "tells")
LISTS = ("units", "calls", "services", "lookups", "contracts")
POLICY, SETTINGS, CERTIFICATES = "policy", "settings", "certificates"
_TABLES = (POLICY, SETTINGS)
_ASSIGNMENT = re.compile(r"(?P<key>[^=+\-\s][^=\s]*?)\s*(?P<how>[+-]?=)\s*(?P<value>.*)", re.DOTALL)
_HEADER = re.compile(r"\s*\[\s*(?P<name>[A-Za-z0-9_.\"-]+)\s*\]")
_KEY = re.compile(r"\s*(?P<key>[A-Za-z0-9_.\"-]+)\s*=")


class AssignmentUnfit(ValueError):
    """A change that a person asks for cannot be read. `why` says it."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


@attrs.frozen(kw_only=True)
class PartnerSetting:
    """One setting of a partner."""

    key: str  #: as it is written after `partners set`, such as `policy.timeout`
    value: str | tuple[str, ...] | None  #: what is in force; None: nothing is set, and there is no default
    default: str | tuple[str, ...] | None  #: what would be in force if the file said nothing
    line: int | None = None  #: the line of the partner's file that sets it; None: it is the default

    @property
    def is_set(self) -> bool:
        """Whether the partner's file sets it."""
        return self.line is not None


def list_partner_settings(partner: Partner, text: str, own: Sequence[Setting]) -> list[PartnerSetting]:
    """Return every setting of *partner*, whose file has the content *text*. *own* are the settings of its adapter.

    Certificates are not among them. Of a setting that a file holds, the name of that file is the value.
    """
    lines, written = find_key_lines(text), _read_written_settings(text)
    found = [(name, getattr(partner, name) or None, _DEFAULTS.get(name)) for name in ("receive", "url", "adapter")]
    found = [("name", partner.name, partner.code), *found]
    found += [(name, getattr(partner, name), _DEFAULTS.get(name, ())) for name in LISTS]
    found += [("tells", "*" if partner.tells else None, None)]
    default = write_policy(Policy())
    found += [(f"{POLICY}.{key}", value, default[key]) for key, value in write_policy(partner.policy).items()]
    known = {setting.key: setting.default for setting in own}
    for key in dict.fromkeys((*known, *written)):
        found.append((f"{SETTINGS}.{key}", written.get(key, known.get(key)), known.get(key)))
    return [
        PartnerSetting(
            key=key, value=_make_plain_setting(value), default=_make_plain_setting(before), line=lines.get(key)
        )
        for key, value, before in found
    ]


_DEFAULTS: Mapping[str, Any] = {
    field.name: None if field.default is attrs.NOTHING or not isinstance(field.default, str | tuple) else field.default
    for field in attrs.fields(Partner)
    if field.name in {*TEXTS, *LISTS}
}


def _make_plain_setting(value: Any) -> str | tuple[str, ...] | None:
    return value if value is None or isinstance(value, tuple) else str(value)


def _read_written_settings(text: str) -> dict[str, str]:
    try:
        found = tomllib.loads(text).get(SETTINGS, {})
    except ValueError:
        return {}  # the reader of the configuration says what is wrong
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def find_key_lines(text: str) -> dict[str, int]:
    """Return the number of the line of each key in the TOML *text*, by its dotted name.

    Keys inside an inline table get the line of the table. Empty if the text is not TOML.
    """
    try:
        content = tomllib.loads(text)
    except ValueError:
        return {}
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = f"{header['name'].replace(chr(34), '')}."
        elif key := _KEY.match(line):
            found.setdefault(table + key["key"].replace('"', ""), number)
    names = [(key, value) for key, value in content.items() if isinstance(value, dict)]
    inside = {f"{key}.{inner}": found[key] for key, value in names if key in found for inner in value}
    known = {*content, *(f"{key}.{inner}" for key, value in names for inner in value)}
    return {key: number for key, number in (inside | found).items() if key in known}


def parse_partner_changes(
    assignments: Iterable[str], unset: Iterable[str], before: Mapping[str, object]
) -> dict[str, Value]:
    """Return the changes of a partner's file that a person asks for, as `hub.config.editing` makes them.

    *assignments* are `KEY=VALUE`; of a list also `KEY+=VALUE` and `KEY-=VALUE`, with the items separated by commas.
    *unset* are keys to remove. *before* is the content of the file. Raises AssignmentUnfit.
    """
    changes: dict[str, Value] = {}
    for said in assignments:
        found = _ASSIGNMENT.fullmatch(said)
        if found is None:
            raise AssignmentUnfit(phrase("{value} is not KEY=VALUE", value=repr(said)))
        key, how, value = found["key"], found["how"], found["value"].strip()
        table, name = _place_of(key)
        if table:
            if how != "=":
                raise AssignmentUnfit(phrase("{key} is no list: write {key}=VALUE", key=key))
            _put_change(
                changes,
                key,
                table,
                name,
                _read_secret_name(key, value) if is_secret_key(key) else _read_text(key, value),
            )
        elif name in LISTS:
            now = changes.get(name, before.get(name, ()))
            _put_change(changes, key, "", name, _read_list(how, value, now))
        elif how != "=":
            raise AssignmentUnfit(phrase("{key} is no list: write {key}=VALUE", key=key))
        else:
            _put_change(changes, key, "", name, _read_text(key, value))
    for key in unset:
        if key == "calls":
            raise AssignmentUnfit(phrase("calls cannot be removed: name what the partner may call, or nothing"))
        _put_change(changes, key, *_place_of(key), None)
    return changes


def _place_of(key: str) -> tuple[str, str]:
    """Return the table ("" at the top) and the name of *key*. Raises AssignmentUnfit for a key that is not settable."""
    table, dot, name = key.partition(".")
    if dot and table in _TABLES and name and (table == SETTINGS or name in KEYS):
        return table, name
    if not dot and key in {*TEXTS, *LISTS}:
        return "", key
    if key.partition(".")[0] == CERTIFICATES:
        raise AssignmentUnfit(
            phrase("certificates are changed by `lienthong partners certificate add` and `certificate remove`")
        )
    known = ", ".join([*TEXTS, *LISTS, *(f"{POLICY}.{each}" for each in KEYS), f"{SETTINGS}.…"])
    raise AssignmentUnfit(phrase("there is no key {key}; the keys are {known}", key=key, known=known))


def _put_change(changes: dict[str, Value], key: str, table: str, name: str, value: Value) -> None:
    place: Any = changes.setdefault(table, {}) if table else changes
    if name in place and (name not in LISTS or value is None):
        raise AssignmentUnfit(phrase("{key} is given twice", key=key))
    place[name] = value


def _read_text(key: str, value: str) -> str:
    if not value:
        raise AssignmentUnfit(phrase("{key} has no value; --unset {key} removes it", key=key))
    return value


def is_secret_key(key: str) -> bool:
    """Tell whether *key* is one of `settings` that names the file of a secret."""
    return key.startswith(f"{SETTINGS}.") and key.endswith(SECRET_FILE)


def _read_secret_name(key: str, value: str) -> str:
    if not is_secret_name(_read_text(key, value)):
        raise AssignmentUnfit(phrase("{key} is {expected}", key=key, expected=SECRET_EXPECTED))
    return value


def _read_list(how: str, value: str, before: object) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(each.strip() for each in value.split(",") if each.strip()))
    held = tuple(str(each) for each in before) if isinstance(before, list | tuple) else ()
    if how == "+=":
        return tuple(dict.fromkeys((*held, *given)))
    if how == "-=":
        return tuple(each for each in held if each not in given)
    return given
