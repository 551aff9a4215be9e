"""Reads and verifies one XML signature: accepted forms and algorithms, canonical forms, digests, values.

Does not know SOAP.

Never looks up the target of a reference: the caller finds the element by its position in the document and passes it in.
"""

import hashlib
import hmac
import io
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, NamedTuple, cast

import attrs
from cryptography import x509
from lxml import etree

from hub.formats import streamed_xml
from hub.formats.base64_text import decode_strict_base64, remove_white_space
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase
from hub.security import algorithms
from hub.security.algorithms import DIGESTS, DS, METHODS, SHA1_DIGESTS, SHA1_METHODS, Digest, Method, Unverified

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
#: Signs the octets of a part beside the envelope as they are (SwA Profile 1.1, 5.4.2).
ATTACHED = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform"
SIGNATURE = f"{{{DS}}}Signature"
XML = "{http://www.w3.org/XML/1998/namespace}"

MOST_PREFIXES = 32
MOST_REFERENCES = 32
#: Maximum of elements times prefixes of a PrefixList, in one message. libxml2 searches for each prefix at each element,
#: through all its ancestors, at most 160 ns each (measured). Ten prefixes around 300,000 elements are more than any
#: toolkit signs.
MOST_LOOKED_FOR = 3_000_000

#: Signs the token that a SecurityTokenReference references, in its place (WS-Security 1.1, 8.3).
STR = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"
_PARAMETERS = (
    "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}TransformationParameters"
)

_INCLUSIVE_NAMESPACES = f"{{{EXCLUSIVE}}}InclusiveNamespaces"

_SPACE = re.compile(r"[ \t\r\n]+")
_COUNT = etree.XPath("count(descendant::*)")


class CanonicalForm(NamedTuple):
    """Canonical XML 1.0 without comments, exclusive or inclusive."""

    exclusive: bool
    prefixes: tuple[str, ...] = ()  #: prefixes of InclusiveNamespaces


PLAIN = CanonicalForm(exclusive=True)


@attrs.frozen
class Dialect:
    """The accepted variants of the form of a signature."""

    space: str = DS  #: the namespace of its elements
    names: Mapping[str, str] = attrs.field(factory=dict)  #: other URIs of canonical forms -> the standard URI
    pointers: bool = False  #: STR-Transform is accepted
    bare: bool = False  #: [enveloped-signature] may stand alone; inclusive C14N follows implicitly (XMLDSig, 4.4.3.2)
    #: a Reference by `cid:` to a part beside the envelope is accepted, with its one possible transform
    attached: bool = False
    #: one Object may follow KeyInfo; a Reference by id may have no Transforms, which means inclusive C14N
    objects: bool = False

    def tags(self, *names: str) -> tuple[str, ...]:
        """Return *names* with the namespace."""
        return _make_tags(self.space, names)


