"""The response to a call, as the listener sends it. Knows no HTTP and no intake."""

import attrs

from hub.soap.attachments import Outgoing


@attrs.frozen
class SignedResponse:
    """The response: a signed envelope, and when to retry if the hub was not ready."""

    body: Outgoing  #: the octets of the envelope, or of its MIME package
    fault: bool = False  #: whether the body is a SOAP fault
    retry_after: int | None = None  #: delay of the retry in seconds
    senders: bool = False  #: the fault is the caller's own (`Sender` in SOAP 1.2)
    logged: bool = False  #: whether a line of the log tells what became of the message that the call carried
