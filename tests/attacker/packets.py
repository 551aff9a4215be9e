"""Signature wrapping within the edXML packet, for partners whose packets must be signed (`signature=packet`, `both`).

Knows the enveloped XMLDSig of a packet: what it covers, where it may stand, and what a verifier must not take for it.  Somorovsky et al. 2012
did the same to SAML assertions; CVE-2024-45409, CVE-2025-25291, CVE-2025-47949 are its later forms.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from tests.attacker.campaign import ALIVE, REFUSE, Attack, Case, Shot
from tests.attacker.honest import (
    DS,
    EDXML,
    ENC,
    ENVELOPED,
    EXC,
    INC,
    MORE,
    Form,
    Reference,
    Sealing,
    b64,
    canonical,
    digest,
    parse,
    rsa_value,
    seal_packet,
    send_document,
    write,
    x509_data,
)

WRAPPING = "Somorovsky et al. 2012, On Breaking SAML; CVE-2024-45409; CVE-2025-47949"
WINS = "a packet that nobody signed counts as signed"
ROLES = ("packet", "both", "vxp")


def carry(case: Case, packet: bytes) -> Shot:
    """A packet in a call that is otherwise in order."""
    return Shot(case.message(send_document(case.evil_id, packet)))


def xml(octets: bytes) -> Any:
    return parse(octets)


def tag(name: str) -> str:
    return f"{{{EDXML}}}{name}"


def signature_of(root: Any) -> Any:
    return root.find(f".//{{{DS}}}Signature")


def evil_root(case: Case) -> Any:
    return xml(case.evil_packet)


# Where the honest packet, or the signature alone, is hidden within the false one.
PLACES: dict[str, Callable[[Any, Any], None]] = {
    "root, last": lambda root, part: root.append(part),
    "root, first": lambda root, part: root.insert(0, part),
    "edXMLHeader, last": lambda root, part: root.find(f".//{tag('edXMLHeader')}").append(part),
    "edXMLHeader, first": lambda root, part: root.find(f".//{tag('edXMLHeader')}").insert(0, part),
    "edXMLEnvelope": lambda root, part: root.find(tag("edXMLEnvelope")).append(part),
    "MessageHeader": lambda root, part: root.find(f".//{tag('MessageHeader')}").append(part),
    "edXMLBody": lambda root, part: root.find(f".//{tag('edXMLBody')}").append(part),
    "AttachmentEncoded": lambda root, part: root.find(tag("AttachmentEncoded")).append(part),
    "Attachment": lambda root, part: root.find(f".//{tag('Attachment')}").append(part),
    "a wrapper": lambda root, part: etree.SubElement(root, "{urn:strange}Wrapper").append(part),
}


def whole_within(place: str, mark: str) -> Callable[[Case], Shot]:
    """The honest packet, signature and all, stands somewhere within the false one."""

    def shoot(case: Case) -> Shot:
        root, honest = evil_root(case), xml(case.packet)
        if mark:
            root.set(mark, "x")
        PLACES[place](root, honest)
        return carry(case, write(root))

    return shoot


def signature_within(place: str, hold: bool) -> Callable[[Case], Shot]:
    """The honest signature alone, or holding the honest packet in an Object, stands in the false packet."""

    def shoot(case: Case) -> Shot:
        root, honest = evil_root(case), xml(case.packet)
        signature = signature_of(honest)
        signature.getparent().remove(signature)
        if hold:
            etree.SubElement(signature, f"{{{DS}}}Object").append(honest)
        PLACES[place](root, signature)
        return carry(case, write(root))

    return shoot


def by_id(place: str, kind: str, enveloped: bool) -> Callable[[Case], Shot]:
    """The honest key signed a part by its id; another part is read."""

    def shoot(case: Case) -> Shot:
        root, honest = evil_root(case), xml(case.paper.octets())
        honest.set(kind, "signed")
        value = digest(canonical(honest))
        chain = (ENVELOPED, EXC) if enveloped else (EXC,)

        def references(_: Any, __: list[Reference]) -> list[Reference]:
            return [Reference("#signed", value, transforms=chain)]

        made = signature_of(xml(seal_packet(case.evil_paper.text(), case.sender, Sealing(references=references))))
        PLACES["edXMLHeader, last"](root, made)
        PLACES[place](root, honest)
        return carry(case, write(root))

    return shoot


def signed_so(**how: Any) -> Callable[[Case], Shot]:
    """The partner's own key signs its own packet in a way that must not count."""

    def shoot(case: Case) -> Shot:
        return Shot(
            case.message(send_document(case.message_id, seal_packet(case.paper.text(), case.sender, Sealing(**how))))
        )

    return shoot


