"""Says what is in a backup: its manifest, as JSON. Opens no file.

The manifest is the first member of a backup and is signed with the hub's key. Each other member is named in it with its
size and its SHA-256, so one signature covers everything. A copy lies beside the encrypted file, for those who have no
private key.
"""

import json
from datetime import datetime
from typing import Any, Self

import attrs

FORMAT = "lienthong-backup/1"
#: The names of the members. Files of the hub's directory have theirs below `HOME`.
MANIFEST, SIGNATURE, SQLITE, POSTGRESQL, HOME = "manifest.json", "manifest.p7s", "journal.db", "journal.pgdump", "hub/"


class ManifestUnreadable(Exception):
    """The octets are no manifest that this version reads."""


@attrs.frozen
class MemberEntry:
    """A file in a backup."""

    name: str
    octets: int
    sha256: str


@attrs.frozen(kw_only=True)
class BackupManifest:
    """What is in a backup."""

    hub: str  #: the hub's name
    config: str  #: file name of its configuration
    province: str
    made_at: datetime  #: when its journal was read: the moment to which it leads back
    program: str  #: version of the program
    schema: str  #: version of the database
    number: int  #: of the last numbered event
    hash: str  #: of that event
    last: str | None  #: time of the last event, as the journal writes it
    messages: int  #: accepted and refused
    members: tuple[MemberEntry, ...]
    left_out: tuple[str, ...]  #: files that hub.toml names and that are not in it: secrets, and those elsewhere

    @property
    def journal(self) -> MemberEntry:
        """Return the member with the journal."""
        return next(each for each in self.members if each.name in {SQLITE, POSTGRESQL})

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the journal is SQLite's file."""
        return self.journal.name == SQLITE

    def write(self) -> bytes:
        """Return it as JSON in UTF-8."""
        said = attrs.asdict(self) | {"format": FORMAT, "made_at": self.made_at.isoformat()}
        return json.dumps(said, ensure_ascii=False, indent=1).encode()

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """Return what *octets* say. Raises ManifestUnreadable."""
        try:
            said: dict[str, Any] = json.loads(octets)
            if (kind := said.pop("format")) != FORMAT:
                raise ManifestUnreadable(f"format {kind!r}; this program reads {FORMAT}")
            made_at = datetime.fromisoformat(said.pop("made_at"))
            members = tuple(MemberEntry(**each) for each in said.pop("members"))
            found = cls(**said | {"members": members, "made_at": made_at, "left_out": tuple(said["left_out"])})
            sound = found.journal.octets >= 0 and all(map(is_member_name, (each.name for each in members)))
        except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
            raise ManifestUnreadable(repr(error)) from None
        if not sound or len({each.name for each in members}) != len(members):
            raise ManifestUnreadable("a name of a member does not fit")
        return found


def is_member_name(name: str) -> bool:
    """Tell whether *name* may be that of a member: the journal, or a path below `HOME` that leads nowhere else."""
    parts = name.split("/")
    below = name.startswith(HOME) and all(part not in {"", ".", ".."} for part in parts[1:])
    return name in {SQLITE, POSTGRESQL} or (below and "\0" not in name and "\\" not in name)
