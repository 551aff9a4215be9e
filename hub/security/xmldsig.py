"""One XML signature: a closed list of forms and algorithms, canonical forms, digests, values.  Knows no SOAP and no position.

What a reference points at is never looked up here: the caller hands in the element, found by its place in the document.
"""

import binascii
import hashlib
import hmac
import io
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, cast

import attrs
from cryptography import x509
from lxml import etree

from hub.formats import streamed_xml
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.security import algorithms
from hub.security.algorithms import DIGESTS, DS, METHODS, SHA1_DIGESTS, SHA1_METHODS, Digest, Method, Unverified

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
#: The octets of a part beside the envelope, as they are (SwA Profile 1.1, 5.4.2).
ATTACHED = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform"
SIGNATURE = f"{{{DS}}}Signature"
XML = "{http://www.w3.org/XML/1998/namespace}"

MOST_PREFIXES = 32
MOST_REFERENCES = 32
#: Elements times prefixes of a PrefixList, in one message: libxml2 looks for each prefix at each element, through all that stand around
#: it, 160 ns at worst (measured).  Ten prefixes around 300,000 elements are more than any toolkit signs.
MOST_LOOKED_FOR = 3_000_000

#: The token that a SecurityTokenReference points at, in its place (WS-Security 1.1, 8.3).
STR = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"
_PARAMETERS = (
    "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}TransformationParameters"
)

_INCLUSIVE_NAMESPACES = f"{{{EXCLUSIVE}}}InclusiveNamespaces"

_SPACE = re.compile(r"[ \t\r\n]+")
_COUNT = etree.XPath("count(descendant::*)")


class CanonicalForm(NamedTuple):
    """A canonical form 1.0 without comments."""

    exclusive: bool
    prefixes: tuple[str, ...] = ()  #: of InclusiveNamespaces


PLAIN = CanonicalForm(exclusive=True)


@attrs.frozen
class Dialect:
    """How a signature may be written beyond the plainest form."""

    space: str = DS  #: the namespace of its elements
    names: Mapping[str, str] = attrs.field(factory=dict)  #: other URIs of canonical forms -> the URI that is meant
    pointers: bool = False  #: STR-Transform is read
    bare: bool = False  #: [enveloped-signature] may stand alone; inclusive C14N follows by itself (XMLDSig, 4.4.3.2)
    attached: bool = (
        False  #: a Reference by `cid:` to a part beside the envelope is read, with the one transform there is for it
    )
    objects: bool = False  #: one Object may stand behind KeyInfo; a Reference by id may come without Transforms, then as `bare` does

    def tags(self, *names: str) -> list[str]:
        """Return *names* with the namespace."""
        return [f"{{{self.space}}}{name}" for name in names]


STANDARD = Dialect()


