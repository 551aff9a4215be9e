"""Finds the transport of each URL scheme other than HTTP.

A transport is a file `*_transport.py` in this folder. A new file is found without any registration.
"""

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import hub.delivery
from hub.delivery.http_transport import Carrier
from hub.delivery.mail_connection import MailConnector
from hub.runtime.thread_pool import Work


def list_carriers(post: MailConnector, work: Work, now: Callable[[], datetime], reactor: Any) -> dict[str, Carrier]:
    """Return the carrier of each URL scheme that a transport in this folder lists in `SCHEMES`.

    `Sender` itself does HTTP.

    Each transport creates its carrier with its function `carrier(post, work, now, reactor)`. Raises RuntimeError when
    two transports list the same scheme.
    """
    found: dict[str, Carrier] = {}
    for name in sorted(each.name for each in iter_modules(hub.delivery.__path__, "hub.delivery.")):
        transport = import_module(name) if name.endswith("_transport") else None
        schemes: tuple[str, ...] = getattr(transport, "SCHEMES", ())
        if taken := found.keys() & set(schemes):
            raise RuntimeError(f"{name}: another transport carries {', '.join(sorted(taken))} already")
        if transport is not None and schemes:
            found |= dict.fromkeys(schemes, transport.carrier(post, work, now, reactor))
    return found
