"""Plans a change of one partner: makes the new files, and judges them as `lienthong check` does. Writes nothing itself.

A plan is made from the files as they are, and can be written only while they are still the same
(`hub.config.editing`). The command line and the console use the same plans.
"""

import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import adapters
from hub.config import ANY, Config, Partner, is_partner_code, read_config, read_partner_change
from hub.config.editing import FileEdit, Value, edit_toml, read_text, write_difference
from hub.config.files import parse_certificates
from hub.config.partners.partner_edit import (
    LastCertificate,
    PartnerEdit,
    PartnerExists,
    PartnerOrder,
    describe_file_edits,
    describe_partner_change,
    find_certificate,
    find_foreign_directory,
    find_kept_secrets,
    find_own_hosts,
    is_called_elsewhere,
    require_own_places,
    require_secrets,
)
from hub.config.partners.partner_files import SECRETS, list_secret_names
from hub.config.partners.partner_settings import CERTIFICATES, SETTINGS, parse_partner_changes
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.config.writing import write_partner_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import HUB
from hub.intake.grants import NEW_CALLS
from hub.language.phrases import phrase
from hub.monitoring.partner_view import list_certificate_files, list_partner_certificates
from hub.node.consistency import find_added_mistakes, find_any_unit_warning, find_grant_warnings
from hub.node.dry_run import rehearse_mapping
from hub.partner.adapter_settings import SECRET_FILE
from hub.units.unit_index import UnitIndex

_NONE: Mapping[str, str] = {}


