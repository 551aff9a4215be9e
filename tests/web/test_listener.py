"""What the SOAP port makes of headers, whatever octets they hold."""

import pytest
from twisted.web.test.requesthelper import DummyChannel

from hub.domain.errors import CallRefused
from hub.web import soap_listener
from hub.web.soap_listener import BoundedRequest


@pytest.mark.parametrize("name", ["content-type", "content-encoding", "soapaction"])
def test_a_header_need_not_be_utf_8(name):
    """Twisted alone answers 500 with a page of its own, and so does a body that is too large: found by fuzzing."""
    request = BoundedRequest(DummyChannel(), False)
    request.requestHeaders.setRawHeaders("content-type", ["text/xml"])
    request.requestHeaders.setRawHeaders(name.encode(), [b"text/xml; x=\xe9\xff"])
    assert request.getHeader(name) == "text/xml; x=éÿ"
    assert request.getHeader(name.encode()) == b"text/xml; x=\xe9\xff"
    if name == "content-encoding":
        with pytest.raises(CallRefused, match="media-type"):
            soap_listener._manner(request)
    else:
        assert soap_listener._manner(request).soap == soap_listener._read_soap_version(request)


def test_a_header_that_is_not_there_is_none():
    request = BoundedRequest(DummyChannel(), False)
    assert request.getHeader("soapaction") is None
    assert request.getHeader(b"soapaction") is None
