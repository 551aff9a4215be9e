"""Tries a backup: restores it into a folder of its own and checks the journal. Changes no journal that is in use."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa
from cryptography import x509

from hub.backup import package
from hub.backup.manifest import HOME, BackupManifest, MemberEntry
from hub.backup.package import BackupUnfit
from hub.journal import events
from hub.journal.upkeep import integrity
from hub.language.phrases import Phrase, phrase, verbatim
from hub.security.age_files import PrivateKey
from hub.store import transactions
from hub.store.tables import message

Tell = Callable[[str, int], None]


@attrs.frozen
class JournalState:
    """What a journal contains, in short."""

    number: int  #: of the last numbered event
    hash: str
    last: str | None  #: time of the last event
    messages: int
    schema: str


def read_journal_state(tx: transactions.Transaction) -> JournalState:
    """Return the state of a journal."""
    number, head = events.read_chain_head(tx)
    messages = tx.scalar(sa.select(sa.func.count()).select_from(message)) or 0
    schema = transactions.select_schema_version(tx) or ""
    return JournalState(number, head, events.read_last_event_time(tx), messages, schema)


def open_copy(file: Path) -> sa.Engine:
    """Return an engine for a SQLite file that is a copy. The store's own engine would make it two files, by WAL."""
    return sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)


def try_backup(
    file: Path, keys: Sequence[PrivateKey], signers: Sequence[x509.Certificate], work: Path, tell: Tell
) -> BackupManifest:
    """Decrypt the backup *file*, restore it into the empty folder *work*, check it, and return its manifest.

    Checked are the signature, each member's SHA-256, the database's structure, the hash chain, the octets of each
    message, and that the journal is in the state that the manifest says. Raises BackupUnfit, OSError.
    """

    def choose(manifest: BackupManifest) -> Callable[[MemberEntry], Path | None]:
        return lambda said: None if said.name.startswith(HOME) else work / said.name

    manifest = package.read_package(file, keys, signers, choose, lambda count: tell("restoring", count))
    for problem in find_problems(manifest, work, tell):
        raise BackupUnfit(problem)
    return manifest


def find_problems(manifest: BackupManifest, work: Path, tell: Tell) -> Iterator[Phrase]:
    """Yield what is wrong with the journal that was restored from a backup into *work*."""
    engine = open_copy(work / manifest.journal.name)
    try:
        with engine.connect() as tx:
            yield from find_journal_damage(tx, lambda count: tell("verifying", count))
            yield from find_difference(manifest, read_journal_state(tx))
    except sa.exc.DBAPIError as error:
        yield verbatim(error.orig)
    finally:
        engine.dispose()


def find_journal_damage(tx: Any, tell: Callable[[int], None]) -> Iterator[Phrase]:
    """Yield each damage of a journal: of its file, of the hash chain, of the octets of messages."""
    found = integrity.find_file_damage(tx)
    yield from found
    if found:
        return  # the later checks would read damaged pages
    yield from integrity.find_chain_damage(tx)
    done = 0

    def step(read: int) -> None:
        nonlocal done
        tell(read - done)
        done = read

    yield from integrity.find_content_damage(tx, step)


def find_difference(manifest: BackupManifest, state: JournalState) -> Iterator[Phrase]:
    """Yield the difference between a restored journal and its manifest."""
    said = JournalState(manifest.number, manifest.hash, manifest.last, manifest.messages, manifest.schema)
    if state != said:
        yield phrase("the restored journal is another one: {state}, not {said}", state=str(state), said=str(said))
