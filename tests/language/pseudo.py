"""A language that nobody speaks: each text of the catalogues in Cyrillic letters, so that a Latin word on a page has no text.

What stands between the placeholders of a text is written in other letters, one for one: `there is no partner {code}` becomes
`тхере ис но партнер {code}`.  What is put in keeps its letters, unless it is itself a text.  So a word in Latin letters is a name
or a value, or it was written past the catalogues.  Marks around a text would not do: click wraps and cuts what it is told.
Does not know which words are names; each test says so.

    python -m tests.language.pseudo help      # the help page of each command, as JSON; help is made when a command is imported
    python -m tests.language.pseudo commands  # what commands say over a hub that `init` has just made
    python -m tests.language.pseudo failed    # what commands say over a hub at which something of each kind failed
"""

import gettext
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest

from hub.language.catalogues import open_catalogue, translate
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.report.form.column import Wording

_LATIN, _OTHER = "abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшжыз"
_THERE = str.maketrans(_LATIN + _LATIN.upper(), _OTHER + _OTHER.upper())
_BACK = str.maketrans(_OTHER + _OTHER.upper(), _LATIN + _LATIN.upper())
#: `{name}` or `%(name)s` in a text.
_PLACE = re.compile(r"(\{[a-z_0-9]*(?:![rs])?(?::[^}]*)?\}|%\([a-z_]+\)s)")
#: Two letters or more, none of them of the other alphabet.
_WORD = re.compile(r"(?:(?![\u0400-\u04ff])[^\W\d_]){2,}")


