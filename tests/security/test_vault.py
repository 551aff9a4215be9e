"""A key in a token: opened when needed, opened anew when lost, its PIN never tried twice when it was wrong."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import pytest
from lxml import etree

from hub.domain.errors import Unready
from hub.language.phrases import phrase, verbatim
from hub.security import signing, token_key, wss_verify
from hub.security.algorithms import METHODS, Method
from hub.security.certificates import Identity, Signer
from hub.security.pkcs11_uri import KeyPlace, PinRefused, TokenTrouble
from hub.security.token_key import PATIENCE, TokenIdentity, Vault
from tests import pki
from tests.conftest import ROOT
from tests.pki import NOW
from tests.vectors import ENVELOPE, OTHER, PARTNER
from tests.words import in_vietnamese

PSS = Identity.read(ROOT / "tests/keys/pss.key", ROOT / "tests/keys/pss.crt")


class Token:
    """A token of paper: it holds *keys* (label -> key), takes one PIN, and can be pulled out."""

    def __init__(self, **keys: Identity) -> None:
        self.keys, self.pin, self.there, self.is_exportable = keys, "1234", True, False
        self.now = 0.0
        self.opened: list[str] = []  #: with which PIN
        self.sessions = 0  #: open now
        self._busy = Lock()

    def open(self, place: KeyPlace, pin: str) -> "Session":
        self.opened.append(pin)
        if not self.there:
            raise TokenTrouble(phrase("there is no token {shown}", shown="truc"), phrase("a token that opens"))
        if pin != self.pin:
            raise PinRefused(verbatim("the token truc refuses the PIN in pin"), verbatim("the PIN"))
        self.sessions += 1
        return Session(self, self.keys[place.object or ""])

    def seconds(self) -> float:
        return self.now


class Session:
    def __init__(self, token: Token, identity: Identity) -> None:
        self._token, self._identity, self._alive = token, identity, True

    @property
    def is_exportable(self) -> bool:
        return self._token.is_exportable

    def sign(self, method: Method, content: bytes) -> bytes:
        assert self._token._busy.acquire(blocking=False), "two at a time"
        try:
            if not self._token.there:
                self._alive = False
            if not self._alive:
                raise TokenTrouble(
                    verbatim("the token truc does not sign: DeviceRemoved"), phrase("a token that signs")
                )
            assert method is METHODS[self._identity.method]
            return self._identity.sign(content)
        finally:
            self._token._busy.release()

    def close(self) -> None:
        self._token.sessions -= 1


@pytest.fixture
def token() -> Token:
    return Token(hub=PARTNER, other=OTHER, p256=pki.partner("ec", "p256"), p384=pki.partner("ec", "p384"), pss=PSS)


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    file = tmp_path / "pin"
    file.write_text("1234\n")
    return file


@pytest.fixture
def hold(token: Token, pin: Path):
    """Return a way to hold a key of the token beside a certificate, all in one vault."""
    vault = Vault(token.open, token.seconds)

    def made(label: str = "hub", certificate: Identity = PARTNER) -> TokenIdentity:
        place = KeyPlace(module=Path("m.so"), pin_file=pin, token="truc", object=label)
        return TokenIdentity(place, certificate.certificate, certificate.chain, vault)

    return made


def believed(identity: Signer) -> bool:
    sealed = wss_verify.seal_element(etree.fromstring("<Receipt/>"), identity)
    return wss_verify.unseal_document(sealed, [identity.certificate], NOW)[1] == identity.certificate


@pytest.mark.parametrize("label", ["hub", "p256", "p384", "pss"])
def test_a_key_in_a_token_signs_as_the_key_in_a_file_does(hold, token, label):
    held = hold(label, token.keys[label])
    assert held.method == token.keys[label].method
    assert held.token == token.keys[label].token
    assert believed(held)
    if label in {"hub", "p256"}:
        assert signing.sign_envelope(ENVELOPE, held, NOW) == signing.sign_envelope(ENVELOPE, token.keys[label], NOW)
    assert list(held.prove()) == []


def test_nothing_is_opened_until_something_is_signed(hold, token):
    held = hold()
    assert token.opened == []
    held.sign(b"a")
    held.sign(b"b")
    assert token.opened == ["1234"]


def test_threads_take_turns_with_one_session(hold, token):
    held = hold()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(held.sign, [b"same"] * 50))) == 1
    assert (len(token.opened), token.sessions) == (1, 1)


def test_a_token_that_is_back_is_opened_anew_and_nobody_notices(hold, token):
    held = hold()
    held.sign(b"a")
    token.there = False
    with pytest.raises(Unready, match="key-unavailable: there is no token truc"):
        held.sign(b"a")
    token.there, token.now = True, PATIENCE
    held.sign(b"a")
    assert token.sessions == 1


def test_a_session_that_broke_is_replaced_at_once(hold, token):
    held = hold()
    held.sign(b"a")
    held._vault._held.key._alive = False
    held.sign(b"a")
    assert (len(token.opened), token.sessions) == (2, 1)


def test_a_token_that_is_gone_is_left_alone_for_a_while(hold, token):
    held = hold()
    token.there = False
    for _ in range(10):
        with pytest.raises(Unready):
            held.sign(b"a")
    assert len(token.opened) == 1
    token.there = True
    with pytest.raises(Unready):
        held.sign(b"a")
    token.now = PATIENCE
    held.sign(b"a")


def test_a_wrong_pin_is_tried_once_and_a_new_one_at_once(hold, token, pin):
    held = hold()
    pin.write_text("9999")
    for token.now in (0.0, PATIENCE, 1e6):
        with pytest.raises(Unready, match="refuses the PIN"):
            held.sign(b"a")
        assert "refuses the PIN" in held.flaw()
    assert token.opened == ["9999"]
    pin.write_text("1234\n")
    held.sign(b"a")
    assert token.opened == ["9999", "1234"]


def test_a_pin_file_that_is_gone_is_told(hold, pin):
    pin.unlink()
    with pytest.raises(Unready, match="cannot be read: No such file"):
        hold().sign(b"a")


def test_two_keys_take_turns(hold, token):
    """As while a reload goes on: conversations under way keep the key they began with."""
    old, new = hold("hub"), hold("other", OTHER)
    for each in (old, new, old):
        assert believed(each)
    assert token.sessions == 1


def test_readiness_asks_the_token_but_not_each_time(hold, token):
    held = hold()
    assert held.flaw() == ""
    token.there = False
    assert held.flaw() == ""  # it signed a moment ago
    token.now = PATIENCE
    assert held.flaw() == "there is no token truc"
    token.there, token.now = True, 2 * PATIENCE
    assert held.flaw() == ""


def test_a_proof_asks_the_pin_again(hold, token, pin):
    held = hold()
    held.sign(b"a")
    pin.write_text("9999")
    held.sign(b"a")  # the session is open
    assert [grave for _, _, grave in held.prove()] == [True]
    assert token.opened == ["1234", "9999", "1234"]


def test_a_proof_that_fails_leaves_what_was_there_before(hold, token, pin):
    """A reload that is refused stops nothing, though it had to log out to try the PIN."""
    held = hold()
    held.sign(b"a")
    pin.write_text("9999")
    assert len(list(held.prove())) == 1
    assert believed(held)
    assert held.flaw() == ""
    assert token.sessions == 1


def test_a_key_that_is_not_the_certificates_is_found_out(hold):
    ((wrong, expected, grave),) = hold("other", PARTNER).prove()
    assert str(wrong).startswith("the key object=other is not the key of CN=")
    assert in_vietnamese(wrong)
    assert in_vietnamese(expected)
    assert grave


def test_a_key_that_the_token_would_give_away_is_only_warned_of(hold, token):
    token.is_exportable = True
    assert [grave for _, _, grave in hold().prove()] == [False]


def test_a_vault_that_was_closed_opens_again(hold, token):
    held = hold()
    held.sign(b"a")
    held._vault.close()
    assert token.sessions == 0
    held.sign(b"a")
    assert token.sessions == 1


def test_a_token_that_does_not_come_back_keeps_nobody_else_waiting(hold, monkeypatch):
    held, asked, answered = hold(), Event(), Event()

    def hang(_identity: Identity, _content: bytes) -> bytes:
        asked.set()
        answered.wait(60)
        return b""

    monkeypatch.setattr(token_key, "TURN", 0.01)
    monkeypatch.setattr(Identity, "sign", hang)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(held.sign, b"a")
        asked.wait(60)
        try:
            with pytest.raises(Unready, match="has not returned"):
                held.sign(b"a")
            assert "has not returned" in held.flaw()
            ((wrong, expected, grave),) = held.prove()
            assert in_vietnamese(wrong)
            assert in_vietnamese(expected)
            assert grave
        finally:
            answered.set()
        assert first.result(60) == b""


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    monkeypatch.delitem(sys.modules, "hub.security.pkcs11", raising=False)
    monkeypatch.delattr("hub.security.pkcs11", raising=False)
    place = KeyPlace(module=Path("m.so"), pin_file=Path("pin"), object="hub")
    with pytest.raises(TokenTrouble, match="needs python-pkcs11") as trouble:
        token_key._open_token_key(place, "1234")
    assert str(trouble.value.expected) == "pip install 'lienthong[hsm]'"
    assert in_vietnamese(trouble.value.wrong)
