"""Holds the contracts shipped with the hub to themselves and to the code: WSDL, XSD, and what the hub serves.

Knows what must agree. Does not read the files itself, and does without the endpoints, which need Twisted: each
service says what they answer, and a test holds them to it.
"""

from collections.abc import Iterator

from lxml.etree import LxmlError

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import DOCUMENTS
from hub.formats.models.xsd_model import ModelValue, SchemaModel
from hub.language.phrases import Phrase, phrase, verbatim
from hub.report.counting import declaring
from hub.services import list_services, reports
from hub.soap import documents_requests, wsdl
from hub.soap.wsdl_operations import OfferedService, find_disagreements

#: The languages in which a schema explains each value of an enumeration.
LANGUAGES = ("vi", "en")
_EXPECTED = phrase("the files of this version, unchanged")


def find_contract_mistakes() -> Iterator[Mistake]:
    """Yield what is wrong with a published contract, or differs between it and the code."""
    served = list_served_operations()
    for name in sorted({*served, *wsdl.list_contract_names()}):
        place = f"wsdl/lienthong/1/{name}.wsdl"
        try:
            published = wsdl.load_published_contract(name)
        except (OSError, LxmlError, ConfigurationFault) as error:
            yield Mistake(place, verbatim(error), _EXPECTED)
            continue
        for wrong in (
            *find_disagreements(published.offered),
            *compare_operations(published.offered, served.get(name, frozenset())),
        ):
            yield Mistake(place, wrong, _EXPECTED)
        for wrong in find_unexplained_values(published.contract.model):
            yield Mistake(f"xsd/lienthong/1/{name}.xsd", wrong, _EXPECTED)


def list_served_operations() -> dict[str, frozenset[str]]:
    """Return the names of the operations that the code reads or answers, by service that partners call."""
    found = {name: service.operations | service.queries for name, service in list_services().items()}
    found[reports.NAME] |= {declaring.SUBMIT}
    found[DOCUMENTS] = documents_requests.OPERATIONS
    return {name: operations for name, operations in found.items() if operations}


def compare_operations(offered: OfferedService, served: frozenset[str]) -> Iterator[Phrase]:
    """Yield each operation that only the WSDL has, or only the code."""
    names = {operation.name for operation in offered.operations}
    for name in sorted(names - served):
        yield phrase("{name}: nothing in the hub reads this operation", name=name)
    for name in sorted(served - names):
        yield phrase("{name}: the hub reads this operation, and the WSDL does not have it", name=name)


def find_unexplained_values(model: SchemaModel) -> Iterator[Phrase]:
    """Yield each value of an enumeration that is not explained in each of LANGUAGES."""
    for value in _list_values(model):
        for choice in value.choices or ():
            missing = [language for language in LANGUAGES if not choice.labels.get(language)]
            if missing:
                yield phrase("{value}: not explained in {languages}", value=choice.value, languages=", ".join(missing))


def _list_values(model: SchemaModel) -> Iterator[ModelValue]:
    for kind in model.types.values():
        if kind.value is not None:
            yield kind.value
        for attribute in kind.attributes:
            yield attribute.value
