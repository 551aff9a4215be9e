"""Reads `[alerts.operators]`: through which channels operators are told of conditions of the hub, when, and from when on a
condition is met.

Knows the keys. Does not know the conditions, nor how anything is sent.
"""

import base64
import binascii
import re
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from cryptography import x509

from hub.config import files
from hub.config.table import ConfigTable
from hub.config.trusting import is_authority
from hub.domain.alert_severity import AlertSeverity
from hub.domain.local_time import HANOI
from hub.domain.sanitize import show_value
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.partner.policy import DURATION_EXPECTED, parse_duration

#: An address that is safe in a command and in a header: a dot-atom of RFC 5321, without quotes or comments.
MAIL_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
#: Mail goes to at most so many addresses.
MOST_ADDRESSES = 20
_SYSLOG_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
_SYSLOG_EXPECTED = phrase('"tls://HOST:6514", "tcp://HOST:514", "udp://HOST:514" or "unix:/dev/log"')
_WEBHOOK_EXPECTED = phrase(
    'a URL of https without user and fragment; on this machine "http://127.0.0.1:PORT/…" will do'
)
_KEY_EXPECTED = phrase("a file with `whsec_` and the Base64 of 24 to 64 random octets: openssl rand -base64 32")
_LEAST_KEY, _MOST_KEY = 24, 64
_LAST_PORT = 65535


@attrs.frozen(kw_only=True)
class AlertLimits:
    """From when on a condition is met."""

    waiting: timedelta = timedelta(hours=1)  #: of the oldest delivery that is pushed
    link_down: timedelta = timedelta(minutes=2)
    disk: int = 2 << 30  #: octets that should be free
    closing: timedelta = timedelta(days=3)  #: before a month is closed
    chain: timedelta = timedelta(minutes=1)
    node_lost: timedelta = timedelta(minutes=1)


@attrs.frozen(kw_only=True)
class QuietHours:
    """Hours of every day, in Hà Nội, in which only grave alerts are sent. The others are sent together at their end."""

    begin: time
    end: time
    least: AlertSeverity = AlertSeverity.CRITICAL  #: alerts as grave as this are sent all the same

    def find_due(self, now: datetime) -> datetime:
        """Return when an alert of *now* that is not grave is sent: at once, or at the end of the quiet hours."""
        local = now.astimezone(HANOI)
        end = local.replace(hour=self.end.hour, minute=self.end.minute, second=0, microsecond=0)
        if self.begin <= self.end:
            return end.astimezone(now.tzinfo) if self.begin <= local.time() < self.end else now
        if local.time() >= self.begin:
            return (end + timedelta(days=1)).astimezone(now.tzinfo)
        return end.astimezone(now.tzinfo) if local.time() < self.end else now


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """Where alerts are posted, and the key that signs them."""

    url: str
    key: bytes = attrs.field(repr=False)
    key_file: Path


@attrs.frozen(kw_only=True)
class SyslogSettings:
    """Where alerts are sent as syslog: a transport (`udp`, `tcp`, `tls` or `unix`), and its place."""

    transport: str
    host: str = ""  #: or the path of the socket
    port: int = 0


