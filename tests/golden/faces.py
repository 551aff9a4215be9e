"""Describes the faces of the hub as lines of text that a golden file keeps: shapes, words and codes, no values.

Knows no case of its own: `cases.txt` and `calls.txt` list what is typed and called.
"""

import json
import re
from calendar import month_name
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from click.testing import CliRunner, Result

from hub.api.openapi import make_openapi
from hub.api.operation import ApiOperation
from hub.api.table import OPERATIONS
from hub.cli import lienthong
from hub.cli.screen import USAGE
from hub.domain.ids import make_id
from hub.language.languages import Language
from tests.api_callers import Program
from tests.declared import walk_commands

#: Lines of an output that are kept, at most: a table has its titles in the first.
_LINES = 12
_VOLATILE = (
    (re.compile(r"\b[A-Z2-7]{32}\b|\b[a-z0-9]{5}(?:-[a-z0-9]{5}){4}\b"), "SECRET"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{4,}(?:-[0-9a-f]{4,})*\b"), "X"),  # an id, a hash
    (re.compile(r"lt_\S+"), "lt_X"),
    (re.compile(rf"\b(?:{'|'.join(month_name[1:])})\b"), "MONTH"),
    (re.compile(r"\d[\d.,:/]*\d|\d"), "0"),
    (re.compile(r" {2,}"), "  "),  # columns are as wide as their cells
)


def write_line(value: object) -> str:
    """Return *value* as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


# --- shapes -----------------------------------------------------------------------------------------------------------


def find_shape(value: Any) -> Any:
    """Return what *value*, of JSON, consists of: the names of fields and the types of their values."""
    if isinstance(value, Mapping):
        return {name: find_shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [merge_shapes(map(find_shape, value))] if value else []
    return type(value).__name__


def merge_shapes(shapes: Iterable[Any]) -> Any:
    """Return the shape of values that have one of *shapes* each. A field that not all have is marked with `?`."""
    found = list({write_line(each): each for each in shapes}.values())
    if len(found) == 1:
        return found[0]
    if all(isinstance(each, dict) for each in found):
        plain = [{name.rstrip("?"): each for name, each in one.items()} for one in found]
        always = [
            name for name in plain[0] if all(f"{name}?" not in one and name in two for one in found for two in plain)
        ]
        names = dict.fromkeys(name for one in plain for name in one)
        return {
            name if name in always else f"{name}?": merge_shapes(one[name] for one in plain if name in one)
            for name in names
        }
    if all(isinstance(each, list) for each in found):
        inner = [one for each in found for one in each]
        return [merge_shapes(inner)] if inner else []
    return "|".join(sorted({each if isinstance(each, str) else write_line(each) for each in found}))


def remove_values(text: str, home: str) -> list[str]:
    """Return the lines of an output without paths, numbers, times and ids; at most the first twelve."""
    said = text.replace(home, "HOME") if home else text
    for pattern, word in _VOLATILE:
        said = pattern.sub(word, said)
    return [line.rstrip() for line in said.splitlines()][:_LINES]


# --- the command line -------------------------------------------------------------------------------------------------


def describe_help() -> Iterator[str]:
    """Yield the help of every command, in the language of the environment."""
    for path in walk_commands():
        done = CliRunner().invoke(lienthong, [*path, "--help"], terminal_width=120)
        yield f"## lienthong {' '.join(path)}".rstrip()
        yield from done.output.splitlines()


def describe_command(words: Sequence[str], run: Callable[..., Result], home: str) -> Iterator[str]:
    """Yield what a command of *words* does: its exit codes, the shape of its `--json`, its words in both languages.

    *run* runs a list of words in a language. Every `{n}` is another number in each of the three runs.
    """
    vietnamese, english, objects = (
        run(*(word.replace("{n}", str(number)) for word in words), *more, language=language)
        for number, (language, *more) in enumerate((("vi",), ("en",), ("en", "--json")))
    )
    for done in (vietnamese, english, objects):
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    yield f"exit {' '.join(dict.fromkeys(str(done.exit_code) for done in (vietnamese, english, objects)))}"
    if objects.stdout.strip():
        yield f"json {write_line(_shape_lines(objects.stdout))}"
    for language, done in (("vi", vietnamese), ("en", english)):
        # Of a wrong use the last line alone: the others have words in the language in which the module was imported.
        last = -1 if done.exit_code == USAGE else 0
        yield from (f"{language} | {line}" for line in remove_values(done.stdout, home)[last:])
        yield from (f"{language} ! {line}" for line in remove_values(done.stderr, home)[last:])


def _shape_lines(text: str) -> object:
    """Return the shape of lines of JSON; of those that have a `kind` each, one for each kind."""
    try:
        rows = [json.loads(line) for line in text.splitlines()]
    except ValueError:
        return "no JSON"
    kinds = {str(row.get("kind")) for row in rows if isinstance(row, dict)}
    if len(kinds) < 2:
        return merge_shapes(map(find_shape, rows))
    return {
        kind: merge_shapes(find_shape(row) for row in rows if str(row.get("kind")) == kind) for kind in sorted(kinds)
    }


# --- the API ----------------------------------------------------------------------------------------------------------


def describe_openapi(language: Language) -> Iterator[str]:
    """Yield the OpenAPI document: a line for each operation and each schema, in the order of their names."""
    document = make_openapi(language)
    paths, schemas = document.pop("paths"), document["components"].pop("schemas")
    operations = {f"{path} {method}": each for path, methods in paths.items() for method, each in methods.items()}
    yield from (write_line({name: each}) for name, each in sorted(operations.items()))
    yield from (write_line({name: each}) for name, each in sorted(schemas.items()))
    document["tags"].sort(key=lambda each: each["name"])
    yield write_line(document)


def describe_call(program: Program, method: str, place: str, body: str) -> Iterator[str]:
    """Yield what a request answers: the status and the shape of its JSON, or a problem and what it says of this request."""
    said = {"body": body.encode(), "content_type": "application/json", "key": make_id(program.town.now)}
    answer = program.send(method, place, **said)
    if answer.status < 400:
        yield f"{answer.status} {answer.content_type}"
        if program.said is not None:
            yield write_line(find_shape(program.said))
        return
    yield f"{answer.status} {program.said['code']}"
    for program.language in (Language.VI, Language.EN):
        program.send(method, place, **said)
        flaws = [f"{each['name']}: {each['detail']}" for each in program.said.get("problems", ())]
        words = filter(None, (program.said.get("detail"), *flaws))
        yield from (f"{program.language} ! {' '.join(remove_values(each, ''))}" for each in words)


def describe_rights(programs: Mapping[str, Program]) -> Iterator[str]:
    """Yield a line for each operation: what each of *programs*, none of which may do everything, is told."""
    for each in _sort_operations():
        place = re.sub(r"{(\w+)}", "x", each.path)
        told = {}
        for name, program in programs.items():
            answer = program.send(each.method, place, body=b"{}", content_type="application/json", key="k")
            told[name] = f"{answer.status} {program.said['code'] if answer.status >= 400 else ''}".rstrip()
        yield write_line({each.name: told})


def describe_operations() -> Iterator[str]:
    """Yield a line for each operation of the API: what the OpenAPI document does not say of it is there, too."""
    return map(write_line, map(_describe_operation, _sort_operations()))


def _sort_operations() -> list[ApiOperation]:
    return sorted(OPERATIONS, key=lambda each: each.name)


def _describe_operation(each: ApiOperation) -> dict[str, object]:
    return {
        "name": each.name,
        "at": f"{each.method} {each.path}",
        "tag": each.tag,
        "rights": list(map(str, each.scopes)),
        "all units": each.whole,
        "no limits": each.unlimited,
        "keyed": each.keyed,
        "status": each.status,
        "takes": each.takes.__name__.removeprefix("Api") if each.takes else "file" if each.takes_file else None,
        "answers": each.answers.__name__.removeprefix("Api") if each.answers else list(each.media),
    }


if __name__ == "__main__":
    click.echo("\n".join(describe_help()))
