"""What an adapter receives: the partner, the hub's identity and the operator's settings. Contains no dialect.

Each adapter defines its settings as `SETTINGS` in its folder, and `lienthong check` checks the configuration against
them.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
from cryptography import x509

from hub.language.phrases import Phrase, phrase
from hub.security.anchors import Anchors
from hub.security.certificates import Signer

_QUOTED = phrase("text in quotes")
#: The name of the setting, of whichever adapter, that names a file below `partners/`.
MAPPING = "mapping"
#: The end of a key of `[settings]` that names the file of a secret.
SECRET_FILE = "-file"  # noqa: S105 - no secret itself
#: What names a host or a path, in its simplest forms.
_PLACES = (
    "host",
    "host:443",
    "10.0.0.5",
    "host.example",
    "path/",
    "/path",
    *(f"{each}://host/" for each in ("https", "imap")),
)


@attrs.frozen
class Setting:
    """One key of `[settings]` that an adapter reads. A secret is configured as the file that holds it, `NAME-file`.

    A secret that a person gave on a page is not kept when a setting changes that may say where it is sent: one whose
    `like` also fits the name of a host or a path. So a narrow `like` spares people typing.

    The value of a *file* is the path of a file, relative to the folder of the partners' entries. The file and the files
    beside it that it names are read with the configuration, and stand in `Terms.files`. So an adapter opens none.
    """

    name: str
    default: str | None = None  #: None: the key is required
    like: str = ".+"  #: regular expression that the value must match
    expected: Phrase = _QUOTED  #: the expected form, for the error message
    secret: bool = False  #: whether the value is read from a file
    #: whether the value names a file below `partners/`, such as `dvc/mapping.toml`, which is read with the configuration
    #: (`Terms.files`). The setting's name is `MAPPING`
    file: bool = False

    @property
    def key(self) -> str:
        """Return the key as it is written in the configuration."""
        return f"{self.name}{SECRET_FILE}" if self.secret else self.name

    @property
    def may_direct(self) -> bool:
        """Tell whether its value may say where the adapter sends what it sends, as far as its form tells."""
        return not self.secret and any(map(self.fits, _PLACES))

    def fits(self, value: str) -> bool:
        """Tell whether *value* has the required form."""
        return re.fullmatch(self.like, value) is not None


#: Values that may be kept before the expired ones are looked for.
_TIDY = 1000
#: How long the document at which a conversation broke off is remembered.
_REMEMBERED = timedelta(days=1)


@attrs.define
class AdapterNotes:
    """Values, such as a token, that an adapter keeps from one conversation to the next until they expire.

    Kept in memory only.
    """

    #: value and expiry by name
    _kept: dict[str, tuple[str, datetime]] = attrs.field(factory=dict, init=False, repr=False)
    _most: int = attrs.field(default=_TIDY, init=False, repr=False)  #: with more values the expired ones are dropped

    def keep(self, name: str, value: str, until: datetime) -> None:
        """Keep *value* under *name*, at most until *until*."""
        self._kept[name] = (value, until)

    def recall(self, name: str, now: datetime) -> str | None:
        """Return the value under *name*, or None if there is none or it has expired."""
        if len(self._kept) > self._most:
            for each in [each for each, kept in list(self._kept.items()) if kept[1] <= now]:
                self._kept.pop(each, None)
            self._most = max(_TIDY, 2 * len(self._kept))
        value, until = self._kept.get(name, ("", now))
        return value if now < until else None

    def drop(self, name: str) -> None:
        """Delete the value, because the partner does not accept it any more."""
        self._kept.pop(name, None)

    def ask(self, document: str, now: datetime) -> bool:
        """Note that *document* is requested now, until `have`. Tell whether a conversation broke off there before."""
        before = self.broke_off_at(document, now)
        self.keep(f"asked {document}", now.isoformat(), now + _REMEMBERED)
        return before

    def broke_off_at(self, document: str, now: datetime) -> bool:
        """Tell whether *document* was requested and not settled since."""
        return self.recall(f"asked {document}", now) is not None

    def have(self, document: str) -> None:
        """Note that a requested document is settled: answered, with whatever result, judged and confirmed."""
        self.drop(f"asked {document}")

    def in_turn(self, documents: Sequence[str], now: datetime) -> list[str]:
        """Return *documents* in their order, but those where a conversation broke off last, the oldest break first."""
        return sorted(documents, key=lambda each: self.recall(f"asked {each}", now) or "")


@attrs.frozen(kw_only=True)
class Terms:
    """Everything an adapter needs to speak to one partner."""

    partner: str  #: partner code
    url: str
    identity: Signer  #: the hub's
    certificates: Sequence[x509.Certificate] = ()  #: the partner's
    #: trust anchors for other certificates; none by default
    anchors: Anchors = attrs.field(factory=lambda: Anchors(()))
    max_age: timedelta = timedelta(seconds=900)  #: maximum age of a signed reply
    skew: timedelta = timedelta(seconds=60)  #: tolerance for the clock of the signer
    #: by name, with every `SETTINGS` key that has a default
    settings: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  #: by name, without `-file`
    #: the file that a setting with `file` names, and the files that it lists with their SHA-256, which is right. The keys
    #: are names without a folder: of the setting `dvc/mapping.toml` it is `mapping.toml`
    files: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    notes: AdapterNotes = attrs.field(factory=AdapterNotes)
