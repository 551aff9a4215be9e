"""Publishes the rules of every form of report: Schematron and JSON Schema, below `/contracts/report/`. Makes no rules."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import structlog

from hub.config.reports import ReportSettings
from hub.domain.errors import ConfigurationFault
from hub.report.form.book import read_book
from hub.report.output import schematron

log = structlog.get_logger()


class FormRules:
    """The files of the rules, by name. The forms are read again when the settings are others.

    A file is written when it is first asked for, which takes about 20 ms, and kept.
    """

    def __init__(self, read_settings: Callable[[], ReportSettings]) -> None:
        self._read_settings = read_settings
        self._settings: ReportSettings | None = None
        self._files: Mapping[str, Callable[[], bytes]] = {}

    def list_files(self) -> Mapping[str, Callable[[], bytes]]:
        """Return a writer of each file by its name, such as `report/ii06a-2020-10-21.sch`."""
        settings = self._read_settings()
        if settings is not self._settings:
            try:
                self._files = _list_writers(settings)
            except (ConfigurationFault, OSError) as fault:
                # A form was spoilt since the hub took the settings. The contracts beside the rules are served all the same.
                log.warning("form-rules-unread", error=str(fault))
            self._settings = settings
        return self._files


def _list_writers(settings: ReportSettings) -> dict[str, Callable[[], bytes]]:
    found: dict[str, Callable[[], bytes]] = {}
    for form in read_book(settings).forms:
        rules, shape = schematron.name_rule_files(form)
        found[rules] = cache(partial(schematron.write_schematron, form))
        found[shape] = cache(partial(schematron.write_json_schema, form))
    return found
