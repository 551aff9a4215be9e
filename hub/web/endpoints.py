"""Which desk each service has that is called by SOAP.  Knows every one of them; not how calls come in."""

from collections.abc import Callable, Mapping

from hub.domain.model import DOCUMENTS
from hub.intake.documents_endpoint import DocumentDesk
from hub.intake.dossiers_query import get_dossier
from hub.intake.endpoint import Desk, EndpointJournal
from hub.intake.records_endpoint import Query, RecordDesk
from hub.services import Service, list_services
from hub.soap import wsdl
from hub.units.province import Province
from hub.workload import declarations
from hub.workload.soap_operations import get_reconciliation, get_workload_report, list_periods

#: The operations of a service that bring no message.
QUERIES: Mapping[str, Mapping[str, Query]] = {
    "dossiers": {"GetDossier": get_dossier},
    "reports": {
        "GetWorkloadReport": get_workload_report,
        "GetReconciliation": get_reconciliation,
        "ListPeriods": list_periods,
    },
}
#: What reads the messages of a service that come by SOAP, where it is not the service itself: others hand in no sealed reports.
OWN: Mapping[str, Callable[[Province], Service]] = {"reports": declarations.make_declarations_service}


def list_desks(books: EndpointJournal, *others: Desk) -> dict[str, Desk]:
    """Return the desk of each service that has a contract, by name: one of *others*, or one that takes records.

    OSError or etree.LxmlError when a file is missing or broken.
    """
    found: dict[str, Desk] = {DOCUMENTS: DocumentDesk(wsdl.load_contract(DOCUMENTS), books)}
    for name, service in list_services().items():
        if wsdl.is_published_contract(name):
            found[name] = RecordDesk(wsdl.load_contract(name), service, books, QUERIES.get(name, {}), OWN.get(name))
    return found | {desk.contract.name: desk for desk in others}
