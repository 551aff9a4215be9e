"""Input and output that all commands share: two languages, exit codes, tables or JSON lines. Contains no command.

Results go to standard output, all other text to standard error.
"""

import gettext
import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import reduce
from importlib import import_module
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn

import attrs
import click

from hub.domain.errors import Mistake, write_mistake_json
from hub.domain.local_time import write_local_time
from hub.domain.sanitize import replace_controls
from hub.language.catalogues import DOMAIN, FOLDER, translate
from hub.language.languages import Language, choose_environment_language
from hub.language.phrases import Phrase
from hub.language.system_errors import name_system_error

OK, FAILED, USAGE, PARTLY, NOT_FOUND, UNAVAILABLE, CONFIGURATION = 0, 1, 2, 3, 4, 69, 78
#: The reader of the output, such as `head`, has ended. Shells report this code for a program that SIGPIPE ended.
UNREAD = 141
#: The number of rows of a table that decide how wide its columns are.
_MEASURED = 1_000


def read_language() -> Language:
    """Return the language that the environment asks for (`hub.language.languages`)."""
    return choose_environment_language(os.environ)


def say(text: object) -> str:
    """Return *text*, a `Phrase` or a value, in the user's language."""
    return translate(text, read_language())


def t(id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
    """Return the phrase of that id in the user's language. `./dev words` finds each id by this call."""
    return say(Phrase(id, arguments))


def say_instant(at: datetime | str | None) -> str:
    """Return an instant, given as such or in ISO 8601, as people read it: in Hà Nội. None: nothing has happened yet."""
    if at is None:
        return t("nothing yet")
    return write_local_time(datetime.fromisoformat(at) if isinstance(at, str) else at)


def say_count(number: int) -> str:
    """Return a number of things as it is written in the user's language: `12.345`, in English `12,345`."""
    if abs(number) < 1000:  # such a number reads the same everywhere, and the signs of a language take time to load
        return str(number)
    from hub.report.words import write_number

    return write_number(number, read_language())


class _Outlet(io.FileIO):
    """A standard stream that ends the command quietly when its reader is gone.

    The command ends normally: transactions are rolled back and processes are ended. Only further output is discarded. A
    socket of a partner is not a standard stream: its loss is handled elsewhere.
    """

    def write(self, octets: Any, /) -> int:
        """Write *octets*. Raises `SystemExit` if the reader is gone."""
        try:
            return super().write(octets)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            raise SystemExit(UNREAD) from None


def end_on_broken_pipe() -> None:
    """End the command quietly from now on if standard output or standard error loses its reader."""
    for name in ("stdout", "stderr"):
        before = getattr(sys, name)
        if before is None:  # closed before the program started
            continue
        outlet = io.BufferedWriter(_Outlet(before.fileno(), "w", closefd=False))
        after = io.TextIOWrapper(
            outlet,
            encoding=before.encoding,
            errors=before.errors,
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )
        setattr(sys, name, after)


def bind_click_words() -> None:
    """Let click say its own words in the user's language, from the hub's catalogues.

    click asks the gettext of Python's library, which takes the language from `LANGUAGE` first.
    """
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)
    os.environ["LANGUAGE"] = read_language()


class CommandStop(click.ClickException):
    """Ends a command with a sentence on standard error and an exit code (docs/reference/cli.md)."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{t('Error')}: {self.message}", file=file or sys.stderr)


def print_json_error(error: click.ClickException) -> None:
    """Print *error* as one JSON object on standard error; a help page as it is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    fields = {"kind": "error", "error": error.format_message(), "exit_code": error.exit_code}
    click.echo(json.dumps(fields, ensure_ascii=False), err=True)


def make_file_stop(place: object, error: OSError, code: int = FAILED) -> CommandStop:
    """Return what ends a command for which the operating system refused *place*, a file or an address."""
    return CommandStop(f"{place}: {say(name_system_error(error))}", code)


