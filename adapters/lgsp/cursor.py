"""How far a collection from an LGSP has come.  Knows the cursor's text; no call, no clock."""

import json
from collections.abc import Mapping
from datetime import date

import attrs


@attrs.frozen
class Cursor:
    """The day the next list begins with, and what is still owed of the documents it will show as open."""

    day: date
    owed: Mapping[str, str] = attrs.field(factory=dict)  #: docId -> the state to tell; empty: they did not give it

    @classmethod
    def read(cls, text: str, otherwise: date) -> "Cursor":
        """Read what `write` wrote; nothing written yet: *otherwise*."""
        if not text:
            return cls(otherwise)
        said = json.loads(text)
        return cls(date.fromisoformat(said["from"]), said["owed"])

    def write(self) -> str:
        """Return it as text, the same for the same."""
        return json.dumps({"from": self.day.isoformat(), "owed": dict(sorted(self.owed.items()))})
