"""The signing tool on an official's computer: a WebSocket service as hub/web/signing_tool.py describes it.

It signs with a test official's key, by signxml; and it does what a person or a broken program does: cancel, refuse, end, answer
rubbish.  Knows nothing of the hub.
"""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.security.certificates import Identity
from tests import pki
from tests.officials import by_signxml
from tests.waiting import PATIENCE

_OTHER = {
    "cancel": json.dumps({"Status": 1, "Error": "Người dùng hủy ký số", "Signature": None}),
    "refuse": json.dumps({"Status": 8, "Error": "Không tìm thấy <b>chứng thư số</b>", "Signature": None}),
    "rubbish": "Connection is closed...",
}


@attrs.define
class SigningTool:
    """A tool that listens, and what its person does next."""

    person: Identity
    port: int = 0
    does: str = "sign"  #: or `end`, or one of `_OTHER`
    asked: list[dict[str, Any]] = attrs.field(factory=list)  #: the requests so far

    def answer(self, path: str, text: str) -> str | None:
        """Return the answer to a request; None: the connection ends without one."""
        said = json.loads(text)
        self.asked.append(said)
        if self.does != "sign":
            return _OTHER.get(self.does)
        content = base64.b64decode(said.pop("Base64Content"), validate=True)
        assert path == "/SignXML"
        assert said == {"ReturnSignatureOnly": "false", "HashAlg": "Sha256", "XmlDsigForm": "false"}, (
            "texts, as pages do"
        )
        signed = by_signxml(content, self.person, datetime.now(UTC))
        return json.dumps({"Status": 0, "Error": "", "Signature": base64.b64encode(signed).decode()})


@contextmanager
def signing_tool(folder: Path, person: Identity) -> Iterator[SigningTool]:
    """Run the tool on a free port of 127.0.0.1, over TLS with a certificate of its own."""
    server = pytest.importorskip("websockets.sync.server")
    own = pki.authority("Signing tool", datetime.now(UTC)).issue("127.0.0.1")
    secret, certificate = pki.write(folder, "tool", own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    tool = SigningTool(person)

    def serve(connection: Any) -> None:
        answer = tool.answer(connection.request.path, connection.recv(timeout=PATIENCE))
        if answer is not None:
            connection.send(answer)

    with server.serve(serve, "127.0.0.1", 0, ssl=context) as listening:
        tool.port = listening.socket.getsockname()[1]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield tool
        finally:
            listening.shutdown()
            thread.join()
