"""The one-stop software of some units: `python -m lienthong_demo.partners.onestop CODE ...`.

Speaks only SOAP over mutual TLS with the hub. Knows its own key, units, dossiers and notebook, and the hub's address
and certificate. Does not know the hub's directory, database or code. The conductor writes one JSON order a line to its
standard input and reads one answer a line. When that input ends, it ends. Orders:

* `{"do": "day", "day": "2026-11-24", "new": 5}`: a day's work: that many new dossiers for each unit, progress of the
  others; all is reported, some of it twice;
* `{"do": "spoil"}`: sends calls that must be refused; returns for each the expected code and the answer;
* `{"do": "statistic", "unit": U, "month": "2026-11", "numbers": {...}}`: declares a month;
* `{"do": "report", "unit": U, "period": P, "from": DAY, "to": DAY, "wrong": COLUMN}`: declares the unit's own figures,
  one too many in that column, and asks the hub where they differ from its count;
* `{"do": "look", "unit": U, "dossier": D}`: returns what the hub knows of a dossier;
* `{"do": "count", "from": DAY, "to": DAY}`: returns its own count, by unit and form; `{"do": "dossiers"}`: returns its dossiers.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any

import attrs
from zeep.exceptions import Fault

from lienthong_demo.plan.dossiers import Dossier, count_office_dossiers, count_office_table
from lienthong_demo.protocol.calling import call_until_answered, connect_to_hub, read_process_options, serve_orders
from lienthong_demo.protocol.client import HubClient, HubReply
from lienthong_demo.protocol.notebook import Notebook
from lienthong_demo.protocol.signing import read_clock

_AGAIN = 3  #: one in this many messages is sent twice


@attrs.define
class OneStop:
    """One system and its dossiers."""

    units: tuple[str, ...]
    client: HubClient
    notebook: Notebook
    reports: Callable[[], HubClient]  #: opens the connection to the hub's service `reports`
    dossiers: list[Dossier] = attrs.field(factory=list)
    _sent: int = 0

    def work(self, today: date, new: int) -> Mapping[str, object]:
        """Do a day's work and report it. Return how many messages were accepted, and those refused."""
        refused: list[object] = []
        taken = 0
        for unit in self.units:
            before = len(self.dossiers)
            self.dossiers += [Dossier(unit, before + number, today) for number in range(new)]
            for operation, fields in self._told(unit, today):
                answer = self._send(operation, OrganId=unit, **fields)
                taken += answer.accepted
                if not answer.accepted:
                    refused.append([operation, unit, *answer.codes])
        return {"accepted": taken, "refused": refused}

    def _told(self, unit: str, today: date) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Yield the calls that report the unit's day.

        On every other day steps come first, so that both orders are tried.
        """
        moved = [(each, step) for each in self.dossiers if each.unit == unit for step in each.steps(today)]
        states = [each.state() for each, step in moved if step.told != "progress"]
        steps = [each.progress(step, today) for each, step in moved if step.told != "sync"]
        calls = [("SyncDossiers", {"HoSo": states}), ("UpdateDossierProgress", {"TienDo": steps})]
        if today.day % 2:
            calls.reverse()
        yield from ((operation, fields) for operation, fields in calls if any(fields.values()))
        quiet = [each.state() for each in self.dossiers if each.unit == unit and each.day != today and each.status]
        if quiet:
            yield "SyncDossiers", {"HoSo": quiet[-2:]}  # reported again without a change

    def _send(self, operation: str, **fields: object) -> HubReply:
        """Send one message, sometimes twice. Raises Unanswered after the last try, ValueError if two answers differ."""
        self._sent += 1
        message_id = f"{fields['OrganId']}-{self._sent:05}"
        answer = self._until_answered(operation, MessageId=message_id, **fields)
        if answer.accepted and not self._sent % _AGAIN:
            again = self._until_answered(operation, MessageId=message_id, **fields)
            if again != answer:
                raise ValueError(f"{message_id} sent twice got two answers: {answer} and {again}")
        return answer

    def _until_answered(self, operation: str, **fields: object) -> HubReply:
        note = {"operation": operation, "message_id": fields["MessageId"], "unit": fields["OrganId"]}

        def call() -> HubReply:
            self.notebook.write("sending", read_clock(), **note, fields=fields)
            return self.client.submit(operation, **fields)

        answer = call_until_answered(call, self.notebook, note)
        self.notebook.write("sent", read_clock(), **note, **attrs.asdict(answer))
        return answer

    def spoil(self) -> Iterator[tuple[str, HubReply]]:
        """Send calls that must be refused. Yield the expected code and the hub's answer."""
        unit, known = self.units[0], self.dossiers[0].state()
        for expected, changes in (
            ("R.HoSo[1].TrangThaiHoSo", {"TrangThaiHoSo": "77"}),
            ("T.HoSo[1].NgayTiepNhan", {"NgayTiepNhan": "20260230080000"}),
            ("N.HoSo[1].NgayKetThucXuLy", {"TrangThaiHoSo": "9", "NgayKetThucXuLy": None, "NgayTra": None}),
            ("M.HoSo[1].NgayKetThucXuLy", {"TrangThaiHoSo": "9", "NgayKetThucXuLy": "20200101000000"}),
        ):
            yield expected, self._send("SyncDossiers", OrganId=unit, HoSo=[{**known, **changes}])
        yield "M.HoSo[2].MaHoSo", self._send("SyncDossiers", OrganId=unit, HoSo=[known, known])
        yield "sender-not-allowed", self._send("SyncDossiers", OrganId="000.00.00.G22", HoSo=[known])
        yield "contract-broken", self._send("SyncDossiers", OrganId=unit, HoSo=[{**known, "NgayTiepNhan": "hôm nay"}])

    def declare(self, unit: str, month: str, numbers: Mapping[str, int]) -> HubReply:
        """Declare the *numbers* of *month* (`2026-11`)."""
        year, _, number = month.partition("-")
        fields = {"Year": int(year), "Month": int(number), "IsMonthStatistic": True, **numbers}
        return self._send("SubmitStatistic", OrganId=unit, MStatistic={**fields, "OrganizationInchargeIdlevel1": unit})

    def report(self, unit: str, period: str, days: tuple[date, date], wrong: str) -> Mapping[str, object]:
        """Declare the figures of *unit* for these *days*, one too many in the column *wrong*.

        Return the hub's reconciliation.
        """
        client, book = self.reports(), dict(self.count(*days)[unit]["dossiers"])
        book[wrong] = book.get(wrong, 0) + 1
        asked = {"OrganId": unit, "Form": "dossiers", "Period": period}
        cells = [{"Column": column, "Number": number} for column, number in book.items()]
        figures = [{"OrganId": unit, "Cell": cells}]
        note = {"operation": "SubmitWorkloadReport", "message_id": f"{unit}-{period}", "unit": unit}

        def call() -> HubReply:
            return client.submit(
                "SubmitWorkloadReport",
                MessageId=note["message_id"],
                **asked,
                DeclaredBy="Cán bộ (mẫu)",
                Figures=figures,
            )

        answer = call_until_answered(call, self.notebook, note)
        self.notebook.write("sent", read_clock(), **note, **attrs.asdict(answer))
        if not answer.accepted:
            return {"accepted": False, "codes": answer.codes}
        found = call_until_answered(lambda: client.ask("GetReconciliation", **asked), self.notebook, note)
        unequal = [cell for cell in found.Cell if cell.Verdict != "equal"]
        told = [[cell.OrganId, cell.Column, int(cell.Declared), int(cell.Counted)] for cell in unequal]
        return {"accepted": True, "codes": (), "cells": len(found.Cell), "unequal": told}

    def look(self, dossier: str, unit: str | None) -> Mapping[str, object]:
        """Ask the hub for one dossier."""
        try:
            found = self.client.ask("GetDossier", MaHoSo=dossier, OrganId=unit)
        except Fault as fault:
            return {"codes": self.client.codes(fault)}
        return {
            "unit": found.OrganId,
            "status": found.TrangThai,
            "state": found.HoSo and found.HoSo.TrangThaiHoSo,
            "history": [update.TrangThai for update in found.LichSu.LanCapNhat],
        }

    def count(self, first: date, last: date) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Return each unit's own count for the days *first* to *last*, by form."""
        of = {unit: [each for each in self.dossiers if each.unit == unit] for unit in self.units}
        return {
            unit: {
                "dossiers": count_office_dossiers(dossiers, first, last),
                "btp07a": count_office_table(dossiers, first, last),
            }
            for unit, dossiers in of.items()
        }