@attrs.frozen(eq=False)
class Reference:
    """What one ds:Reference claims."""

    uri: str
    form: CanonicalForm
    enveloped: bool
    _digest: Digest
    _value: bytes
    pointer: bool = False  #: by STR-Transform: it names a SecurityTokenReference, and is about the token
    attached: bool = False  #: it is about the octets of a part beside the envelope

    def looked_for(self, element: etree._Element) -> int:
        """Return how often a prefix would be looked for in the canonical form of *element*."""
        return len(self.form.prefixes) * int(cast("float", _COUNT(element))) if self.form.prefixes else 0

    def check(
        self, element: etree._Element, signature: etree._Element | None = None, loads: Loads = streamed_xml.NONE
    ) -> None:
        """Return if *element*, without *signature* in it and with its *loads*, has the digest claimed.  Raises Unverified."""
        self._check(loads.spread(canonicalize_element(element, self.form, without=signature)))

    def check_token(self, token: etree._Element) -> None:
        """Return if the BinarySecurityToken *token* has the digest claimed.  Raises Unverified.

        Its octets always say what the default namespace is, be it none (WS-Security 1.1, 8.3).
        """
        written = canonicalize_element(token, self.form)
        at = written.index(b" ")  # behind the name: its own namespace is declared in it
        if b' xmlns="' not in written[: written.index(b">")]:
            written = b"".join((written[:at], b' xmlns=""', written[at:]))
        self._check((written,))

    def check_part(self, octets: Octets) -> None:
        """Return if the *octets* of a part have the digest claimed.  Raises Unverified."""
        self._check(octets.pieces())

    def check_document(self, root: etree._Element, signature: etree._Element, loads: Loads = streamed_xml.NONE) -> None:
        """Return if the whole document of *root*, without *signature* and with its *loads*, has the digest claimed.  Raises Unverified.

        Nothing is copied: *signature* is taken out for as long as it takes, and the canonical form goes into the digest as
        it is written; of a tree with loads it is slim, and kept.
        """
        require_few([(self, root)])
        digest, slim = self._digest(b""), io.BytesIO()
        document: Any = root.getroottree()  # the stubs do not know all of write_c14n
        how = {"exclusive": self.form.exclusive, "inclusive_ns_prefixes": _listed(self.form)}
        try:
            with _taken_out(signature):
                document.write_c14n(slim if loads else _Sink(digest), with_comments=False, **how)
        except etree.LxmlError as error:
            raise Unverified("signature-invalid", f"no canonical form: {error}") from None
        for piece in loads.spread(slim.getvalue()):
            digest.update(piece)
        self._compare(digest)

    def _check(self, pieces: Iterable[bytes]) -> None:
        digest = self._digest(b"")
        for piece in pieces:
            digest.update(piece)
        self._compare(digest)

    def _compare(self, digest: Any) -> None:
        if not hmac.compare_digest(digest.digest(), self._value):
            raise Unverified("signature-invalid", f"the digest of {self.uri or 'the document'} differs")


def require_few(references: Iterable[tuple[Reference, etree._Element]]) -> None:
    """Raise Unverified, `algorithm-refused`, where the PrefixLists of *references* are too long for what their elements hold."""
    times = sum(reference.looked_for(element) for reference, element in references)
    if times > MOST_LOOKED_FOR:
        raise Unverified("algorithm-refused", f"prefixes of a PrefixList times elements: {times} > {MOST_LOOKED_FOR}")


@attrs.frozen(eq=False)
class Signature:
    """A ds:Signature of an accepted form, nothing of it verified yet."""

    element: etree._Element
    value: bytes
    key_info: etree._Element
    references: tuple[Reference, ...]
    sha1: bool  #: whether SHA-1 has any part in it
    _signed_info: etree._Element
    _form: CanonicalForm
    _method: Method
    object: etree._Element | None = None  #: where the dialect reads one

    def check(self, certificate: x509.Certificate) -> None:
        """Return if the key of *certificate* made the value over SignedInfo.  Raises Unverified."""
        algorithms.check_value(self._method, certificate, self.value, self.signed)

    @cached_property
    def signed(self) -> bytes:
        """Return the octets that the value is over.  Raises Unverified."""
        return canonicalize_element(self._signed_info, self._form)


def read_signature(element: etree._Element, *, sha1: bool = False, dialect: Dialect = STANDARD) -> Signature:
    """Read a Signature in *dialect*, which must be exactly SignedInfo, SignatureValue and KeyInfo (and an Object, if it reads one).

    Raises Unverified: `algorithm-refused` for anything outside the closed lists (SHA-1 unless *sha1*, HMAC, any transform but
    [enveloped,] C14N 1.0), `signature-invalid` for anything else.
    """
    parts = ["SignedInfo", "SignatureValue", "KeyInfo"]
    if dialect.objects and len(element) == len(parts) + 1:
        parts.append("Object")
    signed_info, value, key_info, *objects = _children(element, dialect.tags(*parts))
    many = len(signed_info) - 2
    if not 0 < many <= MOST_REFERENCES:
        raise Unverified("signature-invalid", f"{many} References; 1 to {MOST_REFERENCES} are accepted")
    names = ("CanonicalizationMethod", "SignatureMethod", *["Reference"] * many)
    form_of_info, method_of_value, *listed = _children(signed_info, dialect.tags(*names))
    name = method_of_value.get("Algorithm", "")
    method = METHODS.get(name) or (SHA1_METHODS.get(name) if sha1 else None)
    if method is None:
        raise Unverified("algorithm-refused", f"SignatureMethod {name[:200]}")
    _children(method_of_value, [])
    digests = {**DIGESTS, **SHA1_DIGESTS} if sha1 else DIGESTS
    references = tuple(_reference(part, digests, dialect) for part in listed)
    weak = sha1 and (name in SHA1_METHODS or any(reference._digest is hashlib.sha1 for reference in references))  # noqa: SLF001
    form, found = _form(form_of_info, dialect), objects[0] if objects else None
    return Signature(element, decode_base64_leaf(value), key_info, references, weak, signed_info, form, method, found)


