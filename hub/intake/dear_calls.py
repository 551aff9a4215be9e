"""Which calls cost much, and the process that answers them so that no other call shares the interpreter with them.

A call is dear if reading it is (`hub.formats.xml_cost`), if it is large, because what a packet in it costs is not known
before it is opened, or if the last answer to the same question of the same partner was long. Knows neither processes nor
what a call means.
"""

from collections.abc import Awaitable, Callable

import attrs
from cryptography import x509

from hub.formats.spool import Drawer, Octets
from hub.intake.signed_response import SignedResponse
from hub.intake.unread_answers import UnreadAnswers
from hub.runtime.thread_pool import THRESHOLD
from hub.soap.attachments import Manner

#: Octets of a large call: a packet of so many has at most a thousand tags, which take 10 ms to judge.
LARGE = 16 * 1024
#: Questions whose last answer was long that are remembered. A caller that asks ever others is told from none.
_REMEMBERED = 1000
#: A question: the partner, the service and the action that its call states.
Question = tuple[str, str, str | None]


@attrs.frozen(eq=False)
class ArrivedCall:
    """A call as it was read from its connection. See `Intake.answer`."""

    service: str
    body: Octets
    manner: Manner
    certificate: x509.Certificate  #: that the client of its connection has shown
    drawer: Drawer  #: storage for large content of the call and of its answer
    wanted: Callable[[], bool]  #: whether the caller still waits


#: Answers a call in another process. Returns None if the process that has read the call is to answer it. Raises
#: `Unready` when the other process ends.
AnswerElsewhere = Callable[[ArrivedCall], Awaitable[SignedResponse | None]]


@attrs.define(eq=False)
class DearCalls:
    """The dear calls of one process."""

    elsewhere: AnswerElsewhere | None = None  #: None: this process answers them
    _long: set[Question] = attrs.field(factory=set, init=False)
    _unread: UnreadAnswers = attrs.field(factory=UnreadAnswers, init=False)  #: those that came from elsewhere

    async def forward(self, call: ArrivedCall, question: Question, cost: int) -> SignedResponse | None:
        """Let another process answer *call*, if it is dear. Return None if it is not. See `AnswerElsewhere`.

        *cost*: of opening it, in octets. Raises `Unready` also for a partner that does not read its answers, which lie
        in this process.
        """
        dear = cost >= THRESHOLD or len(call.body) >= LARGE or question in self._long
        if self.elsewhere is None or not dear:
            return None
        self._unread.require_reader(question[0])
        answer = await self.elsewhere(call)
        if answer is not None:
            self._unread.note(question[0], answer.body.size, call.drawer)
        return answer

    def note_answer(self, question: Question, size: int) -> None:
        """Note that the answer to *question* has so many octets."""
        if size < THRESHOLD:
            self._long.discard(question)
            return
        if len(self._long) >= _REMEMBERED:
            self._long.clear()
        self._long.add(question)
