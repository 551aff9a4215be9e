"""What the WSDL of each service of records must be: its operations, what a stock client makes of it, the Basic Profile.

Knows WSDL 1.1 and zeep; no operation by name.
"""

from typing import Any

from lxml import etree
from zeep import Client, Settings
from zeep.transports import Transport

from hub.formats import xsd_schemas
from hub.soap import wsdl

WSDL = "http://schemas.xmlsoap.org/wsdl/"
SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"


class Offline(Transport):
    """zeep may read our own files and nothing else."""

    def _load_remote_data(self, url: str) -> bytes:
        raise AssertionError(f"asked for {url}")


def client(service: str) -> Any:
    """Return a stock client of the service's WSDL as it lies in the project."""
    path = xsd_schemas.find_schema_root() / f"wsdl/lienthong/1/{service}.wsdl"
    return Client(str(path), transport=Offline(), settings=Settings(strict=True))


def offers_exactly(found: wsdl.Contract, namespace: str, operations: set[str]) -> None:
    """Assert that the contract has these operations, each named and addressed as all of ours are."""
    assert {operation.name for operation in found.operations.values()} == operations
    for operation in found.operations.values():
        assert operation.action == f"{namespace}/{operation.name}"
        assert operation.request == f"{{{namespace}}}{operation.name}"
        assert operation.response == f"{{{namespace}}}{operation.name}Response"


def loads_by_its_links_alone(found: wsdl.Contract, service: str, operations: set[str]) -> None:
    """Assert that a stock client needs nothing but what is served at the service's address."""
    address = f"https://truc.example.vn/soap/{service}"
    pages = {f"{address}?wsdl": found.wsdl(address), f"{address}?xsd={service}.xsd": found.xsd(f"{service}.xsd")}

    class Pages(Transport):
        def load(self, url: str) -> bytes:
            return pages[url]

    loaded = Client(f"{address}?wsdl", transport=Pages(), settings=Settings(strict=True))
    name = service.capitalize()
    ports = loaded.wsdl.services[name].ports
    assert list(ports) == [f"{name}Soap11", f"{name}Soap12"]
    for port in ports.values():
        assert port.binding_options["address"] == address
        assert set(port.binding.all()) == operations


def keeps_the_basic_profile(found: wsdl.Contract, service: str, operations: set[str]) -> None:
    """Assert, as for the documents service: one element a message; document, literal, over HTTP; faults named alike."""
    root = etree.fromstring(found.wsdl(f"https://h/soap/{service}"))
    for message in root.iter(f"{{{WSDL}}}message"):
        (part,) = message.iter(f"{{{WSDL}}}part")
        assert part.get("element")
    elements = [message[0].get("element") for message in root.iter(f"{{{WSDL}}}message")]
    assert len(set(elements)) == len(elements)
    (binding,) = root.iter(f"{{{SOAP}}}binding")
    assert binding.get("transport") == "http://schemas.xmlsoap.org/soap/http"
    assert {each.get("style") for each in (binding, *root.iter(f"{{{SOAP}}}operation"))} == {"document"}
    for each in (*root.iter(f"{{{SOAP}}}body"), *root.iter(f"{{{SOAP}}}fault")):
        assert each.get("use") == "literal"
    names = [each.get("name") for each in root.iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation")]
    assert set(names) == operations
    for each in root.iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation"):
        assert [etree.QName(part).localname for part in each if part.get("message")] == ["input", "output", "fault"]
    for each in root.iterfind(f"{{{WSDL}}}binding"):
        assert [part.get("name") for part in each.iterfind(f"{{{WSDL}}}operation")] == names
