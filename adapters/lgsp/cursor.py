"""How far a collection from an LGSP has come.  Knows the cursor's text; no call, no clock."""

import json
from datetime import date

import attrs

from hub.partner.list_polling import Owed


@attrs.frozen
class LgspCursor:
    """The last day that was seen to its end, and what is still owed of the documents that the next list will show as open."""

    day: date
    owed: Owed = attrs.field(factory=dict)

    @classmethod
    def read(cls, text: str, otherwise: date) -> "LgspCursor":
        """Read what `write` wrote; nothing written yet: *otherwise*."""
        if not text:
            return cls(otherwise)
        said = json.loads(text)
        return cls(date.fromisoformat(said["from"]), said["owed"])

    def write(self) -> str:
        """Return it as text, the same for the same."""
        return json.dumps({"from": self.day.isoformat(), "owed": dict(sorted(self.owed.items()))})