@lru_cache(256)
def _make_tags(space: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{{{space}}}{name}" for name in names)


STANDARD = Dialect()


@attrs.frozen(eq=False)
class Reference:
    """The claim of one ds:Reference."""

    uri: str
    form: CanonicalForm
    enveloped: bool
    digest: Digest
    value: bytes  #: the claimed digest
    pointer: bool = False  #: by STR-Transform: it names a SecurityTokenReference and covers the token
    attached: bool = False  #: it covers the octets of a part beside the envelope

    def looked_for(self, element: etree._Element) -> int:
        """Return how many prefix searches the canonical form of *element* needs."""
        return len(self.form.prefixes) * int(cast("float", _COUNT(element))) if self.form.prefixes else 0

    def check(
        self, element: etree._Element, signature: etree._Element | None = None, loads: Loads = streamed_xml.NONE
    ) -> None:
        """Check that *element*, without *signature* and with its *loads*, has the claimed digest. Raises Unverified."""
        self._check(loads.spread(canonicalize_element(element, self.form, without=signature)))

    def check_token(self, token: etree._Element) -> None:
        """Check that the BinarySecurityToken *token* has the claimed digest. Raises Unverified.

        Its digested octets always declare the default namespace, even an empty one (WS-Security 1.1, 8.3).
        """
        written = canonicalize_element(token, self.form)
        at = written.index(b" ")  # after the element name: the namespace of the element itself is declared there
        if b' xmlns="' not in written[: written.index(b">")]:
            written = b"".join((written[:at], b' xmlns=""', written[at:]))
        self._check((written,))

    def check_part(self, octets: Octets) -> None:
        """Check that the *octets* of a part have the claimed digest. Raises Unverified."""
        self._check(octets.pieces())

    def check_document(self, root: etree._Element, signature: etree._Element, loads: Loads = streamed_xml.NONE) -> None:
        """Check that the whole document of *root* has the claimed digest, without *signature* and with its *loads*.

        Raises Unverified. Nothing is copied: *signature* is removed temporarily, and the canonical form goes into the
        digest while it is written. For a tree with loads the canonical form is small and is kept in memory.
        """
        require_short_prefix_lists([(self, root)])
        digest, slim = self.digest(b""), io.BytesIO()
        document: Any = root.getroottree()  # the type stubs of write_c14n are incomplete
        how = {"exclusive": self.form.exclusive, "inclusive_ns_prefixes": _read_prefix_list(self.form)}
        try:
            with _taken_out(signature):
                document.write_c14n(slim if loads else _Sink(digest), with_comments=False, **how)
        except etree.LxmlError as error:
            raise Unverified("signature-invalid", phrase("no canonical form: {error}", error=str(error))) from None
        for piece in loads.spread(slim.getvalue()):
            digest.update(piece)
        self._compare(digest)

    def _check(self, pieces: Iterable[bytes]) -> None:
        digest = self.digest(b"")
        for piece in pieces:
            digest.update(piece)
        self._compare(digest)

    def _compare(self, digest: Any) -> None:
        if not hmac.compare_digest(digest.digest(), self.value):
            raise Unverified("signature-invalid", phrase("the digest of {uri} differs", uri=self.uri or "the document"))


def require_short_prefix_lists(references: Iterable[tuple[Reference, etree._Element]]) -> None:
    """Raise Unverified, `algorithm-refused`, if the PrefixLists of *references* are too long for their elements."""
    times = sum(reference.looked_for(element) for reference, element in references)
    if times > MOST_LOOKED_FOR:
        raise Unverified(
            "algorithm-refused",
            phrase("prefixes of a PrefixList times elements: {times} > {most}", times=times, most=MOST_LOOKED_FOR),
        )


@attrs.frozen(eq=False)
class Signature:
    """A ds:Signature of an accepted form. Nothing is verified yet."""

    element: etree._Element
    value: bytes
    key_info: etree._Element
    references: tuple[Reference, ...]
    sha1: bool  #: whether any part of it uses SHA-1
    value_element: etree._Element
    _signed_info: etree._Element
    _form: CanonicalForm
    method: Method
    object: etree._Element | None = None  #: the Object, if the dialect accepts one

    def check(self, certificate: x509.Certificate) -> None:
        """Check that the key of *certificate* made the value over SignedInfo. Raises Unverified."""
        algorithms.check_signature_value(self.method, certificate, self.value, self.signed)

    @cached_property
    def signed(self) -> bytes:
        """Return the octets that the signature value covers. Raises Unverified."""
        return canonicalize_element(self._signed_info, self._form)


def read_signature(element: etree._Element, *, sha1: bool = False, dialect: Dialect = STANDARD) -> Signature:
    """Read a Signature in *dialect*.

    It must hold SignedInfo, SignatureValue, KeyInfo, at most one Object if the dialect accepts it, and nothing else.

    Raises Unverified: `algorithm-refused` for anything outside the closed lists (SHA-1 unless *sha1*, HMAC, any
    transform but [enveloped,] C14N 1.0), `signature-invalid` for anything else.
    """
    parts = ["SignedInfo", "SignatureValue", "KeyInfo"]
    if dialect.objects and len(element) == len(parts) + 1:
        parts.append("Object")
    signed_info, value, key_info, *objects = _read_exact_children(element, dialect.tags(*parts))
    many = len(signed_info) - 2
    if not 0 < many <= MOST_REFERENCES:
        raise Unverified(
            "signature-invalid", phrase("{many} References; 1 to {most} are accepted", many=many, most=MOST_REFERENCES)
        )
    names = ("CanonicalizationMethod", "SignatureMethod", *["Reference"] * many)
    form_of_info, method_of_value, *listed = _read_exact_children(signed_info, dialect.tags(*names))
    name = method_of_value.get("Algorithm", "")
    method = METHODS.get(name) or (SHA1_METHODS.get(name) if sha1 else None)
    if method is None:
        raise Unverified("algorithm-refused", f"SignatureMethod {name[:200]}")
    _read_exact_children(method_of_value, [])
    digests = {**DIGESTS, **SHA1_DIGESTS} if sha1 else DIGESTS
    references = tuple(_read_reference(part, digests, dialect) for part in listed)
    weak = sha1 and (name in SHA1_METHODS or any(reference.digest is hashlib.sha1 for reference in references))
    form, found = read_canonical_form(form_of_info, dialect), objects[0] if objects else None
    octets = decode_base64_leaf(value)
    return Signature(element, octets, key_info, references, weak, value, signed_info, form, method, found)


def find_claimed_signatures(root: etree._Element) -> list[etree._Element]:
    """Return the elements under *root* that claim to be a signature of it, in any namespace.

    An empty element claims nothing. A DigitalSignature around another signature is only its wrapper.
    """
    named = root.iter("{*}Signature", "{*}DigitalSignature")
    full = [each for each in named if len(each) or (each.text or "").strip(" \t\r\n")]
    return [each for each in full if not _wraps_signature(each)]


def _wraps_signature(element: etree._Element) -> bool:
    inner = next(element.iterdescendants("{*}Signature"), None)
    return etree.QName(element).localname == "DigitalSignature" and inner is not None


def canonicalize_element(
    element: etree._Element, form: CanonicalForm, *, without: etree._Element | None = None
) -> bytes:
    """Return the canonical form of *element* in its document, without the element *without*.

    *without* is the enveloped signature; the text after it stays. lxml separates a part from its ancestors. Only a
    plain exclusive form does not need them. For other forms the part is written out with every namespace in scope and
    parsed again. Parsing also makes the prefixes of a PrefixList known to lxml, which otherwise drops them silently
    (security.md 1.1). Raises Unverified if there is no canonical form: a relative namespace URI (1.2), or an inclusive
    form that would inherit `xml:` attributes.
    """
    try:
        if without is None:
            if form is PLAIN:
                return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
            if not form.exclusive:
                _refuse_inherited(element)
        copy = _copy_apart(element)
        if without is not None:
            _remove_child(copy, element.index(without))
        prefixes = _read_prefix_list(form)
        return etree.tostring(
            copy, method="c14n", exclusive=form.exclusive, with_comments=False, inclusive_ns_prefixes=prefixes
        )
    except etree.LxmlError as error:
        raise Unverified("signature-invalid", phrase("no canonical form: {error}", error=str(error))) from None


def hash_without_signature(root: etree._Element, signature: etree._Element) -> str:
    """Return the SHA-256 of *root* without *signature*.

    It is the same for every spelling in which an enveloped signature stays valid. Raises Unverified if there is no
    canonical form.
    """
    try:
        with _taken_out(signature):
            bare = etree.tostring(root, method="c14n", exclusive=True, with_comments=False)
    except etree.LxmlError as error:
        raise Unverified("signature-invalid", phrase("no canonical form: {error}", error=str(error))) from None
    return hashlib.sha256(bare).hexdigest()


def decode_base64_leaf(leaf: etree._Element) -> bytes:
    """Return the octets of a base64 leaf.

    It must contain only text, and the text only canonical base64 and white space.
    """
    _read_exact_children(leaf, [])
    try:
        found = decode_strict_base64(remove_white_space((leaf.text or "").encode("ascii")))
    except ValueError:
        found = b""
    if not found:
        raise Unverified(
            "signature-invalid", phrase("{localname} is not base64", localname=etree.QName(leaf).localname)
        )
    return found


def _read_reference(element: etree._Element, digests: Mapping[str, Digest], dialect: Dialect) -> Reference:
    if dialect.objects and len(element) == 2 and element.get("URI", "").startswith("#"):
        method, value = _read_exact_children(element, dialect.tags("DigestMethod", "DigestValue"))
        form = CanonicalForm(exclusive=False)
        return Reference(
            element.get("URI", ""), form, False, _choose_digest(method, digests), decode_base64_leaf(value)
        )
    transforms, method, value = _read_exact_children(element, dialect.tags("Transforms", "DigestMethod", "DigestValue"))
    steps, one = list(islice(transforms, 3)), dialect.tags("Transform")
    if dialect.pointers and [(step.tag, step.get("Algorithm")) for step in steps] == [(*one, STR)]:
        return _read_pointer(element, steps[0], method, value, digests, dialect)
    attached = dialect.attached and element.get("URI", "").startswith("cid:")
    if attached and [(step.tag, step.get("Algorithm")) for step in steps] != [(*one, ATTACHED)]:
        raise Unverified(
            "algorithm-refused", phrase("Transforms of an attachment must be [Attachment-Content-Signature-Transform]")
        )
    if tuple(step.tag for step in steps) not in {one, one * 2}:
        raise Unverified("algorithm-refused", phrase("Transforms must be [C14N] or [enveloped-signature, C14N]"))
    _read_exact_children(transforms, one * len(steps))
    bare = dialect.bare and len(steps) == 1 and steps[0].get("Algorithm") == ENVELOPED
    enveloped = bare or len(steps) == 2
    if enveloped:
        if steps[0].get("Algorithm") != ENVELOPED:
            raise Unverified("algorithm-refused", f"Transform {steps[0].get('Algorithm', '')[:200]}")
        _read_exact_children(steps[0], [])
    digest, uri = _choose_digest(method, digests), element.get("URI")
    if uri is None:
        raise Unverified("signature-invalid", phrase("a Reference without URI"))
    if attached:
        _read_exact_children(steps[0], [])
        return Reference(uri, PLAIN, False, digest, decode_base64_leaf(value), attached=True)
    form = CanonicalForm(exclusive=False) if bare else read_canonical_form(steps[-1], dialect)
    return Reference(uri, form, enveloped, digest, decode_base64_leaf(value))


def _choose_digest(method: etree._Element, digests: Mapping[str, Digest]) -> Digest:
    name = method.get("Algorithm", "")
    if name not in digests:
        raise Unverified("algorithm-refused", f"DigestMethod {name[:200]}")
    _read_exact_children(method, [])
    return digests[name]


def _read_pointer(
    element: etree._Element,
    step: etree._Element,
    method: etree._Element,
    value: etree._Element,
    digests: Mapping[str, Digest],
    dialect: Dialect,
) -> Reference:
    """Read a Reference by STR-Transform. Only the standard form, with exclusive C14N, is accepted."""
    (parameters,) = _read_exact_children(step, [_PARAMETERS])
    (method_of_form,) = _read_exact_children(parameters, dialect.tags("CanonicalizationMethod"))
    form, name = read_canonical_form(method_of_form, dialect), method.get("Algorithm", "")
    if form is not PLAIN or name not in digests:
        raise Unverified(
            "algorithm-refused",
            phrase("STR-Transform with a form other than exclusive C14N, or {name}", name=name[:200]),
        )
    _read_exact_children(method, [])
    return Reference(element.get("URI", ""), form, False, digests[name], decode_base64_leaf(value), pointer=True)


def read_canonical_form(element: etree._Element, dialect: Dialect) -> CanonicalForm:
    """Return the canonical form that a CanonicalizationMethod or Transform names. Raises Unverified."""
    name = element.get("Algorithm", "")
    name = dialect.names.get(name, name)
    if name == EXCLUSIVE:
        if not len(element):
            return PLAIN
        (namespaces,) = _read_exact_children(element, [_INCLUSIVE_NAMESPACES])
        _read_exact_children(namespaces, [])
        prefixes = tuple(prefix for prefix in _SPACE.split(namespaces.get("PrefixList", "")) if prefix)
        if len(prefixes) > MOST_PREFIXES:
            raise Unverified("algorithm-refused", phrase("a PrefixList of {count}", count=len(prefixes)))
        return CanonicalForm(exclusive=True, prefixes=prefixes) if prefixes else PLAIN
    if name == INCLUSIVE:
        _read_exact_children(element, [])
        return CanonicalForm(exclusive=False)
    raise Unverified("algorithm-refused", f"{etree.QName(element).localname} {name[:200]}")


def _read_exact_children(element: etree._Element, tags: Sequence[str]) -> list[etree._Element]:
    """Return the child nodes, which must be exactly the elements *tags*.

    Comments, processing instructions and other elements are refused. Text between them is refused too: an enveloped
    Signature is not signed, so anyone may have written it there.
    """
    if len(element) == len(tags):  # of very many children no list is made
        children = list(element)
        if not tags or (_is_blank(element.text) and all(map(_fits_tag, children, tags))):
            return children
    names = ", ".join(tag.rpartition("}")[2] for tag in tags) or "text"
    raise Unverified(
        "signature-invalid",
        phrase("{localname} may hold nothing but {names}", localname=etree.QName(element).localname, names=names),
    )


def _fits_tag(child: etree._Element, tag: str) -> bool:
    return child.tag == tag and _is_blank(child.tail)


def _is_blank(text: str | None) -> bool:
    return not text or not text.strip(" \t\r\n")


def _read_prefix_list(form: CanonicalForm) -> list[str] | None:
    """Return the PrefixList in the form that lxml accepts; None if it is empty."""
    if "#default" in form.prefixes:
        etree.fromstring(b"<p #default=''>", etree.HTMLParser())  # the only parser that registers such a name
    return list(form.prefixes) or None


class _Sink:
    """A file object that only updates a digest with what is written."""

    def __init__(self, digest: Any) -> None:
        self.write = digest.update


@contextmanager
def _taken_out(element: etree._Element) -> Generator[None]:
    """Remove *element* from its tree temporarily, like the enveloped-signature transform: the text after it stays."""
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
    """Set the text in *parent* after *before*, or its first text."""
    if before is None:
        parent.text = text
    else:
        before.tail = text


def _copy_apart(element: etree._Element) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False)
    return etree.fromstring(etree.tostring(element, with_tail=False, encoding="UTF-8"), parser)


def _remove_child(parent: etree._Element, at: int) -> None:
    """Remove a child and keep the text after it, like the enveloped-signature transform."""
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
            raise Unverified("signature-invalid", phrase("inclusive C14N below an element with xml: attributes"))
