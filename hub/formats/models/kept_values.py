"""Keeps what is derived from files that are shipped with the hub, so that a start does not derive it again.

Knows JSON and SHA-256. Does not know what is derived. `./dev schemas` writes the folder `kept/` beside this file anew; a
test holds it to what would be derived now. What is derived from other files, such as an operator's, is not kept.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("kept")


class _Recording:
    """The values that are derived while they are recorded, by file name."""

    values: dict[str, bytes] | None = None


_RECORDING = _Recording()


def read_kept(kind: str, files: Mapping[str, bytes], derive: Callable[[], Any]) -> Any:
    """Return what *derive* returns, a JSON value; for known *files*, by path, without calling it.

    *kind* says what is derived, such as `model` or `wsdl`; if one of *files* is the main one, it is part of *kind*, as in
    `model document.xsd`. Raises what *derive* raises.
    """
    name = _name_kept_file(kind, files)
    if _RECORDING.values is not None:
        value = derive()
        _RECORDING.values[name] = _write_kept_value(value)
        return json.loads(_write_kept_value(value))
    try:
        content = (FOLDER / name).read_bytes()
    except FileNotFoundError:
        return json.loads(_write_kept_value(derive()))
    return json.loads(content)


@contextmanager
def record_kept_values() -> Generator[Mapping[str, bytes]]:
    """Derive every value anew, and collect what the folder must contain, by file name. For one thread only."""
    values: dict[str, bytes] = {}
    _RECORDING.values = values
    try:
        yield values
    finally:
        _RECORDING.values = None


def _name_kept_file(kind: str, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(kind.encode())
    for path in sorted(files):
        digest.update(f"\0{path}\0{hashlib.sha256(files[path]).hexdigest()}".encode())
    return f"{kind.partition(' ')[0]}-{digest.hexdigest()}.json"


def _write_kept_value(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"
