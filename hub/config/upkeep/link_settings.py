"""Reads `[links]`: how often links are probed, and which hosts in addition to the partners. Probes nothing."""

import re
from datetime import timedelta

import attrs

from hub.config.table import ConfigTable
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase
from hub.partner.policy import DURATION_EXPECTED, parse_duration
from hub.services.links.probes import Link

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_PLACE = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", re.ASCII)
_PLACE_EXPECTED = phrase('"tcp://HOST:PORT", or "tls://HOST:PORT" where a certificate is shown')
_TIMEOUT = timedelta(seconds=5)
_LEAST, _MOST = timedelta(seconds=1), timedelta(hours=1)


@attrs.frozen(kw_only=True)
class LinkSettings:
    """How links are probed."""

    every: timedelta
    timeout: timedelta  #: timeout of one probe
    hosts: tuple[Link, ...] = ()  #: hosts in addition to the partners that the hub calls


def read_link_settings(table: ConfigTable, partners: frozenset[str]) -> LinkSettings | None:
    """Return the settings of `[links]`, or None if nothing is probed.

    *partners* are the codes of partners, which no host may have.
    """
    every = _read_duration(table, "every")
    timeout = _read_duration(table, "timeout") or min(_TIMEOUT, every or _TIMEOUT)
    named = table.table("hosts")
    table.close()
    links = [_read_link(name, named.table(name), partners) for name in sorted(named.pairs())]
    if every is None:
        return None
    if timeout > every:
        table.wrong("timeout", phrase("is longer than every"), phrase("at most as long"))
    return LinkSettings(every=every, timeout=timeout, hosts=tuple(link for link in links if link is not None))


def _read_duration(table: ConfigTable, key: str) -> timedelta | None:
    text = table.text(key, "", expected=DURATION_EXPECTED)
    if not text:
        return None
    try:
        length = parse_duration(text)
    except ValueError:
        table.wrong(key, phrase("{text} does not fit", text=show_value(text)), DURATION_EXPECTED)
        return None
    if not _LEAST <= length <= _MOST:
        table.wrong(key, phrase("{text} does not fit", text=show_value(text)), phrase("1s to 1h"))
    return length


def _read_link(name: str, table: ConfigTable, partners: frozenset[str]) -> Link | None:
    if not re.fullmatch(_NAME, name, re.ASCII) or name in partners:
        table.wrong(
            "",
            phrase("{name} does not fit", name=repr(name)),
            phrase("letters, digits, . - and _, and the code of no partner"),
        )
    place = table.text("at", expected=_PLACE_EXPECTED)
    units = table.texts("units", ())
    table.close()
    found = _PLACE.fullmatch(place)
    if found is None or not 0 < int(found[3]) < 65536:
        if place:
            table.wrong("at", phrase("{place} does not fit", place=repr(place)), _PLACE_EXPECTED)
        return None
    return Link(
        name=name, host=found[2].strip("[]"), port=int(found[3]), tls=found[1] == "tls", units=units, partner=False
    )
