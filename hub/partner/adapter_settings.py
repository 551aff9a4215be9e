"""What an adapter is given: whom it speaks to, as whom, and what the operator set for it.  Knows no dialect.

What a setting means is its adapter's to say: `SETTINGS` in the adapter's folder, which `lienthong check` holds the configuration to.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
from cryptography import x509

from hub.security.certificates import Anchors, Signer


@attrs.frozen
class Setting:
    """One key that an adapter reads of `[settings]`; a secret is named by the file that holds it, `NAME-file`."""

    name: str
    default: str | None = None  #: None: it must be there
    like: str = ".+"
    expected: str = "text in quotes"
    secret: bool = False

    @property
    def key(self) -> str:
        """Return the key as it is written in the configuration."""
        return f"{self.name}-file" if self.secret else self.name

    def fits(self, value: str) -> bool:
        """Tell whether *value* looks as it must."""
        return re.fullmatch(self.like, value) is not None


#: So long it is remembered at which document a conversation broke off.
_REMEMBERED = timedelta(days=1)


@attrs.define
class AdapterNotes:
    """What an adapter remembers from one conversation to the next, such as a token, until it ends; lost with the process."""

    _kept: dict[str, tuple[str, datetime]] = attrs.field(factory=dict, init=False, repr=False)

    def keep(self, name: str, value: str, until: datetime) -> None:
        """Remember *value*, not longer than *until*."""
        self._kept[name] = (value, until)

    def recall(self, name: str, now: datetime) -> str | None:
        """Return what is remembered under *name*, if its time is not over."""
        value, until = self._kept.get(name, ("", now))
        return value if now < until else None

    def drop(self, name: str) -> None:
        """Forget it: the partner did not take it any more."""
        self._kept.pop(name, None)

    def ask(self, document: str, now: datetime) -> bool:
        """Note that *document* is asked for now, until `have`; tell whether a conversation broke off there before."""
        before = self.broke_off_at(document, now)
        self.keep(f"asked {document}", now.isoformat(), now + _REMEMBERED)
        return before

    def broke_off_at(self, document: str, now: datetime) -> bool:
        """Tell whether *document* was asked for, and not dealt with since."""
        return self.recall(f"asked {document}", now) is not None

    def have(self, document: str) -> None:
        """Note that what was asked for is dealt with: answered, whatever the answer, judged and told of."""
        self.drop(f"asked {document}")

    def in_turn(self, documents: Sequence[str], now: datetime) -> list[str]:
        """Return *documents* in their order, but behind the others those at which a conversation broke off, the longest ago first."""
        return sorted(documents, key=lambda each: self.recall(f"asked {each}", now) or "")


@attrs.frozen(kw_only=True)
class Terms:
    """The terms on which an adapter speaks to one partner."""

    partner: str  #: its code
    url: str
    identity: Signer  #: the hub's
    certificates: Sequence[x509.Certificate] = ()  #: the partner's
    anchors: Anchors = attrs.field(
        factory=lambda: Anchors(())
    )  #: what other certificates must lead to; nothing does by default
    max_age: timedelta = timedelta(seconds=900)  #: how old a signed reply may be
    skew: timedelta = timedelta(seconds=60)  #: how far the clock that signed it may be off
    settings: Mapping[str, str] = attrs.field(
        factory=dict
    )  #: by name; those of `SETTINGS` that have a default are all there
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  #: by name, without `-file`
    notes: AdapterNotes = attrs.field(factory=AdapterNotes)
