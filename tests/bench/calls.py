"""Signs calls beforehand, and writes them into the files that load.c and limit.c read. Sends nothing."""

import multiprocessing
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.security import signing
from hub.security.certificates import Identity
from hub.security.sample_pki import KeyType
from hub.soap import documents_requests, envelope
from lienthong_demo.plan.packets import write_document_packet
from tests.running import RunningHub

#: How long a call stays valid: as long as the hub's default policy allows.
LIFE = timedelta(minutes=14)
#: Whom documents are for: a unit whose system fetches them, and one whose system is pushed to.
FETCHES, PUSHED = "H55.14", "H55.1"

Files = tuple[Path, Path]  #: a sender's key and certificate


@cache
def _read_identity(files: Files) -> Identity:
    return Identity.read(*files)


def _write_packet(name: str, octets: int, recipient: str) -> bytes:
    return write_document_packet(
        "H55.13",
        [recipient],
        number=name,
        notation="BENCH",
        subject="Về việc đo tốc độ của trục liên thông",
        promulgated=date(2026, 11, 20),
        attachments=[("a.txt", os.urandom(octets))],
    )


def write_packet(name: str, size: int, recipient: str = FETCHES) -> bytes:
    """Return a packet of about *size* octets, with one attachment."""
    return _write_packet(name, max(1, (size - len(_write_packet(name, 0, recipient))) * 3 // 4), recipient)


def sign_call(name: str, size: int, files: Files, recipient: str = FETCHES) -> bytes:
    """Return a signed SendDocument with a packet of about *size* octets, and *name* as its message id."""
    call = documents_requests.SendDocument(write_packet(name, size, recipient), name)
    content = envelope.wrap_in_envelope(documents_requests.build_call_element(call))
    return signing.sign_envelope(content, _read_identity(files), datetime.now(UTC), LIFE)


def _sign_some(
    sign: Callable[[str, int, Files, str], bytes], names: Sequence[str], size: int, senders: Sequence[Files], to: str
) -> list[bytes]:
    return [sign(name, size, senders[number % len(senders)], to) for number, name in enumerate(names)]


def sign_calls(name: str, count: int, size: int, senders: Sequence[Files], recipient: str = FETCHES) -> list[bytes]:
    """Return *count* signed calls, on every core; call number i is signed by sender i modulo their number."""
    names = [f"{name}-{number}" for number in range(count)]
    step = max(len(senders), 100 if size < 100_000 else 1)
    step -= step % len(senders)
    if count <= step:
        return _sign_some(sign_call, names, size, senders, recipient)
    parts = [names[at : at + step] for at in range(0, count, step)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        signed = pool.map(
            _sign_some,
            [sign_call] * len(parts),
            parts,
            [size] * len(parts),
            [senders] * len(parts),
            [recipient] * len(parts),
        )
        return [each for part in signed for each in part]


def write_calls(path: Path, calls: Iterable[bytes]) -> None:
    """Write *calls* to *path*, each after its length."""
    with path.open("wb") as file:
        for each in calls:
            file.write(struct.pack("=I", len(each)))
            file.write(each)


def read_answers(path: Path) -> list[tuple[int, int, bytes]]:
    """Return the answers that load.c kept: number of the call, HTTP status, content."""
    content, found, at = path.read_bytes(), [], 0
    while at < len(content):
        number, status, length = struct.unpack_from("=III", content, at)
        found.append((number, status, content[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


def change_body(call: bytes) -> bytes:
    """Return *call* with another letter in its packet: still base64, no longer what was signed."""
    at = call.index(b"<Packet>") + len(b"<Packet>") + 40
    return call[:at] + (b"A" if call[at : at + 1] != b"A" else b"B") + call[at + 1 :]


def issue(hub: RunningHub, files: Files, name: str, key_type: KeyType) -> None:
    """Let the sample CA of *hub* issue a certificate for a new key, and write both to *files*, over what is there."""
    key, certificate = hub.authority().issue(name, datetime.now(UTC), key_type)
    files[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].write_bytes(certificate.public_bytes(Encoding.PEM))