def parts(pick: str) -> Callable[[Any, list[Reference]], list[Reference]]:
    def references(root: Any, true: list[Reference]) -> list[Reference]:
        whole = true[0]
        attachment = digest(canonical(root.find(tag("AttachmentEncoded"))))
        return {
            "none": [],
            "twice": [whole, whole],
            "no URI": [Reference(None, whole.value, transforms=(ENVELOPED, EXC))],
            "#": [Reference("#", whole.value, transforms=(ENVELOPED, EXC))],
            "xpointer": [Reference("#xpointer(/)", whole.value, transforms=(ENVELOPED, EXC))],
            "no enveloped": [Reference("", whole.value, transforms=(EXC,))],
            "no transforms": [Reference("", whole.value, transforms=None)],
            "enveloped twice": [Reference("", whole.value, transforms=(ENVELOPED, ENVELOPED, EXC))],
            "c14n first": [Reference("", whole.value, transforms=(EXC, ENVELOPED))],
            "c14n twice": [Reference("", whole.value, transforms=(ENVELOPED, EXC, EXC))],
            "with comments": [Reference("", whole.value, transforms=(ENVELOPED, f"{EXC}WithComments"))],
            "base64": [Reference("", whole.value, transforms=(ENVELOPED, f"{DS}base64"))],
            "hundred": [Reference("", whole.value, transforms=(ENVELOPED, *(EXC,) * 100))],
            "XPath that selects nothing": [Reference("", digest(b""), transforms=(xpath("false()"), EXC))],
            "XPath that leaves attachments out": [Reference("", whole.value, transforms=(ENVELOPED, xpath("not(ancestor-or-self::*[local-name()='AttachmentEncoded'])"), EXC))],
            "attachments alone": [Reference("#xpointer(//AttachmentEncoded)", attachment)],
            "file": [Reference("file:///etc/passwd", digest(b""))],
            "MD5": [Reference("", digest(canonical(root), f"{MORE}md5"), f"{MORE}md5", (ENVELOPED, EXC))],
            "of type Manifest": [Reference("", whole.value, transforms=(ENVELOPED, EXC), attributes=f' Type="{DS}Manifest"')],
            "digest of nothing": [Reference("", digest(b""), transforms=(ENVELOPED, EXC))],
        }[pick]  # fmt: skip

    return references


def xpath(expression: str) -> str:
    return f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>{expression}</ds:XPath></ds:Transform>'


def altered(change: Callable[[str, Case], str]) -> Callable[[Case], Shot]:
    """A signed packet, altered behind its signature's back."""

    def shoot(case: Case) -> Shot:
        text = case.packet.decode()
        made = change(text, case)
        assert made != text, "an attack that changes nothing"
        return Shot(case.message(send_document(case.message_id, made.encode("utf-8", "surrogatepass"))))

    return shoot


def forged(key_info: str) -> Callable[[Case], Shot]:
    """The attacker's own key, with KeyInfo as named."""

    def shoot(case: Case) -> Shot:
        mallory, sender = case.campaign.extras["counterfeits"]["twin"], case.sender
        his, ours = x509_data(mallory), x509_data(sender)
        public = mallory.key.public_key().public_numbers()
        value = (
            f"<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{b64(public.n.to_bytes(256, 'big'))}</ds:Modulus>"
            "<ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"
        )
        infos = {
            "his": his,
            "ours": ours,
            "ours, his": ours.replace("</ds:X509Data>", his.split("<ds:X509Data>")[1].removesuffix("</ds:KeyInfo>")),
            "his, ours": his.replace("</ds:X509Data>", ours.split("<ds:X509Data>")[1].removesuffix("</ds:KeyInfo>")),
            "two X509Data": ours.replace("</ds:KeyInfo>", his.removeprefix("<ds:KeyInfo>")),
            "KeyValue": f"<ds:KeyInfo>{value}</ds:KeyInfo>",
            "KeyValue and ours": ours.replace("<ds:KeyInfo>", f"<ds:KeyInfo>{value}"),
            "none": "",
            "KeyName": "<ds:KeyInfo><ds:KeyName>packet</ds:KeyName></ds:KeyInfo>",
            "RetrievalMethod": f'<ds:KeyInfo><ds:RetrievalMethod URI="{case.campaign.canary.url}/k"/></ds:KeyInfo>',
        }
        how = Sealing(key_info=infos[key_info], value=lambda octets: rsa_value(mallory.key, octets))
        return carry(case, seal_packet(case.evil_paper.text(), case.sender, how))

    return shoot


