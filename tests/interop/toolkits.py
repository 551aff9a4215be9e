"""Programs of other hands' SOAP toolkits, as the tests talk to them.  Knows their command lines and one line protocol; no SOAP.

A *caller* is a client: `CALLER URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12`.  It reads a line a call from its standard input,
`OPERATION<TAB>NAME=VALUE<TAB>…` in the order of the schema, where the value of Packet is a file.  It answers with the leaves of what
its toolkit made of the answer, in order of the document, `NAME<TAB>VALUE` a line, and a line `.`:

* `Raw`, in base64: the answer's octets, where the toolkit gives them;
* `Verified`, `Body Timestamp`: what the hub signed of it, where the toolkit verifies, by HUB_CERTIFICATE alone;
* `Fault` (its code), `Text` and the leaves of the typed detail, where the toolkit read a fault;
* `Error`, where it could not call, or does not believe the answer.

A *letterbox* is a server: `LETTERBOX PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER`.  It prints `ready`, takes SendDocument over
mutual TLS from whoever the hub's CA vouches for, believes what HUB_CERTIFICATE signed, writes each packet to FOLDER/MessageId, and
answers `IsSuccess`: false, with the code `unwanted`, to a packet in which `D-unwanted` stands.
"""

import base64
import contextlib
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Self

import attrs
from lxml import etree

from tests.conftest import cannot_be_had
from tests.waiting import PATIENCE

HERE = Path(__file__).parent


@attrs.frozen
class Answer:
    """The leaves of one answer, in order."""

    leaves: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        """Return the first value of that name."""
        return self.all(name)[0]

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        """Return every value of that name."""
        return [value for each, value in self.leaves if each == name]

    @property
    def packet(self) -> bytes:
        """The octets of the first Packet."""
        return base64.b64decode(self["Packet"])

    @property
    def receipt(self) -> bytes:
        """The Receipt alone, as a document."""
        (found,) = etree.fromstring(base64.b64decode(self["Raw"])).iter("{urn:lienthong:documents:1}Receipt")
        return etree.tostring(found, method="c14n", exclusive=True, with_tail=False)


class Program:
    """A running program and the lines it prints."""

    def __init__(self, command: Sequence[object], log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def line(self) -> str:
        """Return the next line."""
        try:
            line = self._lines.get(timeout=PATIENCE)
        except Empty:
            line = None
        assert line is not None, f"{self.process.args!r}: no line; it said\n{self.log.read_text()[-3000:]}"
        return line

    def say(self, line: str) -> None:
        """Give the program a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


class Caller(Program):
    """A client of the documents service."""

    def call(self, operation: str, **fields: object) -> Answer:
        """Call *operation* with *fields*, in the order of the schema."""
        self.say("\t".join([operation, *(f"{name}={value}" for name, value in fields.items())]))
        leaves = []
        while (line := self.line()) != ".":
            name, _, value = line.partition("\t")
            leaves.append((name, value))
        return Answer(tuple(leaves))


def verified_by_xmlsec1(receipt: bytes, certificate: Path, place: Path) -> bool:
    """Ask a judge that is nobody's here."""
    if shutil.which("xmlsec1") is None:
        cannot_be_had("xmlsec1", "it is not installed; Debian: apt-get install xmlsec1")
    path = place / "receipt.xml"
    path.write_bytes(receipt)
    words = ["--verify", "--enabled-key-data", "key-name", "--pubkey-cert-pem", str(certificate), str(path)]
    return subprocess.run(["xmlsec1", *words], capture_output=True, check=False).returncode == 0
