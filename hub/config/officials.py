"""Reads which officials may sign the reports of which units: `[officials]` and the files `officials/CODE.toml`.

Does not verify signatures. The hub never holds a person's private key, only certificates.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path

import attrs
from cryptography import x509

from hub.config import files
from hub.config.table import ConfigTable
from hub.language.phrases import phrase
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.security.time_stamps import StampTrust


class SignaturePlace(StrEnum):
    """A place for a signature on the form of a report, in the order of signing."""

    DRAFTER = "drafter"  #: drawn up by
    HEAD = "head"  #: the head of the unit; the only place where one signature is enough


_ALL_FORMS = "*"
_UNIT_EXPECTED = phrase("an agency code without spaces, such as H55.13")


@attrs.frozen(kw_only=True)
class Official:
    """One person who may sign: `officials/CODE.toml`."""

    code: str
    name: str
    certificates: tuple[x509.Certificate, ...]
    chain: tuple[x509.Certificate, ...] = ()  #: CAs between these certificates and an anchor; not trusted by themselves
    units: tuple[str, ...]
    below: bool = False  #: also for every unit below these units
    signs_as: frozenset[SignaturePlace] = frozenset({SignaturePlace.HEAD})
    since: date | None = None
    until: date | None = None  #: the first day after the assignment

    def may_sign(self, lineage: Sequence[str]) -> bool:
        """Tell whether this official may sign for the first unit of *lineage*: a unit, its parent, and so on."""
        return any(unit in self.units for unit in (lineage if self.below else lineage[:1]))

    def in_office(self, on: date) -> bool:
        """Tell whether this official may sign on the day *on*."""
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)


@attrs.frozen(kw_only=True)
class Officials:
    """The officials, and the anchors of their certificates."""

    anchors: Anchors = attrs.field(eq=False)
    authorities: tuple[x509.Certificate, ...]  #: the certificates of the anchors
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    required: bool = True  #: a report may only be submitted with a signature
    #: the authorities whose time stamps on signatures are accepted; None: no time stamp is
    stamping: StampTrust | None = None
    drafted: frozenset[str] = frozenset()  #: the forms that two persons sign; `*`: every form
    people: Mapping[str, Official] = attrs.field(factory=dict)

    def needs_drafter(self, form: str) -> bool:
        """Tell whether the reports of *form* are signed by two persons: the drafter, then the head of the unit."""
        return form in self.drafted or _ALL_FORMS in self.drafted

    @property
    def needs_stamp(self) -> bool:
        """Tell whether a signature needs a time stamp."""
        return self.stamping is not None and self.stamping.required

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates of all officials."""
        return tuple(certificate for each in self.people.values() for certificate in each.certificates)

    @property
    def everybody(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates of all officials, and all anchors."""
        stamping = () if self.stamping is None else self.stamping.authorities
        return (*self.authorities, *stamping, *self.certificates)


def _read_people(
    paths: Sequence[Path], open_file: Callable[[Path, str], ConfigTable | None], home: Path
) -> dict[str, Official]:
    """Return the officials of the files *paths* by code. A certificate may belong to one of them only."""
    people: dict[str, Official] = {}
    seen: dict[str, str] = {}
    for path in paths:
        file = open_file(path, f"officials/{path.name}")
        if file is None:
            continue
        people[path.stem] = found = _read_official(path.stem, file, home)
        for mark in map(hash_certificate, found.certificates):
            if mark in seen:
                file.wrong(
                    "certificates",
                    phrase("the certificate {mark}… also belongs to {seen}", mark=mark[:16], seen=seen[mark]),
                    phrase("a certificate of its own"),
                )
            seen.setdefault(mark, path.stem)
    return people


def read_officials(
    table: ConfigTable,
    home: Path,
    open_file: Callable[[Path, str], ConfigTable | None],
    sourced: Collection[x509.Certificate],
) -> Officials | None:
    """Read `[officials]`. Return None if there is no such table.

    *open_file* takes a file's path and its name in messages. It returns the table of the file, or None after a mistake,
    which it has recorded. *sourced*: CAs whose revocations are fetched over the network.
    """
    given = any(map(table.given, ("anchors", "crls", "signature", "drafted", "timestamps")))
    paths = sorted(path for path in (home / "officials").glob("*.toml") if not path.name.startswith("."))
    if not given:
        table.close()
        if paths:
            table.wrong(
                "anchors",
                phrase("is missing, and officials/{name} is there", name=paths[0].name),
                phrase("a list of files of CAs"),
            )
        return None
    authorities, crls = files.read_trusted_files(table, home)
    signature = table.text("signature", "required", like="required|optional", expected=phrase("required or optional"))
    drafted = table.texts("drafted", ())
    stamping = _read_stamp_trust(table.table("timestamps"), home, sourced) if table.given("timestamps") else None
    table.close()
    people = _read_people(paths, open_file, home)
    if drafted and not any(SignaturePlace.DRAFTER in each.signs_as for each in people.values()):
        nobody = phrase("names forms that need a drafter, and nobody in officials/ signs as one")
        table.wrong("drafted", nobody, phrase('signs-as = ["drafter"] in the file of a person'))
    chain = [link for each in people.values() for link in each.chain]
    return Officials(
        anchors=Anchors(authorities, crls, intermediates=chain, sourced=list(sourced), committing=True),
        authorities=tuple(authorities),
        crls=tuple(crls),
        required=signature != "optional",
        stamping=stamping,
        drafted=frozenset(drafted),
        people=people,
    )


def _read_stamp_trust(table: ConfigTable, home: Path, sourced: Collection[x509.Certificate]) -> StampTrust:
    """Read `[officials.timestamps]`."""
    authorities, crls = files.read_trusted_files(table, home)
    required = table.flag("required", default=False)
    table.close()
    return StampTrust(
        anchors=Anchors(authorities, crls, sourced=list(sourced), committing=True),
        authorities=tuple(authorities),
        required=required,
    )


def _read_official(code: str, table: ConfigTable, home: Path) -> Official:
    named = [
        files.read_certificate_file(home / name, partial(table.wrong, "certificates"))
        for name in table.texts("certificates")
    ]
    units = table.texts("units")
    for unit in units:
        if len(unit) > 64 or not unit.isprintable() or " " in unit or "*" in unit:
            table.wrong("units", phrase("{unit} does not fit", unit=repr(unit)), _UNIT_EXPECTED)
    places = table.texts("signs-as", (SignaturePlace.HEAD,))
    for place in places:
        if place not in {*SignaturePlace}:
            table.wrong("signs-as", phrase("{place} does not fit", place=repr(place)), phrase("drafter or head"))
    found = Official(
        code=code,
        name=table.text("name"),
        certificates=tuple(file[0] for file in named if file),
        chain=tuple(link for file in named for link in file[1:]),
        units=units,
        below=table.flag("below", default=False),
        signs_as=frozenset(place for place in SignaturePlace if place in places),
        since=table.day("since"),
        until=table.day("until"),
    )
    if found.since is not None and found.until is not None and found.until <= found.since:
        table.wrong("until", phrase("{until} is not after since", until=found.until), phrase("a later day"))
    table.close()
    return found
