"""The schemas of a WSDL compiled by lxml: another reading of the same files, to hold zeep's against.

Knows where WSDL 1.1 keeps schemas, and rpc/literal. Of each namespace one document includes all others: libxml2 takes one
document for a namespace.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

from lxml import etree

from hub.soap.wsdl_documents import find_file

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"
#: Of namespaces whose schemas nobody serves: what the WSDLs here use of them.
KNOWN = {
    "http://www.w3.org/XML/1998/namespace": '<x:attribute name="lang" type="x:language"/>',
    "http://schemas.xmlsoap.org/soap/encoding/": """<x:attribute name="arrayType" type="x:string"/>
      <x:complexType name="Array"><x:sequence><x:any minOccurs="0" maxOccurs="unbounded" processContents="skip"/></x:sequence>
      <x:anyAttribute processContents="skip"/></x:complexType>
      """
    + "".join(
        f'<x:simpleType name="{name}"><x:restriction base="x:{name}"/></x:simpleType>'
        for name in ("string", "base64Binary", "decimal", "int")
    ),
}


class Pages(etree.Resolver):
    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        return self.resolve_string(self.pages[system_url.rpartition("/")[2]], context, base_url=system_url)


def collect(files: Mapping[str, bytes], main: str) -> dict[str | None, list[etree._Element]]:
    """Return every schema document that is reached from *main*, by its target namespace."""
    found = defaultdict(list)
    for content in reach(files, main).values():
        root = etree.fromstring(content)
        for schema in [root] if root.tag == f"{XSD}schema" else root.iterfind(f"{WSDL}types/{XSD}schema"):
            found[schema.get("targetNamespace")].append(schema)
    return found


def reach(files: Mapping[str, bytes], main: str) -> dict[str, bytes]:
    """Return *main* and every file that it refers to."""
    found, todo = dict[str, bytes](), [main]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = files[name]
        for each in etree.fromstring(files[name]).iter(f"{WSDL}import", f"{XSD}import"):
            location = each.get("location") or each.get("schemaLocation")
            if location and each.get("namespace") not in KNOWN:
                kept = find_file(location, name, files)
                assert kept is not None, location
                todo.append(kept)
    return found


def compile_all(files: Mapping[str, bytes], main: str, more: str = "") -> etree.XMLSchema:
    """Return all schemas of the WSDL as one. *more* are declarations without a namespace; `n0:`, `n1:` … is nobody's."""
    found = collect(files, main)
    pages = {}
    for number, (known, text) in enumerate(KNOWN.items()):
        pages[f"known{number}.xsd"] = (
            f'<x:schema xmlns:x="{XSD[1:-1]}" targetNamespace="{known}">{text}</x:schema>'.encode()
        )
    place: dict[str | None, str] = {namespace: f"known{number}.xsd" for number, namespace in enumerate(KNOWN)}
    place |= {namespace: f"all{number}.xsd" for number, namespace in enumerate(found)}
    for namespace, schemas in found.items():
        name = place[namespace]
        inside = []
        for number, schema in enumerate(schemas):
            one = etree.fromstring(etree.tostring(schema, with_tail=False))  # with the prefixes in scope
            for each in list(one.iter(f"{XSD}import")):
                if each.get("namespace") in place:
                    each.set("schemaLocation", place[each.get("namespace")])
                else:
                    one.remove(each)
            if "http://schemas.xmlsoap.org/soap/encoding/" in one.nsmap.values():
                one.insert(0, etree.Element(f"{XSD}import", namespace=list(KNOWN)[1], schemaLocation="known1.xsd"))
            for attribute in one.iter(f"{XSD}attribute"):  # what SOAP 1.1's encoding says in a foreign attribute
                cast("Any", attribute.attrib).pop(f"{WSDL}arrayType", None)
            pages[f"{number}{name}"] = etree.tostring(one)
            inside.append(f'<x:include schemaLocation="{number}{name}"/>')
        target = f' targetNamespace="{namespace}"' if namespace else ""
        pages[name] = f'<x:schema xmlns:x="{XSD[1:-1]}"{target}>{"".join(inside)}</x:schema>'.encode()
    imports = "".join(
        f'<x:import schemaLocation="{name}"' + (f' namespace="{namespace}"/>' if namespace else "/>")
        for namespace, name in place.items()
        if namespace in found
    )
    parser = etree.XMLParser()
    parser.resolvers.add(Pages(pages))
    driver = f'<x:schema xmlns:x="{XSD[1:-1]}" targetNamespace="urn:all">{imports}{more}</x:schema>'
    return etree.XMLSchema(etree.fromstring(driver, parser, base_url="mem:///driver.xsd"))
