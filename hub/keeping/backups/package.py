"""Writes and reads the file of a backup: `tar`, `gzip`, `age`. Knows the members, not what a journal is.

    age -d -i KEY FILE | tar xzf -     shows the same with the programs of any machine

The first member is the manifest, the second the hub's signature over it (CMS, detached, DER), then come those that the
manifest names, in its order. Whoever reads checks the signature before anything is written, and then each member
against the manifest. Nothing is held in memory as a whole.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Self, cast

import attrs
from cryptography import x509

from hub.keeping.backups.manifest import MANIFEST, SIGNATURE, BackupManifest, ManifestUnreadable, MemberEntry
from hub.language.phrases import Phrase, phrase
from hub.security import age_files, cms
from hub.security.age_files import PrivateKey, Recipient, Undecryptable
from hub.security.algorithms import Unverified
from hub.security.certificates import Signer

#: Octets read at once, and the largest manifest that is read.
_PIECE, _LARGEST_MANIFEST = 1 << 20, 32 << 20
#: Octets that headers may take between two members, and what fills up the end: `tarfile` holds a header in memory.
_BETWEEN = 256 << 10


class BackupUnfit(Exception):
    """A backup cannot be used. The argument says why."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


@attrs.frozen
class Written:
    """The file of a backup that was written."""

    octets: int
    sha256: str


def describe_member(name: str, file: Path, tell: Callable[[int], None] = lambda _count: None) -> MemberEntry:
    """Return the entry of *file* for a manifest. *tell* is called with the number of octets read at once."""
    hashed, size = hashlib.sha256(), 0
    with file.open("rb") as octets:
        while piece := octets.read(_PIECE):
            hashed.update(piece)
            size += len(piece)
            tell(len(piece))
    return MemberEntry(name, size, hashed.hexdigest())