class Pseudo(gettext.NullTranslations):
    """A catalogue of every text."""

    def gettext(self, message: str) -> str:
        return disguised(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return disguised(msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        return disguised(message)


def disguised(text: str) -> str:
    """Return *text* in the other letters, but for its placeholders."""
    return "".join(each if place % 2 else each.translate(_THERE) for place, each in enumerate(_PLACE.split(text)))


def english(text: str) -> str:
    """Return a disguised text as it was."""
    return text.translate(_BACK)


@contextmanager
def spoken() -> Iterator[None]:
    """Let the hub and click say everything in this language, whatever language they are asked for.

    So are the titles and columns of forms, which are data in two languages and have no catalogue.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gettext, "translation", lambda *_words, **_named: Pseudo())
        patch.setattr(Wording, "say", lambda wording, _language: disguised(wording.en))
        open_catalogue.cache_clear()
        yield
    open_catalogue.cache_clear()


def unmarked(text: str, *data: str) -> dict[str, str]:
    """Return the words of *text* that are in Latin letters, each with a line in which it stands.

    *data*: regular expressions of what is none of the hub's words; they are taken out in their order.
    """
    for each in data:
        text = re.sub(each, " ", text)
    return {word: " ".join(line.split()) for line in text.splitlines() for word in _WORD.findall(line)}


def said(text: Phrase, data: Collection[str] = ()) -> str:
    """Return *text* in this language; the arguments whose names are *data* are left out, also of the texts within it."""
    return translate(_without(text, data), Language.VI)


def _without(text: Phrase, data: Collection[str]) -> Phrase:
    kept = {
        name: _without(value, data) if isinstance(value, Phrase) else "–" if name in data else value
        for name, value in text.arguments.items()
    }
    return attrs.evolve(text, arguments=kept)


def _help_pages(place: str) -> dict[str, str]:
    """Return the help page of each command; also what click says of a command line that it does not take."""
    import click
    from click.testing import CliRunner

    from hub.cli import lienthong

    pages: dict[str, str] = {}
    runner = CliRunner()
    os.chdir(place)

    def visit(command: click.Command, *names: str) -> None:
        pages[" ".join((*names, "--help"))] = runner.invoke(lienthong, [*names, "--help"]).output
        if isinstance(command, click.Group):
            with click.Context(command) as context:
                for name in command.list_commands(context):
                    below = command.get_command(context, name)
                    assert below is not None
                    visit(below, *names, name)

    visit(lienthong)
    for line in (
        "nonsense",
        "partners nonsense",
        "--nonsense",
        "init",
        "init x y",
        "init x --soap-port 99999",
        "init x --soap-port seven",
        "init x --soap-port",
        "init x --soap-port 7 --admin-port 7",
        "init x --soap-port 0 --admin-port 0 --database nonsense",
        "--json=3 check",
    ):
        pages[line] = runner.invoke(lienthong, line.split()).output
    return pages


#: Command lines for a hub without messages; some of them are refused.
_LINES = """
init tinh
check
init tinh
check --sample nonsense
messages
show 0193
trace x
replay --partner vpub --reason x
give-up --partner vpub --until 2026-11-01 --reason x
pause vpub --reason x
partners list
partners show vpub
resume vpub
resume nobody
partners grants
partners grants --propose
partners add x --certificate tinh/pki/partners/vpub.crt --unit H55.1
partners add y --certificate tinh/hub.toml --unit H55.1 --policy timeout=soon
links
status
status --every 5
events
events --kind nonsense
events --partner nobody
events --user nobody
events --since nonsense
trust list
trust add tinh/pki/ca.crt
units list
units import tinh/hub.toml --dry-run
units fetch --from vpcp
users list
users sessions qx
categories
categories X
db status
db verify
db nodes
db upgrade
db backup b.db
backup list
backup run
backup verify tinh/hub.toml
backup restore tinh/hub.toml
db move --to x
db move --to postgresql://a:b@c/d
reload
report show H55 2026-10
report show H55 2026-10 --explain sent
report show H55 2099-13
report show H99 2026-10
report show H55 2026-10 --form nope
report state H55 2026-10
report close 2026-10
report close 2026-10 --form nope
report submit H55 2026-10 vpub
report reconcile H55 2026-10
report template H55 2026-10 -o t.xlsx
report declare H55 2026-10 t.xlsx
report import-signed H55 2026-10 tinh/hub.toml
evidence H55 2026-10 -o e.zip
verify e.zip
verify tinh/hub.toml
fetch --as sotttt den
send tinh/hub.toml --as sotttt
partners add y --certificate tinh/pki/partners/vpub.key --unit H55.1
partners certificate add vpub tinh/pki/hub.key
partners simulate vpub --key tinh/pki/hub.crt --certificate tinh/pki/hub.key
trust add tinh/pki/hub.key
keys rehearse tinh/pki/hub.key
keys rotate tinh/pki/hub.key tinh/pki/hub.crt
send tinh/hub.toml --key tinh/pki/hub.crt --certificate tinh/pki/hub.key --ca tinh/pki/hub.key --url https://127.0.0.1:1/
verify e.zip --ca tinh/pki/hub.key
backup verify tinh/hub.toml --identity tinh/pki/hub.key
units export -o none/x.csv
report show H55 2026-10 -o none/x.csv
failures
status --json --nonsense
"""


#: Command lines for a hub at which something of each kind failed; ID: of each of these messages and calls.
_FAILED_LINES = """
failures
failures --state call
status
links
messages
messages --calls
events
alerts list
partners list
partners show vpub
partner list
show ID
trace ID
show ID --attempts
show ID --signature
late
replays list
report facts
messages --json --nonsense
"""


def _outputs(place: str) -> dict[str, str]:
    """Return what each command of `_LINES` says."""
    os.chdir(place)
    return _type(_LINES.split("\n")[1:-1])


def _failed_outputs(place: str) -> dict[str, str]:
    """Return what each command of `_FAILED_LINES` says."""
    from click.testing import CliRunner

    from hub.cli import lienthong
    from tests import homes
    from tests.language import failed_hub

    os.chdir(place)
    assert CliRunner().invoke(lienthong, ["init", "tinh"]).exit_code == 0
    known = failed_hub.fill_journal(homes.engine_of(Path("tinh")), datetime.now(UTC) - timedelta(hours=1))
    lines = _FAILED_LINES.split("\n")[1:-1]
    return _type([line.replace("ID", one) for line in lines for one in (known if "ID" in line else [""])])


def _type(lines: Iterable[str]) -> dict[str, str]:
    """Return what each of these commands says."""
    from click.testing import CliRunner

    from hub.cli import lienthong

    runner, outputs = CliRunner(), {}
    for number, line in enumerate(lines):
        done = runner.invoke(lienthong, ["-c", "tinh/hub.toml", *line.split()])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        outputs[f"{number} {line}"] = done.output
    return outputs


def main() -> int:
    """Print what a child process is asked for."""
    made = (
        {"help": _help_pages, "commands": _outputs, "failed": _failed_outputs}.get(sys.argv[1])
        if len(sys.argv) == 2
        else None
    )
    if made is None:
        sys.stderr.write(__doc__ or "")
        return 2
    os.environ["COLUMNS"] = "120"
    os.environ.pop("LIENTHONG_CONFIG", None)
    os.environ["LOGNAME"] = "qx"  # who does it
    with spoken(), TemporaryDirectory() as place:
        json.dump(made(place), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
