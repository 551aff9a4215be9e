"""The background worker: one process of low priority that answers dear calls for the process that has read them.

Reading a large message computes for tens of milliseconds. In a thread it would take the interpreter lock from the
reactor and from the writer, whose steps then take three to five times as long. The process starts when the first dear
call comes, which is still answered here, and ends when none has come for a while. It is a worker process like those that
serve connections (`hub.node.workers.pool`), so its calls are verified, judged and journalled by the same code. Does not
know what makes a call dear.
"""

import sys

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from hub.intake.dear_calls import ArrivedCall
from hub.intake.signed_response import SignedResponse
from hub.node.workers.channel import BACKGROUND, WorkerStart
from hub.node.workers.forwarding import send_call
from hub.node.workers.pool import EVERY, WorkerPool, WorkerProcess
from hub.store.report_pool import NICE

#: Seconds without a dear call after which the process ends. That frees 80 MB.
IDLE = 60.0
#: Command that starts the process. It has its low priority before it imports anything, which takes a second of CPU.
COMMAND = (sys.executable, "-c", f"import os; os.nice({NICE}); import tap; tap.run_worker_process()")


@attrs.define(eq=False)
class BackgroundWorker(WorkerPool):
    """The background worker of one node, as the node's own process sees it."""

    _last: float = attrs.field(default=0.0, init=False)  #: when the last call was forwarded, by the reactor's clock

    def startService(self) -> None:
        """Be ready to start the process."""
        Service.startService(self)
        self._note_routes()
        self._workers = [WorkerProcess(self, 0, BACKGROUND)]
        _ = self._watch.start(EVERY, now=False)

    def answer(self, call: ArrivedCall) -> Deferred[SignedResponse | None]:
        """See `hub.intake.dear_calls.AnswerElsewhere`. Starts the process where it does not run."""
        if not self.running:
            return succeed(None)
        (worker,) = self._workers
        self._last = self._reactor.seconds()
        if not worker.ready:
            if not worker.is_begun:
                worker.spawn()
            return succeed(None)
        return send_call(worker.calls, worker.files, self._reactor, call)

    def start_message(self, index: int) -> WorkerStart:
        """See `WorkerPool.start_message`."""
        return super().start_message(index)._replace(background=True)

    def _look(self) -> None:
        (worker,) = self._workers
        if worker.ready and worker.calls.is_empty and self._reactor.seconds() - self._last >= IDLE:
            worker.ready = False
            _ = worker.stop()
        super()._look()
