"""Decides for which unit a report about a dossier is recorded, and whether who reports it is entitled to.

Knows units, partners and the codes of dossiers. Does not know what was reported before: `hub.journal.sequels.dossier_owners`
adds that when the facts are written.

The rules (docs/reference/dossiers.md, “One dossier, once”): a dossier whose code is of the national form belongs to the
unit that the code names, or to the unit that continues its work. A report for another unit is taken for that one if the
partner may report for it. Otherwise it is a claim, which no form counts. A code that names no unit of the province, or
one above the reporting unit, belongs to the unit that reports it first.
"""

from datetime import date

import attrs

from hub.domain.model import Fact, Record
from hub.services.dossiers.identity import CLAIMED, SHARED, read_agency
from hub.services.dossiers.results import NAME
from hub.units.deeds import Estate
from hub.units.heirs import find_heirs, find_sharing_unit
from hub.units.routing import Routes


def assign_dossiers(record: Record, partner: str, routes: Routes, on: date) -> Record:
    """Return *record*, which *partner* may send, with the facts about dossiers assigned to their units as of the day *on*.

    A fact that is reported for another unit than its own has that unit as its counterpart; a claim has the unit that the
    code names. A fact is `outside` if its code names no unit of the province that could own it. The sender is the unit
    that continues the work of the one that is named, so that what the portal takes of the message counts there, too.
    Where the rules of a deed share the dossiers of the unit out, the journal finds the successor of each: such facts are
    of the service `SHARED`, and of the unit that has ended or that hands a part over.
    """
    if not any(fact.service == NAME for fact in record.facts):
        return record
    teller = _Teller(partner, routes, on)
    sharing = find_sharing_unit(routes.index, record.sender, on)
    sender = sharing or teller.continue_work(record.sender, record.sender)
    return attrs.evolve(record, sender=sender, facts=tuple(map(teller.assign, record.facts)))


@attrs.frozen
class _Teller:
    """A partner that reports on a day."""

    partner: str
    routes: Routes
    on: date

    def assign(self, fact: Fact) -> Fact:
        """Return *fact* assigned to its unit."""
        if fact.service != NAME:
            return fact
        fact = attrs.evolve(fact, attributes=self._name_competent(fact))
        told_for, agency = self.continue_work(fact.unit, fact.unit), read_agency(fact.key)
        if agency is None:
            return self._give(fact, fact.unit, told_for)
        owner = self._find_owner(agency, told_for)
        if owner is None:
            return attrs.evolve(self._give(fact, fact.unit, told_for), outside=True)
        if owner == fact.unit:
            return self._give(fact, owner, owner)
        if owner == told_for:
            return self._give(fact, agency, owner)
        if not self.routes.find_send_problems(self.partner, owner, telling=True):
            return attrs.evolve(self._give(fact, agency, owner), counterpart=told_for)
        return attrs.evolve(fact, unit=told_for, service=CLAIMED, counterpart=owner)

    def _give(self, fact: Fact, code: str, unit: str) -> Fact:
        """Return *fact* as one of *unit*, which continues the work of *code*, or as one that the journal shares out."""
        sharing = find_sharing_unit(self.routes.index, code, self.on)
        return attrs.evolve(fact, unit=unit) if sharing is None else attrs.evolve(fact, unit=sharing, service=SHARED)

    def continue_work(self, code: str, told_for: str) -> str:
        """Return the unit that continues the dossiers of *code*: *told_for* if it is one of several, else the first."""
        heirs = find_heirs(self.routes.index, code, self.on, Estate.DOSSIERS)
        return told_for if told_for in heirs or not heirs else heirs[0]

    def _find_owner(self, agency: str, told_for: str) -> str | None:
        """Return the unit of the province to which a code with *agency* belongs; None: to the first that reports it."""
        routes, code = self.routes, self.routes.canonical(agency)
        if code not in routes.index or routes.outside(code):
            return None
        owner = self.continue_work(code, told_for)
        return None if owner != told_for and routes.is_under(told_for, owner) else owner

    def _name_competent(self, fact: Fact) -> tuple[tuple[str, str], ...]:
        """Return the attributes of *fact*, with the competent unit only if the registry has it."""
        said = dict(fact.attributes)
        named = said.pop("competent", "")
        code = self.routes.canonical(named)
        if named and code in self.routes.index and not self.routes.outside(code):
            said["competent"] = self.continue_work(code, code)
        return tuple(sorted(said.items()))
