"""An operation is defined once: a command, an address of the API, its document and the completion of the shell follow."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import attrs
import pytest
from click.shell_completion import ShellComplete

from hub.api import table
from hub.api.openapi import make_openapi
from hub.cli import lienthong
from hub.language.languages import Language
from hub.language.phrases import Phrase, verbatim
from hub.operations.accounts import token_operations, tokens
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.operation import (
    CommandWords,
    HubOperation,
    OperationCall,
    Option,
    Step,
    Subject,
    hide_secrets,
    list_fields,
)
from hub.store.transactions import Transaction
from tests import api_callers, homes
from tests.api_callers import Program
from tests.console_town import Town
from tests.golden.faces import describe_help
from tests.province import NOW
from tests.release import manuals


@attrs.frozen(kw_only=True)
class Question:
    """What is asked about a token."""

    asked = True
    role: Annotated[Role, verbatim("the role that it should fit"), Option(verbatim("The role that it should fit."))]
    units: Annotated[tuple[str, ...], Option(verbatim("A unit that it should see."))] = ()
    least: Annotated[int, Option(verbatim("Scopes that it has at least."), least=0)] = 1


@attrs.frozen(kw_only=True)
class Verdict:
    """Whether a token fits."""

    name: str
    fits: bool


def judge(call: OperationCall) -> Step:
    """Return the step that tells whether a token has what a role may do."""

    def step(tx: Transaction) -> Verdict:
        found = next((each for each in tokens.list_tokens(tx) if each.name == call.subject), None)
        if found is None:
            raise AccountRefused("token-unknown", verbatim(f"no {call.subject}"))
        has = len(found.scopes) >= call.asked.least and set(call.asked.units) <= set(found.units)
        return Verdict(name=found.name, fits=has and call.asked.role is Role.ENGINEER)

    return step


JUDGE = HubOperation(
    name="judgeToken",
    about=verbatim("Tell whether a token fits a role."),
    rights=(Permission.MANAGE_USERS,),
    whole=True,
    subject=Subject("name", verbatim("name of the token")),
    takes=Question,
    answers=Verdict,
    does=f"{__name__}:judge",
    event="token-judged",
    address="/tokens/{name}/judge",
    command=CommandWords(
        name="judge",
        about=verbatim("Tell whether a token fits a role."),
        examples=("lienthong tokens judge kho --role engineer",),
        write_row=attrs.asdict,
        said=Phrase("Judged {name}."),
    ),
)


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operation above stands in the file of its topic."""
    topic = token_operations.TOPIC
    topic = attrs.evolve(topic, operations=(*topic.operations, JUDGE))
    monkeypatch.setattr(token_operations, "TOPIC", topic)
    monkeypatch.setattr(table, "OPERATIONS", table.list_operations())


def test_an_operation_of_one_file_is_a_command_with_help_options_and_json(tmp_path: Path) -> None:
    type_ = homes.typing(homes.begin(tmp_path / "tinh"), "tokens")
    assert "judge   Tell whether a token fits a role." in type_("--help").stdout
    said = type_("judge", "--help").stdout
    for each in ("judge [OPTIONS] NAME", "--unit TEXT", "[required]", "lienthong tokens judge kho --role engineer"):
        assert each in said, each
    assert type_("judge", "kho", "--role", "engineer").exit_code == 4
    assert type_("judge", "kho").exit_code == 2
    assert type_("judge", "kho", "--role", "king").exit_code == 2
    assert type_("judge", "kho", "--role", "engineer", "--least", "-1").exit_code == 2
    type_("add", "kho", "--scope", "replay", "--unit", "H55.13")
    fits = type_("judge", "kho", "--role", "engineer", "--unit", "H55.13", "--json")
    assert json.loads(fits.stdout) == {"name": "kho", "fits": True}
    assert json.loads(type_("judge", "kho", "--role", "engineer", "--least", "2", "--json").stdout)["fits"] is False


