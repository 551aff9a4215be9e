"""Counts mail usage by unit and day from the logs of Postfix and Dovecot.

Knows the formats of their log lines. Keeps no address, subject or person: addresses serve only to tell one mail from
another and to find its unit, and the result is numbers.

Lines may come in any order, so the files of several servers can be concatenated. To count a day, the log of the evening
before is needed too, because some mails of the day were queued then.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, tzinfo
from fnmatch import fnmatchcase

import attrs
from lxml import etree

from hub.domain.local_time import HANOI
from hub.services.mail import FIGURES, NAMESPACE

#: An account counts as over quota above this percentage of its quota (standards 4.6).
NEARLY_FULL = 90
#: The key for accounts that the directory assigns to no unit.
NOBODY = ""

_STAMP = re.compile(
    r"(?:(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d))|(?P<old>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)) (?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
#: The text of a line begins right after its program name. Later parts may be chosen by strangers, such as the HELO
#: name.
_POSTFIX = re.compile(
    r"(?:\S+ )?(?:\S+: )?postfix(?:/[\w-]+)*/(?P<part>[\w-]+)\[\d+\]: (?P<said>.*)", re.ASCII | re.DOTALL
)
_QUEUED = re.compile(r"(?P<id>[0-9A-Za-z]{6,20}): (?P<said>.*)", re.ASCII | re.DOTALL)
_SIGNED_IN = re.compile(
    r"(?:\S+ )?(?:\S+: )?(?:imap|pop3|submission|managesieve)-login: (?:Info: )?(?:Logged in|Login): user=<([^<>]+)>"
)
_TOO_LARGE = re.compile(r"NOQUEUE: reject: \S+ from \S+: 552 5\.3\.4 ")
_LOGGED_IN = re.compile(r"client=[^,]*(?:, sasl_method=[^,]*)?, sasl_username=([^\s,]+)")
_SENT = re.compile(r"to=<[^<>]*>, [^()]*\bstatus=sent \(")
_CUT_SHORT = re.compile(r"warning: ([0-9A-Za-z]{6,20}): queue file size limit exceeded", re.ASCII)
_FROM, _TO, _LOGIN = (
    re.compile(pattern) for pattern in (r"\bfrom=<([^<>]*)>", r"\bto=<([^<>]*)>", r"\bsasl_username=([^\s,<>]+)$")
)
_QUOTA = ("Username", "Quota name", "Type", "Value", "Limit", "%")


@attrs.frozen
class MailDirectory:
    """Maps mail addresses to units: the operator's file, one line `PATTERN,CODE` each.

    A pattern is an address, an address with `*`, or a domain. An exact address wins over a pattern with `*`, which wins
    over a domain. Of several matching patterns with `*` the first wins. The domains of all patterns belong to the mail
    system itself.
    """

    addresses: Mapping[str, str]
    shapes: tuple[tuple[str, str], ...]
    domains: Mapping[str, str]
    own: frozenset[str]

    @classmethod
    def read(cls, text: str) -> "MailDirectory":
        """Parse the lines. `#` begins a comment line. Raises ValueError, which names the line, for a malformed one."""
        addresses: dict[str, str] = {}
        shapes: list[tuple[str, str]] = []
        domains: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            pattern, comma, unit = (part.strip() for part in line.partition(","))
            pattern = pattern.lower().removeprefix("@")
            if not comma or not pattern or not unit or "," in unit or " " in pattern:
                raise ValueError(f"line {number}: no PATTERN,CODE: {line[:80]!r}")
            if "*" in pattern:
                shapes.append((pattern, unit))
            else:
                (addresses if "@" in pattern else domains)[pattern] = unit
        patterns = (*addresses, *domains, *(shape for shape, _ in shapes))
        own = frozenset(pattern.rpartition("@")[2] for pattern in patterns)
        return cls(addresses, tuple(shapes), domains, own)

    def unit(self, address: str) -> str:
        """Return the unit of *address*; `NOBODY` if no line matches."""
        address = address.lower()
        found = self.addresses.get(address)
        if found is None:
            found = next((unit for shape, unit in self.shapes if fnmatchcase(address, shape)), None)
        return found or self.domains.get(address.rpartition("@")[2], NOBODY)

    def inside(self, address: str) -> bool:
        """Tell whether *address* is in a domain of the mail system itself."""
        return address.lower().rpartition("@")[2] in self.own


#: By unit: the count of each milestone.
Tally = dict[str, dict[str, int]]


@attrs.define
class _Mail:
    """One mail, across all queues that it passed."""

    sender: str | None = None
    login: str = ""  #: the account that submitted it
    went: dict[str, datetime] = attrs.field(factory=dict)  #: by recipient: when it was delivered or relayed


@attrs.define
class _Log:
    """What has been read from the lines so far."""

    names: dict[str, str] = attrs.field(factory=dict)  #: by queue id: the Message-ID
    mails: dict[str, _Mail] = attrs.field(factory=dict)  #: by queue id
    #: mails that exceeded the size limit while received, by queue id
    cut: dict[str, datetime] = attrs.field(factory=dict)
    #: mails refused at once for their size: the time, and the sender's account or the recipient
    refused: list[tuple[datetime, str]] = attrs.field(factory=list)
    active: set[str] = attrs.field(factory=set)  #: accounts that signed in on the day


def count_mail_log(
    lines: Iterable[str],
    directory: MailDirectory,
    day: date,
    *,
    since: date | None = None,
    quotas: Iterable[str] = (),
    zone: tzinfo = HANOI,
) -> Tally:
    """Count the usage on *day* (Hà Nội) by unit; with *since*, only the accounts that were active on any day from *since*
    to *day*, each once, which cannot be worked out from the numbers of the days. `NOBODY` holds what cannot be assigned to a unit.

    *quotas* are the lines of `doveadm -f tab quota get -A`. *zone* is the server's time zone, for lines whose time does
    not say it. Raises ValueError if *quotas* are something else.
    """
    log = _Log()
    for at, said in _read_timed_lines(lines, day, zone):
        _hear_line(log, at, said, today=(since or day) <= at.astimezone(HANOI).date() <= day)
    tally: Tally = defaultdict(lambda: defaultdict(int))
    for account in log.active:
        tally[directory.unit(account)]["accounts-active"] += 1
    if since is not None:
        return {unit: dict(figures) for unit, figures in sorted(tally.items())}
    for mail in _list_whole_mails(log):
        _count_mail(tally, mail, directory, day)
    cut = [(at, log.mails.get(name, _Mail()).login) for name, at in log.cut.items()]
    for at, who in (*log.refused, *cut):
        if at.astimezone(HANOI).date() == day:
            tally[directory.unit(who)]["refused-size"] += 1
    for account, full in _read_quotas(quotas):
        figures = tally[directory.unit(account)]
        figures["accounts-issued"] += 1
        figures["over-quota"] += full
    return {unit: dict(figures) for unit, figures in sorted(tally.items())}


def write_usage_message(
    tally: Tally, organ: str, day: date, *, since: date | None = None, correction: str = ""
) -> bytes:
    """Return the SubmitMailUsage of *organ* with the figures of *tally*, without those of `NOBODY`.

    With *since*, they are of all days from then to *day*. With *correction*, a text, the figures are differences.
    """
    root = etree.Element(f"{{{NAMESPACE}}}SubmitMailUsage", nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # the stubs know no default namespace
    _add_leaf(root, "OrganId", organ)
    _add_leaf(root, "Day", day.isoformat())
    if since is not None:
        _add_leaf(root, "Since", since.isoformat())
    if correction:
        _add_leaf(root, "Correction", correction)
    for unit, figures in sorted(tally.items()):
        if unit != NOBODY:
            usage = etree.SubElement(root, f"{{{NAMESPACE}}}Usage")
            _add_leaf(usage, "OrganId", unit)
            for name, milestone in FIGURES.items():
                if milestone in figures:
                    _add_leaf(usage, name, str(figures[milestone]))
    return etree.tostring(root, method="c14n", exclusive=True)


def _add_leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = text


def _read_timed_lines(lines: Iterable[str], day: date, zone: tzinfo) -> Iterator[tuple[datetime, str]]:
    """Yield the time and the rest of each line.

    Lines that do not begin with a time are skipped: no mail program wrote them.
    """
    for line in lines:
        found = _STAMP.match(line)
        if found is None:
            continue
        try:
            if found["iso"]:
                yield datetime.fromisoformat(found["iso"]), found["rest"]
            else:
                yield _date_stamp(found["old"], day, zone), found["rest"]
        except ValueError:
            continue  # no such calendar day: no program wrote it


def _date_stamp(stamp: str, day: date, zone: tzinfo) -> datetime:
    """Return the time of a stamp without a year, in the year that brings it closest to *day*."""
    month, number, time = _MONTHS.index(stamp[:3]) + 1, int(stamp[4:6]), stamp[7:]
    year = day.year - (month - day.month > 6) + (day.month - month > 6)
    return datetime.fromisoformat(f"{year}-{month:02}-{number:02}T{time}").replace(tzinfo=zone)


def _hear_line(log: _Log, at: datetime, said: str, *, today: bool) -> None:
    """Process one line."""
    if signed_in := _SIGNED_IN.match(said):
        if today:
            log.active.add(signed_in[1].lower())
        return
    line = _POSTFIX.match(said)
    if line is None:
        return
    part, said = line["part"], line["said"]
    if _TOO_LARGE.match(said):
        log.refused.append((at, _find_first(_LOGIN, said) or _find_first(_TO, said)))
    elif cut := _CUT_SHORT.match(said):
        log.cut.setdefault(cut[1], at)  # several parts of Postfix log it
    elif queued := _QUEUED.match(said):
        _hear_queued(log, at, part, queued["id"], queued["said"], today=today)


def _hear_queued(log: _Log, at: datetime, part: str, name: str, said: str, *, today: bool) -> None:
    mail = log.mails.setdefault(name, _Mail())
    if said.startswith("message-id="):
        log.names[name] = said.removeprefix("message-id=").strip()
    elif login := _LOGGED_IN.match(said):
        mail.login = login[1].lower()
        if today:
            log.active.add(mail.login)
    elif said.startswith("from=<"):
        mail.sender = _find_first(_FROM, said).lower()
    elif part == "pickup":
        mail.login = mail.login or "local"  # submitted on the server itself
    elif _SENT.match(said):
        mail.went.setdefault(_find_first(_TO, said).lower(), at)


def _list_whole_mails(log: _Log) -> Iterator[_Mail]:
    """Yield each mail once. A mail that a filter queued again is found by its Message-ID."""
    found: dict[str, _Mail] = {}
    for name, mail in log.mails.items():
        one = found.setdefault(log.names.get(name, name), _Mail())
        one.sender = one.sender if one.sender is not None else mail.sender
        one.login = one.login or mail.login
        for recipient, at in mail.went.items():
            one.went[recipient] = min(at, one.went.get(recipient, at))
    yield from found.values()


def _count_mail(tally: Tally, mail: _Mail, directory: MailDirectory, day: date) -> None:
    """Count a mail once for its sender and once for each recipient.

    Delivery reports, which have no sender, are not counted.
    """
    if not mail.sender or not mail.went:
        return
    inside = directory.inside(mail.sender)
    if mail.login and inside and min(mail.went.values()).astimezone(HANOI).date() == day:
        outward = any(not directory.inside(recipient) for recipient in mail.went)
        tally[directory.unit(mail.sender)]["sent-external" if outward else "sent-internal"] += 1
    for recipient, at in mail.went.items():
        if directory.inside(recipient) and at.astimezone(HANOI).date() == day:
            tally[directory.unit(recipient)]["received-internal" if inside else "received-external"] += 1


def _read_quotas(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each account and whether it is over quota. Raises ValueError."""
    rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
    if not rows:
        return
    if tuple(rows[0]) != _QUOTA:
        raise ValueError("not the output of `doveadm -f tab quota get -A`")
    accounts: dict[str, bool] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_QUOTA):
            raise ValueError(f"line {number} of the quotas has {len(row)} columns")
        account, _, kind, used, limit, _ = row
        full = kind == "STORAGE" and limit.isdigit() and int(used) * 100 > int(limit) * NEARLY_FULL
        accounts[account.lower()] = accounts.get(account.lower(), False) or full
    yield from accounts.items()


def _find_first(pattern: re.Pattern[str], said: str) -> str:
    found = pattern.search(said)
    return found[1] if found else ""
