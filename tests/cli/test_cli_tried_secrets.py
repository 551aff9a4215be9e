"""`lienthong check --connect`: what an operator is told of the secrets.  The calls over the network are tests/process's."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import adapters.ngsp
from hub.cli import lienthong
from hub.cli.partner import tried_secrets
from hub.domain.conversations import Reply, Request
from hub.runtime.http_client import Unreachable
from tests import homes

SECRET, WORDS = "khoa-bi-mat", "loi-cua-doi-tac"
PARTNER = """
adapter = "{adapter}"
receive = "push"
calls = []
url = "http://127.0.0.1:{port}/api"
policy = {{transport = "plain"}}
settings = {{{settings}}}
"""
NGSP = 'token-url = "http://u:p@127.0.0.1:{port}/token?k=1", client-id-file = "id", client-secret-file = "secret"'
TAKEN = Reply(200, b'{"access_token": "a"}', {})
REFUSED = Reply(401, json.dumps({"error": "invalid_client", "error_description": WORDS}).encode(), {})
Play = Callable[..., Result]


@pytest.fixture
def port() -> Iterator[int]:
    """Listens, so that a connection succeeds, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def home(tmp_path: Path, port: int) -> Path:
    home = homes.begin(tmp_path / "tinh")
    for each in (home / "partners").glob("*.toml"):
        kept = [line for line in each.read_text().splitlines() if not line.startswith("url")]
        each.write_text("\n".join(kept).replace('receive = "push"', 'receive = "fetch"'))
    return home


def add(home: Path, code: str, adapter: str, settings: str, port: int) -> None:
    folder = home / "secrets" / code
    folder.mkdir(parents=True)
    for name in ("id", "secret"):
        (folder / name).write_text(SECRET)
        (folder / name).chmod(0o600)
    text = PARTNER.format(adapter=adapter, port=port, settings=settings.format(port=port))
    (home / f"partners/{code}.toml").write_text(text)


@pytest.fixture
def play(home: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs `check --connect` where each partner answers as told."""

    def run(replies: dict[str, list[Reply] | Exception], *words: str) -> Result:
        def end(code: str, talk: Any) -> object:
            said = replies[code]
            try:
                next(talk)
                if isinstance(said, Exception):
                    return said
                for reply in said:
                    talk.send(reply)
            except StopIteration as ended:
                return ended.value
            except Exception as error:  # noqa: BLE001 - as `hold_conversations` does
                return error
            pytest.fail("it wants more replies")

        monkeypatch.setattr(
            tried_secrets, "hold_conversations", lambda _config, talks: [end(who.code, talk) for who, talk in talks]
        )
        return CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(
            lienthong, ["-c", str(home / "hub.toml"), "check", "--connect", *words]
        )

    return run


def test_a_secret_that_is_taken_is_said(home: Path, port: int, play: Play) -> None:
    add(home, "ngsp", "ngsp", NGSP, port)
    done = play({"ngsp": [TAKEN]})
    assert "ngsp: the partner takes the secret" in done.stdout, done.output
    (row,) = [each for each in rows(play({"ngsp": [TAKEN]}, "--json")) if each["kind"] == "secret"]
    assert (row["partner"], row["tried"]) == ("ngsp", True)


def test_a_refused_secret_is_a_mistake_at_its_keys_and_nothing_of_it_is_shown(
    home: Path, port: int, play: Play
) -> None:
    add(home, "ngsp", "ngsp", NGSP, port)
    for words in ((), ("--json",)):
        done = play({"ngsp": [REFUSED]}, *words)
        assert done.exit_code == 78
        assert "partners/ngsp.toml: settings.client-id-file, settings.client-secret-file" in done.stderr
        assert f"http://127.0.0.1:{port}: the partner refuses the secret" in done.stderr
        for hidden in (SECRET, WORDS, "u:p", "k=1"):
            assert hidden not in done.output


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Unreachable(f"{SECRET} {WORDS}"), "no answer that can be used"),
        ([Reply(503, WORDS.encode(), {})], "no answer that can be used: 503"),
        ([Reply(200, WORDS.encode(), {})], "no answer that can be used: 200"),
        (ZeroDivisionError(WORDS), "the adapter ngsp broke: ZeroDivisionError"),
    ],
)
def test_no_answer_is_no_refusal(home: Path, port: int, play: Play, answer: Any, said: str) -> None:
    add(home, "ngsp", "ngsp", NGSP, port)
    done = play({"ngsp": answer})
    assert done.exit_code == 69
    assert said in done.stderr
    assert SECRET not in done.output
    assert WORDS not in done.output


def test_one_partner_does_not_hide_another_and_who_cannot_be_asked_is_told(home: Path, port: int, play: Play) -> None:
    add(home, "ngsp", "ngsp", NGSP, port)
    add(home, "truc", "ngsp", NGSP, port)
    add(home, "edoc", "bkav", 'organ = "000.00.00.H55", token-file = "secret"', port)
    add(home, "xa", "vxp", 'system-id = "00.55.W00", secret-file = "secret"', 9)  # nothing listens: not asked
    done = play({"ngsp": [REFUSED], "truc": [TAKEN]})
    assert done.exit_code == 78
    assert "partners/ngsp.toml: settings.client-id-file" in done.stderr
    assert "truc: the partner takes the secret" in done.stdout
    assert "edoc: the secret was not tried: the adapter bkav has no question that changes nothing" in done.stdout
    assert "xa: the secret" not in done.output


def test_no_more_than_four_requests_are_made(home: Path, port: int, play: Play, monkeypatch: Any) -> None:
    add(home, "ngsp", "ngsp", NGSP, port)
    asked = list[int]()

    def endless(_self: Any, _now: Any) -> Any:
        while True:
            asked.append(1)
            yield Request("http://127.0.0.1/", b"")

    monkeypatch.setattr(adapters.ngsp.NGSP, "_token", endless)
    done = play({"ngsp": [TAKEN] * 4})
    assert done.exit_code == 69
    assert len(asked) == 5  # the fifth was not sent


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]
