"""Makes the alert rules for Prometheus of the hub's own conditions which no other metric shows.

They are the second group of packaging/monitoring/rules.yml, which `./dev words` writes: their words are those of the terms.
Knows which rule, written by hand, shows each of the other conditions by metrics that do not need the hub's own judgement.
"""

from collections.abc import Iterator, Mapping

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.terms import find_term
from hub.monitoring.hub_alerts.conditions import ConditionKind
from tests.conftest import ROOT

RULES = ROOT / "packaging/monitoring/rules.yml"
#: Condition -> the rules that show it, too.
WRITTEN: Mapping[ConditionKind, tuple[str, ...]] = {
    ConditionKind.PARTNER_DOWN: ("LienThongPartnerDown",),
    ConditionKind.LINK_DOWN: ("LienThongLinkDown",),
    ConditionKind.DEAD_LETTERS: ("LienThongDeadLetters",),
    ConditionKind.SUSPENDED: ("LienThongSuspended",),
    ConditionKind.WAITING: ("LienThongWaitingLong",),
    ConditionKind.CERTIFICATE: tuple(f"LienThongCertificateEnds{each}" for each in ("30Days", "7Days", "1Day")),
    ConditionKind.CRL: ("LienThongCrlStale",),
    ConditionKind.DISK: ("LienThongDiskLow",),
    ConditionKind.CHAIN: ("LienThongChainBehind",),
    ConditionKind.BACKUP: ("LienThongBackupOld", "LienThongBackupFailed"),
    ConditionKind.RETENTION: ("LienThongRetentionLate",),
    ConditionKind.RECEIPTS: ("LienThongReceiptsAwaited",),
    ConditionKind.RESTART: ("LienThongRestartPending",),
    ConditionKind.WRITER: ("LienThongWriterBusy",),
}
_HEAD = """\
  # From here on made by `./dev words`, from the conditions of the hub's own alerts; their severity is the hub's.
  - name: lienthong-conditions
    rules:
"""


def name_rule(kind: ConditionKind) -> str:
    """Return the name of the rule that is made of a condition."""
    return "LienThong" + "".join(map(str.capitalize, kind.split("-")))


def write_rules(written: str) -> str:
    """Return the file of rules *written* with its second group made anew."""
    return (
        written.partition(_HEAD)[0]
        + _HEAD
        + "".join(_write_rule(kind) for kind in ConditionKind if kind not in WRITTEN)
    )


def _write_rule(kind: ConditionKind) -> str:
    return "".join(f"      {line}\n" for line in _list_lines(kind))


def _list_lines(kind: ConditionKind) -> Iterator[str]:
    term = find_term("condition", kind)
    assert term is not None
    yield f"- alert: {name_rule(kind)}"
    yield f"""  expr: 'max by (severity) (lienthong_alerts{{kind="{kind}"}}) > 0'"""
    yield "  annotations:"
    for name, language in (("summary", Language.EN), ("summary_vi", Language.VI)):
        said = translate(term.meaning, language).replace("'", "''")
        yield f"    {name}: '{said}'"
