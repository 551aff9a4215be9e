"""The codes of refused sign-ins at OpenID providers, as the page and the event have them."""

from enum import StrEnum


class SignInRefusal(StrEnum):
    """Why a sign-in at an OpenID provider was refused."""

    FLOW_UNKNOWN = "flow-unknown"  #: this browser did not begin it, or more than ten minutes ago
    PROVIDER_DOWN = "provider-down"  #: the provider does not answer, or not as OpenID Connect says
    PROVIDER_REFUSED = "provider-refused"  #: the provider says that the user may not, or did not, sign in
    TOKEN_REFUSED = "token-refused"  # noqa: S105 #: the provider's ID token is not to be believed
    NO_ACCOUNT = "no-account"  #: no account is bound to the person
