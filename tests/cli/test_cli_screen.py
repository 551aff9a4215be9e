"""A table on a terminal: what is too wide is broken within its column, so that columns stay below their titles."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cli.screen import Screen, fit_columns
from tests import homes

ROWS = [
    {"id": "01a22273-79a3-7ec8-b1a1-9fe74dc2c7a7", "subject": "Về việc triển khai chuyển đổi số", "state": "chờ"},
    {"id": "01a22273-79a3-7ec8-b1a1-9fe74dc2c7a8", "subject": "Họp", "state": "lỗi"},
]
TITLES = {"id": "mã", "subject": "trích yếu", "state": "trạng thái"}


def show(monkeypatch, capsys, columns, terminal=True):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
    assert Screen().table(TITLES, ROWS) == 2
    return click.unstyle(capsys.readouterr().out).splitlines()


def test_a_wide_text_is_broken_within_its_column(monkeypatch, capsys):
    lines = show(monkeypatch, capsys, 70)
    assert max(map(len, lines)) <= 70
    assert [line.split()[0] for line in lines if line.startswith("01a2")] == [row["id"] for row in ROWS], "whole ids"
    assert [line[38:57].strip() for line in lines] == ["trích yếu", "Về việc triển khai", "chuyển đổi số", "Họp"]


def test_a_file_and_a_terminal_too_narrow_for_any_break_get_whole_lines(monkeypatch, capsys):
    whole = show(monkeypatch, capsys, 70, terminal=False)
    assert len(whole) == 3
    assert show(monkeypatch, capsys, 20) == whole


def test_a_time_is_that_of_a_clock_in_ha_noi(capsys):
    Screen().table({"at": "lúc"}, [{"at": datetime(2026, 11, 28, 17, 4, 5, tzinfo=UTC)}])
    assert capsys.readouterr().out.splitlines()[1] == "29/11/2026 00:04:05"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8), st.integers(0, 300))
def test_columns_keep_their_longest_words_and_take_no_more_than_there_is(pairs, room):
    widths, words = [max(pair) for pair in pairs], [min(pair) for pair in pairs]
    found = fit_columns(widths, words, room)
    assert all(word <= width <= before for word, width, before in zip(words, found, widths, strict=True))
    taken = sum(found) + 2 * (len(found) - 1)
    if sum(words) + 2 * (len(found) - 1) <= room:
        assert taken <= room
        assert found == widths or taken == room, "nothing is given away"
    else:
        assert found == widths


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "0193", "--json"), 4, "no message has the id 0193"),
        (("--json", "partners", "show", "nobody"), 4, "there is no partner nobody"),
        (("messages", "--nonsense", "--json"), 2, "No such option"),
        (("nonsense", "--json"), 2, "No such command 'nonsense'"),
        (("--nonsense", "--json"), 2, "No such option"),
        (("status", "--json"), 69, ""),
        (("messages", "--json"), 0, ""),
    ],
)
def test_under_json_an_error_is_one_object_on_standard_error(tmp_path, words, code, said):
    home = homes.begin(tmp_path / "tinh")
    done = homes.typing(home)(*words)
    assert done.exit_code == code, done.output
    if not said:
        return
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["exit_code"]) == ("error", code)
    assert said in told["error"]
    assert homes.typing(home)(*(each for each in words if each != "--json")).stderr.rstrip().endswith(told["error"])