def test_it_is_an_address_of_the_api_with_its_right_and_its_problems(town: Town) -> None:
    program = Program(town, name="kho")
    asked = {"body": b'{"role": "engineer"}', "content_type": "application/json"}
    assert [each.name for each in table.OPERATIONS].count("judgeToken") == 1
    found, named = table.find_operations(("tokens", "kho", "judge"))["POST"]
    assert (found.scopes, found.whole, named) == ((Permission.MANAGE_USERS,), True, {"name": "kho"})
    few = Program(town, "see-events")
    assert _send(few, "kho", **asked) == (403, "scope-missing")
    assert _send(program, "none", **asked) == (404, "not-found")
    assert _send(program, "kho", body=b"{}", content_type="application/json") == (400, "body-wrong")
    assert _send(program, "kho", **asked) == (200, "")
    assert program.said == {"name": "kho", "fits": True}


def _send(program: Program, name: str, **said: object) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_callers, "DOCUMENT", make_openapi(Language.EN, table.OPERATIONS))
        api_callers._validator.cache_clear()
        answer = program.send("POST", f"/tokens/{name}/judge", **said)
    api_callers._validator.cache_clear()
    return answer.status, program.said.get("code", "")


def test_it_stands_in_the_document_of_the_api() -> None:
    document = make_openapi(Language.EN, table.OPERATIONS)
    said = document["paths"]["/tokens/{name}/judge"]["post"]
    assert (said["operationId"], said["x-scopes"], said["tags"]) == ("judgeToken", ["manage-users"], ["tokens"])
    assert said["parameters"][0]["name"] == "name"
    asked = document["components"]["schemas"]["Question"]
    assert (asked["required"], asked["properties"]["least"]) == (["role"], {"type": "integer"})
    assert asked["properties"]["role"]["description"] == "the role that it should fit"


@pytest.mark.parametrize(
    ("typed", "last", "completed"),
    [
        (["tokens"], "j", ["judge"]),
        (["tokens", "judge", "kho"], "--ro", ["--role"]),
        (["tokens", "judge", "kho", "--role"], "eng", ["engineer"]),
    ],
)
def test_a_shell_completes_it(typed: list[str], last: str, completed: list[str]) -> None:
    shell = ShellComplete(lienthong, {}, "lienthong", "_LIENTHONG_COMPLETE")
    assert [each.value for each in shell.get_completions(typed, last)] == completed


def test_it_has_its_part_of_the_manual() -> None:
    pages = manuals.split_help(describe_help())
    assert "lienthong tokens judge" in [words for words, _ in pages["lienthong-tokens"]]
    page = manuals.write_page("lienthong-tokens", "Tokens", pages["lienthong-tokens"], "1")
    assert '.SH "LIENTHONG TOKENS JUDGE"' in page
    assert "lienthong tokens judge kho \\-\\-role engineer" in page


@pytest.mark.parametrize("group", ["tokens", "users", "replays"])
def test_the_help_of_its_group_loads_nothing_that_it_does(group: str) -> None:
    asked = f"import sys; from hub.cli import lienthong; lienthong(['{group}', '--help'], standalone_mode=False)"
    loaded = "print(*{'sqlalchemy', 'twisted', 'cryptography', 'lxml'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{asked}; {loaded}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "", "the help would take a second"


def test_what_is_shown_once_is_not_kept() -> None:
    token = token_operations.ListedToken(
        name="kho", prefix="lt_1", owner="an", scopes=(), units=(), partners=(), made_by="an", made_at=NOW, until=NOW
    )
    made = token_operations.TokenMade(token=token, secret="lt_1_x")
    assert hide_secrets(made) == token_operations.TokenMade(token=token)


def test_the_fields_of_an_operation_are_read_of_its_class() -> None:
    said = {each.name: (each.kind, each.many, each.default is attrs.NOTHING) for each in list_fields(Question)}
    assert said == {"role": (Role, False, True), "units": (str, True, False), "least": (int, False, False)}
