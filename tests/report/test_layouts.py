"""Layouts of workbooks as data: what their files may say, and every mistake in them."""

from pathlib import Path

import pytest

from hub.domain.errors import ConfigurationFault
from hub.report.form.book import read_shipped_book
from hub.report.form.layout import FOLDER, read_layout_folder, read_layout_toml

BOOK = read_shipped_book()
GOOD = (FOLDER / "ii06a.toml").read_text("utf-8")


def wrong(text):
    with pytest.raises(ConfigurationFault) as caught:
        read_layout_toml(text.encode(), "x.toml", BOOK.forms)
    return [f"{each.path} {each.wrong}" for each in caught.value.mistakes]


def test_every_heading_of_a_layout_is_that_of_its_own_column_and_of_no_other():
    for layout in BOOK.layouts:
        for column in layout.columns:
            above = " ".join(" ".join(each) for each in column.words[:1])
            assert layout.find_column(above) == (column,), (layout.id, column.column)


def test_every_mistake_of_a_layout_is_told_at_once():
    text = GOOD.replace('column = "received"', 'column = "recieved"').replace('id = "ii06a"', 'id = "II"', 1)
    text = text.replace('heading = ["Số hồ sơ tiếp nhận", "Từ kỳ trước"]', "heading = []").replace(
        "[paper]", "[paper]\nlogo = 1"
    )
    found = wrong(text)
    assert found == [
        "x.toml: id is 'II'",
        "x.toml: column[3].heading has no text, or too many",
        "x.toml: column[3].words has an empty list",
        "x.toml: paper.logo is not a word of this table",
        "x.toml: column[0].column is not a column of the form",
    ]
    assert wrong("form = ") == ["x.toml Invalid value (at end of document)"]
    assert "x.toml: form is not a form" in wrong('form = "x"')


def test_a_provinces_layout_replaces_that_of_the_hub_with_the_same_id(tmp_path: Path):
    (tmp_path / "a.toml").write_text(GOOD.replace('"STT", ', '"Số", '), "utf-8")
    found = {each.id: each for each in read_layout_folder(BOOK.forms, own=tmp_path)}
    assert found["ii06a"].number == ("so", "tt", "so tt")
    assert found.keys() == {each.id for each in BOOK.layouts}
    (tmp_path / "b.toml").write_text("x = 1", "utf-8")
    with pytest.raises(ConfigurationFault):
        read_layout_folder(BOOK.forms, own=tmp_path)