def _default_config() -> Path:
    return Path(os.environ.get("LIENTHONG_CONFIG") or "hub.toml")


def _make_plain_value(value: object) -> object:
    """Return *value* for JSON: times in ISO 8601, anything else as text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


@attrs.define
class Screen:
    """The values of `-c` and `--json`, and the output functions."""

    config: Path = attrs.field(factory=_default_config)
    json: bool = False

    def row(self, fields: Mapping[str, object], text: str) -> None:
        """Print one result: *fields* under `--json`, else *text*."""
        click.echo(json.dumps(fields, ensure_ascii=False, default=_make_plain_value) if self.json else text)

    def table(self, columns: Mapping[str, str], rows: Iterable[Mapping[str, object]]) -> int:
        """Print rows under the titles of *columns* (key -> title); under `--json` all fields.

        The columns are as wide as their first 1,000 rows need; further rows are printed as they come. On a terminal that
        is narrower, the widest columns break their texts into lines of their own. Return the number of rows.
        """
        if self.json:
            count = 0
            for fields in rows:
                self.row(fields, "")
                count += 1
            return count
        lines = ([replace_controls(_write_cell(fields.get(key))) for key in columns] for fields in rows)
        first, count = list(islice(lines, _MEASURED)), 0
        if not first:
            return 0
        titles = list(columns.values())
        found = list(zip(titles, *first, strict=True))
        widths = [max(map(len, column)) for column in found]
        if sys.stdout.isatty():
            words = [max(len(word) for cell in column for word in cell.split() or ("",)) for column in found]
            widths = fit_columns(widths, words, shutil.get_terminal_size().columns)
        for count, line in enumerate(chain([titles], first, lines)):
            cells = [_break_cell(cell, width) for cell, width in zip(line, widths, strict=True)]
            for part in zip_longest(*cells, fillvalue=""):
                text = "  ".join(cell.ljust(width) for cell, width in zip(part, widths, strict=True)).rstrip()
                click.secho(text, bold=count == 0)
        return count

    def note(self, remark: str) -> None:
        """Print a remark on standard error."""
        click.echo("\n".join(map(replace_controls, remark.split("\n"))), err=True)

    def mistakes(self, mistakes: Sequence[Mistake], *, kind: str = "mistake") -> None:
        """Print every mistake on standard error; under `--json` also as objects on standard output."""
        for mistake in mistakes:
            if self.json:
                self.row({"kind": kind, **write_mistake_json(mistake)}, "")
            click.echo(f"{mistake.path}: {say(mistake.wrong)} ({say(mistake.expected)})", err=True)


def fit_columns(widths: Sequence[int], words: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns that together take at most *room*, two spaces between them.

    The widest column gives first, none more than down to its longest word (*words*). If even that takes more, return
    the *widths* as they are: then the terminal breaks the lines.
    """
    fitted, free = list(widths), room - 2 * (len(widths) - 1)
    if sum(words) > free:
        return fitted
    while (over := sum(fitted) - free) > 0:
        widest = max((place for place in range(len(fitted)) if fitted[place] > words[place]), key=fitted.__getitem__)
        second = max((width for place, width in enumerate(fitted) if place != widest), default=0)
        fitted[widest] = max(words[widest], min(fitted[widest] - 1, max(second, fitted[widest] - over)))
    return fitted


def _break_cell(cell: str, width: int) -> list[str]:
    return [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False) or [cell]


def _write_cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return say_instant(value)
        case list() | tuple():
            return " ".join(map(str, value))
        case bool():
            return t("yes") if value else t("no")
        case int():
            return say_count(value)
        case _:
            return str(value)


