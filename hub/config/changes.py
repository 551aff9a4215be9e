"""Lists the differences between two configurations, for a reload. Does not know which components use them."""

from collections.abc import Iterable

import attrs
from cryptography import x509

from hub.config.reports import ReportSettings
from hub.config.values import Config, Partner
from hub.security.certificates import hash_certificate

#: Attributes that are bound, opened or displayed at the start. A change takes effect at the next start.
_AT_START = (
    *("soap", "admin", "public_url", "database_url", "password_file", "data", "workers", "feed", "syslog", "portal"),
    *("tracing", "witness", "witness_first"),
)
_AT_ONCE = (
    *("name", "province", "upstream", "incidents", "alerts", "links", "replay", "console", "units", "archive"),
    *("exchange", "retention", "backup", "free_disk", "operator_alerts", "lookups", "officials"),
)
#: The keys of attributes that are not called like theirs.
_KEYS = {
    "free_disk": "limits.free-disk",
    "operator_alerts": "alerts.operators",
    "witness": "backup.witness",
    "witness_first": "backup.witness-first",
}


def describe_config_changes(old: Config, new: Config, started: Config | None = None) -> list[str]:
    """Return one line per change: `+` new, `-` removed, `~` changed, `!` changed but effective only after a restart.

    *started* is the configuration that the node was started with; without it, that is *old*. What needs a restart is
    listed by each reload until the node was restarted, or the setting is again as it was.
    """
    return [
        *(f"! {name}" for name in list_restart_settings(started or old, new)),
        *(f"~ {_show_field_name(name)}" for name in _AT_ONCE if getattr(old, name) != getattr(new, name)),
        *(["~ reports"] if _leave_countable(old) != _leave_countable(new) else []),
        *_list_identity_changes(old, new),
        *_list_trust_changes(old, new),
        *_list_partner_changes(old, new),
        *_list_service_changes(old, new),
    ]


def list_restart_settings(started: Config, new: Config) -> list[str]:
    """Return the settings of *new* that need a restart, because they are not as in *started*, by their key."""
    return [_show_field_name(name) for name in _AT_START if getattr(started, name) != getattr(new, name)]


def _list_identity_changes(old: Config, new: Config) -> Iterable[str]:
    if old.identity.certificate != new.identity.certificate:
        yield f"~ pki.certificate {_show_hash(hash_certificate(new.identity.certificate))}"
    elif old.identity != new.identity:
        yield "~ pki.key"
    if old.tls.certificate != new.tls.certificate and len(old.own) + len(new.own) > 2:
        yield f"~ pki.tls-certificate {_show_hash(hash_certificate(new.tls.certificate))}"
    if old.rotation.next != new.rotation.next:
        yield f"~ pki.next-certificate {_mark_optional(new.rotation.next)}"
    if old.rotation.previous != new.rotation.previous:
        yield f"~ pki.previous-certificate {_mark_optional(new.rotation.previous)}"


def _list_trust_changes(old: Config, new: Config) -> Iterable[str]:
    before, after = ({hash_certificate(authority) for authority in config.authorities} for config in (old, new))
    yield from (f"+ trust {_show_hash(one)}" for one in sorted(after - before))
    yield from (f"- trust {_show_hash(one)}" for one in sorted(before - after))
    if old.crls != new.crls:
        yield "~ crls"
    if old.sources != new.sources:
        yield "~ revocation sources"


def _list_partner_changes(old: Config, new: Config) -> Iterable[str]:
    yield from (f"+ partners/{code}" for code in sorted(new.partners.keys() - old.partners.keys()))
    yield from (f"- partners/{code}" for code in sorted(old.partners.keys() - new.partners.keys()))
    for code in sorted(old.partners.keys() & new.partners.keys()):
        changed = _list_differing_fields(old.partners[code], new.partners[code])
        if changed:
            yield f"~ partners/{code}: {', '.join(changed)}"


def _leave_countable(config: Config) -> ReportSettings:
    """Return the settings of reports without what follows from services, partners and keys, which are listed by themselves."""
    return attrs.evolve(config.reports, countable=(), tellers=(), trust=None)


def _list_service_changes(old: Config, new: Config) -> Iterable[str]:
    """Yield each change of a defined service, with the SHA-256 of its folder."""
    yield from (
        f"+ services/{name} {_show_hash(new.services[name].sha256)}"
        for name in sorted(new.services.keys() - old.services.keys())
    )
    yield from (f"- services/{name}" for name in sorted(old.services.keys() - new.services.keys()))
    for name in sorted(old.services.keys() & new.services.keys()):
        if old.services[name].sha256 != new.services[name].sha256:
            yield f"~ services/{name} {_show_hash(new.services[name].sha256)}"


def _list_differing_fields(old: Partner, new: Partner) -> list[str]:
    names = [field.name for field in attrs.fields(Partner) if field.name != "policy"]
    changed = [_show_field_name(name) for name in names if getattr(old, name) != getattr(new, name)]
    keys = [field.name for field in attrs.fields(type(old.policy))]
    return changed + [
        f"policy.{_show_field_name(key)}" for key in keys if getattr(old.policy, key) != getattr(new.policy, key)
    ]


def _show_field_name(name: str) -> str:
    return _KEYS.get(name, name.replace("_", "-"))


def _show_hash(shown: str) -> str:
    return f"{shown[:16]}…"


def _mark_optional(certificate: x509.Certificate | None) -> str:
    return "–" if certificate is None else _show_hash(hash_certificate(certificate))