@attrs.frozen(kw_only=True)
class OperatorAlertSettings:
    """How operators are told."""

    mail: tuple[str, ...] = ()  #: addresses; sent through `[alerts] through`
    webhook: WebhookSettings | None = None
    syslog: SyslogSettings | None = None
    #: CAs of the webhook's and the syslog server's certificates; empty: the hub's anchors
    authorities: tuple[x509.Certificate, ...] = ()
    language: Language = Language.VI
    least: AlertSeverity = AlertSeverity.WARNING  #: less grave alerts are kept and shown, and not sent
    quiet: QuietHours | None = None
    remind: timedelta = timedelta(hours=24)
    limits: AlertLimits = attrs.field(factory=AlertLimits)

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels: `mail ADDRESS`, `webhook`, `syslog`."""
        found = [f"mail {address}" for address in self.mail]
        found += ["webhook"] if self.webhook else []
        return (*found, *(["syslog"] if self.syslog else []))

    def find_due(self, severity: AlertSeverity, now: datetime) -> datetime:
        """Return when an alert of *now* is to be sent."""
        if self.quiet is None or severity.reaches(self.quiet.least):
            return now
        return self.quiet.find_due(now)


def read_operator_alerts(table: ConfigTable, home: Path, *, through: bool) -> OperatorAlertSettings:
    """Return the settings of `[alerts.operators]`. *through*: `[alerts]` names a mail system. Paths are relative to *home*."""
    addresses = table.texts("mail", ())
    for address in addresses:
        if not re.fullmatch(MAIL_ADDRESS, address):
            table.wrong(
                "mail", phrase("{value} does not fit", value=show_value(address)), phrase("addresses of mail in quotes")
            )
    if len(addresses) > MOST_ADDRESSES:
        table.wrong(
            "mail", phrase("{count} addresses", count=len(addresses)), phrase("at most {most}", most=MOST_ADDRESSES)
        )
    if addresses and not through:
        table.wrong("mail", phrase("[alerts] has no `through`"), phrase("the partner whose mail system sends them"))
    found = OperatorAlertSettings(
        mail=addresses,
        webhook=_read_webhook(table, home),
        syslog=_read_syslog(table),
        authorities=_read_authorities(table, home),
        language=Language(_one_of(table, "language", ("vi", "en"), "vi")),
        least=_read_severity(table, "least", AlertSeverity.WARNING),
        quiet=_read_quiet(table),
        remind=_read_duration(table, "remind", timedelta(hours=24), timedelta(minutes=5), timedelta(days=30)),
        limits=AlertLimits(
            waiting=_read_duration(table, "waiting", AlertLimits().waiting, timedelta(minutes=1), timedelta(days=30)),
            disk=table.size("disk", AlertLimits().disk),
            closing=timedelta(days=table.number("closing-days", AlertLimits().closing.days, least=1, most=31)),
        ),
    )
    table.close()
    return found


def _read_authorities(table: ConfigTable, home: Path) -> tuple[x509.Certificate, ...]:
    name = table.text("ca", "")
    found = files.read_certificate_file(home / name, partial(table.wrong, "ca")) if name else ()
    for each in found:
        if not is_authority(each):
            wrong = phrase("{name} is not a CA", name=each.subject.rfc4514_string())
            table.wrong("ca", wrong, phrase("certificates of CAs"))
    return tuple(found)


def _one_of(table: ConfigTable, key: str, words: tuple[str, ...], default: str) -> str:
    expected = phrase("one of {taken}", taken=", ".join(words))
    return table.text(key, default, like="|".join(words), expected=expected) or default


def _read_severity(table: ConfigTable, key: str, default: AlertSeverity) -> AlertSeverity:
    return AlertSeverity(_one_of(table, key, tuple(str(each) for each in AlertSeverity), str(default)))


def _read_duration(table: ConfigTable, key: str, default: timedelta, least: timedelta, most: timedelta) -> timedelta:
    text = table.text(key, "", expected=DURATION_EXPECTED)
    if not text:
        return default
    try:
        length = parse_duration(text)
    except ValueError:
        table.wrong(key, phrase("{text} does not fit", text=show_value(text)), DURATION_EXPECTED)
        return default
    if not least <= length <= most:
        expected = phrase("{least} to {most} minutes", least=least // _MINUTE, most=most // _MINUTE)
        table.wrong(key, phrase("{text} does not fit", text=show_value(text)), expected)
        return default
    return length


_MINUTE = timedelta(minutes=1)


def _read_quiet(table: ConfigTable) -> QuietHours | None:
    expected = phrase('hours of a day in Hà Nội, such as "21:30-06:00"')
    text, least = (
        table.text("quiet", "", expected=expected),
        _read_severity(table, "quiet-least", AlertSeverity.CRITICAL),
    )
    if not text:
        return None
    hour = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    if not re.fullmatch(f"{hour}-{hour}", text) or text[:5] == text[6:]:
        table.wrong("quiet", phrase("{text} does not fit", text=show_value(text)), expected)
        return None
    begin, end = (time.fromisoformat(each) for each in text.split("-"))
    return QuietHours(begin=begin, end=end, least=least)


def _read_webhook(table: ConfigTable, home: Path) -> WebhookSettings | None:
    url, name = table.text("webhook", "", expected=_WEBHOOK_EXPECTED), table.text("webhook-key-file", "")
    if not url:
        if name:
            table.wrong("webhook", phrase("is missing"), _WEBHOOK_EXPECTED)
        return None
    if not _is_webhook(url):
        table.wrong("webhook", phrase("{text} does not fit", text=show_value(url)), _WEBHOOK_EXPECTED)
    if not name:
        table.wrong("webhook-key-file", phrase("is missing"), _KEY_EXPECTED)
        return None
    try:
        key = base64.b64decode((home / name).read_text("ascii").strip().removeprefix("whsec_"), validate=True)
    except (OSError, ValueError, binascii.Error) as error:
        wrong = phrase("{file} cannot be read: {error}", file=name, error=name_system_error(error))
        table.wrong("webhook-key-file", wrong, _KEY_EXPECTED)
        return None
    if not _LEAST_KEY <= len(key) <= _MOST_KEY:
        table.wrong("webhook-key-file", phrase("{count} octets", count=len(key)), _KEY_EXPECTED)
    return WebhookSettings(url=url, key=key, key_file=home / name)


def _is_webhook(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    plain = not parts.username and not parts.password and not parts.fragment and url.isascii() and url.isprintable()
    return bool((parts.scheme == "https" or local) and parts.hostname and port != 0 and plain and " " not in url)


def _read_syslog(table: ConfigTable) -> SyslogSettings | None:
    text = table.text("syslog", "", expected=_SYSLOG_EXPECTED)
    if not text:
        return None
    if text.startswith("unix:/"):
        return SyslogSettings(transport="unix", host=text.removeprefix("unix:"))
    found = re.fullmatch(r"(udp|tcp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::([1-9][0-9]{0,4}))?", text, re.ASCII)
    if found is None or int(found[3] or 1) > _LAST_PORT:
        table.wrong("syslog", phrase("{text} does not fit", text=show_value(text)), _SYSLOG_EXPECTED)
        return None
    port = int(found[3] or _SYSLOG_PORTS[found[1]])
    return SyslogSettings(transport=found[1], host=found[2].strip("[]"), port=port)
