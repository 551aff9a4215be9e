"""Plays the story: gives orders to the partners, stops and restarts the axis, waits until everything is delivered.

Knows the stage and the letters. Knows of the hub only what `look` returns.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import attrs

from hub.language.phrases import Phrase, phrase
from lienthong_demo.plan import story
from lienthong_demo.plan.story import AXIS, Cast, Letter
from lienthong_demo.run.stage import Stage, StageFailed
from lienthong_demo.tally.recount import Planted

DEPARTMENT, OFFICE, UPSTREAM = "sotttt", "vpub", "vpcp"

_AWAY = 1.0  #: seconds that the axis stays down after everyone else has received: long enough for several retries
_PAUSE = 0.3  #: seconds between two looks


class Voice(Protocol):
    """Reports progress to the person who watches, in the language of that person."""

    def act(self, said: Phrase) -> None:
        """Announce the next act."""
        ...

    def say(self, said: Phrase) -> None:
        """Report what happened."""
        ...

    def bar(self, said: Phrase) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show a progress bar. Yields a function that takes the number done and the total."""
        ...


@attrs.frozen
class Look:
    """The state of the hub as the operator sees it."""

    accepted: int  #: messages
    outstanding: int  #: messages with a delivery that is neither delivered nor dead


@attrs.define
class Conductor:
    """One run of the story."""

    stage: Stage
    cast: Cast
    outbox: Path
    voice: Voice
    look: Callable[[], Look]
    deadline: float  #: maximum seconds of any wait
    planted: list[Planted] = attrs.field(factory=list)
    _written: int = 0

    def play(self) -> None:
        """Play every act. Raises StageFailed."""
        cast, voice = self.cast, self.voice
        voice.act(phrase("The partner systems take their places"))
        with self.stage.start_together():
            for code in (DEPARTMENT, OFFICE, UPSTREAM):
                self._call(code)

        voice.act(phrase("Documents inside the province"))
        inside = story.plan_inside_letters(cast)
        self._send(inside)
        self._quiet()

        voice.act(phrase("Documents up to the national axis, while it is down"))
        self.stage.dismiss(UPSTREAM)
        upward = story.plan_upward_letters(cast)
        self._send(upward)
        for_the_axis = sum(not set(AXIS).isdisjoint(letter.recipients) for letter in upward)
        self._quiet(but_for=for_the_axis)
        time.sleep(_AWAY)
        voice.say(
            phrase("Everyone else has theirs; {for_the_axis} messages wait for the axis", for_the_axis=for_the_axis),
        )
        self._call(UPSTREAM)
        self._quiet()
        voice.say(phrase("The axis is back and has them all"))

        voice.act(phrase("Documents from the axis down to the province"))
        self._send(story.plan_downward_letters(cast))
        self._quiet()

        voice.act(phrase("Documents that carry their sender's own signature"))
        self._send(story.plan_sealed_letters(cast))

        voice.act(phrase("Recall, update, replacement, taking back"))
        self._send(story.plan_changes(cast, inside))

        voice.act(phrase("Repetitions, and calls that must be refused"))
        self._send(story.plan_repeats(inside))
        self._send(story.plan_refusals(cast))

        voice.act(phrase("Waiting until every delivery has arrived"))
        self._quiet()
        self._traces()

    def _call(self, code: str) -> None:
        units = {DEPARTMENT: self.cast.department, OFFICE: self.cast.office, UPSTREAM: AXIS}[code]
        others = [self.cast.other_code(unit) for unit in units]
        # A packet names a unit by any of its codes, so the partner answers for all of them.
        self.stage.call(code, tuple(dict.fromkeys([*units, *others])))

    def _send(self, letters: Sequence[Letter]) -> None:
        accepted = 0
        with self.voice.bar(phrase("sending")) as done:
            for number, letter in enumerate(letters, start=1):
                accepted += self._send_one(letter)
                done(number, len(letters))
        said = phrase("{accepted} accepted", accepted=accepted)
        if refused := len(letters) - accepted:
            said = phrase("{accepted} accepted, {refused} refused as they must be", accepted=accepted, refused=refused)
        self.voice.say(said)

    def _send_one(self, letter: Letter) -> bool:
        """Send *letter*. Raises StageFailed if a letter that is not planted is refused, because the story needs it."""
        self._written += 1
        file = self.outbox / f"{self._written:03}-{letter.partner}.edxml"
        file.write_bytes(letter.content)
        answer = self.stage.partners[letter.partner].order(
            "send",
            file=str(file),
            message_id=letter.message_id,
            operation=letter.operation,
            spoil=letter.spoil,
            sealed=letter.sealed,
        )
        self.stage.must_live()
        accepted, codes = bool(answer["accepted"]), tuple(answer["codes"])
        if letter.expected:
            self.planted.append(Planted(letter.name, letter.expected, codes, accepted))
        elif not accepted:
            raise StageFailed(f"{file}: {letter.partner} was refused ({letter.name}): {', '.join(codes)}")
        return accepted

    def _quiet(self, but_for: int = 0) -> None:
        """Wait until the partners have answered everything and all but *but_for* messages are delivered.

        Raises StageFailed.
        """
        until, before = time.monotonic() + self.deadline, None
        with self.voice.bar(phrase("delivering")) as done:
            while True:
                self.stage.must_live()
                busy = sum(partner.order("idle")["waiting"] for partner in self.stage.partners.values())
                now = None if busy else self.look()
                if now is not None:
                    done(now.accepted - now.outstanding, now.accepted)
                    if now.outstanding == but_for and now == before:
                        return
                before = now
                if time.monotonic() > until:
                    raise StageFailed(f"after {self.deadline:.0f} s {describe_backlog(now, busy)}, {but_for} expected")
                time.sleep(_PAUSE)

    def _traces(self) -> None:
        """Let the first sender ask for the statuses of its documents."""
        unit = self.cast.department[0]
        found = self.stage.partners[DEPARTMENT].order("traces", unit=unit)["traces"]
        if not found:
            raise StageFailed(f"no status came back to {unit}")
        self.voice.say(phrase("{found} statuses came back to {unit}", found=found, unit=unit))


def describe_backlog(now: Look | None, busy: int) -> str:
    """Describe what is outstanding: *busy* messages that partners have not answered, or, without any, the hub's deliveries."""
    return f"{busy} messages are not answered" if now is None else f"{now.outstanding} messages are not delivered"
