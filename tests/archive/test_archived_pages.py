"""The pages of a message whose rows are gone, and what programs read of it, are as before; a file that is away is named."""

import pytest

from hub.edxml.sample import make_sample_packet
from hub.operations.accounts.permissions import Role
from tests.api_callers import Program
from tests.archiving import forgotten, live
from tests.console_town import Browser, done
from tests.province import NOW


def sample(number: int) -> bytes:
    return make_sample_packet("H55.13", "H55.01", f"V/v kết nối {number}", NOW.date())


@pytest.fixture
def emptied(town, tmp_path):
    """A town that has let two messages go; the ids of these, and the file."""
    town.archive = tmp_path / "archive"
    ids = live(town.engine, 2, content=sample)
    return ids, forgotten(town.engine, town.archive).path


def operator(town) -> Browser:
    town.add("op", role=Role.OPERATOR)
    browser = Browser(town, languages="en")
    browser.sign_in("op")
    return browser


def poured(answer) -> bytes:
    async def gather() -> bytes:
        return b"".join([piece async for piece in answer.parts])

    content: bytes = done(gather())
    return content


def test_the_page_of_a_message_is_as_before_and_says_where_it_is_read(town, emptied):
    (message, _), path = emptied
    browser = operator(town)
    assert browser.get(f"/messages/{message}").status == 200
    for text in ("V/v kết nối", "delivered", "attempt 1", path.name, "accepted into the journal"):
        assert text in browser.page
    assert browser.get(f"/messages/{message}/packet").status == 200
    assert "V/v kết nối 0" in browser.page
    answer = browser.get(f"/messages/{message}/content")
    assert poured(answer) == sample(0)
    answer = browser.get(f"/messages/{message}/attachments/1")
    assert answer.content == b"Noi dung van ban\n"
    browser.get(f"/messages/{message}")
    (attempt, *_) = [link for link in browser.links() if "/attempts/" in link]
    assert browser.get(attempt).status == 200
    assert "&lt;answer/&gt;" in browser.page
    assert [each["content"] for each in town.told("content-opened")] == ["packet", "bytes", "attachment", "reply"]
    assert browser.get(f"/messages/{message}/receipt").status == 200
    assert browser.get(f"/messages/{message}/compare/{emptied[0][1]}").status == 200


def test_a_file_that_is_away_is_named_on_the_page_and_its_content_is_not_there(town, emptied):
    (message, _), path = emptied
    path.rename(path.with_suffix(".away"))
    browser = operator(town)
    assert browser.get(f"/messages/{message}").status == 200
    assert path.name in browser.page
    assert "not there" in browser.page
    for rest in ("content", "packet", "attachments/1"):
        assert browser.get(f"/messages/{message}/{rest}").status == 404


def test_programs_read_it_too(town, emptied):
    (message, _), path = emptied
    program = Program(town)
    program.get(f"/messages/{message}")
    found = program.said
    assert (found["content"], found["archives"], found["absent"]) == (True, [path.name], None)
    assert len(found["attempts"]) == 2
    assert poured(program.get(f"/messages/{message}/content")) == sample(0)
    program.get(f"/messages/{message}/events")
    assert program.said["items"][0]["event"] == "message-accepted"
    path.rename(path.with_suffix(".away"))
    program.get(f"/messages/{message}")
    assert (program.said["content"], program.said["absent"]) == (False, path.name)


def test_who_may_not_see_it_does_not_see_it_in_the_file_either(town, emptied):
    (message, _), _ = emptied
    town.add("other", "H55.30", role=Role.READER)
    browser = Browser(town, languages="en")
    browser.sign_in("other")
    assert browser.get(f"/messages/{message}").status == 404