def obey_onestop_order(system: OneStop, order: Mapping[str, Any]) -> Mapping[str, object]:
    """Execute one order of the conductor."""
    match order["do"]:
        case "day":
            return system.work(date.fromisoformat(order["day"]), order["new"])
        case "spoil":
            return {"spoilt": [[code, answer.accepted, *answer.codes] for code, answer in system.spoil()]}
        case "statistic":
            return attrs.asdict(system.declare(order["unit"], order["month"], order["numbers"]))
        case "report":
            days = date.fromisoformat(order["from"]), date.fromisoformat(order["to"])
            return system.report(order["unit"], order["period"], days, order["wrong"])
        case "look":
            return system.look(order["dossier"], order.get("unit"))
        case "count":
            found = system.count(date.fromisoformat(order["from"]), date.fromisoformat(order["to"]))
            system.notebook.write("counted", read_clock(), first=order["from"], last=order["to"], units=found)
            return found
        case "dossiers":
            return {each.code: [each.unit, each.status, list(each.reached)] for each in system.dossiers}
        case other:
            raise ValueError(f"no such order: {other}")


def main() -> None:
    """Run the one-stop software until the orders end."""
    given = read_process_options("lienthong_demo.partners.onestop", sys.argv[1:])
    with Notebook(given.notebook) as notebook:
        system = OneStop(
            tuple(given.units.split(",")),
            connect_to_hub(given, "dossiers"),
            notebook,
            partial(connect_to_hub, given, "reports"),
        )
        serve_orders(given, notebook, partial(obey_onestop_order, system))


if __name__ == "__main__":
    main()
