"""Carries out an adapter's requests in a directory that the partner also reads and writes. Knows files, no dialect.

A URL `file:///srv/drop/out/a.xml` must be a file below the partner's own URL, such as `file:///srv/drop`, and that one a
directory below `[exchange] folder`, links followed.

    PUT   writes a file completely or not at all: 201; 200 if the same octets exist already, 409 if others do
    GET   returns a file's octets, or the names in a directory as a sorted JSON list, without links and files that are
          still being written: 200; 404; 413 for a file that is too long
    MOVE  moves a file to `Destination` (RFC 4918, 9.9) and creates its directory: 201; 404, 409 as above
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from hub.config import Partner
from hub.config.durable_files import sync_folder
from hub.config.urls import lies_in_exchange
from hub.delivery.http_transport import Carrier
from hub.delivery.mail_connection import MailConnector
from hub.domain.conversations import Reply, Request
from hub.domain.fair_queue import Owner
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import THRESHOLD, Work

SCHEMES = ("file",)
#: Suffix of a file that is still being written.
PARTIAL = ".tmp"
#: Maximum octets of a file.
LARGEST = 4 * 1024 * 1024


@attrs.frozen
class DirectoryCarrier:
    """Carries out requests for `file:` URLs in a worker thread."""

    _work: Work  #: runs the file operations in worker threads

    async def carry(self, request: Request, partner: Partner, progress: CallProgress) -> Reply:
        """Carry out *request* in the directory of *partner*. Raises `Unreachable`, OSError."""
        place = _read_url_path(partner.url or ""), partner.exchange
        return await self._work(
            Owner(partner.code), max(len(request.body), THRESHOLD), _do_file_request, request, *place
        )


def carrier(post: MailConnector, work: Work, now: Callable[[], datetime], reactor: Any) -> Carrier:
    """Return the carrier for directories. It uses only *work*."""
    return DirectoryCarrier(work).carry


def _do_file_request(request: Request, root: Path, exchange: Path | None) -> Reply:
    if not lies_in_exchange(root, exchange):
        raise Unreachable(f"{root} is not below {exchange}")
    if not root.is_dir():
        raise Unreachable(f"{root} is not a directory")
    path = _read_path_below(request.url, root)
    match request.method:
        case "PUT":
            return Reply(_put_file(path, request.body), b"")
        case "GET":
            return _get_file(path)
        case "MOVE":
            there = next(value for name, value in request.headers if name == "Destination")
            return Reply(_move_file(path, _read_path_below(there, root)), b"")
    raise Unreachable(f"{request.method} is not supported for a directory")


def _read_url_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _read_path_below(url: str, root: Path) -> Path:
    path = _read_url_path(url)
    if not path.resolve().is_relative_to(root.resolve()):
        raise Unreachable(f"{path} is not below {root}")
    return path


def _put_file(path: Path, octets: bytes) -> int:
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(path.name + PARTIAL)
    new.unlink(missing_ok=True)  # left by a crash, or a link that the partner made, which could point anywhere
    with new.open("xb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    said = 201
    try:
        os.link(new, path, follow_symlinks=False)  # fails if the name exists; a rename would replace it
    except FileExistsError:
        if not path.is_file() or path.read_bytes() != octets:
            return 409
        said = 200
    finally:
        new.unlink()
    sync_folder(path.parent)  # also of a file that was there: who brought it may have crashed before this
    return said


def _get_file(path: Path) -> Reply:
    if path.is_dir():
        files = [each for each in path.iterdir() if each.is_file() and not each.is_symlink()]
        names = sorted(each.name for each in files if not each.name.endswith(PARTIAL))
        return Reply(200, json.dumps([name for name in names if not name.startswith(".")]).encode())
    if not path.is_file():
        return Reply(404, b"")
    if path.stat().st_size > LARGEST:
        return Reply(413, b"")
    return Reply(200, path.read_bytes())


def _move_file(path: Path, there: Path) -> int:
    if not path.is_file():
        return 404
    there.parent.mkdir(exist_ok=True)
    try:
        os.link(path, there)
    except FileExistsError:
        if not there.is_file() or there.read_bytes() != path.read_bytes():
            return 409
    sync_folder(there.parent)  # before it goes here: at each moment it is somewhere on the disk
    path.unlink()
    sync_folder(path.parent)
    return 201