def write_package(
    to: Path,
    manifest: BackupManifest,
    files: Iterable[Path],
    signer: Signer,
    recipients: Collection[Recipient],
    at: datetime,
    tell: Callable[[int], None] = lambda _count: None,
) -> Written:
    """Write *manifest* and *files*, in the order of its members, to the new file *to*, and sync it.

    Raises OSError, Unready if the hub's key cannot be used now, and BackupUnfit if a file changed meanwhile.
    """
    signature = cms.sign_cms(octets := manifest.write(), signer, at)

    def fill(pipe: BinaryIO) -> None:
        with (
            gzip.GzipFile(fileobj=pipe, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, content in ((MANIFEST, octets), (SIGNATURE, signature)):
                tar.addfile(_make_tar_entry(name, len(content), at), BytesIO(content))
            for said, file in zip(manifest.members, files, strict=True):
                with file.open("rb") as source:
                    reader = _Hashed(source, tell)
                    tar.addfile(_make_tar_entry(said.name, said.octets, at), cast("BinaryIO", reader))
                    if reader.sha256 != said.sha256:
                        raise BackupUnfit(phrase("{name} changed while it was backed up", name=said.name))

    file = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(file, "wb") as target:
        counted = _Counted(target)
        _pass_on(fill, lambda pipe: age_files.encrypt_stream(pipe, cast("BinaryIO", counted), recipients))
        target.flush()
        os.fsync(target.fileno())
    return Written(counted.octets, counted.hashed.hexdigest())


def read_package(
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    choose: Callable[[BackupManifest], Callable[[MemberEntry], Path | None]],
    tell: Callable[[int], None] = lambda _count: None,
) -> BackupManifest:
    """Read all of *file*, check it, and return its manifest.

    *signers* are the certificates one of which must have signed it. *choose* is called once the manifest is verified;
    what it returns says where each member is written, as a new file, or None: it is only checked. Raises BackupUnfit,
    OSError.
    """
    found: list[BackupManifest] = []

    def empty(pipe: BinaryIO) -> None:
        try:
            with gzip.GzipFile(fileobj=pipe, mode="rb") as packed, _TarReader.open(cast("BinaryIO", packed)) as tar:
                found.append(_read_members(tar, signers, choose, tell))
                tar.end()
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
            # ValueError: `tarfile` lets through what a value in a header causes
            raise BackupUnfit(phrase("it is no backup of a hub: {error}", error=str(error))) from None

    with file.open("rb") as source:
        try:
            _pass_on(lambda pipe: age_files.decrypt_stream(source, pipe, keys), empty)
        except Undecryptable as error:
            raise BackupUnfit(phrase("it cannot be decrypted: {error}", error=str(error))) from None
    return found[0]


@attrs.define
class _TarReader:
    """Reads the members of a tar one after another. Raises BackupUnfit for one whose headers would fill the memory.

    Whoever has the public key can write a backup, so until its signature is verified anything may stand there.
    """

    _packed: BinaryIO
    _tar: tarfile.TarFile = attrs.field(init=False)
    _left: int = attrs.field(
        default=_BETWEEN, init=False
    )  #: octets that may be read before the next member is asked for

    @classmethod
    @contextmanager
    def open(cls, packed: BinaryIO) -> Generator[Self]:
        """Open the tar in *packed*."""
        reader = cls(packed)
        with tarfile.open(fileobj=cast("BinaryIO", reader), mode="r|") as tar:
            reader._tar = tar
            yield reader

    def read(self, size: int) -> bytes:
        """Read for `tarfile`."""
        piece = self._packed.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise BackupUnfit(phrase("it is no backup of a hub: {error}", error="too many octets between two members"))
        return piece

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member; None: there is none."""
        self._left = _BETWEEN
        return self._tar.next()

    def open_member(self, entry: tarfile.TarInfo) -> BinaryIO:
        """Return the octets of the member *entry*, which was the last."""
        self._left = entry.size + _BETWEEN
        source = self._tar.extractfile(entry)
        assert source is not None
        return cast("BinaryIO", source)

    def end(self) -> None:
        """Read the end of the file, so that it is checked, too."""
        self._left = _BETWEEN
        while self.read(_PIECE):
            pass


def _read_members(
    tar: _TarReader,
    signers: Sequence[x509.Certificate],
    choose: Callable[[BackupManifest], Callable[[MemberEntry], Path | None]],
    tell: Callable[[int], None],
) -> BackupManifest:
    octets, signature = (_read_small(tar, name) for name in (MANIFEST, SIGNATURE))
    try:
        cms.verify_cms(signature, signers, octets)
        manifest = BackupManifest.read(octets)
    except Unverified as error:
        unfit = phrase(
            "the hub's signature does not fit: {error}; if its key was changed since, --signer names the old certificate",
            error=str(error),
        )
        raise BackupUnfit(unfit) from None
    except ManifestUnreadable as error:
        raise BackupUnfit(phrase("its manifest cannot be read: {error}", error=str(error))) from None
    place = choose(manifest)
    for said in manifest.members:
        entry = tar.next()
        if entry is None or not entry.isreg() or (entry.name, entry.size) != (said.name, said.octets):
            raise BackupUnfit(phrase("the member {name} is missing", name=said.name))
        _write_member(tar.open_member(entry), said, place(said), tell)
    if (more := tar.next()) is not None:
        raise BackupUnfit(phrase("the member {name} is not in its manifest", name=more.name))
    return manifest


def _read_small(tar: _TarReader, name: str) -> bytes:
    entry = tar.next()
    if entry is None or entry.name != name or not entry.isreg() or entry.size > _LARGEST_MANIFEST:
        raise BackupUnfit(phrase("the member {name} is missing", name=name))
    return tar.open_member(entry).read()


def _write_member(source: BinaryIO, said: MemberEntry, to: Path | None, tell: Callable[[int], None]) -> None:
    reader = _Hashed(source, tell)
    if to is None:
        while reader.read(_PIECE):
            pass
    else:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as target:
            while piece := reader.read(_PIECE):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    if reader.sha256 != said.sha256:
        raise BackupUnfit(phrase("the member {name} was changed", name=said.name))


def _make_tar_entry(name: str, octets: int, at: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = octets, 0o600, int(at.timestamp())
    return entry


@attrs.define
class _Hashed:
    """Reads a stream and hashes what was read."""

    _source: BinaryIO
    _tell: Callable[[int], None]
    _hashed: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self._hashed.update(piece)
        self._tell(len(piece))
        return piece

    @property
    def sha256(self) -> str:
        return self._hashed.hexdigest()


@attrs.define
class _Counted:
    """Writes a stream, counts and hashes it."""

    _target: BinaryIO
    octets: int = 0
    hashed: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)

    def write(self, piece: bytes) -> int:
        self.hashed.update(piece)
        self.octets += len(piece)
        return self._target.write(piece)

    def flush(self) -> None:
        self._target.flush()


def _pass_on(fill: Callable[[BinaryIO], None], empty: Callable[[BinaryIO], None]) -> None:
    """Run *fill* in a thread of its own and *empty* in this one, with a pipe between. Raise the first error of both."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=_PIECE) as pipe:
                fill(pipe)
        except BaseException as error:  # noqa: BLE001 - raised again by the other thread
            failed.append(error)

    thread = Thread(target=run, name="backup pipe", daemon=True)
    thread.start()
    ended: Exception | None = None
    with os.fdopen(reading, "rb", buffering=_PIECE) as pipe:
        try:
            empty(pipe)
        except Exception as error:  # noqa: BLE001 - raised again below, unless the other side failed first
            ended = error
    thread.join()
    # a side that stopped early breaks the pipe of the other: that error is only a consequence
    first = [each for each in failed if not isinstance(each, BrokenPipeError)]
    with suppress(IndexError):
        raise first[0]
    if ended is not None:
        raise ended
    if failed:
        raise failed[0]
