"""The packets that wait at a partner's gateway for the hub, each with a state: initial, processing, done, fail.

Knows ids, states and the notebook. Each change is in the notebook before anyone is told, so that a killed partner
continues where it stopped. Knows no dialect.
"""

import base64
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

import attrs

from lienthong_demo.protocol.notebook import Notebook, read_notebook


@attrs.frozen(kw_only=True)
class WaitingPacket:
    """One waiting packet."""

    id: str
    type: str  #: edoc or status
    sender: str
    to: str
    content: bytes
    created: datetime
    state: str = "initial"
    told: str = ""  #: the state, spelt as the hub sent it


@attrs.define
class WaitingPackets:
    """All packets that were ever put in, in order."""

    _notebook: Notebook
    _clock: Callable[[], datetime]
    _items: dict[str, WaitingPacket] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        """Restore the state from the notebook."""
        for line in read_notebook(self._notebook.path):
            if line["what"] == "waiting":
                item = WaitingPacket(
                    id=str(line["id"]),
                    type=str(line["type"]),
                    sender=str(line["sender"]),
                    to=str(line["to"]),
                    content=base64.b64decode(str(line["content"])),
                    created=datetime.fromisoformat(str(line["at"])),
                )
                self._items[item.id] = item
            elif line["what"] == "state":
                self._set(str(line["id"]), str(line["state"]))

    def put(self, kind: str, sender: str, to: str, content: bytes) -> str:
        """Add *content* as a waiting packet. Return its new id."""
        item = WaitingPacket(
            id=str(uuid.uuid4()), type=kind, sender=sender, to=to, content=content, created=self._clock()
        )
        letters = base64.b64encode(content).decode()
        self._notebook.write("waiting", item.created, id=item.id, type=kind, sender=sender, to=to, content=letters)
        with self._lock:
            self._items[item.id] = item
        return item.id

    def get(self, item_id: str) -> WaitingPacket | None:
        """Return one packet; None if there is none with this id."""
        return self._items.get(item_id)

    def move(self, item_id: str, state: str) -> None:
        """Record the *state* that the hub reported."""
        self._notebook.write("state", self._clock(), id=item_id, state=state)
        with self._lock:
            self._set(item_id, state)

    def each(self, kind: str | None = None) -> Iterator[WaitingPacket]:
        """Yield all packets of one *kind*, waiting or not; None means every kind."""
        with self._lock:
            found = list(self._items.values())
        return (item for item in found if kind in {None, item.type})

    def _set(self, item_id: str, state: str) -> None:
        self._items[item_id] = attrs.evolve(self._items[item_id], state=state.lower(), told=state)
