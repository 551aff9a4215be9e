"""What a command prints goes to a program that soon has enough, such as `head`."""

import os
import subprocess

import pytest

from hub.config import read_config
from hub.journal import messages
from hub.store import transactions
from tests import homes
from tests.province import ROUTES, document, entry
from tests.waiting import PATIENCE
from tests.warm import BIN

pytestmark = pytest.mark.slow

#: More than a pipe holds.
MANY = 400


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A hub with many messages."""
    made = homes.begin(tmp_path_factory.mktemp("pipes") / "tinh")
    engine = transactions.open_journal(read_config(made / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        for number in range(1, MANY):
            messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
    engine.dispose()
    return made


def begun(home, *words, **streams):
    command = [BIN / "lienthong", "-c", home / "hub.toml", *words]
    return subprocess.Popen(command, pipesize=4096, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams})


@pytest.mark.parametrize("words", [("messages", "--json"), ("messages",)], ids=" ".join)
def test_who_has_read_one_line_hears_nothing_more(home, words):
    with begun(home, *words) as running:
        assert running.stdout.readline()
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (141, b"")


VERBS = (
    ("messages", "--count"),
    ("show", "m1", "--raw"),
    ("trace", "m1", "--json"),
    ("units", "list", "--json"),
    ("report", "--facts", "--json"),
    ("--help",),
)


def test_whoever_reads_nothing_hears_nothing_whatever_is_asked(home):
    reader, writer = os.pipe()
    os.close(reader)
    running = {words: begun(home, *words, stdout=writer) for words in VERBS}
    os.close(writer)
    told = {words: one.communicate(timeout=PATIENCE)[1] for words, one in running.items()}
    ended = {words: (one.returncode, told[words]) for words, one in running.items()}
    assert ended == dict.fromkeys(VERBS, (141, b""))


def test_mistakes_that_nobody_reads_end_it_too(home):
    reader, writer = os.pipe()
    os.close(reader)
    running = begun(home, "show", "no-such-message", stderr=writer)
    os.close(writer)
    said, _ = running.communicate(timeout=PATIENCE)
    assert (running.returncode, said) == (141, b"")


def test_what_is_read_to_its_end_is_whole(home):
    running = begun(home, "messages", "--json")
    said, told = running.communicate(timeout=PATIENCE)
    assert (running.returncode, len(said.splitlines()), told) == (0, MANY - 1, b"")
