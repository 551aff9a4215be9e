"""The page of the API says what the table says, in both languages."""

import pytest

from hub.api.problems import PROBLEMS
from hub.api.table import OPERATIONS
from hub.language.catalogues import translate
from hub.language.languages import Language
from tests.pages import DOCS, quoted, rows


@pytest.mark.parametrize(
    ("page", "language"), [("reference/api.md", Language.EN), ("vi/reference/api.md", Language.VI)]
)
def test_the_page_names_every_operation_and_every_problem(page, language):
    text = (DOCS / page).read_text("utf-8")
    said = [row for row in rows(text) if quoted(row[0])]
    operations = [
        [f"{each.method} {each.path}", each.name, *map(str, each.scopes), translate(each.about, language)]
        for each in OPERATIONS
    ]
    problems = [
        [code, str(kind.status), f"{translate(kind.title, language)}. {translate(kind.do, language)}"]
        for code, kind in PROBLEMS.items()
    ]
    assert [
        [*quoted(row[0]), *quoted(row[1]), *quoted(row[2]), row[3]] if len(row) == 4 else [*quoted(row[0]), *row[1:]]
        for row in said
    ] == operations + problems
