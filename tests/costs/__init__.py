"""What a stranger's message may cost to read, in CPU.  Messages are built from the grammar of each reader, along two dimensions at a time.

One module a reader, named in `READERS`.  Each has:

* `DIMENSIONS`: name -> the hub's own bound for it, or None.  A dimension is a number of something: blocks, elements, depth, records.
* `FILLER`: the dimension that uses up what room the drawn pair leaves.
* `FORMS`: name -> the values that are drawn with the dimensions: where something stands, how it is signed.
* `WORST`: what is known to be dear, as counts and forms; the filler is added where it is not counted.  `hub.formats.xml_cost.WORST` states what it may cost.
* `build(counts, form)`: the octets of a message; quick, and longer when a count is larger.  What is not in `counts` is as in an honest one.
* `finish(content, form)`: the message as it is sent: signed, where that is what the reader needs.
* `read(content)`: what the hub does with it, all that a call has to wait for.  It raises Rejected for what it refuses.

`drawing` draws and scales; `stage` has a province, partners and a signer; `test_costs` measures.
"""

import importlib
from typing import Any

READERS = (
    *("envelope", "packet", "multipart", "dossiers", "declarations", "categories"),
    *("calendar", "incident", "mail", "syslog", "agencies", "workbook", "old_workbook", "defined"),
)


def load(reader: str) -> Any:
    """Return the module of *reader*."""
    return importlib.import_module(f"tests.costs.{reader}")
