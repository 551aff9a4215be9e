"""DER read into a tree, changed along it, and signed anew.  Knows tags and lengths; of what they mean only where a signature stands.

Written for these tests alone, so that what the hub's library makes of the same octets has somebody to differ from.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import attrs
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tests.fuzz import changing

BIT_STRING, OCTET_STRING, OID, SEQUENCE = 0x03, 0x04, 0x06, 0x30
CONSTRUCTED = 0x20
RSA_SHA256 = bytes.fromhex("2a864886f70d01010b")
DEEPEST = 40

#: What may stand in a primitive.
VALUES = (
    *(b"", b"\0", b"\1", b"\2", b"\3", b"\x7f", b"\x80", b"\xff", b"\0\xff", b"\xff" * 20, b"\x7f" + b"\xff" * 40),
    *(b"20261124080000Z", b"261124080000Z", b"20270101000000Z", b"20261124080000.5Z", b"20261124080000+0700"),
    *(b"00000101000000Z", b"99991231235959Z", b"490101000000Z", b"500101000000Z", b"20260230000000Z"),
)
TAGS = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x17, 0x18, 0x30, 0x31, 0x80, 0x81, 0x82, 0xA0, 0xA1, 0xA2)


@attrs.define(eq=False)
class Node:
    """A value with its tag: octets, or what it is made of."""

    tag: int
    content: "bytes | list[Node]"

    @property
    def parts(self) -> "list[Node]":
        """What it is made of; nothing of a primitive."""
        return self.content if isinstance(self.content, list) else []

    @property
    def octets(self) -> bytes:
        """Its value as written."""
        return self.content if isinstance(self.content, bytes) else write(self.content)

    def walk(self) -> "Iterator[Node]":
        """Yield the node and all in it, the innermost first."""
        for part in self.parts:
            yield from part.walk()
        yield self


def read(octets: bytes, depth: int = 0) -> list[Node]:
    """Return the values in *octets*; of an OCTET STRING that holds values, those.  Raises ValueError for what is no DER."""
    found, at = [], 0
    while at < len(octets):
        tag, length, at = octets[at], octets[at + 1 : at + 2], at + 2
        if tag & 0x1F == 0x1F or not length or depth > DEEPEST:
            raise ValueError
        size = length[0]
        if size & 0x80:
            many = size & 0x7F
            if not 0 < many <= 4:
                raise ValueError
            size, at = int.from_bytes(octets[at : at + many]), at + many
        content = octets[at : at + size]
        if len(content) != size:
            raise ValueError
        at += size
        if tag & CONSTRUCTED:
            found.append(Node(tag, read(content, depth + 1)))
        else:
            found.append(Node(tag, _held(content, depth) if tag == OCTET_STRING else content))
    return found


def write(nodes: Sequence[Node]) -> bytes:
    """Return *nodes* in DER."""
    written = bytearray()
    for node in nodes:
        octets = node.octets
        size = len(octets)
        length = bytes([size]) if size < 0x80 else size.to_bytes((size.bit_length() + 7) // 8)
        written += bytes([node.tag]) + (length if size < 0x80 else bytes([0x80 | len(length)]) + length) + octets
    return bytes(written)


def resign(nodes: Sequence[Node], key: RSAPrivateKey) -> bytes:
    """Return *nodes* written, all that RSA-SHA256 signed in it (a certificate, a CRL, an OCSP response) signed anew by *key*."""
    for node in (each for root in nodes for each in root.walk()):
        parts = node.parts
        if (
            len(parts) >= 3
            and [part.octets for part in parts[1].parts[:1]] == [RSA_SHA256]
            and parts[2].tag == BIT_STRING
        ):
            parts[2].content = b"\0" + key.sign(write(parts[:1]), PKCS1v15(), SHA256())
    return write(nodes)


def changer(keys: Sequence[RSAPrivateKey]) -> Callable[[bytes, int, int], bytes]:
    """Return how libFuzzer is to change an input in DER, and sign it with one of *keys*, mostly the first."""

    def change(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.15:
            return changing.blind(data, longest)
        try:
            nodes = read(data)
        except ValueError:
            return changing.blind(data, longest)
        if not nodes:
            return changing.blind(data, longest)
        for _ in range(1 + min(int(random.expovariate(1)), 5)):
            random.choice(_STEPS)(nodes, random)
        key = keys[0] if random.random() < 0.9 else random.choice(keys)
        content = resign(nodes, key) if random.random() < 0.7 else write(nodes)
        return content if len(content) <= longest else data[:longest]

    return change


def _held(content: bytes, depth: int) -> bytes | list[Node]:
    """Return the values in an OCTET STRING, if those and nothing else are in it."""
    try:
        found = read(content, depth + 1)
    except ValueError:
        return content
    return found if found and write(found) == content else content


def _lists(nodes: list[Node]) -> list[list[Node]]:
    """Return each row of siblings that is not empty."""
    rows = [each.content for root in nodes for each in root.walk() if isinstance(each.content, list) and each.content]
    return [nodes, *rows] if nodes else rows


def _row(nodes: list[Node], random: Random) -> list[Node]:
    return random.choice(_lists(nodes) or [nodes])


def _remove(nodes: list[Node], random: Random) -> None:
    row = _row(nodes, random)
    if row and row is not nodes:
        del row[random.randrange(len(row))]


def _double(nodes: list[Node], random: Random) -> None:
    row = _row(nodes, random)
    if row:
        row.insert(random.randint(0, len(row)), *read(write([random.choice(row)])))


def _graft(nodes: list[Node], random: Random) -> None:
    row, other = _row(nodes, random), _row(nodes, random)
    if row and other:
        row[random.randrange(len(row)) : random.randint(0, len(row))] = read(write([random.choice(other)]))


def _swap(nodes: list[Node], random: Random) -> None:
    row = _row(nodes, random)
    if len(row) > 1:
        here, there = random.sample(range(len(row)), 2)
        row[here], row[there] = row[there], row[here]


def _retag(nodes: list[Node], random: Random) -> None:
    row = _row(nodes, random)
    if row:
        node = random.choice(row)
        held, node.tag = node.octets, random.choice(TAGS)
        node.content = held
        if node.tag & CONSTRUCTED:
            try:
                node.content = read(held)
            except ValueError:
                node.tag &= ~CONSTRUCTED


def _revalue(nodes: list[Node], random: Random) -> None:
    leaves = [each for root in nodes for each in root.walk() if isinstance(each.content, bytes)]
    if leaves:
        leaf = random.choice(leaves)
        octets = bytearray(leaf.octets)
        if octets and random.random() < 0.5:
            octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)
            leaf.content = bytes(octets)
        else:
            leaf.content = random.choice((*VALUES, random.choice(leaves).octets))


_STEPS = (_remove, _double, _graft, _swap, _retag, _revalue, _revalue, _revalue)
