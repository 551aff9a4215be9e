"""The Government reporting system as a drop directory: report files out, reply files in.

Knows file names and their order. Does not know how files are written.

Out: the signed XML, the workbook and, last, `NAME.sha256` in the format of `sha256sum -c`. A report whose checksum file
exists is complete. In: one JSON object for each verdict. An accepted reply file is moved to `taken/`, a refused one to
`refused/`, each with its hash before its name.
"""

import hashlib
import json
from datetime import datetime
from urllib.parse import quote

from adapters.govreport.online import take_in_verdict
from adapters.govreport.wording import SystemWording, UnknownWord
from hub.domain.conversations import (
    Accepted,
    Arrival,
    Collected,
    Collection,
    Conversation,
    Refused,
    Request,
    Unavailable,
)
from hub.domain.model import Consignment
from hub.services import verdicts

#: Reply files taken in one collection.
_MOST = 50
#: Octets of a reply file's name. Its hash is put before it.
_LONGEST = 200


def deliver_to_drop(url: str, wording: SystemWording, consignment: Consignment, now: datetime) -> Conversation:
    """Put one report into the directory.

    An existing file with other octets is never overwritten. The delivery is refused, so that a person looks at it.
    """
    del now
    report_files = wording.make_files(consignment.content)
    keys = report_files.keys
    name = "_".join(quote(keys[key], safe="") for key in ("form", "unit", "period")) + f"_r{keys['revision']}"
    files = {f"{name}.xml": report_files.xml} | (
        {f"{name}.xlsx": report_files.xlsx} if report_files.xlsx is not None else {}
    )
    listed = "".join(f"{hashlib.sha256(octets).hexdigest()}  {file}\n" for file, octets in files.items())
    for file, octets in {**files, f"{name}.sha256": listed.encode()}.items():
        reply = yield Request(f"{url}/{wording.settings['out']}/{quote(file)}", octets, method="PUT")
        if reply.status == 409:
            return Refused(f"{wording.settings['out']}/{file} exists already with other content")
        if reply.status not in {200, 201}:
            return Unavailable(f"{file}: {reply.status}")
    return Accepted(name)


def collect_from_drop(url: str, wording: SystemWording, cursor: str, now: datetime) -> Collection:
    """Take in the reply files in the directory. The cursor is not used, because files that were taken are moved away."""
    del cursor, now
    place = f"{url}/{wording.settings['in']}"
    reply = yield Request(f"{place}/", b"", method="GET")
    if reply.status == 404:
        return Collected()
    names = [name for name in json.loads(reply.body) if name.endswith(".json")]
    unknown, taken = "", 0
    for name in names:
        if taken == _MOST:
            break
        if not name.isprintable() or len(name.encode()) > _LONGEST:
            unknown = f"{name!r:.200} is no name of a reply file"
            continue
        reply = yield Request(f"{place}/{quote(name)}", b"", method="GET")
        if reply.status == 404:
            continue  # another process took it first
        if reply.status != 200:
            unknown = f"{name}: {reply.status}"
            continue
        digest = hashlib.sha256(reply.body).hexdigest()
        try:
            item = json.loads(reply.body)
        except (ValueError, RecursionError):
            judged = yield Arrival(reply.body, f"{name} {digest}", verdicts.NAME)
            good = judged.accepted
        else:
            try:
                good = yield from take_in_verdict(item, f"{name} {digest}", wording)
            except UnknownWord as error:
                unknown = f"{name}: {error}"
                continue
        there = f"{place}/{'taken' if good else 'refused'}/{digest[:16]}-{quote(name)}"
        moved = yield Request(f"{place}/{quote(name)}", b"", (("Destination", there),), "MOVE")
        if moved.status not in {201, 404}:
            return Unavailable(f"{name} cannot be moved: {moved.status}")
        taken += 1
    return Unavailable(unknown) if unknown else Collected(more=taken == _MOST)
