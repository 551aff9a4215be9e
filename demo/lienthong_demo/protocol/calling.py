"""The main loop of a partner process that calls the hub by SOAP: options, retries, orders.

Knows no service and no message.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from lienthong_demo.protocol.client import HubClient, Unanswered, Wire
from lienthong_demo.protocol.notebook import Notebook
from lienthong_demo.protocol.signing import PartnerIdentity, WireSignature, read_clock

_TRIES = 20
_PAUSE = 0.5  #: seconds before the same message is sent again

T = TypeVar("T")
Obey = Callable[[Mapping[str, Any]], Mapping[str, object]]


def read_process_options(module: str, arguments: list[str]) -> argparse.Namespace:
    """Parse the command line of such a process."""
    parser = make_parser(module)
    parser.add_argument("--units", required=True, help="codes, separated by commas")
    return parser.parse_args(arguments)


def make_parser(module: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every partner process has, without its units."""
    parser = argparse.ArgumentParser(module)
    parser.add_argument("code")
    parser.add_argument("--hub", required=True, help="https://127.0.0.1:PORT of the SOAP port")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--hub-certificate", type=Path, required=True)
    parser.add_argument("--notebook", type=Path, required=True)
    return parser


def connect_to_hub(given: argparse.Namespace, service: str) -> HubClient:
    """Return a connection to one *service* of the hub."""
    identity = PartnerIdentity.load(given.key, given.certificate)
    certificate = x509.load_pem_x509_certificate(given.hub_certificate.read_bytes())
    wire = Wire(given.key, given.certificate, given.ca)
    return HubClient(given.hub, wire, WireSignature(identity, certificate), service=service)


def call_until_answered(call: Callable[[], T], notebook: Notebook, note: Mapping[str, Any]) -> T:
    """Call until the hub answers. Note each call without an answer. Raises Unanswered after the last try."""
    for left in reversed(range(_TRIES)):
        try:
            return call()
        except Unanswered as error:
            notebook.write("unanswered", read_clock(), **note, problem=str(error))
            if not left:
                raise
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")


def serve_orders(given: argparse.Namespace, notebook: Notebook, obey: Obey) -> None:
    """Answer each order by a line until the orders end."""
    notebook.write("started", read_clock(), code=given.code)
    _say({"ready": True})
    for line in sys.stdin:
        _say(obey(json.loads(line)))
    notebook.write("stopped", read_clock(), code=given.code)


def _say(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer, ensure_ascii=False), flush=True)
