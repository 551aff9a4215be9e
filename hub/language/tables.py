"""Reads the tables of texts beside the catalogues, `*.json`: what words, fields, errors and problems are called.

A key is a word or a code of the hub; each text of a value is the id of a phrase, which `./dev words` takes from there.
Does not know what a table is for.
"""

import json
from pathlib import Path
from typing import Any


def read_table(name: str) -> Any:
    """Return the decoded table *name*, in its order. Raises OSError."""
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text("utf-8"))
