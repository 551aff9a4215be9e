"""Plans the steps by which the hub changes its certificate: announce, switch, retire. Each one edits files, or none.

*Announce* puts key and certificate in place and names them to partners, in kits and on the console, while the old
ones stay in use. After the overlap *switch* uses them, and goes on naming the old certificate, with which partners may
still verify what they have. After another overlap *retire* names it no more. The state is in `hub.toml` alone (`pki`), so
a rotation can be resumed at any time and each node knows its own. Writes nothing.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

import attrs

from hub.config import Config
from hub.config.editing import FileEdit, Value, edit_toml, read_text
from hub.config.values import KeyRotation
from hub.security.certificates import hash_certificate


class RotationStep(StrEnum):
    """A step of a rotation."""

    ANNOUNCE = "announce"
    SWITCH = "switch"
    RETIRE = "retire"


@attrs.frozen
class PlannedStep:
    """One step, and the files that it writes."""

    step: RotationStep
    certificate: str  #: SHA-256 of the certificate that it is about
    edits: tuple[FileEdit, ...]


def find_next_step(rotation: KeyRotation) -> tuple[RotationStep, date | None]:
    """Return the next step, and the first day on which it is due; None: when a person wants it."""
    if rotation.next is not None:
        return RotationStep.SWITCH, rotation.next_from
    if rotation.previous is not None:
        until = rotation.previous_until
        return RotationStep.RETIRE, None if until is None else until + timedelta(days=1)
    return RotationStep.ANNOUNCE, None


def plan_announcement(
    config: Config, certificate: bytes, key: bytes, sha256: str, use: str, today: date, overlap: timedelta
) -> PlannedStep:
    """Plan to put *certificate* and *key* (PEM) in place and to announce them. *use* is `tls`, `sign`, or empty: both."""
    home = config.path.parent
    place = Path(_read_pki(config).get("tls-certificate" if use == "tls" else "certificate", "pki/hub.crt")).parent
    stem = place / f"hub-{sha256[:16]}"
    names = {"next-certificate": f"{stem}.crt", "next-key": f"{stem}.key"}
    wanted = {home / names["next-key"]: key, home / names["next-certificate"]: certificate}
    # one that is there has been used before, or was announced and taken back
    edits = [FileEdit(path, None, octets) for path, octets in wanted.items() if not _holds_octets(path, octets)]
    said: dict[str, Value] = {**names, "next-from": (today + overlap).isoformat(), "next-use": use or None}
    return PlannedStep(RotationStep.ANNOUNCE, sha256, (*edits, _edit_pki(config, said)))


def plan_switch(config: Config, today: date, overlap: timedelta) -> PlannedStep:
    """Plan to use the announced certificate, and to name the present one as the previous."""
    assert config.rotation.next is not None
    pki, prefix = _read_pki(config), "tls-" if config.rotation.use == "tls" else ""
    said: dict[str, Value] = {
        f"{prefix}key": pki["next-key"],
        f"{prefix}certificate": pki["next-certificate"],
        "previous-certificate": pki[f"{prefix}certificate"],
        "previous-until": (today + overlap).isoformat(),
        **dict.fromkeys(("next-key", "next-certificate", "next-from", "next-use")),
    }
    return PlannedStep(RotationStep.SWITCH, hash_certificate(config.rotation.next), (_edit_pki(config, said),))


def plan_retirement(config: Config) -> PlannedStep:
    """Plan to name the previous certificate no more. Its files stay."""
    assert config.rotation.previous is not None
    said: dict[str, Value] = dict.fromkeys(("previous-certificate", "previous-until"))
    return PlannedStep(RotationStep.RETIRE, hash_certificate(config.rotation.previous), (_edit_pki(config, said),))


def _holds_octets(path: Path, octets: bytes) -> bool:
    return path.exists() and path.read_bytes() == octets


def _edit_pki(config: Config, said: Mapping[str, Value]) -> FileEdit:
    before = read_text(config.path, "hub.toml")
    after = edit_toml(before, {"pki": said}, "hub.toml")
    return FileEdit(config.path, before.encode(), after.encode())


def _read_pki(config: Config) -> dict[str, str]:
    found: dict[str, str] = tomllib.loads(read_text(config.path, "hub.toml"))["pki"]
    return found
