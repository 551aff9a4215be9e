"""The hubs of other provinces and ministries during the day: the documents exchanged with the agencies behind them.

Knows the stage, the town, and the answer of each such process about its documents. Each process knows its own dialect.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any

import attrs

from hub.language.phrases import phrase
from lienthong_demo.plan import packets
from lienthong_demo.plan.day import Scale, Town
from lienthong_demo.plan.packets import Answered
from lienthong_demo.plan.story import Cast, Letter, compose_letter
from lienthong_demo.protocol.reading import read_sample_packet
from lienthong_demo.protocol.signing import read_clock
from lienthong_demo.run.conductor import Voice
from lienthong_demo.run.stage import Stage

#: Partner, which is also its process's name -> the agency behind it.
AGENCIES: Mapping[str, str] = {"lgsp": "H37.01", "wso2": "H47.01", "bkav": "H53.13"}
#: The statuses that they answer to a document of ours.
_ANSWERS = ("01", "03", "06")
_SHARE = 160  #: one in this many of the day's documents goes to each hub, and as many come from each


def list_contact_units(town: Town) -> tuple[str, ...]:
    """Return the units that exchange documents with them: one of each document system, with codes of the province."""
    return tuple(next(unit for unit in units if unit.startswith("H55.")) for units in (town.fetching, town.pushed))


@attrs.define
class Neighbours:
    """The documents exchanged with them in one run of the day."""

    stage: Stage
    town: Town
    scale: Scale
    outbox: Path
    voice: Voice
    letters: tuple[Letter, ...] = attrs.field(init=False)  #: our letters to them

    def __attrs_post_init__(self) -> None:
        """Write our letters."""
        write, units = self._writing("LX"), cycle(list_contact_units(self.town))
        self.letters = tuple(
            write(_system(self.town, unit), unit, (agency,))
            for unit, agency in zip(units, [*AGENCIES.values()] * self._each, strict=False)
        )

    def put(self) -> None:
        """Put the letters from each agency to our units into the agency's hub, where they wait."""
        write, units = self._writing("TX"), cycle(list_contact_units(self.town))
        for _ in range(self._each):
            for code, agency in AGENCIES.items():
                self._wait_there(code, [write(code, agency, (next(units),)).content])
        total = self._each * len(AGENCIES)
        self.voice.say(phrase("other hubs: {total} documents for us", total=total))

    def answer(self) -> None:
        """Let each agency answer the letters that it received."""
        partners = {agency: code for code, agency in AGENCIES.items()}
        for letter in self.letters:
            about = read_sample_packet(letter.content)
            (agency,) = about.recipients
            document = Answered(about.sender, about.code, about.promulgation_date, about.document_id)
            said = [packets.write_status_packet(agency, code, document, at=read_clock()) for code in _ANSWERS]
            self._wait_there(partners[agency], said)

    def waiting(self) -> int:
        """Return how many packets wait at them that the hub has not confirmed."""
        return sum(_undone(self.stage.partners[code].order("documents")) for code in AGENCIES)

    @property
    def _each(self) -> int:
        return max(1, self.scale.documents // _SHARE)

    def _writing(self, series: str) -> "partial[Letter]":
        cast = Cast(self.town.fetching, self.town.pushed, {}, self.town.today)
        return partial(compose_letter, cast, series, count(1))

    def _wait_there(self, code: str, contents: Sequence[bytes]) -> None:
        for content in contents:
            file = self.outbox / f"{code}-{random.getrandbits(64):016x}.edxml"
            file.write_bytes(content)
            self.stage.partners[code].order("put", file=str(file))


def _undone(said: Mapping[str, Any]) -> int:
    """Count unfinished packets in a process's answer: by state or by confirmations, plus statuses not yet requested."""
    return sum(not _is_done(each) for each in said["documents"].values()) + int(said.get("unseen", 0))


def _is_done(state: object) -> bool:
    if isinstance(state, Mapping):
        return all(state.values())
    return str(state).lower() in {"done", "fail"}


def _system(town: Town, unit: str) -> str:
    return "sotttt" if unit in town.fetching else "vpub"
