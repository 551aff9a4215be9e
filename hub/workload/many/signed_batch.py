"""Reads the signed reports of many units: files in folders and ZIPs, each with the unit whose report it is.

Bounds: `MOST` files, `LARGEST` octets of a file, `LARGEST_ZIP` of an archive, which is not opened inside another. The
files of an upload may unpack to `UNPACKED` octets together. Judges no signature: the unit is only what the file says.
"""

import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.formats import zip_reader
from hub.language.phrases import phrase
from hub.report.signed import signed_pdf
from hub.services import reports

#: Octets of a signed report (that of 989 units has about 3 MB), and of a ZIP; files at once.
LARGEST, LARGEST_ZIP, MOST = 64 * 1024 * 1024, 512 * 1024 * 1024, 5_000
#: Octets to which all files of an upload may unpack together: of 200 reports those of the largest units have 3 MB.
UNPACKED = 128 * 1024 * 1024
#: Begins each entry of the directory of a ZIP; the most of them, because all are held in memory.
_BEGINS, _ENTRY, _ENTRIES = b"PK", b"PK\x01\x02", 50_000


@attrs.frozen
class BatchFile:
    """A file that is taken in."""

    name: str  #: without its folder
    _read: Callable[[], bytes]
    size: int = 0  #: octets to which an entry of a ZIP unpacks, as the ZIP says; it never unpacks to more

    def read(self) -> bytes:
        """Return the content. Raises `Rejected` (`batch-file`) if it is too large or damaged."""
        content = self._read()
        if len(content) > LARGEST:
            raise Rejected(Problem("batch-file", phrase("it is larger than {count} octets", count=LARGEST)))
        return content


def list_files(paths: Sequence[Path]) -> list[BatchFile]:
    """Return the files at *paths*, those of folders and ZIPs included, in the order of their names. What begins with a
    dot is left out. At most `MOST`; of more, the last one says so when it is read.
    """
    found: list[BatchFile] = []
    for file in _walk_paths(paths):
        if len(found) == MOST:
            found[-1] = BatchFile("…", _make_refusing_reader(phrase("there are more than {count} files", count=MOST)))
            break
        found.append(file)
    return found


def list_uploaded_files(content: bytes) -> list[BatchFile]:
    """Return the files of an upload: those of a ZIP, else *content* itself, at most `MOST`. What is read of them together
    is at most `UNPACKED`, and one file more. Takes half a second for the most entries.
    """
    if content.startswith(_BEGINS):
        budget = _Unpacking(UNPACKED)
        return [
            BatchFile(each.name, partial(budget.read, each)) for each in islice(_open_zip("ZIP", lambda: content), MOST)
        ]
    return [BatchFile("", lambda: content)]


@attrs.define
class _Unpacking:
    """How much may still be unpacked of one upload. A few octets of a ZIP may unpack to a thousand times as many."""

    left: int

    def read(self, file: BatchFile) -> bytes:
        """Return the content of *file*. Raises `Rejected` (`batch-file`) if nothing more may be unpacked."""
        if self.left <= 0:
            raise Rejected(
                Problem("batch-file", phrase("all files together are larger than {count} octets", count=UNPACKED))
            )
        self.left -= min(file.size, LARGEST)  # also of one that turns out to be damaged, at its end
        return file.read()


def _walk_paths(paths: Sequence[Path]) -> Iterator[BatchFile]:
    for path in paths:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in files:
            if file.name.startswith("."):
                continue
            if file.suffix.lower() == ".zip":
                yield from _open_zip(file.name, partial(_read_file, file, LARGEST_ZIP))
            else:
                yield BatchFile(file.name, partial(_read_file, file, LARGEST))


def _read_file(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most + 1)


def _open_zip(name: str, read: Callable[[], bytes]) -> Iterator[BatchFile]:
    """Yield the files of an archive; one that says what is wrong, if it cannot be read."""
    content = read()
    if len(content) > LARGEST_ZIP:
        yield BatchFile(name, _make_refusing_reader(phrase("it is larger than {count} octets", count=LARGEST_ZIP)))
        return
    if content.count(_ENTRY) > _ENTRIES:
        yield BatchFile(name, _make_refusing_reader(phrase("there are more than {count} files", count=_ENTRIES)))
        return
    try:
        packed = zip_reader.open_archive(content)
    except zip_reader.Damaged as damaged:
        yield BatchFile(name, _make_refusing_reader(phrase("it is no ZIP: {error}", error=str(damaged)[:200])))
        return
    for entry in packed.infolist():
        plain = Path(entry.filename).name
        if not entry.is_dir() and plain and not plain.startswith("."):
            yield BatchFile(plain, partial(_read_entry, packed, entry), entry.file_size)


def _read_entry(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return zip_reader.read_zip_entry(packed, entry, LARGEST)
    except zip_reader.Damaged as damaged:
        raise Rejected(
            Problem("batch-file", phrase("it cannot be unpacked: {error}", error=str(damaged)[:200]))
        ) from None


def _make_refusing_reader(why: object) -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise Rejected(Problem("batch-file", why))  # type: ignore[arg-type]

    return refuse


def find_unit(name: str, content: bytes, form: str, period: str, units: Collection[str]) -> str:
    """Return the unit whose report of *form* and *period* the file is: as the XML says; of a PDF, as its *name* begins,
    `FORM_UNIT_PERIOD`. Raises `Rejected`: `batch-file` if it is of no unit of *units*, and as `read_report_address` does.
    """
    if content.startswith(signed_pdf.BEGINS):
        fitting = [unit for unit in units if name.startswith(f"{form}_{unit}_{period}")]
        if not fitting:
            wanted = phrase("name the PDF {form}_UNIT_{period}.pdf", form=form, period=period)
            raise Rejected(Problem("batch-file", wanted))
        return max(fitting, key=len)
    said_form, unit, said_period, _ = reports.read_report_address(content)
    if (said_form, said_period) != (form, period) or unit not in units:
        other = phrase("it is {form} {unit} {period}", form=said_form, unit=unit, period=said_period)
        raise Rejected(Problem("batch-file", other))
    return unit
