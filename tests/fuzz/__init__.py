"""Coverage-guided fuzzing of what strangers' octets reach.  `./dev fuzz` runs it long, the tests shortly, and replay what was kept.

One file a target.  Each has `LONGEST`, the octets of an input at most; `seeds()`, honest inputs to begin with; `judge(content)`, which
raises when the hub does with *content* what it must not; and perhaps `change` and `cross`, which know the structure of an input.
"""

import importlib
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"  #: TARGET.tar.xz: the kept inputs, named by their SHA-256
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
    "time_stamps",
    "tokens",
)


def load(target: str) -> Any:
    """Return the module of *target*."""
    return importlib.import_module(f"tests.fuzz.{target}")


def archive(target: str) -> Path:
    """Return where the kept corpus of *target* is; `tar -tvf` lists it, `tar -xf … -C FOLDER` unpacks it."""
    return CORPUS / f"{target}.tar.xz"


def kept(target: str) -> dict[str, bytes]:
    """Return the kept corpus of *target*: its inputs by name, none where nothing was kept.  tarfile.TarError where it is damaged."""
    if not archive(target).exists():
        return {}
    inputs: dict[str, bytes] = {}
    with tarfile.open(archive(target), "r:xz") as opened:
        for member in opened:
            content = opened.extractfile(member)
            if content is None or member.name in inputs:
                raise tarfile.TarError(f"{archive(target)}: {member.name} is no file, or stands there twice")
            inputs[member.name] = content.read()
    return inputs
