"""Makes the secrets of accounts and tokens, and the steps of a transaction that keep what is kept of them.

The pages and the API use it. A secret is returned once, to the page or the answer that shows it. Contains no page.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import attrs
from cryptography import x509

from hub.config import ANY, Config
from hub.config.files import parse_certificates
from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.domain.sanitize import replace_controls
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import accounts, passwords, second_factor, tokens
from hub.operations.accounts.accounts import AccountAct, AccountOrder, AccountRefused, AccountView
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.accounts.tokens import ApiToken
from hub.operations.accounts.users import NameUnfit, User, normalise_user_name
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.security.certificates import Purpose, hash_certificate
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Maximum octets of a certificate file.
CERTIFICATE = 64 * 1024
#: Days that a token lasts if nothing else is asked.
DAYS = 90
#: Characters of the person who answers for a token.
_OWNER = 64


@attrs.frozen
class CodeSecret:
    """A new secret of one-time codes."""

    text: str = attrs.field(repr=False)  #: shown once
    address: str = attrs.field(repr=False)  #: from which an app reads it
    sealed: str  #: as the journal keeps it


@attrs.frozen
class AccountDesk:
    """Prepares orders on accounts and tokens. Each step that it returns raises `AccountRefused`."""

    _work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration in force
    _word: Callable[[], str]  #: returns a new random word of 43 letters
    _salt: Callable[[], bytes]  #: returns 16 new random octets

    async def make_password(self) -> tuple[str, str]:
        """Return a new one-time password and its hash."""
        password = passwords.write_one_time_password(self._salt())
        return password, await self._work(CONSOLE, THRESHOLD, passwords.hash_password, password, self._salt())

    def make_secret(self, name: str) -> CodeSecret:
        """Return a new secret of one-time codes of the account *name*. Raises `AccountRefused`."""
        return draw_up_secret(self._live.config, name, self._salt() + self._salt(), self._salt())

    def make(self, user: User, hashed: str, by: str) -> Callable[[Transaction], AccountView]:
        """Return the step that adds *user*, who must change the password with the hash *hashed*."""

        def step(tx: Transaction) -> AccountView:
            configured = self._live.config.partners
            made = attrs.evolve(user, must_change=True)
            accounts.make_account(tx, made, hashed, configured=configured, by=by, now=user.added_at)
            return accounts.view_account(tx, user.name)

        return step

    def carry_out(self, order: AccountOrder, by: str, now: datetime) -> Callable[[Transaction], AccountView]:
        """Return the step that carries out *order*."""
        config = self._live.config
        return partial(
            accounts.carry_out,
            order=order,
            configured=config.partners,
            code_roles=accounts.list_code_roles(config),
            by=by,
            now=now,
        )

    async def read_certificate(self, content: bytes, now: datetime) -> tuple[str, list[Phrase]]:
        """Return the SHA-256 of a certificate, PEM or DER, and why the hub would not accept it now.

        Raises `AccountRefused` if it is none.
        """
        if len(content) > CERTIFICATE:
            large = phrase("the file is larger than {count} octets", count=CERTIFICATE)
            raise AccountRefused("certificate-unfit", large)
        try:
            shown = parse_certificates(content)
        except (ValueError, TypeError):
            shown = []
        if not shown:
            raise AccountRefused("certificate-unfit", phrase("it is no X.509 certificate, PEM or DER"))
        return hash_certificate(shown[0]), await self._work(CONSOLE, THRESHOLD, self._find_warnings, shown, now)

    def _find_warnings(self, shown: Sequence[x509.Certificate], now: datetime) -> list[Phrase]:
        config, found = self._live.config, []
        if not config.console.client_certificates:
            found.append(phrase("`[console] client-certificates` is off: no browser is asked for a certificate."))
        try:
            config.anchors.check(shown[0], now, shown[1:], purpose=Purpose.CLIENT)
        except Rejected as rejected:
            found.append(phrase("The hub does not accept this certificate now: {why}", why=str(rejected)))
        return found

    # --- tokens -------------------------------------------------------------------------------------------------------

    def make_token(
        self,
        *,
        name: str,
        scopes: Sequence[Permission],
        units: Sequence[str],
        partners: Sequence[str],
        days: int,
        owner: str,
        by: str,
        now: datetime,
        maker: User,
    ) -> tuple[str, Callable[[Transaction], ApiToken]]:
        """Return a new token and the step that keeps its hash. *maker*: whose rights bound it. Raises `AccountRefused`."""
        text = tokens.write_token(self._salt()[:4].hex(), self._word())
        token = draw_up_token(
            text,
            name=name,
            scopes=scopes,
            units=units,
            partners=partners,
            days=days,
            owner=owner,
            by=by,
            now=now,
        )

        def step(tx: Transaction) -> ApiToken:
            keep_token(tx, token, text, self._live.config.partners, maker)
            return token

        return text, step


def draw_up_secret(config: Config, name: str, octets: bytes, salt: bytes) -> CodeSecret:
    """Return a secret of one-time codes of the account *name*, of random *octets*. Raises `AccountRefused`."""
    if not config.console.keys.safes:
        why = phrase(
            "The hub has no key that encrypts the secrets of one-time codes: name the file of one in hub.toml as "
            "`key-file` of [console] or of [lookups]."
        )
        raise AccountRefused("codes-keyless", why)
    secret = second_factor.write_secret(octets[: second_factor.SECRET])
    sealed = second_factor.seal_secret(config.console.keys, name, secret, salt)
    return CodeSecret(secret, second_factor.write_enrolment_address(secret, name, config.name), sealed)


def draw_up_token(
    text: str,
    *,
    name: str,
    scopes: Iterable[str],
    units: Sequence[str],
    partners: Sequence[str],
    days: int,
    owner: str,
    by: str,
    now: datetime,
) -> ApiToken:
    """Return the token of the secret *text* that a person asks to make. Raises `AccountRefused`."""
    try:
        name = tokens.normalise_token_name(name)
    except tokens.TokenUnfit:
        unfit = phrase("{name} is not a valid name: letters a to z, digits, . _ -", name=repr(name[:64]))
        raise AccountRefused("name-unfit", unfit) from None
    granted = tuple(sorted({str(each) for each in scopes}))
    if not granted:
        raise AccountRefused("scopes-missing", phrase("give the token at least one scope"))
    if not 1 <= days <= tokens.LONGEST:
        bound = phrase("a token lasts at least 1 and at most {days} days", days=tokens.LONGEST)
        raise AccountRefused("days-unfit", bound)
    return ApiToken(
        name=name,
        prefix=tokens.find_prefix(text) or "",
        owner=replace_controls(" ".join(owner.split()))[:_OWNER] or accounts.name_person(by),
        scopes=granted,
        units=tuple(dict.fromkeys(units or [ANY])),
        partners=tuple(dict.fromkeys(partners or [ANY])),
        made_at=now,
        made_by=by,
        until=now + timedelta(days=days),
    )


def keep_token(
    tx: Transaction, token: ApiToken, text: str, configured: Collection[str], maker: User | None = None
) -> None:
    """Keep *token* with the hash of its secret *text*. Raises `AccountRefused`, also if *maker* has less than it.

    Without *maker* that is the account of its name, if there is one.
    """
    accounts.require_known_limits(tx, token.units, token.partners, configured)
    maker = maker or tokens.find_maker(tx, token.made_by)
    if maker is not None and (more := _find_excess(token, tokens.bound_token(tx, token, maker))):
        why = phrase("a token has no more than {name}, who makes it: not {more}", name=maker.name, more=", ".join(more))
        raise AccountRefused("token-exceeds", why)
    if not tokens.add_token(tx, token, tokens.hash_token(text)):
        raise AccountRefused("name-taken", phrase("the token {name} exists already", name=token.name))


def _find_excess(token: ApiToken, bounded: ApiToken) -> list[str]:
    """Return the scopes, units and partners of *token* that it would not have."""
    kinds = ((token.scopes, bounded.scopes), (token.units, bounded.units), (token.partners, bounded.partners))
    return [each for asked, left in kinds for each in asked if each not in left]


def remove_token(tx: Transaction, name: str, *, by: str, now: datetime) -> ApiToken:
    """Remove the token *name*; return it as it was. Raises `AccountRefused`."""
    removed = tokens.remove_token(tx, name, by=by, now=now)
    if removed is None:
        raise AccountRefused("token-unknown", phrase("there is no token {name}", name=name))
    return removed


def make_user(name: str, role: Role, units: Sequence[str], partners: Sequence[str], now: datetime) -> User:
    """Return the user that a person asks to add. Raises `AccountRefused`."""
    try:
        name = normalise_user_name(name)
    except NameUnfit:
        unfit = phrase("{name} is not a valid name: letters a to z, digits, . _ @ -", name=repr(name[:64]))
        raise AccountRefused("name-unfit", unfit) from None
    units, partners = complete_limits(role, units, partners)
    return User(name=name, role=role, units=units, partners=partners, added_at=now, changed_at=now)


def complete_limits(
    role: Role, units: Sequence[str], partners: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return units and partners without repetitions; none of them means all. Raises `AccountRefused`.

    An official sees the units that are named, and no others.
    """
    if not units and role.is_official:
        raise AccountRefused("units-missing", phrase("name the units of an official, or * for every unit"))
    return tuple(dict.fromkeys(units or [ANY])), tuple(dict.fromkeys(partners or [ANY]))


def change_limits(name: str, role: Role, units: Sequence[str], partners: Sequence[str]) -> AccountOrder:
    """Return the order to give an account this role and these limits. Raises `AccountRefused`."""
    units, partners = complete_limits(role, units, partners)
    return AccountOrder(act=AccountAct.CHANGE, name=name, role=role, units=units, partners=partners)


def split_codes(text: str) -> tuple[str, ...]:
    """Return the codes in *text*, which has commas or blanks between them."""
    return tuple(text.replace(",", " ").replace(";", " ").split())
