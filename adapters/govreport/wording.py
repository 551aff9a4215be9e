"""The vocabulary of the Government reporting system: names of fields, words of a verdict.

Knows the settings, not requests.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

import attrs

from hub.domain.sanitize import replace_unstorable
from hub.language.languages import Language
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed import sealed
from hub.services.verdicts import ReportVerdict


class UnknownWord(ValueError):
    """A word that the settings do not define. A person must extend them."""


class MalformedVerdict(ValueError):
    """The item is not a verdict."""


@attrs.frozen(kw_only=True)
class ReportFiles:
    """The documents of one submission."""

    keys: Mapping[str, str]  #: form, unit, period, revision
    xml: bytes
    xlsx: bytes | None


@attrs.frozen
class SystemWording:
    """The settings, as methods that apply them."""

    partner: str
    settings: Mapping[str, str]
    _secret: str = attrs.field(default="", repr=False)

    @classmethod
    def of(cls, partner: str, settings: Mapping[str, str], secrets: Mapping[str, str]) -> Self:
        """Build the wording from the settings. Every key is present, if only by its default."""
        return cls(partner, settings, secrets.get("secret", ""))

    def make_files(self, content: bytes) -> ReportFiles:
        """Return the signed XML unchanged, and the workbook made from it. The same XML gives the same workbook."""
        found = sealed.read_sealed_report(content)
        report = found.report
        keys = {
            "form": report.form.id,
            "unit": report.total.unit,
            "period": report.period.text,
            "revision": str(found.revision),
        }
        wanted = self.settings["workbook"] == "yes"
        xlsx = (
            write_xlsx_report(report, found.names, found.evidence, Language(self.settings["language"]))
            if wanted
            else None
        )
        return ReportFiles(keys=keys, xml=content, xlsx=xlsx)

    def headers(self, message: str) -> tuple[tuple[str, str], ...]:
        """Return the headers that identify us and the message."""
        return (*self.credentials(), (self.settings["id-header"], message))

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the header that identifies us; none if no secret was agreed."""
        value = self.settings["auth-value"].replace("{secret}", self._secret)
        return ((self.settings["auth-header"], value),) if self._secret else ()

    def fields(self, keys: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the text fields under the names that the system uses."""
        names = _read_pairs(self.settings["fields"])
        return [(names[key], value) for key, value in keys.items() if key in names]

    def identity(self, item: object) -> str:
        """Return the system's id of the verdict *item*. Raises MalformedVerdict."""
        if not isinstance(item, dict):
            raise MalformedVerdict(f"{item!r:.200} is no verdict")
        found = item.get(_read_pairs(self.settings["verdict-fields"]).get("id", "id"))
        if not isinstance(found, str | int) or found == "":
            raise MalformedVerdict("a verdict without an id")
        return replace_unstorable(str(found))

    def verdict(self, item: object) -> ReportVerdict | None:
        """Parse *item* into a verdict; None if no decision has been made yet. Raises MalformedVerdict, UnknownWord."""
        names = _read_pairs(self.settings["verdict-fields"])
        if not isinstance(item, dict):
            raise MalformedVerdict(f"{item!r:.200} is no verdict")
        said = {key: item.get(name) for key, name in names.items()}
        result = self._result(said.get("result"))
        if result is None:
            return None
        words = {key: _write_text(said.get(key), key) for key in ("form", "unit", "period", "revision")}
        if not (words["revision"].isascii() and words["revision"].isdigit() and len(words["revision"]) < 10):
            raise MalformedVerdict(f"the revision {words['revision']!r:.200} is no number")
        reasons = said.get("reasons") or []
        listed = reasons if isinstance(reasons, list) else [reasons]
        return ReportVerdict(
            form=words["form"],
            unit=words["unit"],
            period=words["period"],
            revision=int(words["revision"]),
            result=result,
            by=self.partner,
            reasons=[each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in listed],
        )

    def _result(self, said: object) -> str | None:
        """Return our word for a result; None for a pending one. Raises UnknownWord."""
        word = _write_text(said, "result")
        for ours in ("accepted", "returned"):
            if word in self.settings[ours].split():
                return ours
        if word in self.settings["pending"].split():
            return None
        raise UnknownWord(f"the result {word!r:.200} is none of those in the settings accepted, returned and pending")


def _read_pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(" "))


def _write_text(value: Any, key: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "" or not str(value).isprintable():
        raise MalformedVerdict(f"{key}: {value!r:.200}")
    return str(value)
