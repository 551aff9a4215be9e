"""Takes a file that an official has signed, XML or PDF, from a page or from the API.

The file is verified in a worker thread, and accepted in one transaction. Of a refused file the SHA-256 and the reasons
are recorded. Contains no page and no HTTP.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

import attrs

from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem
from hub.operations.accounts.users import User
from hub.operations.reports import standing
from hub.operations.turns import ReadingTurns
from hub.report.signed import signed, signed_pdf
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.workload import submission
from hub.workload.submission import KeptRevision, SignedReturn

T = TypeVar("T")
#: Accepts a verified file: a step of a transaction.
AcceptStep = Callable[[Transaction], SignedReturn]


@attrs.frozen(kw_only=True)
class SignedUpload:
    """A file that was handed in for a report, and by whom."""

    user: User
    form: str
    unit: str
    period: str
    content: bytes
    now: datetime
    wanted: Callable[[], bool]  #: tells whether the caller still waits


@attrs.define(eq=False)
class SignedUploads:
    """Takes signed files for one node."""

    _journal: Journal
    _live: Live
    _turns: ReadingTurns

    async def take(
        self, upload: SignedUpload, accept: Callable[[AcceptStep, str], Awaitable[None]] | None = None
    ) -> str:
        """Record what an official has signed. Return the registry's code of the unit.

        *accept*: runs the step that accepts the file, in a transaction; it gets that code, too. Raises `Rejected`:
        `report-not-closed`, and as `accept_signed_report` and `accept_signed_pdf` do; `RequestRefused`.
        """
        found = await self._read(upload, standing.read_given_revision)
        if found is None:
            raise Rejected(Problem("report-not-closed"))
        kept, unit = found.kept, found.kept.said.report.total.unit
        try:
            step = await self._verify(upload, found)
            await (self._accept if accept is None else accept)(step, unit)
        except Rejected as rejected:
            sha256 = hashlib.sha256(upload.content).hexdigest()
            record = partial(submission.record_signature_refusal, by=upload.user.name, now=upload.now)
            await self._journal.admit(CONSOLE, record, kept, rejected, sha256)
            raise
        return unit

    async def _accept(self, step: AcceptStep, _unit: str) -> None:
        await self._journal.admit(CONSOLE, step)

    async def _verify(self, upload: SignedUpload, found: standing.GivenRevision) -> AcceptStep:
        """Verify the file, and return the step that accepts it. Raises `Rejected`."""
        province, by, now = self._live.province, upload.user.name, upload.now
        if upload.content.startswith(signed_pdf.BEGINS):
            kept, papers = await self._read_papers(upload)
            officials = self._live.config.officials
            if officials is None:
                raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
            said = await self._turns.alone(signed_pdf.verify_signed_pdf, papers, upload.content, officials.certificates)
            return lambda tx: submission.accept_signed_pdf(tx, province, kept, upload.content, said, by=by, now=now)
        one = None  # the drafter's document once more is recognised in the transaction
        if upload.content != found.octets or found.sha256 == found.kept.message.sha256:
            one = await self._turns.alone(signed.verify_official_signature, found.octets, upload.content)
        words = (province, found.kept, upload.content)
        return lambda tx: submission.accept_signed_report(tx, *words, by=by, now=now, found=one, over=found.sha256)

    async def _read_papers(self, upload: SignedUpload) -> tuple[KeptRevision, list[bytes]]:
        found = await self._read(upload, standing.write_signable_papers)
        if found is None:
            raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
        return found

    async def _read(self, upload: SignedUpload, step: Callable[..., T]) -> T:
        words = (upload.unit, upload.period, upload.now)
        return await self._turns.count_for(upload.user, upload.wanted, upload.form, step, *words)
