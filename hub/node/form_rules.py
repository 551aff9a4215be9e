"""Publishes the rules of every form of report: Schematron and JSON Schema, below `/contracts/report/`. Makes no rules.

Also tells the services that each form counts, for metrics.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial

import attrs
import structlog

from hub.config.reports import ReportSettings
from hub.domain.errors import ConfigurationFault
from hub.domain.fair_queue import HUB
from hub.report.form.book import read_book
from hub.report.output import schematron
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.units.live import Live

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


@attrs.define(eq=False)
class FormServices:
    """The services whose facts each form counts. The forms are read again when the settings are others."""

    _live: Live
    _work: Work  #: reads the forms in a worker thread
    _settings: ReportSettings | None = attrs.field(default=None, init=False)
    _services: Mapping[str, Collection[str]] = attrs.field(factory=dict, init=False)

    async def read(self) -> Mapping[str, Collection[str]]:
        """Return the services by form, without forms that count none."""
        settings = self._live.config.reports
        if settings is not self._settings:
            try:
                self._services = await self._work(HUB, THRESHOLD, list_form_services, settings)
            except (ConfigurationFault, OSError) as fault:
                log.warning("form-rules-unread", error=str(fault))
            self._settings = settings
        return self._services


def list_form_services(settings: ReportSettings) -> dict[str, Collection[str]]:
    """Return the services that each form counts, by form. Raises `ConfigurationFault`, OSError."""
    book = read_book(settings)
    found = {form.id: book.services(form.id) for form in book.forms}
    return {form: services for form, services in found.items() if services}


def _list_writers(settings: ReportSettings) -> dict[str, Callable[[], bytes]]:
    found: dict[str, Callable[[], bytes]] = {}
    for form in read_book(settings).forms:
        rules, shape = schematron.name_rule_files(form)
        found[rules] = cache(partial(schematron.write_schematron, form))
        found[shape] = cache(partial(schematron.write_json_schema, form))
    return found
