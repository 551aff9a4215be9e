"""Plays a day of the province: gives all partners their orders at the same time, waits until everything is delivered.

Knows the stage and the plan of the day. Knows of the hub only what `look` returns.
"""

import base64
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from hub.language.phrases import phrase
from lienthong_demo.plan import day, meetings
from lienthong_demo.plan.day import AgencyParcel, Scale, Town
from lienthong_demo.plan.story import Letter
from lienthong_demo.protocol.notebook import read_notebook
from lienthong_demo.protocol.reading import read_sample_packet
from lienthong_demo.protocol.signing import read_clock
from lienthong_demo.run.conductor import Look, Voice, describe_backlog
from lienthong_demo.run.neighbours import Neighbours
from lienthong_demo.run.stage import Stage, StageFailed

AXIS, ONE_STOP, WATCHMAN = "vpcp", "motcua", "giamsat"
MAIL, OFFICERS, SERVICES = "thudientu", "canbo", "ngsp"
#: Days of the ended period on which dossiers are worked on, and dossiers of each office.
PAST, EACH = 4, 3
_PAUSE = 0.3  #: seconds between two looks


@attrs.define
class DayPlay:
    """One run of the day."""

    stage: Stage
    town: Town
    scale: Scale
    first: date  #: first day of the reports' period
    outbox: Path
    voice: Voice
    look: Callable[[], Look]
    deadline: float  #: maximum seconds without any progress
    neighbours: Neighbours

    def play_past(self, first: date) -> None:
        """Let the one-stop offices report the last days before *first*, so that the ended period has numbers.

        Raises StageFailed if a call is refused.
        """
        days = [first - timedelta(ago) for ago in reversed(range(1, PAST + 1))]
        taken = self._work_days(days, EACH * self.scale.offices)
        self.voice.say(phrase("one-stop: the days before {first} in {taken} messages", first=first, taken=taken))

    def play(self) -> None:
        """Play the whole day. Raises StageFailed."""
        voice, town, scale = self.voice, self.town, self.scale
        voice.act(
            phrase("A day of the province: documents in, out, up and down"),
        )
        called, changed = meetings.plan_meeting_letters(town, scale)
        written = [*day.plan_letters(town, scale), *called]
        with ThreadPoolExecutor(8) as at_once:
            written += self.neighbours.letters
            tasks = [
                *(
                    at_once.submit(self._send, code, [each for each in written if each.partner == code])
                    for code in ("sotttt", "vpub")
                ),
                at_once.submit(self._put, day.plan_parcels(town, scale)),
                at_once.submit(self.neighbours.put),
                at_once.submit(self._work_the_counters),
                at_once.submit(self._watch),
                at_once.submit(self._count_the_mail),
                at_once.submit(self._look_things_up),
            ]
            for task in tasks:
                task.result()
        self._quiet()
        voice.act(
            phrase("The agencies behind the axis answer with statuses; meetings are moved and cancelled"),
        )
        for code in ("sotttt", "vpub"):
            self._send(code, [each for each in changed if each.partner == code])
        self._put(self._answers())
        self.neighbours.answer()
        self._quiet()

    def books(self, first: date, last: date) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """Return the one-stop software's own count of its units for the days *first* to *last*, by unit and form."""
        return self.stage.partners[ONE_STOP].order("count", **{"from": f"{first}", "to": f"{last}"})

    def _send(self, code: str, letters: Sequence[Letter]) -> None:
        """Let a document system send its letters, one after another. Raises StageFailed if one is refused."""
        partner = self.stage.partners[code]
        already = len(list(self.outbox.glob(f"{code}-*")))
        for number, letter in enumerate(letters, start=already + 1):
            file = self.outbox / f"{code}-{number:05}.edxml"
            file.write_bytes(letter.content)
            fields = {"message_id": letter.message_id, "operation": letter.operation, "spoil": None, "sealed": False}
            answer = partner.order("send", file=str(file), **fields)
            if not answer["accepted"]:
                raise StageFailed(f"{file}: {code} was refused: {', '.join(answer['codes'])}")
        self.voice.say(phrase("{code}: {count} documents accepted", code=code, count=len(letters)))

    def _put(self, parcels: Iterable[AgencyParcel]) -> None:
        """Put packets into the axis."""
        axis, done = self.stage.partners[AXIS], 0
        for parcel in parcels:
            packet = base64.b64encode(parcel.packet).decode()
            axis.order("put", kind=parcel.kind, **{"from": parcel.sender}, to=parcel.to, packet=packet)
            done += 1
        self.voice.say(phrase("the axis: {done} packets put in", done=done))

    def _answers(self) -> Iterable[AgencyParcel]:
        """Yield the agencies' answers to each document that reached them, read from the axis's own file."""
        said: list[Mapping[str, Any]] = list(read_notebook(self.stage.notebooks / f"{AXIS}.jsonl"))
        ours = {line["doc_id"] for line in said if line["what"] == "sent" and line["kind"] == "edoc"}
        came = [line for line in said if line["what"] == "parcel" and line["sender_doc_id"] in ours]
        for number, line in enumerate(came):
            yield from day.plan_agency_statuses(
                read_sample_packet(base64.b64decode(line["packet"])),
                line["to"],
                number,
                read_clock(),
                self.scale.answers,
            )

    def _work_the_counters(self) -> None:
        """Let the one-stop offices accept dossiers and work on them for `scale.days` days, but on none before the period:
        `play_past` has played those, and an office does not work on a day again.

        Raises StageFailed if a call is refused.
        """
        ago = min(self.scale.days - 1, (self.town.today - self.first).days)
        days = [self.town.today - timedelta(each) for each in range(ago, -1, -1)]
        taken = self._work_days(days, self.scale.dossiers)
        total = self.scale.dossiers
        self.voice.say(phrase("one-stop: {total} dossiers in {taken} messages", total=total, taken=taken))

    def _work_days(self, days: Sequence[date], dossiers: int) -> int:
        """Let the offices accept so many *dossiers* on the first of *days*, and work on them. Return the messages."""
        order, taken = self.stage.partners[ONE_STOP].order, 0
        for number, each in enumerate(days):
            told = order("day", day=f"{each}", new=0 if number else dossiers // self.scale.offices)
            if told["refused"]:
                raise StageFailed(f"{ONE_STOP} was refused: {told['refused'][0]}")
            taken += told["accepted"]
        return taken

    def _watch(self) -> None:
        """Let the monitoring system report what it observed since last night."""
        told = self.stage.partners[WATCHMAN].order("watch", each=2, noise=self.scale.documents)["told"]
        self.voice.say(phrase("{watchman}: {told} messages about incidents", watchman=WATCHMAN, told=told))

    def _count_the_mail(self) -> None:
        """Let each mailbox's day pass and each unit's usage be reported. Raises StageFailed if a report is refused."""
        mailboxes = self.scale.mailboxes
        told = self.stage.partners[MAIL].order("day", day=f"{self.town.today}", accounts=mailboxes)
        if told["refused"]:
            raise StageFailed(f"{MAIL} was refused: {told['refused'][0]}")
        taken = told["accepted"]
        self.voice.say(
            phrase("mail: {mailboxes} mailboxes in {taken} messages", mailboxes=mailboxes, taken=taken),
        )

    def _look_things_up(self) -> None:
        """Let the officers make lookups and orders. The answer to the first order is lost, so it is placed again."""
        officers, services = (self.stage.partners[code].order for code in (OFFICERS, SERVICES))
        day = {"day": f"{self.town.today}", "dossiers": self.scale.lookups}
        asked = officers("ask", **day)
        services("mood", mood="mute", times=1)
        placed = officers("place", **day)
        answered, refused, wrong = (asked[what] + placed[what] for what in ("answered", "refused", "wrong"))
        if wrong:
            raise StageFailed(f"{OFFICERS}: {wrong[0]}")
        self.voice.say(
            phrase("lookups: {answered} answered, {refused} refused", answered=answered, refused=refused),
        )

    def _quiet(self) -> None:
        """Wait until the partners have answered everything and all is delivered. Raises StageFailed without progress."""
        until = time.monotonic() + self.deadline
        before: tuple[int, Look | None] | None = None
        idle = [partial(self.stage.partners[code].order, "idle") for code in ("sotttt", "vpub")]
        with self.voice.bar(phrase("delivering")) as done:
            while True:
                self.stage.must_live()
                busy = sum(ask()["waiting"] for ask in idle) + self._waiting_at_axis() + self.neighbours.waiting()
                now = None if busy else self.look()
                if now is not None:
                    done(now.accepted - now.outstanding, now.accepted)
                    if now.outstanding == 0 and (busy, now) == before:
                        return
                if (busy, now) != before:
                    until = time.monotonic() + self.deadline
                if time.monotonic() > until:
                    raise StageFailed(f"nothing moved for {self.deadline:.0f} s: {describe_backlog(now, busy)}")
                before = busy, now
                time.sleep(_PAUSE)

    def _waiting_at_axis(self) -> int:
        return int(self.stage.partners[AXIS].order("waiting")["waiting"])
