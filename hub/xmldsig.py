"""One XML signature: a closed list of forms and algorithms, canonical forms, digests, values.  Knows no SOAP and no position.

What a reference points at is never looked up here: the caller hands in the element, found by its place in the document.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import attrs
from cryptography import x509
from lxml import etree

from hub import algorithms
from hub.algorithms import DIGESTS, DS, METHODS, SHA1_DIGESTS, SHA1_METHODS, Digest, Method, Unverified

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
SIGNATURE = f"{{{DS}}}Signature"
XML = "{http://www.w3.org/XML/1998/namespace}"

MOST_PREFIXES = 32
MOST_REFERENCES = 32

_INCLUSIVE_NAMESPACES = f"{{{EXCLUSIVE}}}InclusiveNamespaces"
_SIGNED_INFO, _VALUE, _KEY_INFO = (f"{{{DS}}}{name}" for name in ("SignedInfo", "SignatureValue", "KeyInfo"))
_CANONICALIZATION, _METHOD, _REFERENCE = (
    f"{{{DS}}}{name}" for name in ("CanonicalizationMethod", "SignatureMethod", "Reference")
)
_TRANSFORMS, _TRANSFORM = f"{{{DS}}}Transforms", f"{{{DS}}}Transform"
_REFERENCE_PARTS = [_TRANSFORMS, f"{{{DS}}}DigestMethod", f"{{{DS}}}DigestValue"]

_SPACE = re.compile(r"[ \t\r\n]+")


class Form(NamedTuple):
    """A canonical form 1.0 without comments."""

    exclusive: bool
    prefixes: tuple[str, ...] = ()  #: of InclusiveNamespaces


PLAIN = Form(exclusive=True)


@attrs.frozen(eq=False)
class Reference:
    """What one ds:Reference claims."""

    uri: str
    form: Form
    enveloped: bool
    _digest: Digest
    _value: bytes

    def check(self, element: etree._Element, signature: etree._Element | None = None) -> None:
        """Return if *element*, without *signature* in it, has the digest claimed.  Raises Unverified."""
        digest: bytes = self._digest(canonical(element, self.form, without=signature)).digest()
        if not hmac.compare_digest(digest, self._value):
            raise Unverified("signature-invalid", f"the digest of {self.uri or 'the document'} differs")


@attrs.frozen(eq=False)
class Signature:
    """A ds:Signature of an accepted form, nothing of it verified yet."""

    element: etree._Element
    value: bytes
    key_info: etree._Element
    references: tuple[Reference, ...]
    sha1: bool  #: whether SHA-1 has any part in it
    _signed_info: etree._Element
    _form: Form
    _method: Method

    def check(self, certificate: x509.Certificate) -> None:
        """Return if the key of *certificate* made the value over SignedInfo.  Raises Unverified."""
        algorithms.check_value(self._method, certificate, self.value, canonical(self._signed_info, self._form))


def read(element: etree._Element, *, sha1: bool = False) -> Signature:
    """Read a ds:Signature, which must be exactly SignedInfo, SignatureValue and KeyInfo.

    Raises Unverified: `algorithm-refused` for anything outside the closed lists (SHA-1 unless *sha1*, HMAC, any transform but
    [enveloped,] C14N 1.0), `signature-invalid` for anything else.
    """
    signed_info, value, key_info = _children(element, [_SIGNED_INFO, _VALUE, _KEY_INFO])
    many = len(signed_info) - 2
    if not 0 < many <= MOST_REFERENCES:
        raise Unverified("signature-invalid", f"{many} References; 1 to {MOST_REFERENCES} are accepted")
    parts = _children(signed_info, [_CANONICALIZATION, _METHOD, *[_REFERENCE] * many])
    name = parts[1].get("Algorithm", "")
    method = METHODS.get(name) or (SHA1_METHODS.get(name) if sha1 else None)
    if method is None:
        raise Unverified("algorithm-refused", f"SignatureMethod {name[:200]}")
    _children(parts[1], [])
    digests = {**DIGESTS, **SHA1_DIGESTS} if sha1 else DIGESTS
    references = tuple(_reference(part, digests) for part in parts[2:])
    weak = sha1 and (name in SHA1_METHODS or any(reference._digest is hashlib.sha1 for reference in references))  # noqa: SLF001
    return Signature(element, octets(value), key_info, references, weak, signed_info, _form(parts[0]), method)


def canonical(element: etree._Element, form: Form, *, without: etree._Element | None = None) -> bytes:
    """Return the canonical form of *element* as it stands in its document, without the element *without* (the enveloped
    signature; the text after it stays).

    lxml cuts a part off from its ancestors, which only a plain exclusive form does not need; so for the others the part is
    written out, with every namespace in scope, and parsed again.  Parsing also lets lxml see the prefixes of a PrefixList, which
    it otherwise drops without a word (security.md 1.1).  Raises Unverified where there is no canonical form: a relative
    namespace URI (1.2), or an inclusive form that would inherit `xml:` attributes.
    """
    try:
        if without is None:
            if form is PLAIN:
                return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
            if not form.exclusive:
                _refuse_inherited(element)
        copy = _copy(element)
        if without is not None:
            _remove(copy, element.index(without))
        if "#default" in form.prefixes:
            etree.fromstring(b"<p #default=''>", etree.HTMLParser())  # the one parser that learns such a name
        prefixes = list(form.prefixes) or None
        return etree.tostring(
            copy, method="c14n", exclusive=form.exclusive, with_comments=False, inclusive_ns_prefixes=prefixes
        )
    except etree.LxmlError as error:
        raise Unverified("signature-invalid", f"no canonical form: {error}") from None


def octets(leaf: etree._Element) -> bytes:
    """Return the octets of a base64 leaf: nothing in it but text, nothing in the text but canonical base64 and white space."""
    _children(leaf, [])
    try:
        written = (leaf.text or "").encode("ascii").translate(None, b" \t\r\n")
        found = binascii.a2b_base64(written, strict_mode=True)
    except ValueError:
        found, written = b"", b"!"
    if not found or binascii.b2a_base64(found, newline=False) != written:
        raise Unverified("signature-invalid", f"{etree.QName(leaf).localname} is not base64")
    return found


def _reference(element: etree._Element, digests: Mapping[str, Digest]) -> Reference:
    transforms, method, value = _children(element, _REFERENCE_PARTS)
    steps = list(transforms)
    if [step.tag for step in steps] not in ([_TRANSFORM], [_TRANSFORM, _TRANSFORM]):
        raise Unverified("algorithm-refused", "Transforms must be [C14N] or [enveloped-signature, C14N]")
    enveloped = len(steps) == 2
    if enveloped:
        if steps[0].get("Algorithm") != ENVELOPED:
            raise Unverified("algorithm-refused", f"Transform {steps[0].get('Algorithm', '')[:200]}")
        _children(steps[0], [])
    name = method.get("Algorithm", "")
    if name not in digests:
        raise Unverified("algorithm-refused", f"DigestMethod {name[:200]}")
    _children(method, [])
    uri = element.get("URI")
    if uri is None:
        raise Unverified("signature-invalid", "a Reference without URI")
    return Reference(uri, _form(steps[-1]), enveloped, digests[name], octets(value))


def _form(element: etree._Element) -> Form:
    name = element.get("Algorithm", "")
    if name == EXCLUSIVE:
        if not len(element):
            return PLAIN
        (namespaces,) = _children(element, [_INCLUSIVE_NAMESPACES])
        _children(namespaces, [])
        prefixes = tuple(prefix for prefix in _SPACE.split(namespaces.get("PrefixList", "")) if prefix)
        if len(prefixes) > MOST_PREFIXES:
            raise Unverified("algorithm-refused", f"a PrefixList of {len(prefixes)}")
        return Form(exclusive=True, prefixes=prefixes) if prefixes else PLAIN
    if name == INCLUSIVE:
        _children(element, [])
        return Form(exclusive=False)
    raise Unverified("algorithm-refused", f"{etree.QName(element).localname} {name[:200]}")


def _children(element: etree._Element, tags: Sequence[str]) -> list[etree._Element]:
    """Return the child nodes, which must be exactly these elements: no comment, no processing instruction, nothing more."""
    children = list(element)
    if [child.tag for child in children] != list(tags):
        names = ", ".join(tag.rpartition("}")[2] for tag in tags) or "text"
        raise Unverified("signature-invalid", f"{etree.QName(element).localname} may hold nothing but {names}")
    return children


def _copy(element: etree._Element) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False)
    return etree.fromstring(etree.tostring(element, with_tail=False, encoding="UTF-8"), parser)


def _remove(parent: etree._Element, at: int) -> None:
    """Remove a child and leave the text after it, as the enveloped-signature transform does."""
    child = parent[at]
    if child.tail:
        before = child.getprevious()
        if before is None:
            parent.text = (parent.text or "") + child.tail
        else:
            before.tail = (before.tail or "") + child.tail
    parent.remove(child)


def _refuse_inherited(element: etree._Element) -> None:
    for ancestor in element.iterancestors():
        if any(str(name).startswith(XML) for name in ancestor.attrib):
            raise Unverified("signature-invalid", "inclusive C14N below an element with xml: attributes")
