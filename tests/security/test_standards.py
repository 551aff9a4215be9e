"""The published shapes of signatures and canonical forms, before three judges."""

import base64
import hashlib

import pytest
from lxml import etree

from hub.formats import safe_xml
from hub.security import xmldsig
from tests.signatures import DS, by_signxml, by_xmlsec
from tests.standards import ACCEPTED, CANONICAL, INVALID, PARTNER, SHAPES, VALID, pointed_at, unsealed


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_three_judges_on_a_document(shape):
    verdicts = (unsealed(shape.content), by_signxml(shape.content, PARTNER), by_xmlsec(shape.content, PARTNER))
    assert verdicts == (shape.ours, shape.signxml, shape.xmlsec)
    agreed = verdicts[1:] == ((VALID, VALID) if shape.ours == ACCEPTED else (INVALID, INVALID))
    assert agreed or shape.why, "where the judges differ the shape says why"


@pytest.mark.parametrize("one", CANONICAL, ids=lambda one: one.name)
def test_a_canonical_form_is_what_the_recommendation_prints(one):
    root = safe_xml.parse_safe_xml(one.document.encode())
    found = next(root.iter(f"{{*}}{one.found}"))
    assert xmldsig.canonicalize_element(found, one.form).decode() == one.written


@pytest.mark.parametrize("one", CANONICAL, ids=lambda one: one.name)
def test_three_judges_on_a_canonical_form(one):
    """An id is put in, so that they find the element: then all three digest the same octets."""
    content = pointed_at(one)
    root = safe_xml.parse_safe_xml(content)
    element = root.find(".//*[@Id='it']")
    (value,) = root.iter(f"{{{DS}}}DigestValue")
    assert isinstance(element, etree._Element)
    digest = hashlib.sha256(xmldsig.canonicalize_element(element, one.form)).digest()
    assert base64.b64encode(digest).decode() == value.text
    assert (by_signxml(content, PARTNER), by_xmlsec(content, PARTNER)) == (VALID, VALID)
