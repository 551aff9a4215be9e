"""The bodies and the answers of the operations on accounts and tokens. Contains no HTTP and no journal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import attrs

from hub.api.schemas import LONG, Projected
from hub.api.values import Cursor
from hub.language.phrases import phrase
from hub.operations.accounts.accounts import AccountView
from hub.operations.accounts.desk import DAYS
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.accounts.sessions import ConsoleSession
from hub.operations.accounts.tokens import ApiToken
from hub.operations.accounts.users import User

_ONCE = phrase("shown in this answer only; null where the same Idempotency-Key was sent before")


@attrs.frozen(kw_only=True)
class ApiNewAccount:
    """An account to make."""

    asked = True
    name: str
    role: Role
    units: Annotated[Sequence[str], phrase("unit codes, each with the units below it, or *")] = ()
    partners: Annotated[Sequence[str], phrase("partner codes; none: every partner")] = ()


@attrs.frozen(kw_only=True)
class ApiAccountChange:
    """What an account gets; what is not given stays."""

    asked = True
    role: Role | None = None
    units: Annotated[Sequence[str], phrase("unit codes, each with the units below it, or *")] = ()
    partners: Annotated[Sequence[str], phrase("partner codes, or *")] = ()


@attrs.frozen(kw_only=True)
class ApiCertificateGiven:
    """A client certificate."""

    asked = True
    pem: Annotated[str, phrase("the certificate in PEM"), LONG]


@attrs.frozen(kw_only=True)
class ApiCertificateNamed:
    """A client certificate by its fingerprint."""

    asked = True
    sha256: str


@attrs.frozen(kw_only=True)
class ApiAccount(Projected[User]):
    """An account."""

    name: str
    role: Role
    units: Sequence[str]
    partners: Sequence[str]
    added_at: datetime
    changed_at: Annotated[datetime, phrase("when the password was set last")]
    must_change: Annotated[bool, phrase("whether somebody else has set the password, so that it must be changed")]
    locked_at: Annotated[datetime | None, phrase("since when it may not sign in; null: it may")]
    signed_in_at: Annotated[datetime | None, phrase("the last sign-in")]
    codes: Annotated[bool, phrase("whether it needs one-time codes to sign in")]
    certificates: Annotated[Sequence[str], phrase("SHA-256 of each client certificate that signs it in")]

    @classmethod
    def of(cls, view: AccountView) -> "ApiAccount":
        """Return the account as its page shows it."""
        return cls.project(view.user, codes=view.coded, certificates=view.certificates)


@attrs.frozen(kw_only=True)
class ApiAccountList:
    """A page of accounts, by name."""

    items: Sequence[ApiAccount]
    next: Cursor


@attrs.frozen(kw_only=True)
class ApiAccountSession(Projected[ConsoleSession]):
    """An open session."""

    address: str
    begun_at: datetime
    seen_at: Annotated[datetime, phrase("when it was used last, to the minute")]
    until: Annotated[datetime, phrase("when it ends at the latest")]


@attrs.frozen(kw_only=True)
class ApiAccountDetails:
    """An account and its open sessions."""

    account: ApiAccount
    sessions: Sequence[ApiAccountSession]


@attrs.frozen(kw_only=True)
class ApiAccountPassword:
    """An account with a new one-time password."""

    account: ApiAccount
    password: Annotated[str | None, _ONCE] = None


@attrs.frozen(kw_only=True)
class ApiAccountCodes:
    """An account with a new secret of one-time codes."""

    account: ApiAccount
    secret: Annotated[str | None, _ONCE] = None
    uri: Annotated[str | None, phrase("the otpauth: address from which an app reads the secret")] = None


@attrs.frozen(kw_only=True)
class ApiCertificateBound:
    """An account with a client certificate more."""

    account: ApiAccount
    sha256: str
    warnings: Annotated[Sequence[str], phrase("why the hub would not accept the certificate now")]


@attrs.frozen(kw_only=True)
class ApiNewToken:
    """A token to make."""

    asked = True
    name: str
    scopes: Sequence[Permission] = ()
    role: Annotated[Role | None, phrase("also all scopes of this role")] = None
    units: Annotated[Sequence[str], phrase("unit codes, each with the units below it; none: every unit")] = ()
    partners: Annotated[Sequence[str], phrase("partner codes; none: every partner")] = ()
    days: Annotated[int, phrase("it expires after so many days")] = DAYS
    owner: Annotated[str, phrase("the person who answers for it; empty: the owner of the calling token")] = ""


@attrs.frozen(kw_only=True)
class ApiListedToken(ApiToken):
    """A token without its secret."""

    @classmethod
    def of(cls, token: ApiToken) -> "ApiListedToken":
        """Return *token* as it is listed."""
        return cls(**attrs.asdict(token))


@attrs.frozen(kw_only=True)
class ApiTokenList:
    """All tokens, by name."""

    items: Sequence[ApiListedToken]


@attrs.frozen(kw_only=True)
class ApiTokenMade:
    """A new token."""

    token: ApiListedToken
    secret: Annotated[str | None, _ONCE] = None
