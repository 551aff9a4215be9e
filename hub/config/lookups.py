"""Reads `[lookups]`: which answers may be cached and how long, how often a unit may ask, and where the key is.

Does not know partners.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import attrs

from hub.config.table import ConfigTable
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.partner.policy import parse_duration
from hub.security import encryption as safe
from hub.security.encryption import Safe
from hub.services.lookups.operations import OPERATIONS

#: Answers that are cached by default: public data that seldom changes.
CACHE = {"LookupCategory": timedelta(days=1), "LookupEnterprise": timedelta(hours=1)}
#: The longest time that an answer may be cached. No known law allows a longer time.
LONGEST = timedelta(days=30)
#: Lookups that a unit may make per operation and day.
QUOTA = 1000
_MOST = 10_000_000
_AGE_EXPECTED = phrase("none, or a duration of at most 30 days, such as 10m, 1h or 1d")


@attrs.frozen(kw_only=True)
class LookupSettings:
    """The values of `[lookups]`."""

    safe: Safe
    key_file: Path
    cache: Mapping[str, timedelta]  #: by operation; an operation that is missing here is not cached
    quota: Mapping[str, int]  #: by operation, per unit and day

    def age(self, operation: str) -> timedelta | None:
        """Return the maximum age of a cached answer to *operation*. Return None if it is never cached."""
        return self.cache.get(operation)


def read_lookup_settings(table: ConfigTable, home: Path) -> LookupSettings | None:
    """Read `[lookups]`. Return None if there is no key: then the hub answers no lookups.

    Mistakes are in the table's list.
    """
    opened = read_safe(table, "key-file", home)
    cache, quota = _read_cache_ages(table.table("cache")), _read_quota(table.table("quota"))
    table.close()
    return None if opened is None else LookupSettings(safe=opened[0], key_file=opened[1], cache=cache, quota=quota)


def read_safe(table: ConfigTable, key: str, home: Path) -> tuple[Safe, Path] | None:
    """Return the safe of the file that *key* of the table names, and that file; None if it names none that can be used."""
    written = table.text(key, "")
    if not written:
        return None
    file = home / written
    try:
        return safe.open_safe(file), file
    except (OSError, ValueError) as error:
        wrong = phrase("{file} cannot be used: {error}", file=file, error=name_system_error(error))
        table.wrong(key, wrong, safe.KEY_EXPECTED)
        return None


def _read_cache_ages(table: ConfigTable) -> dict[str, timedelta]:
    ages = dict(CACHE)
    for operation, text in table.pairs().items():
        rule = OPERATIONS.get(operation)
        if rule is None:
            _refuse_unknown_operation(table, operation)
        elif rule.key:
            table.wrong(
                operation,
                phrase("an operation that changes something has no answer to cache"),
                phrase("an operation that only queries"),
            )
        elif text == "none":
            ages.pop(operation, None)
        elif (age := _read_age(text)) is None:
            table.wrong(operation, phrase("{text} does not fit", text=show_value(text)), _AGE_EXPECTED)
        else:
            ages[operation] = age
    return ages


def _refuse_unknown_operation(table: ConfigTable, operation: str) -> None:
    table.wrong(
        operation,
        phrase("there is no operation {operation}", operation=operation),
        phrase("one of {operations}", operations=", ".join(OPERATIONS)),
    )


def _read_age(text: object) -> timedelta | None:
    try:
        age = parse_duration(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return age if age is not None and timedelta(0) < age <= LONGEST else None


def _read_quota(table: ConfigTable) -> dict[str, int]:
    pairs = table.pairs()
    quotas = {}
    for operation in pairs:
        if operation not in OPERATIONS:
            _refuse_unknown_operation(table, operation)
    for operation in OPERATIONS:
        quotas[operation] = table.number(operation, QUOTA, least=0, most=_MOST)
    return quotas
