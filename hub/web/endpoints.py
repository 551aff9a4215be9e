"""Creates the endpoint (`Endpoint`) of each service that is called by SOAP. Does not know how calls arrive."""

from collections.abc import Callable, Mapping

from hub.domain.model import DOCUMENTS
from hub.intake.documents_endpoint import DocumentsEndpoint
from hub.intake.dossiers_query import get_dossier
from hub.intake.endpoint import Endpoint, JournalAccess
from hub.intake.records_endpoint import Query, RecordsEndpoint
from hub.services import Service, list_services
from hub.services.defined import DefinedService, load_defined_contract
from hub.services.defined.reading import make_defined_service
from hub.soap import wsdl
from hub.units.province import Province
from hub.workload import declarations
from hub.workload.soap_operations import get_reconciliation, get_workload_report, list_periods

#: What answers the operations that only query (`Service.queries`), by service and operation name.
QUERIES: Mapping[str, Mapping[str, Query]] = {
    "dossiers": {"GetDossier": get_dossier},
    "reports": {
        "GetWorkloadReport": get_workload_report,
        "GetReconciliation": get_reconciliation,
        "ListPeriods": list_periods,
    },
}
#: Functions that make the reader of a service's SOAP messages, where it differs from the service in `hub.services`:
#: only `reports`, because a SOAP caller declares figures and never brings a sealed report.
SOAP_READERS: Mapping[str, Callable[[Province], Service]] = {"reports": declarations.make_declarations_service}


#: The paths of a defined service that cost as much of an item as the hub's own services cost.
_PATHS = 25


def make_defined_endpoint(defined: DefinedService, access: JournalAccess) -> Endpoint:
    """Return the endpoint of a service that the configuration defines. Raises `etree.LxmlError` if its schema is broken."""
    paths = {rule.element: rule.message_id for rule in defined.messages}
    weight = 1 + max(rule.count_paths() for rule in defined.messages) // _PATHS
    service = make_defined_service(defined, validated=True)
    return RecordsEndpoint(load_defined_contract(defined), service, access, ids=paths, weight=weight)


def list_endpoints(access: JournalAccess, *others: Endpoint) -> dict[str, Endpoint]:
    """Return the endpoint of each service with a published contract, by name.

    It is one of *others*, or one that records facts. Raises `OSError` or `etree.LxmlError` if a contract file is
    missing or broken.
    """
    found: dict[str, Endpoint] = {DOCUMENTS: DocumentsEndpoint(wsdl.load_contract(DOCUMENTS), access)}
    for name, service in list_services().items():
        if wsdl.is_published_contract(name):
            found[name] = RecordsEndpoint(
                wsdl.load_contract(name), service, access, QUERIES.get(name, {}), SOAP_READERS.get(name)
            )
    return found | {endpoint.contract.name: endpoint for endpoint in others}
