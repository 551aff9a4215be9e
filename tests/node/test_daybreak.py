"""The day that begins in Hà Nội: it is told of once, and again until it is taken up."""

from datetime import UTC, datetime, timedelta

from twisted.internet.task import Clock

from hub.node.day_change import EVERY, DayChangeDetector

BEFORE = datetime(2026, 6, 30, 16, 59, 30, tzinfo=UTC)  # half a minute before 1 July in Hà Nội


def test_it_is_told_of_when_it_has_begun_and_not_again():
    clock, told = Clock(), []

    async def begun(day):
        told.append(day.isoformat())

    service = DayChangeDetector(clock, lambda: BEFORE + timedelta(seconds=clock.seconds()), begun)
    service.startService()
    clock.advance(EVERY)
    assert told == []
    clock.pump([EVERY] * 20)
    assert told == ["2026-07-01"]
    _ = service.stopService()


def test_a_registry_that_cannot_be_read_just_then_is_asked_again():
    clock, tries = Clock(), []

    async def begun(day):
        tries.append(day)
        if len(tries) < 3:
            raise OSError("the database is away")

    service = DayChangeDetector(clock, lambda: BEFORE + timedelta(seconds=clock.seconds()), begun)
    service.startService()
    clock.pump([EVERY] * 20)
    assert len(tries) == 3
    _ = service.stopService()
