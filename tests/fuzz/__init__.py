"""Coverage-guided fuzzing of what strangers' octets reach.  `./dev fuzz` runs it long, the tests shortly, and replay what was kept.

One file a target.  Each has `LONGEST`, the octets of an input at most; `seeds()`, honest inputs to begin with; `judge(content)`, which
raises when the hub does with *content* what it must not; and perhaps `change` and `cross`, which know the structure of an input.
"""

import importlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"  #: folder TARGET: the kept inputs, named by their SHA-256
TARGETS = (
    "attachment",
    "calls",
    "certificates",
    "envelope",
    "enveloped",
    "mails",
    "markup",
    "media_type",
    "multipart",
    "packet",
    "replies",
    "revocation",
    "sealed",
    "signature",
    "slimming",
    "tokens",
)


def load(target: str) -> Any:
    """Return the module of *target*."""
    return importlib.import_module(f"tests.fuzz.{target}")


def kept(target: str) -> list[Path]:
    """Return the files of the kept corpus of *target*."""
    return sorted((CORPUS / target).glob("[0-9a-f]*"))
