"""A PKCS#11 URI in hub.toml is read whole or refused, and no PIN stands in it."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.security.pkcs11_uri import KeyPlace, Pkcs11UriUnfit, parse_pkcs11_uri
from tests.words import in_vietnamese

HOME = Path("/etc/lienthong")
WHOLE = (
    "pkcs11:token=Tr%E1%BB%A5c;manufacturer=SoftHSM%20project;serial=4674af48;model=SoftHSM%20v2;slot-id=3;"
    "object=hub;id=%01%ff;type=private?module-path=/usr/lib/libsofthsm2.so&pin-source=pki/pin"
)


def test_every_attribute_that_names_a_token_or_a_key_is_read():
    assert parse_pkcs11_uri(WHOLE, HOME) == KeyPlace(
        module=Path("/usr/lib/libsofthsm2.so"),
        pin_file=Path("/etc/lienthong/pki/pin"),
        token="Trục",
        manufacturer="SoftHSM project",
        serial="4674af48",
        model="SoftHSM v2",
        slot=3,
        object="hub",
        id=b"\x01\xff",
    )


@pytest.mark.parametrize("source", ["/etc/pin", "file:/etc/pin", "file:///etc/pin"])
def test_a_pin_source_is_a_path_or_a_file_uri(source):
    assert parse_pkcs11_uri(f"pkcs11:object=hub?pin-source={source}", HOME, "m.so").pin_file == Path("/etc/pin")


def test_the_module_may_stand_beside_the_uri():
    assert parse_pkcs11_uri("pkcs11:id=%01?pin-source=pin", HOME, "lib/m.so").module == HOME / "lib/m.so"


UNFIT = {
    "pkcs11:object=hub?module-path=m.so&pin-value=1234": "it contains a PIN",
    "pkcs11:object=hub?pin-value=1234": "it contains a PIN",
    "pkcs11:object=hub?module-path=m.so": "it has no pin-source",
    "pkcs11:object=hub?module-path=m.so&pin-source=|cat pin": "its pin-source is a program",
    "pkcs11:object=hub?pin-source=pin": "it names no module",
    "pkcs11:token=truc?module-path=m.so&pin-source=pin": "it names no key",
    "pkcs11:?module-path=m.so&pin-source=pin": "it names no key",
    "pkcs11:object=hub;type=cert?module-path=m.so&pin-source=pin": "its type is not private",
    "pkcs11:object=hub;library-version=3?module-path=m.so&pin-source=pin": "library-version is not known",
    "pkcs11:object=hub?module-name=m&pin-source=pin": "module-name is not known",
    "pkcs11:object=hub;object=other?module-path=m.so&pin-source=pin": "an attribute has no value, or is repeated",
    "pkcs11:object?module-path=m.so&pin-source=pin": "an attribute has no value, or is repeated",
    "pkcs11:object=%ff?module-path=m.so&pin-source=pin": "an attribute is not UTF-8",
    "pkcs11:object=hub;slot-id=x?module-path=m.so&pin-source=pin": "slot-id=x is not a number",
}


@pytest.mark.parametrize("uri", UNFIT)
def test_what_is_not_known_or_not_enough_is_refused(uri):
    with pytest.raises(Pkcs11UriUnfit) as unfit:
        parse_pkcs11_uri(uri, HOME)
    wrong, expected = unfit.value.args
    assert str(wrong) == UNFIT[uri]
    assert "1234" not in f"{wrong} {expected}"
    assert in_vietnamese(wrong)
    assert in_vietnamese(expected)


def test_a_module_is_named_once():
    with pytest.raises(Pkcs11UriUnfit, match=r"pki\.module is set too"):
        parse_pkcs11_uri("pkcs11:object=hub?module-path=a.so&pin-source=pin", HOME, "b.so")


@given(st.text(st.sampled_from("pkcs11:;?&=%|/objectidn-source \n\xff"), max_size=80))
def test_no_text_breaks_the_reader(text):
    with suppress(Pkcs11UriUnfit):
        parse_pkcs11_uri(f"pkcs11:{text}", HOME)
