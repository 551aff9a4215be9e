"""The position of a collection from an LGSP. Knows the text of the cursor. Knows no call and no clock."""

import json
from datetime import date

import attrs

from hub.partner.list_polling import Owed


@attrs.frozen
class LgspCursor:
    """The last day that was collected completely, and what is owed for documents that the next list will show as open."""

    day: date
    owed: Owed = attrs.field(factory=dict)

    @classmethod
    def read(cls, text: str, otherwise: date) -> "LgspCursor":
        """Parse the text that `write` returned. An empty text means the day *otherwise*."""
        if not text:
            return cls(otherwise)
        said = json.loads(text)
        return cls(date.fromisoformat(said["from"]), said["owed"])

    def write(self) -> str:
        """Return the cursor as text, the same for equal cursors."""
        return json.dumps({"from": self.day.isoformat(), "owed": dict(sorted(self.owed.items()))})
