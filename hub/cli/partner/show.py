"""`lienthong partners show`: all that is known of one partner, and where each setting comes from."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from hub.cli.journal import open_journal, read_view_config, require_partner
from hub.cli.partner.partners import list_fields, read_standings, say_granted, say_standing
from hub.cli.screen import CommandStop, Screen, read_language, say, say_count, t
from hub.cli.words import say_word
from hub.config import Config
from hub.config.partners.partner_settings import PartnerSetting
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.domain.errors import ConfigurationFault, describe_problem
from hub.domain.local_time import write_local_time
from hub.domain.sightings import SightingKind
from hub.language.phrases import phrase
from hub.monitoring.keys import sighting_rows
from hub.monitoring.overview import BoundedCount, PartnerOverview
from hub.monitoring.partner_view import PartnerCertificate, PartnerFile, PartnerView, measure_partner, view_partner
from hub.store import transactions

Uses = Mapping[tuple[str, str], datetime]

#: How a partner uses a certificate when it calls the hub.
_USES = {"tls": phrase("shown until"), "sign": phrase("signed until")}


def show_partner(screen: Screen, code: str, changed: bool) -> None:
    config, now = read_view_config(screen), datetime.now(UTC)
    _ = require_partner(config, code)
    set_revocation_answers(config, load_revocation_answers(config, now))
    view, standings = view_partner(config, code, now), read_standings(screen, config)
    stands, uses = _measure_partner(config, code, now), _read_uses(config, code, now)
    shown = [each for each in view.settings if each.is_set or not changed]
    fields = list_fields(config, view.partner, standings) | _list_more(view, shown, stands, uses)
    lines = [
        f"{code}  {view.partner.name}",
        *_write_section(t("Settings"), _say_settings(code, shown)),
        *_write_section(t("Files"), map(_say_file, view.files)),
        *_write_section(t("Certificates"), (_say_certificate(each, uses) for each in view.certificates)),
        *_write_section(t("Permitted calls"), [_say_grants(view)]),
        *_write_section(t("State"), _say_state(stands, say_standing(standings.get(code)))),
    ]
    screen.row(fields, "\n".join(lines))


def _read_uses(config: Config, code: str, now: datetime) -> Uses:
    """Return when each certificate was used last, by its SHA-256 and the use; empty if the journal cannot be read."""
    kinds = {SightingKind.CALLER_CERTIFICATE: "tls", SightingKind.SIGNATURE_CERTIFICATE: "sign"}
    try:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            seen = sighting_rows.read_sightings(tx, now - sighting_rows.KEPT)
    except (CommandStop, ConfigurationFault):
        return {}
    return {
        (each.value, kinds[each.kind]): each.last_at for each in seen if each.partner == code and each.kind in kinds
    }


def _measure_partner(config: Config, code: str, now: datetime) -> PartnerOverview | None:
    """Return the state of the exchange; None if the journal cannot be read, which another note tells."""
    try:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            return measure_partner(tx, config.partners, code, now)
    except (CommandStop, ConfigurationFault):
        return None


def _write_section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield click.style(title, bold=True)
        yield from (f"  {line}" for line in found)


def _say_settings(code: str, settings: Iterable[PartnerSetting]) -> Iterator[str]:
    found = list(settings)
    width = max((len(each.key) for each in found), default=0)
    for each in found:
        yield f"{each.key.ljust(width)}  {_say_value(each)}  ({_say_origin(code, each)})"


def _say_value(setting: PartnerSetting) -> str:
    value = setting.value
    return (", ".join(value) if isinstance(value, tuple) else value) or "–"


def _say_origin(code: str, setting: PartnerSetting) -> str:
    default = setting.default
    written = (", ".join(default) if isinstance(default, tuple) else default) or "–"
    if setting.is_set:
        return t("partners/{code}.toml, line {line}; default {default}", code=code, line=setting.line, default=written)
    return t("default")


def _say_file(file: PartnerFile) -> str:
    return t(
        "{path}  {count} octets  SHA-256 {sha256}", path=file.path, count=say_count(file.octets), sha256=file.sha256
    )


def _say_certificate(certificate: PartnerCertificate, uses: Uses) -> str:
    said = t(
        "{sha256}  {subject}  until {end}, {days} days left  {file}",
        sha256=certificate.sha256,
        subject=certificate.subject,
        end=write_local_time(certificate.not_after)[:10],
        days=say_count(certificate.days_left),
        file=certificate.file,
    )
    for use, words in _USES.items():
        at = uses.get((certificate.sha256, use))
        said += "" if at is None else f"  {say(words)} {write_local_time(at)[:16]}"
    return said if certificate.problem is None else f"{said}: {describe_problem(certificate.problem, read_language())}"


def _say_grants(view: PartnerView) -> str:
    why = t("by the key calls") if view.partner.calls is not None else t("by its kind, without the key calls")
    return f"{say_granted(view.granted) or t('nothing')} ({why})"


def _say_state(stands: PartnerOverview | None, standing: str) -> Iterator[str]:
    if stands is not None:
        counts = [(say_word("delivery", state), each.count) for state, each in stands.deliveries.items()]
        counts.append((t("refused today"), stands.refused_messages))
        counts.append((t("refused calls today"), stands.refused_calls))
        yield ", ".join(f"{name} {_say_bounded(count)}" for name, count in counts)
        if stands.link is not None:
            yield f"{t('link')}: {say_word('link', stands.link.state)}"
    if standing:
        yield f"{t('sending')}: {standing}"


def _say_bounded(count: BoundedCount) -> str:
    return say_count(count.number) + ("+" if count.more else "")


def _list_more(
    view: PartnerView, settings: Iterable[PartnerSetting], stands: PartnerOverview | None, uses: Uses
) -> dict[str, Any]:
    """Return the fields of `--json` beyond those of `partners list`."""
    return {
        "certificates": [
            {
                "sha256": each.sha256,
                "subject": each.subject,
                "issuer": each.issuer,
                "not_before": each.not_before,
                "not_after": each.not_after,
                "days_left": each.days_left,
                "file": each.file,
                "shown_at": uses.get((each.sha256, "tls")),
                "signed_at": uses.get((each.sha256, "sign")),
                "problem": None if each.problem is None else f"{each.problem.code}: {each.problem.detail}",
            }
            for each in view.certificates
        ],
        "settings": [
            {"key": each.key, "value": each.value, "default": each.default, "line": each.line} for each in settings
        ],
        "files": [{"path": each.path, "octets": each.octets, "sha256": each.sha256} for each in view.files],
        "deliveries": None
        if stands is None
        else {str(state): each.count.number for state, each in stands.deliveries.items()},
        "refused_today": None if stands is None else stands.refused_messages.number,
        "refused_calls_today": None if stands is None else stands.refused_calls.number,
    }
