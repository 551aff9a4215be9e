"""The page that tests the report of anyone by the rules that its form publishes.

Reads the file that was sent, and no journal: no report of this hub is looked up. Keeps nothing.
"""

from collections.abc import Sequence

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import Visit
from hub.domain.errors import Rejected, describe_problem
from hub.formats.spool import Octets
from hub.language.catalogues import translate
from hub.operations.accounts.permissions import Permission
from hub.operations.turns import ReadingTurns
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.output import schematron, validating
from hub.report.output.validating import Verdict

#: The maximum rules of one report that the page lists. It always says how many do not hold.
MOST_LISTED = 200


@attrs.frozen(kw_only=True)
class JudgedFile:
    """What came of one file: a verdict, or why it has none."""

    verdict: Verdict | None = None
    rules: Sequence[str] = ()  #: the names below `/contracts/` of the files of the rules: Schematron, JSON Schema
    wrong: Sequence[str] = ()


async def judge_file(turns: ReadingTurns, asked: ConsoleRequest) -> JudgedFile:
    """Return what the rules of its form say of the uploaded file. A large report takes 4 s of one worker thread."""
    try:
        book = await turns.read_book()
        verdict = await turns.alone(_validate_upload, asked.file, book)
        return JudgedFile(verdict=verdict, rules=schematron.name_rule_files(verdict.form))
    except FormMissing as error:
        return JudgedFile(wrong=[translate(error.said, asked.language)])
    except Rejected as rejected:
        return JudgedFile(wrong=[describe_problem(each, asked.language) for each in rejected.problems])


def _validate_upload(file: Octets | None, book: Book) -> Verdict:
    return validating.validate_report(file.read() if file else b"", book.forms)


@console_page("GET", "/validate", right=Permission.SEE_REPORTS, template="validator")
def show_validator() -> PageAnswer:
    """Show the form for a file."""
    return _say_verdict(JudgedFile())


@console_page("POST", "/validate", right=Permission.SEE_REPORTS, template="validator")
async def validate_file(visit: Visit, turns: ReadingTurns) -> PageAnswer:
    """Test the file, and show what came of it."""
    return _say_verdict(await judge_file(turns, visit.asked))


def _say_verdict(judged: JudgedFile) -> PageValues:
    said = {**attrs.asdict(judged, recurse=False), "most": MOST_LISTED}
    return PageValues(said, 422 if judged.wrong else 200)