def find_claimed_signatures(root: etree._Element) -> list[etree._Element]:
    """Return the elements under *root* that claim to be a signature of it, in whatever namespace.

    An empty one claims nothing; a DigitalSignature around another is only its wrapping.
    """
    named = root.iter("{*}Signature", "{*}DigitalSignature")
    full = [each for each in named if len(each) or (each.text or "").strip(" \t\r\n")]
    return [each for each in full if not _wraps(each)]


def _wraps(element: etree._Element) -> bool:
    inner = next(element.iterdescendants("{*}Signature"), None)
    return etree.QName(element).localname == "DigitalSignature" and inner is not None


def canonicalize_element(
    element: etree._Element, form: CanonicalForm, *, without: etree._Element | None = None
) -> bytes:
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
        prefixes = _listed(form)
        return etree.tostring(
            copy, method="c14n", exclusive=form.exclusive, with_comments=False, inclusive_ns_prefixes=prefixes
        )
    except etree.LxmlError as error:
        raise Unverified("signature-invalid", f"no canonical form: {error}") from None


def bare_digest(root: etree._Element, signature: etree._Element) -> str:
    """Return the SHA-256 of *root* without *signature*: the same in every spelling of it in which an enveloped signature holds.

    Raises Unverified where there is no canonical form.
    """
    try:
        with _taken_out(signature):
            bare = etree.tostring(root, method="c14n", exclusive=True, with_comments=False)
    except etree.LxmlError as error:
        raise Unverified("signature-invalid", f"no canonical form: {error}") from None
    return hashlib.sha256(bare).hexdigest()


def decode_base64_leaf(leaf: etree._Element) -> bytes:
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


def _reference(element: etree._Element, digests: Mapping[str, Digest], dialect: Dialect) -> Reference:
    if dialect.objects and len(element) == 2 and element.get("URI", "").startswith("#"):
        method, value = _children(element, dialect.tags("DigestMethod", "DigestValue"))
        form = CanonicalForm(exclusive=False)
        return Reference(element.get("URI", ""), form, False, _digest(method, digests), decode_base64_leaf(value))
    transforms, method, value = _children(element, dialect.tags("Transforms", "DigestMethod", "DigestValue"))
    steps, one = list(islice(transforms, 3)), dialect.tags("Transform")
    if dialect.pointers and [(step.tag, step.get("Algorithm")) for step in steps] == [(*one, STR)]:
        return _pointer(element, steps[0], method, value, digests, dialect)
    attached = dialect.attached and element.get("URI", "").startswith("cid:")
    if attached and [(step.tag, step.get("Algorithm")) for step in steps] != [(*one, ATTACHED)]:
        raise Unverified(
            "algorithm-refused", "Transforms of an attachment must be [Attachment-Content-Signature-Transform]"
        )
    if [step.tag for step in steps] not in (one, one * 2):
        raise Unverified("algorithm-refused", "Transforms must be [C14N] or [enveloped-signature, C14N]")
    _children(transforms, one * len(steps))
    bare = dialect.bare and len(steps) == 1 and steps[0].get("Algorithm") == ENVELOPED
    enveloped = bare or len(steps) == 2
    if enveloped:
        if steps[0].get("Algorithm") != ENVELOPED:
            raise Unverified("algorithm-refused", f"Transform {steps[0].get('Algorithm', '')[:200]}")
        _children(steps[0], [])
    digest, uri = _digest(method, digests), element.get("URI")
    if uri is None:
        raise Unverified("signature-invalid", "a Reference without URI")
    if attached:
        _children(steps[0], [])
        return Reference(uri, PLAIN, False, digest, decode_base64_leaf(value), attached=True)
    form = CanonicalForm(exclusive=False) if bare else _form(steps[-1], dialect)
    return Reference(uri, form, enveloped, digest, decode_base64_leaf(value))