def two_signatures(order: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        mallory = case.campaign.extras["counterfeits"]["twin"]
        his = seal_packet(case.evil_paper.text(), mallory).decode()
        ours = etree.tostring(signature_of(xml(case.packet)), with_tail=False).decode()
        start, end = "<ds:Signature ", "</ds:Signature>"
        false = his[his.index(start) : his.index(end) + len(end)]
        put = {
            "ours first": ours + false,
            "his first": false + ours,
            "ours in his Object": false.replace(end, f"<ds:Object>{ours}</ds:Object>{end}"),
        }[order]
        return carry(case, his.replace(false, put).encode())

    return shoot


def others(role: str) -> Callable[[Case], Shot]:
    """Another partner's signature, or its whole packet."""

    def shoot(case: Case) -> Shot:
        return Shot(case.message(send_document(case.message_id, seal_packet(case.paper.text(), case.role(role)))))

    return shoot


def unsigned(case: Case) -> Shot:
    return carry(case, case.evil_packet)


def dummy(text: str) -> Callable[[Case], Shot]:
    return lambda case: carry(case, case.evil_paper.text().replace("<!--sign-->", text).encode())


def vxp(change: Callable[[str], str], hash_name: str = "SHA1") -> Callable[[Case], Shot]:
    """The observed form of the national axis: Signature in the packet's namespace, no prefix, an odd URI for exclusive C14N."""

    def shoot(case: Case) -> Shot:
        odd = "http://www.w3.org/TR/xml-exc-c14n#"
        text = case.evil_paper.text()
        root = xml(text.replace("<!--sign-->", "").encode())
        value = digest(canonical(root), f"{DS}sha1")
        info = (
            f'<SignedInfo><CanonicalizationMethod Algorithm="{odd}"/><SignatureMethod Algorithm="{DS}rsa-sha1"/><Reference URI="">'
            f'<Transforms><Transform Algorithm="{ENVELOPED}"/></Transforms><DigestMethod Algorithm="{DS}sha1"/><DigestValue>{value}</DigestValue>'
            "</Reference></SignedInfo>"
        )
        keys = x509_data(case.sender).replace("ds:", "")
        whole = text.replace(
            "<!--sign-->", f"<Signature>{info}<SignatureValue>@value@</SignatureValue>{keys}</Signature>"
        )
        signed = xml(whole.encode()).find(f".//{tag('SignedInfo')}")
        made = rsa_value(case.sender.key, canonical(signed), hash_name)
        return carry(case, change(whole.replace("@value@", b64(made))).encode())

    return shoot


def attacks() -> Iterator[Attack]:
    turn = itertools.cycle((Form("1.1"), Form("1.2")))
    for role in ROLES:

        def attack(
            name: str, shoot: Any, expect: str = REFUSE, source: str = WRAPPING, wins: str = WINS, role: str = role
        ) -> Attack:
            return Attack(f"packet-{role}", name, source, wins, shoot, expect, role=role, form=next(turn))

        for place in PLACES:
            for mark in ("", "Id"):
                yield attack(
                    f"the honest packet within, at {place}{', marked' * bool(mark)}", whole_within(place, mark)
                )
            for hold in (False, True):
                yield attack(
                    f"the honest signature at {place}{', holding the packet' * hold}", signature_within(place, hold)
                )
            for kind, enveloped in itertools.product(
                ("Id", "ID", "{http://www.w3.org/XML/1998/namespace}id"), (False, True)
            ):
                yield attack(f"signed by {kind[-3:]} at {place}, enveloped {enveloped}", by_id(place, kind, enveloped))
        for pick in (
            "none", "twice", "no URI", "#", "xpointer", "no enveloped", "no transforms", "enveloped twice", "c14n first", "c14n twice", "with comments",
            "base64", "hundred", "XPath that selects nothing", "XPath that leaves attachments out", "attachments alone", "file", "MD5", "digest of nothing",
        ):  # fmt: skip
            yield attack(
                f"references: {pick}", signed_so(references=parts(pick)), source="Hill 2007; XMLDSig best practices"
            )
        yield attack("references: of type Manifest", signed_so(references=parts("of type Manifest")), ALIVE)
        for info in (
            "his",
            "ours",
            "ours, his",
            "his, ours",
            "two X509Data",
            "KeyValue",
            "KeyValue and ours",
            "none",
            "KeyName",
            "RetrievalMethod",
        ):
            yield attack(f"his key, KeyInfo {info}", forged(info), source="xml-crypto CVE-2024-32962")
        for order in ("ours first", "his first", "ours in his Object"):
            yield attack(f"two signatures, {order}", two_signatures(order), source="CVE-2025-29774")
        for other in ("second", "elliptic", "sender"):
            yield attack(
                f"signed by {other}",
                others(other),
                source="pysaml2 CVE-2021-21239",
                wins="another partner's signature counts",
            )
        yield attack("unsigned", unsigned)
        for name, text in {
            "an empty Signature": f'<ds:Signature xmlns:ds="{DS}"/>',
            "an empty Signature of the packet's namespace": "<Signature/>",
            "DigitalSignature": "<DigitalSignature>yes</DigitalSignature>",
            "a Signature without value": f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo/></ds:Signature>',
        }.items():
            yield attack(name, dummy(text), source="Perl XML::Sig CVE-2025-40934")
        weak: dict[str, dict[str, Any]] = {
            "RSA-MD5": {"method": f"{MORE}rsa-md5"},
            "HMAC": {"method": f"{MORE}hmac-sha256"},
            "none": {"method": "none"},
            "a digest": {"method": f"{ENC}sha256"},
            "C14N with comments": {"canonical_text": f'<ds:CanonicalizationMethod Algorithm="{INC}#WithComments"/>'},
            "C14N unknown": {"canonical_text": '<ds:CanonicalizationMethod Algorithm="urn:x"/>'},
            "C14N absent": {"canonical_text": ""},
            "Object with another packet": {"attached": "<ds:Object>x</ds:Object>"},
        }
        for name, how in weak.items():
            yield attack(f"signed with {name}", signed_so(**how), source="algorithm confusion; RFC 9231")
        if role != "vxp":

            def old(case: Case) -> Shot:
                how = Sealing(method=f"{DS}rsa-sha1", value=lambda octets: rsa_value(case.sender.key, octets, "SHA1"))
                packet = seal_packet(case.paper.text(), case.sender, how)
                return Shot(case.message(send_document(case.message_id, packet)))

            yield attack("signed with RSA-SHA1", old, source="RFC 9231")
            yield attack("the VXP form, not agreed", vxp(lambda text: text), source="RFC 9231")
        else:
            for name, change in {
                "subject altered": lambda text: text.replace("gia mao", "that"),
                "attachment altered": lambda text: text.replace(
                    "<ContentTransferEncoded>", "<ContentTransferEncoded>QUFB"
                ),
                "Reference by id": lambda text: text.replace('URI=""', 'URI="#x"'),
                "two": lambda text: text.replace("</Signature>", "</Signature><Signature/>"),
                "another digest": lambda text: text.replace("<DigestValue>", "<DigestValue>AAAA"),
            }.items():
                yield attack(f"VXP form, {name}", vxp(change), source="the VXP form as observed")
            yield attack(
                "VXP form, SHA-256 value said to be SHA-1",
                vxp(lambda text: text, "SHA256"),
                source="algorithm confusion",
            )
        yield from alterations(attack)


def alterations(attack: Callable[..., Attack]) -> Iterator[Attack]:
    """Changes of a signed packet.  Those that its canonical form does not see are refused by rule, or change nothing that is read."""
    content: dict[str, Callable[[str, Case], str]] = {
        "subject": lambda text, case: text.replace("tin cay", "gia mao"),
        "attachment": lambda text, case: text.replace("<ContentTransferEncoded>", "<ContentTransferEncoded>QUFB"),
        "attachment added": lambda text, case: text.replace("</Attachment>", "</Attachment><Attachment><ContentId>cid:2</ContentId></Attachment>"),
        "attachment removed": lambda text, case: text[: text.index("<Attachment>")] + text[text.index("</AttachmentEncoded>") :],
        "recipient added": lambda text, case: text.replace("</To>", "</To><To><OrganId>H55.13</OrganId><OrganName>x</OrganName></To>"),
        "From altered": lambda text, case: text.replace(case.sender.unit, case.role("second").unit),
        "an attribute": lambda text, case: text.replace("<Subject>", '<Subject a="b">'),
        "white space": lambda text, case: text.replace("<Subject>", " <Subject>"),
        "the root's namespace": lambda text, case: text.replace(EDXML, f"{EDXML}x"),
        "a relative namespace": lambda text, case: text.replace("<edXML ", '<edXML xmlns:v="1" v:a="" '),
        "a relative namespace, unused": lambda text, case: text.replace("<edXMLEnvelope>", '<edXMLEnvelope xmlns:v="1">'),
        "a DOCTYPE": lambda text, case: text.replace("?>", "?><!DOCTYPE x>", 1),
        "a default attribute": lambda text, case: text.replace("?>", '?><!DOCTYPE x [<!ATTLIST Subject a CDATA "b">]>', 1),
        "a comment in OrganId": lambda text, case: text.replace(f"<OrganId>{case.campaign.unit}", f"<OrganId>{case.campaign.unit[:-1]}<!-- -->{case.campaign.unit[-1]}"),
        "a comment cuts the subject": lambda text, case: text.replace("tin cay", "tin<!-- --> cay"),
        "a comment in the attachment": lambda text, case: text.replace("<ContentTransferEncoded>", "<ContentTransferEncoded><!-- -->"),
        "a comment of a megabyte": lambda text, case: text.replace("<Subject>", f"<!--{'x' * 1_000_000}--><Subject>"),
        "a comment in SignedInfo": lambda text, case: text.replace("<ds:SignedInfo>", "<ds:SignedInfo><!-- -->"),
        "CDATA in OrganId": lambda text, case: text.replace(f"<OrganId>{case.campaign.unit}", f"<OrganId><![CDATA[{case.campaign.unit}]]>"),
        "CDATA cuts the subject": lambda text, case: text.replace("tin cay", "tin<![CDATA[]]> cay"),
        "CDATA of a comment in the subject": lambda text, case: text.replace("tin cay", "tin<![CDATA[<!-- -->]]> cay"),
        "CDATA in the attachment": lambda text, case: text.replace("<ContentTransferEncoded>", "<ContentTransferEncoded><![CDATA[]]>"),
        "CDATA in SignedInfo": lambda text, case: text.replace("<ds:SignedInfo>", "<ds:SignedInfo><![CDATA[]]>"),
        "a comment before the root": lambda text, case: text.replace("<edXML ", "<!-- --><edXML ", 1),
        "a comment behind the root": lambda text, case: f"{text}<!-- -->",
        "an instruction": lambda text, case: text.replace("<Subject>", "<?x y?><Subject>"),
        "an instruction before the root": lambda text, case: text.replace("<edXML ", '<?xml-stylesheet href="x"?><edXML ', 1),
        "text in Signature": lambda text, case: text.replace("<ds:SignatureValue>", "x<ds:SignatureValue>"),
        "an Object": lambda text, case: text.replace("</ds:Signature>", "<ds:Object>x</ds:Object></ds:Signature>"),
        "an Object with a packet": lambda text, case: text.replace("</ds:Signature>", f"<ds:Object>{case.evil_paper.but(declaration='').octets().decode()}</ds:Object></ds:Signature>"),
        "an element in Signature": lambda text, case: text.replace("</ds:Signature>", "<Subject>gia mao</Subject></ds:Signature>"),
        "a From in Signature": lambda text, case: text.replace("</ds:Signature>", f"<From><OrganId>{case.role('second').unit}</OrganId></From></ds:Signature>"),
        "an element in KeyInfo": lambda text, case: text.replace("</ds:KeyInfo>", "<Subject>gia mao</Subject></ds:KeyInfo>"),
        "a header in KeyInfo": lambda text, case: text.replace(
            "</ds:KeyInfo>", f"<MessageHeader><From><OrganId>{case.role('second').unit}</OrganId></From></MessageHeader></ds:KeyInfo>"
        ),
        "an attachment in SignatureValue": lambda text, case: text.replace("</ds:SignatureValue>", "<Attachment/></ds:SignatureValue>"),
        "a second packet behind": lambda text, case: text + case.evil_packet.decode().split("?>", 1)[1],
        "text behind": lambda text, case: f"{text}x",
        "the signature removed": lambda text, case: text[: text.index("<ds:Signature ")] + text[text.index("</ds:Signature>") + len("</ds:Signature>") :],
        "the signature doubled": lambda text, case: text.replace("</ds:Signature>", "</ds:Signature>" + text[text.index("<ds:Signature ") : text.index("</ds:Signature>") + len("</ds:Signature>")], 1),
        "UTF-7": lambda text, case: text.replace("UTF-8", "UTF-7", 1),
    }  # fmt: skip
    for name, change in content.items():
        yield attack(f"altered: {name}", altered(change), source="CVE-2017-11427; CVE-2025-29775; CVE-2025-66568")
