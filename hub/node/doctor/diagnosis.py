"""What an examination found: one diagnosis a check. Imports nothing of the hub but its words."""

from enum import StrEnum

import attrs

from hub.language.phrases import Phrase


class DiagnosisState(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"  #: it works, and will not for long or not well
    FAILED = "failed"  #: it does not work, or data may be lost
    UNKNOWN = "unknown"  #: this machine does not tell


@attrs.frozen
class Diagnosis:
    """The finding of one check."""

    check: str  #: a stable name, in docs/reference/cli.md
    verdict: DiagnosisState
    found: Phrase
    advice: Phrase | None = None  #: what to do; None where nothing is wrong