@attrs.frozen
class PartnerEditor:
    """Plans changes of the partners beside one `hub.toml`."""

    path: Path  #: `hub.toml`
    remote: bool = False  #: for a person without a shell: on a page, or through the API

    @property
    def home(self) -> Path:
        """Return the folder of `hub.toml`."""
        return self.path.absolute().parent

    def plan_order(self, code: str, order: PartnerOrder, units: UnitIndex, now: datetime) -> PartnerEdit:
        """Return the plan of *order*. Raises what the plan of its kind raises."""
        if order.new:
            return self.plan_addition(code, order.assignments, order.added, units, now, secrets=order.secrets)
        if order.leaves:
            return self.plan_removal(code, units, now)
        if order.added is not None:
            return self.plan_certificate(code, order.added, units, now)
        if order.removed is not None:
            return self.plan_certificate_removal(code, order.removed, units, now, last=order.last)
        return self.plan_settings(code, order.assignments, order.unset, units, now, order.secrets)

    def plan_addition(
        self,
        code: str,
        assignments: Iterable[str],
        content: bytes | None,
        units: UnitIndex,
        now: datetime,
        folder: Mapping[str, bytes] | None = None,
        *,
        secrets: Mapping[str, str] = _NONE,
    ) -> PartnerEdit:
        """Return the plan of a new partner. *assignments*: `KEY=VALUE`. *content*: its certificate and chain, PEM or DER.

        *folder*: files of its folder `partners/CODE`, by their names. *secrets*: as in `PartnerOrder`. Raises PartnerExists,
        AssignmentUnfit, ConfigurationFault.
        """
        if not is_partner_code(code):
            wrong = phrase("{code} is not a valid partner code", code=repr(code))
            expected = phrase("letters, digits, - and _; not {hub}, which is the hub itself", hub=HUB)
            raise ConfigurationFault([Mistake("partners", wrong, expected)])
        if (self.home / _show_partner_file(code)).exists():
            raise PartnerExists(phrase("there is a partner {code} already", code=code))
        changes = self._parse_changes(code, assignments, (), secrets, {})

        def write(*places: str) -> str:
            return edit_toml(
                write_partner_toml(name=code, certificates=places, calls=NEW_CALLS), changes, _show_partner_file(code)
            )

        kept = (*self._make_folder(code, folder or {}), *self._lay_secrets(code, secrets))
        if content is None:
            return self._plan(code, "", write(), write(), kept, units, now)
        place = self._find_free_place(code)
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in self._parse(code, content))
        with tempfile.NamedTemporaryFile(suffix=".crt") as file:
            _ = file.write(pem)
            file.flush()
            files = (FileEdit(self.home / place, None, pem), *kept)
            return self._plan(code, "", write(place), write(file.name), files, units, now)

    def plan_settings(
        self,
        code: str,
        assignments: Iterable[str],
        unset: Iterable[str],
        units: UnitIndex,
        now: datetime,
        secrets: Mapping[str, str] = _NONE,
    ) -> PartnerEdit:
        """Return the plan to set and unset keys, and to write *secrets*. Raises AssignmentUnfit, ConfigurationFault, KeyError
        without the partner.
        """
        before = self._read(code)
        changes = self._parse_changes(code, assignments, unset, secrets, _read_toml(before))
        after = edit_toml(before, changes, _show_partner_file(code))
        return self._plan(code, before, after, after, self._lay_secrets(code, secrets), units, now)

    def _parse_changes(
        self,
        code: str,
        assignments: Iterable[str],
        unset: Iterable[str],
        secrets: Mapping[str, str],
        before: Mapping[str, Any],
    ) -> dict[str, Value]:
        """Return the changes of the partner's file. A secret that is written is named after its setting."""
        require_secrets(secrets)
        named = [f"{SETTINGS}.{name}{SECRET_FILE}={name}" for name in secrets]
        changes = parse_partner_changes((*assignments, *named), unset, before)
        if self.remote:
            require_own_places(code, changes, before, [each.stem for each in (self.home / "partners").glob("*.toml")])
        return changes

    def _lay_secrets(self, code: str, secrets: Mapping[str, str]) -> tuple[FileEdit, ...]:
        """Return the edits that write *secrets* into the folder of the partner's secrets."""
        places = {self.home / SECRETS / code / name: value for name, value in secrets.items()}
        return tuple(
            FileEdit(
                place, place.read_bytes() if place.is_file() else None, f"{value}\n".encode("utf-8", "replace"), 0o600
            )
            for place, value in places.items()
        )

    def _set_aside(self, code: str, files: Sequence[FileEdit]) -> Iterator[FileEdit]:
        """Yield the edits that take away, but for `NAME.old`, each secret in the partner's folder that *files* do not write."""
        written = {each.path for each in files}
        places = (self.home / SECRETS / code / name for name in list_secret_names(self.home, code))
        yield from (FileEdit(place, place.read_bytes(), None) for place in places if place not in written)

    def plan_certificate(self, code: str, content: bytes, units: UnitIndex, now: datetime) -> PartnerEdit:
        """Return the plan to accept one certificate more. *content*: the certificate and its chain, PEM or DER.

        The plan is empty if the partner has it. Raises ConfigurationFault, KeyError without the partner.
        """
        before = self._read(code)
        found = self._parse(code, content)
        held = self._read_before().partners.get(code)
        if held is not None and found[0] in held.certificates:
            return PartnerEdit(code=code, files=(), diff=(), changes=())
        place = self._find_free_place(code)
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in found)
        after = _add_certificate(before, code, place)
        with tempfile.NamedTemporaryFile(suffix=".crt") as file:
            _ = file.write(pem)
            file.flush()
            trial = _add_certificate(before, code, file.name)
            return self._plan(code, before, after, trial, (FileEdit(self.home / place, None, pem),), units, now)

    def plan_certificate_removal(
        self, code: str, wanted: str, units: UnitIndex, now: datetime, *, last: bool = False
    ) -> PartnerEdit:
        """Return the plan to accept a certificate no longer. *wanted*: the beginning of its SHA-256, or its file.

        Its file stays. Raises LastCertificate unless *last* is allowed, CertificateNotFound, ConfigurationFault, and
        KeyError without the partner.
        """
        before = self._read(code)
        config = read_partner_change(self.path, code, before)
        set_revocation_answers(config, load_revocation_answers(config, now))
        held = list_partner_certificates(config, config.partners[code], before, now)
        sha256 = find_certificate({each.sha256: each.file for each in held}, wanted)
        if not last and not any(each.problem is None for each in held if each.sha256 != sha256):
            raise LastCertificate(
                phrase(
                    "{sha256}… is the last certificate of {code} that is valid: without it the partner can neither call "
                    "nor be called over mutual TLS",
                    sha256=sha256[:16],
                    code=code,
                )
            )
        gone = next(each.file for each in held if each.sha256 == sha256)
        after = edit_toml(
            before,
            {CERTIFICATES: tuple(each for each in list_certificate_files(before) if each != gone)},
            _show_partner_file(code),
        )
        return self._plan(code, before, after, after, (), units, now)

    def plan_removal(self, code: str, units: UnitIndex, now: datetime) -> PartnerEdit:
        """Return the plan to remove the partner. Its certificates' files and its folder stay, and its own file as `CODE.toml.old`.

        Raises ConfigurationFault where something still names it, and KeyError without the partner.
        """
        before = self._read(code)
        old = self._read_before()
        new = read_partner_change(self.path, code, None)
        for each in (old, new):
            set_revocation_answers(each, load_revocation_answers(each, now))
        mistakes, warnings = find_added_mistakes(old, new, units, now)
        if mistakes:
            raise ConfigurationFault(mistakes)
        return PartnerEdit(
            code=code,
            files=(FileEdit(self.home / _show_partner_file(code), before.encode(), None),),
            diff=tuple(write_difference(before, "", _show_partner_file(code))),
            changes=describe_partner_change(old.partners.get(code), None),
            warnings=tuple(warnings),
            removed=True,
        )

    def _plan(
        self,
        code: str,
        before: str,
        after: str,
        trial: str,
        files: tuple[FileEdit, ...],
        units: UnitIndex,
        now: datetime,
    ) -> PartnerEdit:
        """Return the plan that turns the partner's file from *before* to *after*. *trial* is read in its place."""
        if after == before and all(each.before == each.after for each in files):
            return PartnerEdit(code=code, files=(), diff=(), changes=())
        made = {f"{each.path.relative_to(self.home)}": each.after for each in files if each.after}
        old, new = self._read_before(), read_partner_change(self.path, code, trial, made)
        for each in (old, new):
            set_revocation_answers(each, load_revocation_answers(each, now))
        mistakes, warnings = find_added_mistakes(old, new, units, now)
        if not mistakes:
            for flaw, grave in rehearse_mapping(new, new.partners[code], now):
                (mistakes if grave else warnings).append(flaw)
        if mistakes:
            raise ConfigurationFault(mistakes)
        partner, place = new.partners[code], f"{_show_partner_file(code)}:"
        if self.remote:
            files = (*files, *self._require_address(old.partners.get(code), partner, files))
        held = old.partners.get(code) if before else Partner(code=code, name=code, certificates=())
        warnings += [each for each in find_grant_warnings(new) if each.path.startswith(place)]
        any_unit = find_any_unit_warning(held, partner)
        warnings += any_unit
        named = [unit for unit in partner.units if unit != ANY]
        return PartnerEdit(
            code=code,
            files=(
                *files,
                FileEdit(self.home / _show_partner_file(code), before.encode() if before else None, after.encode()),
            ),
            diff=tuple(write_difference(before, after, _show_partner_file(code))),
            changes=(*describe_partner_change(held, partner), *describe_file_edits(self.home, files)),
            warnings=tuple(warnings),
            units=tuple(unit for unit in named if units.canonical(unit) not in units),
            any_unit=bool(any_unit),
        )

    def _require_address(self, old: Partner | None, new: Partner, files: Sequence[FileEdit]) -> tuple[FileEdit, ...]:
        """Return what is set aside because the partner is called elsewhere. Raises ConfigurationFault if it may not be."""
        mistakes = [*find_foreign_directory(old, new), *find_own_hosts(old, new)]
        known = new.adapter in adapters.list_adapter_names()
        own = adapters.list_adapter_settings(new.adapter, new.settings, new.files) if known else ()
        elsewhere = is_called_elsewhere(old, new, own)
        if elsewhere:
            folder = self.home / SECRETS / new.code
            mistakes += find_kept_secrets(new, {each.path.name for each in files if each.path.parent == folder})
        if mistakes:
            raise ConfigurationFault(mistakes)
        return tuple(self._set_aside(new.code, files)) if elsewhere else ()

    def _read(self, code: str) -> str:
        """Return the content of the partner's file. Raises KeyError if there is none."""
        if not _is_file_name(code) or not (self.home / _show_partner_file(code)).is_file():
            raise KeyError(code)
        return read_text(self.home / _show_partner_file(code), _show_partner_file(code))

    def _read_before(self) -> Config:
        """Return the configuration as it is, without a partner whose file is wrong: the change may mend that file."""
        return read_config(self.path, set_aside=lambda _mistakes: None)

    def _make_folder(self, folder: str, contents: Mapping[str, bytes]) -> tuple[FileEdit, ...]:
        """Return the edits that put files into the folder `partners/FOLDER`. Raises PartnerExists if it has one of them."""
        places = {self.home / "partners" / folder / name: content for name, content in contents.items()}
        taken = next((each for each in places if each.exists()), None)
        if taken is not None:
            said = f"partners/{folder}/{taken.name}"
            raise PartnerExists(phrase("there is a file {file} already; move the folder away", file=said))
        return tuple(FileEdit(place, None, content) for place, content in places.items())

    def plan_folder(self, code: str, contents: Mapping[str, bytes]) -> PartnerEdit:
        """Return the plan of one more folder for the partner, `partners/CODE-2` and so on, which nothing uses yet.

        Raises KeyError without the partner.
        """
        _ = self._read(code)
        root = self.home / "partners"
        folder = next(name for number in count(2) if not (root / (name := f"{code}-{number}")).exists())
        return PartnerEdit(code=code, files=self._make_folder(folder, contents), diff=(), changes=())

    def _parse(self, code: str, content: bytes) -> tuple[x509.Certificate, ...]:
        try:
            found = parse_certificates(content)
        except (ValueError, TypeError) as error:
            wrong = phrase("it cannot be used: {error}", error=error)
            expected = phrase("a file of X.509 certificates, PEM or DER")
            raise ConfigurationFault([Mistake(f"{_show_partner_file(code)}: certificates", wrong, expected)]) from error
        return tuple(found)

    def _find_free_place(self, code: str) -> str:
        """Return the name of a file that does not exist, for one certificate more."""
        places = (f"partners/{code}{f'-{number}' if number > 1 else ''}.crt" for number in count(1))
        return next(place for place in places if not (self.home / place).exists())


def _show_partner_file(code: str) -> str:
    return f"partners/{code}.toml"


def _is_file_name(code: str) -> bool:
    return bool(code) and code == Path(code).name and not code.startswith(".")


def _read_toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError:
        return {}  # the edit of the text says what is wrong


def _add_certificate(before: str, code: str, place: str) -> str:
    changes: dict[str, Value] = {CERTIFICATES: (*list_certificate_files(before), place)}
    return edit_toml(before, changes, _show_partner_file(code))
