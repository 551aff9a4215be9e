"""The log: whole lines of JSON from everywhere, a signal's handler in the middle of one of them included."""

import io
import json
import threading

import pytest
import structlog

from hub.runtime import logs


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
    thread.join(5)
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
