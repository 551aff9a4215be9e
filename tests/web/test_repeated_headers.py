"""A header that must stand once stands twice: whoever is between may have believed the other one."""

import pytest
from twisted.web.test.requesthelper import DummyRequest

from hub.domain.errors import CallRefused
from hub.soap import envelope
from hub.web import soap_listener

RIGHT, WRONG = "urn:lienthong:documents:1/SendDocument", "urn:lienthong:documents:1/GetDocument"


def request(**headers):
    made = DummyRequest([b""])
    for name, values in headers.items():
        made.requestHeaders.setRawHeaders(name.replace("_", "-"), values)
    return made


@pytest.mark.parametrize("given", [[RIGHT, WRONG], [WRONG, RIGHT], [RIGHT, RIGHT]])
def test_two_actions_agree_with_no_operation(given):
    manner = soap_listener._manner(request(content_type=["text/xml"], SOAPAction=given))
    assert not envelope.action_matches(manner.action, RIGHT)


@pytest.mark.parametrize("given", [[RIGHT], [""], []])
def test_one_action_or_none_is_as_it_was(given):
    manner = soap_listener._manner(request(content_type=["text/xml"], SOAPAction=given))
    assert envelope.action_matches(manner.action, RIGHT)


@pytest.mark.parametrize(
    "given", [["text/plain", "text/xml"], ["text/xml", "application/soap+xml"], ["text/xml", "text/xml"]]
)
def test_two_media_types_are_refused(given):
    with pytest.raises(CallRefused) as refused:
        soap_listener._manner(request(content_type=given))
    assert refused.value.problems[0].code == "media-type"
    assert soap_listener._manner(request(content_type=["text/xml; charset=utf-8"])).soap == envelope.SOAP11
