"""The log: whole lines of JSON from everywhere, a signal's handler in the middle of one of them included."""

import contextlib
import io
import json
import os
import re
import threading
from types import SimpleNamespace

import pytest
import structlog

from hub.runtime import logs
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def _as_before():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_line_that_a_signal_interrupts_holds_up_nothing():
    """Twisted says that SIGTERM came in the handler itself, which runs wherever the thread was: here, in the middle of a line."""

    class Interrupted(io.StringIO):
        nested = False

        def flush(self):
            if not self.nested:
                self.nested = True
                structlog.get_logger().info("Received SIGTERM")

    stream = Interrupted()
    logs.configure_logs(stream)
    thread = threading.Thread(target=lambda: structlog.get_logger().warning("one", partner="vpub"), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the handler waits for the line that it has interrupted"
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(each["event"], each["level"]) for each in said] == [("one", "warning"), ("Received SIGTERM", "info")]


def test_lines_of_many_threads_are_whole():
    stream = io.StringIO()
    logs.configure_logs(stream)
    threads = [
        threading.Thread(target=lambda: [structlog.get_logger().info("x" * 200) for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 800


@pytest.fixture
def pipe():
    """Yield the file that reads what is logged."""
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as reader, os.fdopen(write, "w", encoding="utf-8") as writer:
        logs.configure_logs(writer)
        yield reader


def read(reader, count):
    """Return so many lines; they come, else this waits for ever."""
    return [json.loads(reader.readline()) for _ in range(count)]


def test_who_logs_does_not_wait_for_a_reader_that_has_stopped(pipe):
    """A pipe holds 64 KiB; this is twenty times as much."""
    for number in range(6000):
        structlog.get_logger().info("x" * 200, number=number)
    assert [line["number"] for line in read(pipe, 6000)] == list(range(6000))
    structlog.get_logger().info("again")
    assert read(pipe, 1)[0]["event"] == "again"


def test_a_line_longer_than_a_pipe_is_whole_and_so_are_those_beside_it(pipe):
    for event in ("before", "ạ" * 100_000, "behind"):
        structlog.get_logger().info(event)
    assert [len(line["event"]) for line in read(pipe, 3)] == [6, 100_000, 6]


def test_lines_for_which_there_is_no_room_are_counted(pipe, monkeypatch):
    monkeypatch.setattr(logs, "MOST", 1000)
    for number in range(6000):
        structlog.get_logger().info("x" * 200, number=number)
    lines = [json.loads(pipe.readline())]
    while lines[-1]["event"] != "log-lines-lost":
        lines.append(json.loads(pipe.readline()))
    assert len(lines) - 1 + lines[-1]["count"] == 6000
    numbers = [line["number"] for line in lines[:-1]]
    assert numbers == sorted(set(numbers)), "in their order; how far the writer gets meanwhile is the machine's affair"
    assert len(lines) > 1000


def test_when_the_reader_is_gone_whoever_waits_for_it_goes_on():
    read_end, write_end = os.pipe()
    writer = os.fdopen(write_end, "w")
    logger, before = logs.LineLogger(writer), threading.enumerate()  # that of another test may be at its end
    for _ in range(1000):
        logger.msg("x" * 200)
    (thread,) = (each for each in threading.enumerate() if each.name == "log" and each not in before)
    os.close(read_end)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not logger._waiting
    with pytest.raises(BrokenPipeError):
        logger.msg("as it was without a thread")
    with contextlib.suppress(BrokenPipeError):
        writer.close()


def test_a_line_is_as_structlog_writes_it():
    """Keys, order and characters, whatever the values are."""

    class Odd:
        def __repr__(self):
            return "<odd>"

    stream = io.StringIO()
    peer: list[str] = []
    logs.configure_logs(stream)
    log = structlog.get_logger()

    def say():
        with structlog.contextvars.bound_contextvars(partner="tỉnh Thái Nguyên"):
            log.info("một", number=1, odd=Odd(), none=None, deep={"a": [1.5, "\x00\u2028"]})
        log.warning("two")
        try:
            int("three")
        except ValueError:
            log.exception("three")

    say()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=lambda *_: SimpleNamespace(info=peer.append, warning=peer.append, error=peer.append),
    )
    say()
    moment = re.compile(r'"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"')
    written = [moment.sub("", line) for line in stream.getvalue().split("\n")[:-1]]
    assert written == [moment.sub("", line) for line in peer]
    assert len(written) == 3
    assert "tỉnh Thái Nguyên" in written[0]


def test_a_line_for_the_journal_of_systemd_has_its_priority(tmp_path, monkeypatch):
    path = tmp_path / "log"
    with path.open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.configure_logs(stream)
        log = structlog.get_logger()
        log.info("one", said='"level": "critical"')
        log.warning("two")
        log.error("three")
        logs.write_lines('{"event": "of a worker", "level": "error"}\n{"event": "another", "level": "debug"}')
    assert [line[:3] for line in path.read_text().splitlines()] == ["<6>", "<4>", "<3>", "<3>", "<7>"]


def test_no_line_has_the_address_of_an_object():
    stream = io.StringIO()
    logs.configure_logs(stream)
    structlog.get_logger().info("started", what=object(), said=f"Starting factory {object()!r}")
    assert "0x" not in stream.getvalue()
    assert "<object object>" in stream.getvalue()