def _digest(method: etree._Element, digests: Mapping[str, Digest]) -> Digest:
    name = method.get("Algorithm", "")
    if name not in digests:
        raise Unverified("algorithm-refused", f"DigestMethod {name[:200]}")
    _children(method, [])
    return digests[name]


def _pointer(
    element: etree._Element,
    step: etree._Element,
    method: etree._Element,
    value: etree._Element,
    digests: Mapping[str, Digest],
    dialect: Dialect,
) -> Reference:
    """Read a Reference by STR-Transform, in its standard form alone: with the exclusive C14N it is to use."""
    (parameters,) = _children(step, [_PARAMETERS])
    (method_of_form,) = _children(parameters, dialect.tags("CanonicalizationMethod"))
    form, name = _form(method_of_form, dialect), method.get("Algorithm", "")
    if form is not PLAIN or name not in digests:
        raise Unverified("algorithm-refused", f"STR-Transform with another form than exclusive C14N, or {name[:200]}")
    _children(method, [])
    return Reference(element.get("URI", ""), form, False, digests[name], decode_base64_leaf(value), pointer=True)


def _form(element: etree._Element, dialect: Dialect) -> CanonicalForm:
    name = element.get("Algorithm", "")
    name = dialect.names.get(name, name)
    if name == EXCLUSIVE:
        if not len(element):
            return PLAIN
        (namespaces,) = _children(element, [_INCLUSIVE_NAMESPACES])
        _children(namespaces, [])
        prefixes = tuple(prefix for prefix in _SPACE.split(namespaces.get("PrefixList", "")) if prefix)
        if len(prefixes) > MOST_PREFIXES:
            raise Unverified("algorithm-refused", f"a PrefixList of {len(prefixes)}")
        return CanonicalForm(exclusive=True, prefixes=prefixes) if prefixes else PLAIN
    if name == INCLUSIVE:
        _children(element, [])
        return CanonicalForm(exclusive=False)
    raise Unverified("algorithm-refused", f"{etree.QName(element).localname} {name[:200]}")


def _children(element: etree._Element, tags: Sequence[str]) -> list[etree._Element]:
    """Return the child nodes, which must be exactly these elements: no comment, no processing instruction, nothing more.

    Nor a text among them: an enveloped Signature is left out of what is signed, so anyone may have written it there.
    """
    fits = len(element) == len(tags)  # so that what has very many is not listed
    children = list(element) if fits else []
    texts = [element.text, *(child.tail for child in children)] if tags else []
    if (
        not fits
        or [child.tag for child in children] != list(tags)
        or any((text or "").strip(" \t\r\n") for text in texts)
    ):
        names = ", ".join(tag.rpartition("}")[2] for tag in tags) or "text"
        raise Unverified("signature-invalid", f"{etree.QName(element).localname} may hold nothing but {names}")
    return children


def _listed(form: CanonicalForm) -> list[str] | None:
    """Return the PrefixList as lxml takes it; None for none."""
    if "#default" in form.prefixes:
        etree.fromstring(b"<p #default=''>", etree.HTMLParser())  # the one parser that learns such a name
    return list(form.prefixes) or None


class _Sink:
    """A file that only digests what is written to it."""

    def __init__(self, digest: Any) -> None:
        self.write = digest.update


@contextmanager
def _taken_out(element: etree._Element) -> Generator[None]:
    """Take *element* out of its tree, as the enveloped-signature transform does: the text after it stays; then put it back."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail
    assert parent is not None
    at, text = parent.index(element), parent.text if before is None else before.tail
    element.tail = None
    _set_text(parent, before, (text or "") + (tail or "") or None)
    parent.remove(element)
    try:
        yield
    finally:
        _set_text(parent, before, text)
        parent.insert(at, element)
        element.tail = tail


def _set_text(parent: etree._Element, before: etree._Element | None, text: str | None) -> None:
    """Set the text that stands in *parent* behind *before*, or first of all."""
    if before is None:
        parent.text = text
    else:
        before.tail = text


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
