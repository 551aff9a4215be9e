"""The pages say what the code does: tables, codes, commands, keys, events, links."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module

import click
import pytest

from hub.cli import lienthong
from hub.domain import errors, lifecycle
from hub.domain.model import DeliveryState
from hub.edxml import packet
from hub.language.catalogues import say_both
from hub.partner import circuit_breaker, policy
from tests.conftest import ROOT
from tests.pages import DOCS, anchors, every_page, links, quoted, rows, sections

REFERENCE = DOCS / "reference"


def trees(*names: str, word: str = "") -> Iterator[ast.Module]:
    """Yield the hub's modules of those file names, those that hold *word*."""
    for name in names:
        for path in sorted((ROOT / "hub").rglob(name)):
            if word in (text := path.read_text("utf-8")):
                yield ast.parse(text)


# --- architecture ---------------------------------------------------------------------------------------------------------


def test_every_module_that_a_text_names_is_there():
    """The last word of `hub.a.b` may be a name in `hub.a`."""
    wrong = [
        (str(path), name)
        for path in [*(ROOT / "hub").rglob("*.py"), *(ROOT / "adapters").rglob("*.py"), *every_page()]
        for name in re.findall(r"`(hub(?:\.[a-z_]+)*\.[A-Za-z_]+|hub/[a-z_/]+\.py)`", path.read_text("utf-8"))
        if not name.endswith((".toml", ".db", ".pid", ".key", ".crt", ".MODULE")) and not _is_there(name)
    ]
    assert wrong == []


