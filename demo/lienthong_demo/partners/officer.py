"""Officers of one-stop units: `python -m lienthong_demo.partners.officer CODE ...`.

Speaks only SOAP over mutual TLS with the hub. Knows what its officers ask national shared services and order there, and
its own record of it: the call, the dossier, the id of the answer. The record holds nothing about a person. Does not
know the hub's directory, database or code. Orders, each about a number of dossiers, spread over the units in turn:

* `{"do": "ask", "day": "2026-11-24", "dossiers": 4}`: look up enterprises (some unknown), categories, citizens;
* `{"do": "place", "day": "2026-11-24", "dossiers": 4}`: order postal returns, civil status dossiers, judicial records.

One call in four is made twice under its MessageId. Of the orders every other one is placed again under another
MessageId, as if the first had been forgotten.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from itertools import cycle, islice
from typing import Any

import attrs

from lienthong_demo.protocol.calling import call_until_answered, connect_to_hub, read_process_options, serve_orders
from lienthong_demo.protocol.client import HubClient, explain_refusal
from lienthong_demo.protocol.notebook import Notebook
from lienthong_demo.protocol.signing import read_clock

#: The people and enterprises they ask for. They are made up, like the registers of the services.
NOBODY, NO_ENTERPRISE = "Người Không Có", "4600999999"  #: in no register
ENTERPRISES = ("4600100001", "4600100001", NO_ENTERPRISE)
CATEGORIES = ("magioitinh", None, "qlvanbandieuhanhcap1")
CITIZENS = (("019085000001", "Nguyễn Văn Mẫu"), ("019190000002", "Trần Thị Thử"), ("019085000001", NOBODY))
_AGAIN = 4  #: one in this many calls is made twice

Call = tuple[str, Mapping[str, object]]


def list_officer_calls(number: int) -> Iterator[Call]:
    """Yield the lookups of an officer, for the *number*-th dossier."""
    citizen, name = CITIZENS[number % len(CITIZENS)]
    yield "LookupEnterprise", {"EnterpriseCode": ENTERPRISES[number % len(ENTERPRISES)]}
    yield "LookupCategory", {"Category": CATEGORIES[number % len(CATEGORIES)]}
    yield "VerifyCitizen", {"CitizenId": citizen, "FullName": name}


def list_dossier_orders(dossier: str, day: date) -> Iterator[Call]:
    """Yield the orders of an officer for a *dossier*: postal return, civil status registration, judicial record."""
    yield (
        "OrderPostalReturn",
        {
            "OrderNumber": dossier,
            "SenderName": "Một cửa (mẫu)",
            "SenderAddress": "Số 1 đường Mẫu",
            "SenderTel": "0208000000",
            "SenderProvince": 25,
            "ReceiverName": "Trần Thị Thử",
            "ReceiverAddress": "Xóm Mẫu",
            "ReceiverTel": "0911222333",
            "ReceiverProvince": 25,
        },
    )
    form = "<hotich><hoso><nksHoTen>Hoàng Bé Mẫu</nksHoTen></hoso></hotich>"
    yield "RegisterCivilStatus", {"Commune": "05431", "Module": "KS", "ReceivedOn": f"{day}", "Data": form}
    yield (
        "RequestJudicialRecord",
        {
            "RecordType": "1",
            "RecordPurpose": "Xin việc",
            "FullName": "Nguyễn Văn Mẫu",
            "Gender": "1",
            "BornOn": "1985",
            "IdType": "3",
            "IdNumber": "019085000001",
        },
    )


def is_right_answer(fields: Mapping[str, object], said: Any) -> bool:
    """Tell whether the answer *said* is the expected one: who is in no register must not be found."""
    if "CitizenId" in fields:
        return said.Exists is (fields["FullName"] != NOBODY)
    return said.Report.IsSuccess is (fields.get("EnterpriseCode") != NO_ENTERPRISE)


@attrs.define
class Officers:
    """The officers of some units, and their record."""

    units: tuple[str, ...]
    client: HubClient
    notebook: Notebook
    _called: int = 0

    def ask(self, day: date, dossiers: int) -> Mapping[str, object]:
        """Make the lookups. Return how many calls were answered and refused, and the answers that are wrong."""
        return self._all(
            (unit, dossier, call, "")
            for number, (unit, dossier) in enumerate(self._some(day, dossiers))
            for call in list_officer_calls(number)
        )

    def place(self, day: date, dossiers: int) -> Mapping[str, object]:
        """Place the orders. Return what `ask` returns."""
        return self._all(
            (unit, dossier, call, dossier)
            for number, (unit, dossier) in enumerate(self._some(day, dossiers))
            for call in list_dossier_orders(dossier, day)
            for _ in range(1 + number % 2)
        )

    def _some(self, day: date, dossiers: int) -> Iterator[tuple[str, str]]:
        for number, unit in enumerate(islice(cycle(self.units), dossiers)):
            yield unit, f"{unit}-{day:%y%m%d}-{number // len(self.units):04}"

    def _all(self, calls: Iterable[tuple[str, str, Call, str]]) -> Mapping[str, object]:
        wrong: list[str] = []
        answered = refused = 0
        for unit, dossier, (operation, fields), does in calls:
            who = {"OrganId": unit, "Officer": f"{unit}.canbo", "Purpose": "Giải quyết hồ sơ", "Dossier": dossier}
            said = self._say(operation, {**who, **fields}, does)
            answered += said.Report.IsSuccess
            refused += not said.Report.IsSuccess
            if not is_right_answer(fields, said):
                wrong.append(f"{operation} of {unit}: {', '.join(explain_refusal(said.Report)) or 'another answer'}")
        return {"answered": answered, "refused": refused, "wrong": wrong}

    def _say(self, operation: str, fields: Mapping[str, object], does: str) -> Any:
        """Make one call, sometimes twice. Return the last answer. Raises Unanswered after the last try."""
        self._called += 1
        unit = fields["OrganId"]
        note = {"operation": operation, "unit": unit, "message_id": f"{unit}-{self._called:05}", "does": does}
        said = self._once(note, fields)
        return said if self._called % _AGAIN else self._once(note, fields)

    def _once(self, note: Mapping[str, Any], fields: Mapping[str, object]) -> Any:
        call = partial(self.client.ask, note["operation"], **fields, MessageId=note["message_id"])
        said = call_until_answered(call, self.notebook, note)
        codes = explain_refusal(said.Report)
        self.notebook.write("answered", read_clock(), **note, accepted=not codes, lookup=said.LookupId, codes=codes)
        return said


def obey_officer_order(officers: Officers, order: Mapping[str, Any]) -> Mapping[str, object]:
    """Execute one order of the conductor."""
    day, dossiers = date.fromisoformat(order["day"]), order["dossiers"]
    match order["do"]:
        case "ask":
            return officers.ask(day, dossiers)
        case "place":
            return officers.place(day, dossiers)
        case other:
            raise ValueError(f"no such order: {other}")


def main() -> None:
    """Run the officers until the orders end."""
    given = read_process_options("lienthong_demo.partners.officer", sys.argv[1:])
    with Notebook(given.notebook) as notebook:
        officers = Officers(tuple(given.units.split(",")), connect_to_hub(given, "lookups"), notebook)
        serve_orders(given, notebook, partial(obey_officer_order, officers))


if __name__ == "__main__":
    main()
