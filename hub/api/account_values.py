"""The bodies and the answers of the operations on accounts. Contains no HTTP and no journal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import attrs

from hub.api.schemas import LONG
from hub.api.values import Cursor
from hub.language.phrases import phrase
from hub.operations.accounts.accounts import AccountView
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.sessions import ConsoleSession

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
class ApiAccount:
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
        names = {each.name for each in attrs.fields(cls)} - {"codes", "certificates"}
        said = {name: getattr(view.user, name) for name in names}
        return cls(**said, codes=view.coded, certificates=view.certificates)


@attrs.frozen(kw_only=True)
class ApiAccountList:
    """A page of accounts, by name."""

    items: Sequence[ApiAccount]
    next: Cursor


@attrs.frozen(kw_only=True)
class ApiAccountSession:
    """An open session."""

    address: str
    begun_at: datetime
    seen_at: Annotated[datetime, phrase("when it was used last, to the minute")]
    until: Annotated[datetime, phrase("when it ends at the latest")]

    @classmethod
    def of(cls, session: ConsoleSession) -> "ApiAccountSession":
        """Return the session without its secret."""
        return cls(**{each.name: getattr(session, each.name) for each in attrs.fields(cls)})


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