@pytest.mark.parametrize("page", [page for page in every_page() if "```python" in page.read_text("utf-8")], ids=str)
def test_every_name_that_an_example_imports_is_there(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for module, names in re.findall(r"^from (hub[\w.]*) import ([\w, ]+)$", block, re.MULTILINE):
            for name in names.split(", "):
                assert hasattr(import_module(module), name), f"{module} has no {name}"


def _is_there(name: str) -> bool:
    *packages, last = name.removesuffix(".py").replace("/", ".").split(".")
    place = ROOT.joinpath(*packages)
    if (place / f"{last}.py").exists() or (place / last).is_dir():
        return True
    module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return module.exists() and re.search(rf"\b{last}\b", module.read_text("utf-8")) is not None


def test_the_table_of_deliveries_is_the_one_the_hub_runs():
    table = sections(DOCS / "explanation/architecture.md")["Deliver"]
    written = {(state, event): set(becomes.split(", ")) for state, event, becomes in rows(table)}
    assert written == {(str(state), event): set(map(str, to)) for (state, event), to in lifecycle.DELIVER.items()}


def test_the_table_of_arrivals_is_the_one_the_hub_runs():
    table = sections(DOCS / "explanation/architecture.md")["Receive"]
    written = {(held, judged): becomes for held, judged, becomes in rows(table)}
    assert written == {key: str(becomes or "–") for key, becomes in lifecycle.RECEIVE.items()}


def test_the_table_of_reports_is_the_one_the_hub_runs():
    table = sections(DOCS / "explanation/architecture.md")["Report"]
    assert {(state, what): becomes for state, what, becomes in rows(table)} == {
        (str(state), what): str(becomes) for (state, what), becomes in lifecycle.REPORT.items()
    }


def test_the_table_of_breakers_is_the_one_the_hub_runs():
    table = sections(DOCS / "explanation/architecture.md")["Breaker"]
    written = {(position, what): set(becomes.split(", ")) for position, what, becomes in rows(table)}
    assert written == {
        (str(position), what): set(map(str, to)) for (position, what), to in circuit_breaker.BREAKER.items()
    }


def test_every_move_of_a_delivery_goes_through_the_table():
    """Whatever writes a delivery's state has it from `move_delivery`."""
    read = [
        node for tree in trees("queue/claims.py", "queue/deliveries.py", "queue/pickup.py") for node in ast.walk(tree)
    ]
    written = [
        keyword.value
        for call in read
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "values"
        for keyword in call.keywords
        if keyword.arg == "state"
    ]
    written += [
        value
        for node in read
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "state"
    ]
    moved = {
        node.targets[0].id
        for node in read
        if isinstance(node, ast.Assign) and _is_move(node.value) and isinstance(node.targets[0], ast.Name)
    }
    others = sorted(
        ast.unparse(each)
        for each in written
        if not (_is_move(each) or (isinstance(each, ast.Name) and each.id in moved))
    )
    assert len(written) >= 8
    assert others == ["DeliveryState(row['state'])", "route.state", "row.state"], (
        "one that is read, one that is made, an event that tells"
    )
    elsewhere = [path.name for path in (ROOT / "hub").rglob("*.py") if "update(delivery)" in path.read_text("utf-8")]
    assert elsewhere == []


def _is_move(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "move_delivery"


def test_the_table_of_statuses_is_the_one_the_hub_runs():
    written = {
        code: (int(rank), final) for code, rank, final in rows(sections(DOCS / "explanation/architecture.md")["Status"])
    }
    finals = {True: "yes", False: "no"}
    assert written == {
        code: (rank, finals[code in lifecycle.FINAL_STATUSES]) for code, rank in lifecycle.STATUS_RANK.items()
    }


# --- errors ---------------------------------------------------------------------------------------------------------------


def test_every_error_code_is_explained_with_its_two_sentences():
    page = sections(REFERENCE / "errors.md")
    located, others = page["Located codes: `N.` `R.` `T.` `M.` and a path"], page["The others"]
    written = {quoted(row[0])[0]: (row[2], row[3]) for row in [*rows(located), *rows(others)]}
    assert written == {code: say_both(sentence) for code, sentence in errors.SENTENCES.items()}


# --- events ---------------------------------------------------------------------------------------------------------------


def _names(call: ast.Call, function: ast.AST) -> set[str]:
    """Return the names that an `Event(NAME, …)` may have."""
    match call.args[0]:
        case ast.Constant(value):
            return {str(value)}
        case ast.JoinedStr(values=[ast.Constant(value=str(begun)), _]):
            return {f"{begun}{state}" for state in DeliveryState}
        case ast.Name(id=name):
            assigned = [node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and _is(node, name)]
            return {str(leaf.value) for value in assigned for leaf in (value.body, value.orelse)}  # type: ignore[attr-defined]
    raise AssertionError(ast.dump(call.args[0]))


def _is(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def test_every_event_is_explained():
    written = {quoted(row[0])[0] for row in rows(sections(REFERENCE / "events.md")["Events"])}
    functions = [
        node
        for tree in trees("*.py", word="Event(")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    made = {
        name
        for function in functions
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Event"
        for name in _names(call, function)
    }
    never = {
        f"delivery-{state}" for state in DeliveryState
    } - written  # a delivery is not made, and does not end, in every state
    assert never == {"delivery-sending"}
    assert made - never == written


def test_every_line_of_the_log_is_explained():
    written = {name for row in rows(sections(DOCS / "howto/operate.md")["The log"]) for name in quoted(row[0])}
    logged = {
        call.args[0].value
        for tree in trees("*.py", word="log.")
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and isinstance(call.args[0], ast.Constant)
    }
    logged |= {  # in the context of who began it: context.run(log.info, "…")
        call.args[1].value
        for tree in trees("*.py", word=".run(log.")
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "run"
        and len(call.args) > 1
        and ast.unparse(call.args[0]).startswith("log.")
        and isinstance(call.args[1], ast.Constant)
    }
    failures = {
        statement.value.value
        for tree in trees("*.py", word="PeriodicService")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign) and _is(statement, "failure") and isinstance(statement.value, ast.Constant)
    }
    assert logged | failures == written


# --- commands -------------------------------------------------------------------------------------------------------------


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(lienthong, "lienthong"))


def test_every_command_has_its_section():
    titles = {title for title in sections(REFERENCE / "cli.md") if title.startswith("lienthong ")}
    assert titles == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_commands_options_are_all_explained(path):
    page = sections(REFERENCE / "cli.md")
    section = set(re.findall(r"(?<!\w)--?[a-z][a-z-]*", page[path]))
    common = set(re.findall(r"--?[a-z][a-z-]*", page["The command `lienthong`"]))
    options = {name for option in COMMANDS[path].params if isinstance(option, click.Option) for name in option.opts}
    assert options - common - section == set()
    written = {name for row in rows(page[path]) for name in re.findall(r"(?<!\w)--?[a-z][a-z-]*", row[0])}
    assert written - options == set()


# --- configuration --------------------------------------------------------------------------------------------------------


def test_every_key_of_the_configuration_is_explained():
    calls = [
        call
        for tree in trees(
            "config/reading.py", "config/files.py", "config/hub_tables.py", "config/partners/partner_reading.py"
        )
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"text", "texts", "number", "size"}
    ]
    keys = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert {"province", "upstream", "host", "port", "anchors", "crls", "receive"} <= keys, (
        "the keys are read another way"
    )
    page = (REFERENCE / "configuration.md").read_text("utf-8")
    written = {name for row in rows(page) for name in quoted(row[0])}
    assert keys - written == set()
    assert set(policy.KEYS) - written == set()


def test_every_default_of_a_policy_is_the_one_written():
    page = sections(REFERENCE / "configuration.md")["[policy]"]
    written = {quoted(row[0])[0]: row[1].strip('`"') for row in rows(page)}
    assert policy.parse_policy(written, "") == (policy.Policy(), [])
    assert set(written) == set(policy.KEYS)


# --- examples and links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.edxml")), ids=lambda path: path.name)
def test_an_example_packet_departs_from_the_standard_in_nothing(path):
    assert packet.read_packet(path.read_bytes()).deviations == ()


@pytest.mark.parametrize("page", every_page(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_twenty_five_questions_have_answers_that_exist():
    asked = list(rows(sections(ROOT / "CONTRIBUTING.md")["Twenty-five questions"]))
    assert len(asked) == 25
    assert [path for _, answer in asked for path in quoted(answer) if not (ROOT / path).is_file()] == []
