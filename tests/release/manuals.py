"""Writes what a package brings for the command line: pages of the manual in both languages, and the completion of three shells.

All of it is made of the commands themselves. A page has the commands of one group.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from hub.cli import COMMANDS, lienthong
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase

#: Where Debian has the completion of a shell.
COMPLETIONS: Mapping[str, type[ShellComplete]] = {
    "usr/share/bash-completion/completions/lienthong": BashComplete,
    "usr/share/zsh/vendor-completions/_lienthong": ZshComplete,
    "usr/share/fish/vendor_completions.d/lienthong.fish": FishComplete,
}
_FOLDERS = {Language.EN: "usr/share/man/man1", Language.VI: "usr/share/man/vi/man1"}
_MARK = "## lienthong"
_TITLE = phrase("The SOAP/XML integration hub of a province.")


def write_completions() -> dict[str, str]:
    """Return the text of each file of `COMPLETIONS`. A shell asks the command itself, so that none of them grows old."""
    return {
        place: shell(lienthong, {}, "lienthong", "_LIENTHONG_COMPLETE").source() for place, shell in COMPLETIONS.items()
    }


def write_texts(version: str) -> dict[str, str]:
    """Return everything that a package of *version* brings: place in its tree -> text."""
    found = write_completions()
    for language in Language:
        found |= write_manual(language, version)
    return found


def write_manual(language: Language, version: str) -> dict[str, str]:
    """Return the pages of the manual in *language*: place in the tree of a package -> roff."""
    # In a process of its own: a command has its help in the language in which its module was imported.
    environ = {**os.environ, "LANG": f"{language}.UTF-8", "COLUMNS": "100"}
    command = [sys.executable, "-m", "tests.golden.faces"]
    said = subprocess.run(command, env=environ, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    pages = split_help(said.stdout.decode().splitlines())
    titles = {f"lienthong-{name}": about for name, (_, about) in COMMANDS.items()} | {"lienthong": _TITLE}
    return {
        f"{_FOLDERS[language]}/{name}.1": write_page(name, translate(titles[name], language), parts, version)
        for name, parts in pages.items()
    }


def split_help(lines: Iterable[str]) -> dict[str, list[tuple[str, list[str]]]]:
    """Return the help of each page: the words of each of its commands, and the lines of their help."""
    parts = list[tuple[str, list[str]]]()
    for line in lines:
        if line.startswith(_MARK):
            parts.append((line.removeprefix("## "), []))
        else:
            parts[-1][1].append(line)
    by_page = groupby(parts, key=lambda part: "-".join(part[0].split()[:2]))
    return {name: list(each) for name, each in by_page}


def write_page(name: str, title: str, parts: Iterable[tuple[str, list[str]]], version: str) -> str:
    """Return a page of the manual. The help stands as it is printed."""
    lines = ["'\\\" -*- coding: utf-8 -*-", f'.TH {name.upper()} 1 "" "lienthong {version}"']
    lines += [".SH NAME", f"{name} \\- {_escape(title)}"]
    for words, said in parts:
        lines += [f'.SH "{words.upper()}"', ".nf", *map(_escape, said), ".fi"]
    return "\n".join(lines) + "\n"


def _escape(line: str) -> str:
    escaped = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
