"""Writes the UsernameToken of WS-Security 1.1 (Username Token Profile), with a Timestamp. Does not read any."""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta

from lxml import etree

from hub.security.signing import write_timestamp
from hub.security.wss_tokens import BASE64, WSSE, WSU

_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"


def build_username_token(
    username: str, password: str, now: datetime, *, digest: bool, life: timedelta = timedelta(minutes=5)
) -> etree._Element:
    """Return a Security header with a Timestamp and a UsernameToken.

    *digest*: the password travels as PasswordDigest, Base64(SHA-1(nonce + created + password)) with a random nonce of
    16 octets (Username Token Profile 1.1, 3.1); otherwise as PasswordText. There is no mustUnderstand, as in our
    signature: the partner that asks for a token reads it.
    """
    created = write_timestamp(now)
    security = etree.Element(f"{{{WSSE}}}Security", nsmap={"wsse": WSSE, "wsu": WSU})
    stamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    etree.SubElement(stamp, f"{{{WSU}}}Created").text = created
    etree.SubElement(stamp, f"{{{WSU}}}Expires").text = write_timestamp(now + life)
    token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
    etree.SubElement(token, f"{{{WSSE}}}Username").text = username
    written = etree.SubElement(token, f"{{{WSSE}}}Password")
    if digest:
        nonce = secrets.token_bytes(16)
        written.set("Type", f"{_PROFILE}#PasswordDigest")
        hashed = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False)
        written.text = base64.b64encode(hashed.digest()).decode()
        etree.SubElement(token, f"{{{WSSE}}}Nonce", {"EncodingType": BASE64}).text = base64.b64encode(nonce).decode()
        etree.SubElement(token, f"{{{WSU}}}Created").text = created
    else:
        written.set("Type", f"{_PROFILE}#PasswordText")
        written.text = password
    return security
