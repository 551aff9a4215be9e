"""Describes the signing tool that officials have on their own computers, as far as the signing page needs to know it.

The tool is the Government Cipher Committee's local service (VGCA Sign Service, Ban Cơ yếu Chính phủ): a WebSocket over
TLS on the official's own computer, which web pages call by script. No description of it was found. What stands here is
what public web pages that call it show; nobody has tried it with the tool itself.

Seen in several of them:

* each function has its own path: `SignXML` here; also `SignMsg`, `SignPDF`, `SignApproved`, `GetVersion`, `Config`;
* one connection serves one call: one text message with a JSON object is sent, one text message with a JSON object
  comes back, then the page closes;
* the values of a request are texts: `Base64Content` the XML, `HashAlg` `Sha256`, `ReturnSignatureOnly` and
  `XmlDsigForm` `true` or `false`;
* `Status` 0 is success, and `Signature` then contains the signed XML in base64. With another `Status`, `Error` (of
  other functions `Message`) says why.

Not certain:

* which `Status` says that the person cancelled: it is recognised by the words of `Error`;
* what `XmlDsigForm` means. `false` is taken to ask for XAdES, and `true` for a plain XML signature, which the hub
  refuses;
* whether the result is enveloped XAdES-B, as the hub requires. The hub verifies it as it verifies an uploaded file,
  and says what is missing;
* `SignPDF`: pages that sign PDF give the tool the address of a file, which it gets and returns by itself, without the
  session of the page. So the hub does not use it.
"""

#: The origin of the tool. The signing page may connect to it, and to no other address besides the hub.
ORIGIN = "wss://127.0.0.1:8987"
#: The address that signs XML.
SIGN_XML = f"{ORIGIN}/SignXML"
