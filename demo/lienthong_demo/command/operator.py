"""The operator and the narrator of `lienthong demo`.

Knows the command line and a terminal. Does not know what is played.
"""

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hub.cli import lienthong
from hub.cli.screen import CommandStop, say
from hub.language.phrases import Phrase


@attrs.define
class Narrator:
    """Reports progress on standard error: with bars on a terminal, else in plain lines."""

    _act: int = 0
    _started: float = attrs.field(factory=time.monotonic)

    def act(self, said: Phrase) -> None:
        """Announce the next act."""
        self._act += 1
        click.secho(f"{self._act}. {say(said)}", bold=True, err=True)

    def say(self, said: Phrase) -> None:
        """Report what happened, with the time since the start."""
        click.echo(f"   {say(said)}  ({time.monotonic() - self._started:.1f} s)", err=True)

    @contextlib.contextmanager
    def bar(self, said: Phrase) -> Iterator[Callable[[int, int], None]]:
        """Show a progress bar. Yields a function that takes the number done and the total."""
        if not sys.stderr.isatty():
            yield lambda _done, _total: None
            return

        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        # The console keeps this stream, because `Operator.run_command` redirects standard error while a bar is shown.
        console = Console(file=sys.stderr)
        with Progress(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as progress:
            task = progress.add_task(say(said), total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


@attrs.frozen
class Operator:
    """Calls the hub's own command line in this process, so that it sees only what an operator sees."""

    config: Path

    def run_command(self, *arguments: str) -> bytes:
        """Return the output of `lienthong -c hub.toml ARGUMENTS`. Raises CommandStop, with the error text, if it fails."""
        printed, said = io.BytesIO(), io.StringIO()
        stdout = io.TextIOWrapper(printed, "utf-8", write_through=True)
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(said):
            code = lienthong.main(["-c", str(self.config), *arguments], standalone_mode=False)
        if code:
            failure = f"lienthong {' '.join(arguments)}: {code} {said.getvalue()}"
            raise CommandStop(failure)
        return printed.getvalue()

    def rows(self, *arguments: str) -> list[Mapping[str, Any]]:
        """Return the objects that a command prints with `--json`."""
        return [json.loads(line) for line in self.run_command(*arguments, "--json").splitlines()]

    def count(self, *filters: str) -> int:
        """Return the number of messages that match *filters*."""
        return int(self.run_command("messages", "--count", *filters))
