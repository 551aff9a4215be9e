"""The shared mail and the shared services of the day: sets up the hub for them, and compares the results.

Knows the partners' files and the forms' columns. Plays nothing itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hub.security import sample_pki
from lienthong_demo.command.enrolling import enrol_partner
from lienthong_demo.run.dayplay import MAIL, OFFICERS, SERVICES
from lienthong_demo.run.stage import Site, Stage
from lienthong_demo.tally import tally, tallyshared

Line = Mapping[str, Any]

#: `partners/CODE.toml` of the partners that answer lookups.
_NGSP = """name = "Nền tảng tích hợp quốc gia (mẫu)"
adapter = "ngsp"
url = "http://127.0.0.1:{port}"
lookups = ["LookupEnterprise", "LookupCategory", "OrderPostalReturn", "RegisterCivilStatus", "RequestJudicialRecord"]

[settings]
token-url = "http://127.0.0.1:{port}/token"
client-id-file = "client-id"
client-secret-file = "client-secret"
customer-code = "TNG01"

[policy]
transport = "plain"
first-retry = "200ms"
max-retry = "2s"
"""
_DANCU = """name = "Cơ sở dữ liệu quốc gia về dân cư (mẫu)"
adapter = "dancu"
url = "http://127.0.0.1:{port}/"
lookups = ["VerifyCitizen"]

[settings]
client = "VN:GOV:000.00.00.H55:truclienthong"
service = "VN:GOV:000.00.00.G01:dancu:XacThucThongTinCongDan"

[policy]
transport = "plain"
first-retry = "200ms"
max-retry = "2s"
"""
_SECRETS = {"client-id": "truc-lien-thong", "client-secret": "khoa-ngsp-mau"}

#: By form: the columns that count one milestone each.
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "mail": {
        "accounts": "accounts-issued",
        "active": "accounts-active",
        "over_quota": "over-quota",
        "sent_internal": "sent-internal",
        "sent_external": "sent-external",
        "received_internal": "received-internal",
        "received_external": "received-external",
        "refused_size": "refused-size",
        "official_documents": "official-documents",
    },
    "lookups": {
        "enterprise": "lookup-enterprise",
        "category": "lookup-category",
        "citizen": "verify-citizen",
        "postal": "postal-ordered",
        "civil_status": "civil-status-sent",
        "judicial_record": "judicial-record-requested",
    },
}
FORMS = tuple(_COLUMNS)


def open_shared_services(stage: Stage, site: Site, offices: Sequence[str]) -> None:
    """Start the shared services. Let the shared mail report for all units and the officers of *offices* make lookups."""
    partners = site.directory / "partners"
    for name, secret in _SECRETS.items():
        sample_pki.write_secret(site.directory / "secrets" / SERVICES / name, secret.encode())
    port = stage.open_office(SERVICES, "ngsp", client=_SECRETS["client-id"], secret=_SECRETS["client-secret"])
    (partners / f"{SERVICES}.toml").write_text(_NGSP.format(port=port), "utf-8")
    port = stage.open_office("dancu", "dancu")
    (partners / "dancu.toml").write_text(_DANCU.format(port=port), "utf-8")
    enrol_partner(site, MAIL, "Hệ thống thư điện tử công vụ (mẫu)", (), calls=("mail",), tells=True)
    enrol_partner(site, OFFICERS, "Cán bộ một cửa tra cứu (mẫu)", offices, calls=("lookups",))


def compare_shared_facts(
    notebooks: Mapping[str, list[Line]], facts: Iterable[Line], rows: Callable[[str], list[Line]]
) -> list[str]:
    """Return the differences of facts and forms of mail and lookups from the partners' files.

    *rows* returns a form's rows.
    """
    results = [*tallyshared.tally_mail(notebooks[MAIL]), *tallyshared.tally_lookups(notebooks[OFFICERS])]
    expected = tally.sum_results(tally.count_results_once(results).values())
    differences = [
        *tally.compare_facts(results, facts, frozenset(FORMS), lambda fact: (str(fact["key"]),)),
        *tallyshared.compare_orders(notebooks[OFFICERS], notebooks[SERVICES]),
    ]
    for form, columns in _COLUMNS.items():
        differences += tally.compare_report(rows(form), expected, form, columns, form)
    return differences