def colour_difference(diff: Iterable[str]) -> str:
    """Return a unified difference with terminal colours. click removes them if the output is not a terminal."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    return "\n".join(
        replace_controls(line)
        if line.startswith(("+++", "---"))
        else click.style(replace_controls(line), fg=colours.get(line[:1]))
        for line in diff
    )


class WholeNumber(click.IntRange):
    """A whole number in a range. click has no translation of the name of its own type."""

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        super().__init__(least, most)
        self.name = t("whole number")


class LocalTime(click.ParamType[datetime]):
    """A day or a time. Without an offset it is in Hà Nội."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a time as people write it, or ISO 8601."""
        if isinstance(value, datetime):
            return value
        from hub.domain.local_time import parse_local_time

        try:
            return parse_local_time(value)
        except ValueError:
            self.fail(
                t("{value} is not a time; write 27/11/2026, 27/11/2026 08:00 or 2026-11-27 08:00", value=repr(value)),
                param,
                ctx,
            )


#: The type of an argument or option that names a file to read.
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FILE.name = t("FILE")  # click says its own word in the language that is set when this module is imported


def _set_config(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Screen).config = Path(value)


def _set_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Screen).json = True


def common_options() -> list[click.Parameter]:
    """Return `-c` and `--json`, which every command accepts."""
    return [
        click.Option(
            ["-c", "--config"],
            metavar=t("FILE"),
            expose_value=False,
            callback=_set_config,
            help=t(
                "Configuration file; default $LIENTHONG_CONFIG, then ./hub.toml.",
            ),
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help=t("One JSON object per line."),
        ),
    ]


class Command(click.Command):
    """A command of `lienthong`, with `-c` and `--json`. *runs*: as `command` takes it."""

    def __init__(self, *args: Any, runs: str | Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.runs = runs
        self.params += common_options()


class CommandGroup(click.Group):
    """A group that imports a command only when it is used. *table* maps name -> (`module:attribute`, description)."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, Phrase]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()
        self._table = table or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return super().get_command(ctx, cmd_name)
        return self.make_command(resolve(self._table[cmd_name][0]))

    def make_command(self, found: Any) -> click.Command:
        """Return the command that the value *found*, of the table, is."""
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click knows the commands that are imported already
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_options(self, ctx, formatter)
        records = [(name, say(described)) for name, (_, described) in self._table.items()]
        records += [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section(t("Commands")):
            formatter.write_dl(records)


def _make_help(said: str, examples: Sequence[str]) -> dict[str, str]:
    lines = "\n".join(f"  {example}" for example in examples)
    title = t("Examples:")
    return {"help": said, "epilog": f"\b\n{title}\n{lines}" if examples else ""}


def resolve(place: str) -> Any:
    """Import and return what stands at *place*, `module:attribute`."""
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)


def command(
    name: str,
    said: str,
    *examples: str,
    runs: str | Callable[..., Any],
    options: Sequence[Callable[[Any], Any]] = (),
) -> Command:
    """Declare a command: its help page, examples, and *options*, the decorators of click in the order of the help.

    *runs*, a function or `module:function`, is called with the `Screen` first. Its module is imported when the command
    runs: help, completion and manuals need none of what a command does.
    """

    def run(*given: Any, **typed: Any) -> Any:
        deed = resolve(runs) if isinstance(runs, str) else runs
        return deed(click.get_current_context().ensure_object(Screen), *given, **typed)

    callback = reduce(lambda made, option: option(made), reversed(options), run)
    return click.command(name, cls=Command, runs=runs, **_make_help(said, examples))(callback)


def command_group(
    name: str,
    said: str,
    *examples: str,
    cls: type[CommandGroup] = CommandGroup,
    table: Mapping[str, tuple[str, Phrase]] | None = None,
    commands: Sequence[click.Command] = (),
) -> CommandGroup:
    """Declare a group of commands, like `lienthong partners`: those of *table*, imported only when used, and *commands*."""
    return cls(name, table=table, commands=commands, **_make_help(said, examples))


@contextmanager
def progress_bar(label: str) -> Generator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal. Yield a function that takes the amount done and the total."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def exit_command(code: int) -> NoReturn:
    """End the command with an exit code."""
    click.get_current_context().exit(code)
