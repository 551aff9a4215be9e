"""A journal that is driven step by step, with the story told beside it: each step must do what the story says, and no more.

Messages enter as bytes, through the hub's own judging.  Any step may be undone before its commit, or be committed and done again
because nobody was told.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import attrs
import sqlalchemy as sa
from twisted.python.failure import Failure

from hub.domain import lifecycle
from hub.domain.conversations import Outcome, Postponed, Unavailable
from hub.domain.errors import Rejected
from hub.domain.ids import make_id
from hub.domain.lifecycle import name_outcome
from hub.domain.model import AfterGiveUp
from hub.intake.endpoint import record_message_once
from hub.journal import blobs
from hub.journal import messages as journal_messages
from hub.journal.effects import MessageEntry, RecordedMessage
from hub.journal.message_sets import ReceivedMessage
from hub.journal.queue import claim_release, claims, deliveries, pickup
from hub.journal.queue.claims import AttemptExchange, Claim
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays import replay as queue_replay
from hub.journal.replays.plan_rows import ReplayPlan
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_rules import PlanEvent, PlanUnmovable
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from hub.store.batch_commit import StepCall, commit_steps
from tests.histories.office import Letter, judge, province
from tests.promised import keep_promises
from tests.recount import letter as letters
from tests.recount.documents import Sent
from tests.recount.story import GIVE_UP, Said, Story, written

LEASE, DELAY = timedelta(seconds=60), timedelta(seconds=30)
#: Partners whose policy suspends what has waited too long.
SUSPENDS = frozenset({"vpcp"})
#: States in which a person may give a delivery up.
WAITS = ("waiting", "suspended")
START = datetime(2026, 11, 13, 16, 0, tzinfo=UTC)  # 25 hours before a period ends in Hà Nội

Fault = str  #: "": none; "undone": nothing was committed; "untold": it was, and is done again


class Undone(Exception):
    """The connection broke before the commit."""


@attrs.define(eq=False)
class Open:
    """A claim that was committed and has not ended."""

    claim: Claim
    node: str
    until: datetime


@attrs.define(eq=False)
class OpenPlan:
    """A replay plan, with the chosen deliveries that are not queued yet: each with its state and `since` when chosen."""

    id: str
    again: bool
    state: str = "planning"
    left: list[tuple[Sent, str, datetime]] = attrs.field(factory=list)


@attrs.define(eq=False)
class History:
    """One journal, empty at first; its nodes with what they have in memory; the story; and what partners were told."""

    engine: sa.Engine
    nodes: tuple[str, ...] = ("node",)
    now: datetime = START
    story: Story = attrs.field(init=False)
    memory: dict[str, list[Claim]] = attrs.field(init=False)
    open: dict[str, Open] = attrs.field(factory=dict)  #: by attempt
    receipts: dict[str, bytes | None] = attrs.field(factory=dict)
    letters: list[Letter] = attrs.field(factory=list)  #: those that were accepted
    plans: list[OpenPlan] = attrs.field(factory=list)  #: replays that were ordered
    _heard: int = 0

    def __attrs_post_init__(self) -> None:
        self.story = Story(self.octets, suspends=SUSPENDS)
        self.memory = {node: [] for node in self.nodes}

    # --- steps ------------------------------------------------------------------------------------------------------------

    def octets(self, sha256: str) -> bytes:
        with transactions.read_transaction(self.engine) as tx:
            found = blobs.read_blob(tx, sha256)
        assert hashlib.sha256(found).hexdigest() == sha256
        return found

    def news(self) -> list[Said]:
        """Return the events that were not heard of yet; each tells of now."""
        query = sa.text("SELECT serial, message, delivery, text FROM event WHERE serial > :heard ORDER BY serial")
        with transactions.read_transaction(self.engine) as tx:
            rows = tx.execute(query, {"heard": self._heard}).all()
        said = [json.loads(row.text) for row in rows]
        self._heard = rows[-1].serial if rows else self._heard
        for row, event in zip(rows, said, strict=True):
            assert (event.get("message"), event.get("delivery")) == (row.message, row.delivery)
        return said

    def do(self, fault: Fault, attempt: Callable[[Callable[..., object]], None]) -> None:
        """Make an *attempt* at a step, with its *fault*.  It is given the way to commit, and checks all that follows."""
        if fault == "undone":
            try:
                attempt(self._undo)
            except Undone:
                assert self.news() == [], "what was undone is told of"
            return
        attempt(self._commit)
        if fault == "untold":
            attempt(self._commit)

    def _commit(self, step: Callable[..., object], *args: object, **kwargs: object) -> object:
        (result,) = commit_steps(self.engine, [lambda tx: step(tx, *args, **kwargs)])
        if isinstance(result, Failure):
            result.raiseException()
        self.keep()
        return result

    def keep(self) -> None:
        """Do what receipts have promised, slice by slice, as a service does soon after."""
        keep_promises(self.engine, province().routes)

    def _undo(self, step: Callable[..., object], *args: object, **kwargs: object) -> object:
        with transactions.write_transaction(self.engine) as tx:
            step(tx, *args, **kwargs)
            raise Undone

    def pass_time(self, much: timedelta) -> None:
        self.now += much

    # --- messages ---------------------------------------------------------------------------------------------------------

    def take(self, *brought: Letter, fault: Fault = "", spoils: bool = False) -> list[str]:
        """Take letters in one commit; *spoils*: with a step among them that fails.  Returns the ids of what was accepted."""
        judged = []
        for letter in brought:
            self.pass_time(timedelta(milliseconds=1))
            judged.append((letter, judge(letter, self.now), self.now))
        accepted: list[str] = []
        tries = iter((False, True))

        def together(tx: transactions.Transaction) -> list[object]:
            return [journal_messages.record_message(tx, entry, province().routes) for _, entry, _ in judged]

        def spoil(tx: transactions.Transaction) -> None:
            fresh = attrs.evolve(judged[0][1], id=make_id(self.now), message_id="spoilt")
            journal_messages.record_message(tx, fresh, province().routes)
            raise ZeroDivisionError

        def attempt(run: Callable[..., object]) -> None:
            if run == self._commit:
                steps: list[Callable[[transactions.Transaction], object]] = [
                    StepCall(record_message_once, (ReceivedMessage(entry, province().routes, None),))
                    for _, entry, _ in judged
                ]
                if spoils:
                    steps.insert(1, spoil)
                taken = commit_steps(self.engine, list(steps))
                self.keep()
                if spoils:
                    failed = taken.pop(1)
                    assert isinstance(failed, Failure)
                    assert failed.check(ZeroDivisionError)
            else:
                taken = [run(together)]
            self._taken(judged, taken, again=next(tries), accepted=accepted)

        self.do(fault, attempt)
        return accepted

    def _taken(
        self,
        judged: Sequence[tuple[Letter, MessageEntry, datetime]],
        taken: Sequence[object],
        *,
        again: bool,
        accepted: list[str],
    ) -> None:
        chunks = self._chunks(self.news())
        for (letter, entry, at), result in zip(judged, taken, strict=True):
            assert isinstance(result, RecordedMessage), result
            expected = self._expected(letter, at)
            assert letter.message_id is None or entry.message_id == letter.message_id
            if isinstance(expected, str):  # it repeats that message, or itself
                assert (result.id, result.problems) == (expected, ())
                assert result.receipt == self.receipts[expected], "another receipt"
                if expected != entry.id:
                    (said,) = chunks.pop(0)
                    assert (said["event"], said["message"]) == ("message-repeated", expected)
                continue
            codes = {problem.code for problem in result.problems}
            assert codes == expected, f"refused for {codes}, expected {expected}: {letter}"
            assert result.id == entry.id
            if again:
                continue
            chunk = chunks.pop(0)
            if codes:
                assert result.receipt is None
                assert chunk[0]["event"] == "message-refused"
                assert {problem["code"] for problem in chunk[0]["problems"]} == codes
                continue
            assert result.receipt is not None
            assert entry.id.encode() in result.receipt
            self.receipts[entry.id] = result.receipt
            self.letters.append(letter)
            accepted.append(entry.id)
            said = chunk[0]
            assert (said["message"], said["partner"], said["sha256"]) == (entry.id, letter.partner, letter.sha256)
            assert (said["message_id"], said["at"]) == (letter.name, written(at))
            self.story.hear(chunk)
        assert chunks == []

    def _expected(self, letter: Letter, at: datetime) -> set[str] | str:
        if letter.spoilt:
            return {"not-well-formed"}
        read = letters.read(letter.octets)
        if letter.traces and read.kind != "status":
            twin = self.story.refusal(letter.partner, letter.name, letter.sha256, read, at)
            return twin if isinstance(twin, str) else {"N.MessageHeader.StatusCode"}
        return self.story.refusal(letter.partner, letter.name, letter.sha256, read, at)

    @staticmethod
    def _chunks(said: list[Said]) -> list[list[Said]]:
        """Return the events of each message that was taken: the first tells what became of it."""
        chunks: list[list[Said]] = []
        for event in said:
            if event["event"] in ("message-accepted", "message-refused", "message-repeated"):
                chunks.append([])
            chunks[-1].append(event)
        return chunks

    # --- attempts ---------------------------------------------------------------------------------------------------------

    def claim(self, node: str, partner: str, limit: int, fault: Fault = "") -> list[Claim]:
        """Let *node* take what is due for *partner*: exactly what the story says."""
        self.pass_time(timedelta(seconds=1))
        told: list[Claim] = []

        def attempt(run: Callable[..., object]) -> None:
            ready = self.story.due(partner, self.now)
            expected = self.story.next_to_go(partner, self.now, limit)
            kept = {sent.place for sent in self.story.every() if sent.state == "sending"}
            made = run(claims.claim_deliveries, partner, self.now, limit=limit, holder=node, lease=LEASE)
            assert isinstance(made, list)
            self.story.hear(self.news())
            assert [(claim.message, claim.recipients) for claim in made] == expected
            gone = [self.story.message(claim.message).to(to) for claim in made for to in claim.recipients]
            self._is_fair(ready, [sent for sent in gone if sent], kept)
            self.open |= {claim.attempt: Open(claim, node, self.now + LEASE) for claim in made}
            told[:] = made

        self.do(fault, attempt)
        self.memory[node] += told
        return told

    @staticmethod
    def _is_fair(ready: list[Sent], gone: list[Sent], kept: set[tuple[str, str]]) -> None:
        """Check by itself that lanes keep order, the urgent overtakes, and nobody is overtaken by more than forty minutes."""
        assert all(count == 1 for count in Counter(sent.place for sent in gone).values()), "two of one lane"
        assert not any(sent.place in kept for sent in gone), "one of the lane is under way"
        assert all(sent.stopped is None for sent in gone), "what was stopped is sent"
        messages = {sent.message for sent in gone}
        for left in (one for one in ready if one.message not in messages):
            for sent in gone:
                mates = [one for one in gone if one.message is sent.message]
                assert min(one.due for one in mates) <= left.due + timedelta(minutes=40), "starves"
                older = min(one.due for one in mates) <= left.due
                assert older or sent.message.letter.priority > left.message.letter.priority, "overtaken without urgency"

    def settle(self, node: str, which: int, outcome: Outcome, fault: Fault = "") -> None:
        """Let *node* write how one of its conversations ended; if it was lost meanwhile, nothing moves."""
        claim = self.memory[node][which % len(self.memory[node])]
        self.pass_time(timedelta(seconds=1))
        verdict = lifecycle.judge_outcome(
            outcome,
            since=claim.since,
            now=self.now,
            delay=DELAY,
            give_up=GIVE_UP,
            crashes=claim.crashes,
            then=AfterGiveUp.WAIT if claim.partner in SUSPENDS else AfterGiveUp.DEAD,
        )
        name, done = name_outcome(outcome), [False]
        due = self._tried_again(outcome, claim.since)

        def attempt(run: Callable[..., object]) -> None:
            live = claim.attempt in self.open
            exchange = AttemptExchange(request_sha256="0" * 64, reply_status=200)
            settled = run(claims.settle_claim, claims.EndedAttempt(claim, name, verdict, exchange, self.now))
            said = self.news()
            assert settled is (live or done[0])
            if live:
                assert len(said) > 0
                assert (said[0]["event"], said[0]["outcome"]) == ("attempt-ended", name)
                assert said[0]["number"] == claim.number
                self.story.hear(said, [(claim.message, claim.recipients)], due)
                del self.open[claim.attempt]
                done[0] = True
            else:
                assert [event["event"] for event in said] == ([] if done[0] else ["attempt-stale"])

        self.do(fault, attempt)
        if fault != "undone":
            self.memory[node].remove(claim)

    def _tried_again(self, outcome: Outcome, since: datetime) -> datetime:
        """Return when the hub must try again, by the rules of the reference."""
        match outcome:
            case Postponed(until):
                return max(until, self.now)
            case Unavailable(_, seconds):
                wait = max(DELAY, timedelta(seconds=seconds or 0))
                return min(self.now + wait, max(self.now, since + GIVE_UP))
        return self.now

    def give_back(self, node: str, fault: Fault = "") -> None:
        """Let *node* stop in order: what is under way is given back."""
        for claim in list(self.memory[node]):

            def attempt(run: Callable[..., object], claim: Claim = claim) -> None:
                live = [claim] if claim.attempt in self.open else []
                count = run(claim_release.release_claim, claim, self.now)
                assert count == sum(len(one.recipients) for one in live)
                self._given_back(live, lambda _: False)

            self.pass_time(timedelta(seconds=1))
            self.do(fault, attempt)
        if fault != "undone":
            self.memory[node].clear()

    def rescue(self, node: str, *, alone: bool = False, fault: Fault = "") -> None:
        """Let *node* give back what nobody will settle; *alone*: it has just started, and no other shares the journal."""
        self.pass_time(timedelta(seconds=1))
        known = {claim.attempt for claim in self.memory[node]}
        under_way = [delivery for claim in self.memory[node] for delivery in claim.deliveries]

        def attempt(run: Callable[..., object]) -> None:
            ours = {each for claim in self.memory[node] for each in claim.deliveries}
            lost = [
                one.claim
                for one in self.open.values()
                if alone or (not ours & set(one.claim.deliveries) if one.node == node else one.until < self.now)
            ]
            assert alone <= (not known)
            count = run(claim_release.release_lost_claims, self.now, alone=alone, holder=node, under_way=under_way)
            assert count == sum(len(claim.recipients) for claim in lost)
            self._given_back(lost, lambda claim: alone or claim.holder != node)

        self.do(fault, attempt)

    def _given_back(self, lost: Sequence[Claim], crashed: Callable[[Claim], bool]) -> None:
        said = self.news()
        interrupted = [
            (one["message"], one["partner"], one["crashed"]) for one in said if one["event"] == "attempt-interrupted"
        ]
        parts: dict[tuple[str, str, bool], list[str]] = {}
        for claim in lost:
            parts.setdefault((claim.message, claim.partner, crashed(claim)), []).extend(claim.recipients)
            del self.open[claim.attempt]
        assert Counter(interrupted) == Counter(dict.fromkeys(parts, 1))
        self.story.hear(said, [(part[0], parts[part]) for part in interrupted])

    def die(self, node: str) -> None:
        """Forget all that *node* has in memory."""
        self.memory[node].clear()

    # --- partners that fetch ----------------------------------------------------------------------------------------------

    def pending(self, partner: str, unit: str, limit: int = 1000) -> list[str]:
        """Return what GetPendingDocumentIds gives."""
        with transactions.read_transaction(self.engine) as tx:
            found = pickup.list_pending_messages(tx, partner, unit, limit, self.now)
        assert found == self.story.pending(partner, unit, self.now)[:limit]
        return found

    def fetch(self, partner: str, message: str, fault: Fault = "") -> None:
        """Let *partner* ask for the bytes of a message."""
        self.pass_time(timedelta(seconds=1))
        told = self.story.message(message)

        def attempt(run: Callable[..., object]) -> None:
            living = [one for one in told.sent if one.partner == partner and one.state != "dead"]
            given = [one for one in living if one.state != "held" or one.due <= self.now]
            held = [one for one in given if one.state == "held"]
            found, refused = None, list[str]()
            try:
                found = run(pickup.fetch_message, partner, message, self.now)
            except Rejected as rejected:
                refused = [problem.code for problem in rejected.problems]
            assert refused == ([] if given else ["document-not-found"]), (
                "given to whom it is not for, or kept from whom it is"
            )
            if refused:
                return
            assert cast("sa.RowMapping", found)["sha256"] == told.sha256
            self.octets(told.sha256)
            self.story.hear(self.news())
            assert all(one.state == "fetched" for one in held)

        self.do(fault, attempt)

    def confirm(self, partner: str, message: str, unit: str | None, fault: Fault = "") -> None:
        """Let *partner* confirm a message, for one unit or for all of its own."""
        self.pass_time(timedelta(seconds=1))
        told = self.story.message(message)

        def attempt(run: Callable[..., object]) -> None:
            living = [one for one in told.sent if one.partner == partner and one.state != "dead"]
            meant = [one for one in living if unit is None or unit in (one.recipient, one.via)]
            expected = [] if all(one.state in ("fetched", "delivered") for one in meant) else ["not-fetched"]
            refused = list[str]()
            try:
                run(pickup.confirm_receipt, partner, message, unit, self.now)
            except Rejected as rejected:
                refused = [problem.code for problem in rejected.problems]
            assert refused == (expected if meant else ["document-not-found"])
            if refused:
                assert self.news() == []
                return
            self.story.hear(self.news())
            assert all(one.state == "delivered" for one in meant)

        self.do(fault, attempt)

    # --- people -----------------------------------------------------------------------------------------------------------

    def replay(
        self,
        wanted: MessageFilter,
        recipient: str | None,
        fault: Fault = "",
        *,
        again: bool = False,
        at_once: bool = True,
    ) -> None:
        """Order a replay of everything that is dead or suspended (or, *again*, that ended) of the messages *wanted*.

        *at_once*: queue it all now; else `replay_some` does, while other things happen.
        """
        self.pass_time(timedelta(seconds=1))
        choice = ReplayChoice.of(wanted, recipient, again=again, made_at=self.now)
        made: list[str] = []

        def order(run: Callable[..., object]) -> None:
            said = {"key": f"{self.now}", "reason": "sửa xong", "by": "an", "now": self.now, "goes": True}
            plan = run(replay_plans.make_plan, choice, **said)
            assert isinstance(plan, ReplayPlan)
            made[:] = [plan.id]
            self.story.hear(self.news())

        self.do("untold" if fault else "", order)
        plan = OpenPlan(made[0], again=again)
        while plan.state == "planning":
            if fault:
                self._step(plan, 3, "undone")
            self._step(plan, 3, "")
        self._is_chosen(plan, wanted, recipient)
        self.plans.append(plan)
        while at_once and plan.state == "running":
            if fault:
                self.replay_some(plan, 3, "undone")
            self.replay_some(plan, 3)

    def _is_chosen(self, plan: OpenPlan, wanted: MessageFilter, recipient: str | None) -> None:
        """Compare the deliveries that were chosen with the story's."""
        every = [one for one in self.story.every() if self._is_wanted(one, wanted, recipient)]
        meant = [one for one in every if plan.again or one.state in ("dead", "suspended")]
        ends = {one: one.state in ("dead", "suspended", "delivered") for one in meant}
        with transactions.read_transaction(self.engine) as tx:
            items = list(plan_rows.iterate_items(tx, plan.id))
        found = {(each.message.id, each.delivery.recipient): each for each in items}
        assert len(items) == len(found) == len(meant)
        for one in meant:
            each, reasons = found[one.message.id, one.recipient], self.story.withheld(one)
            if not ends[one] and not reasons:
                reasons = {"under-way"}
            assert each.was == one.state
            assert (each.state == "excluded", each.why in reasons) == (bool(reasons), bool(reasons)), (
                each.why,
                reasons,
            )
        assert [each.message.id for each in items] == sorted(each.message.id for each in items)
        by_place = {(one.message.id, one.recipient): one for one in meant}
        chosen = [by_place[each.message.id, each.delivery.recipient] for each in items if each.state == "planned"]
        plan.left = [(one, one.state, one.since) for one in chosen]

    def replay_some(self, plan: OpenPlan, limit: int, fault: Fault = "") -> None:
        """Queue the next deliveries of a plan, each once: those that are still as they were chosen."""
        self.pass_time(timedelta(seconds=1))
        self._step(plan, limit, fault)

    def _step(self, plan: OpenPlan, limit: int, fault: Fault) -> None:
        def attempt(run: Callable[..., object]) -> None:
            some = plan.left[:limit] if plan.state == "running" else []
            goes = [
                one
                for one, was, since in some
                if (one.state, one.since) == (was, since) and not self.story.withheld(one)
            ]
            after = run(replay_plans.take_step, plan.id, province().routes, self.now, approve_over=None, limit=limit)
            assert isinstance(after, ReplayPlan)
            said = self.news()
            told = [(each["message"], each["recipient"]) for each in said if each["event"] == "delivery-replayed"]
            assert sorted(told) == sorted((one.message.id, one.recipient) for one in goes)
            self.story.hear(said)
            assert all(one.state in ("waiting", "held") for one in goes)
            plan.left, plan.state = plan.left[len(some) :], after.state
            if after.state == "done":
                assert plan.left == []

        self.do(fault, attempt)

    def hold(self, plan: OpenPlan, what: PlanEvent, fault: Fault = "") -> None:
        """Let a person pause, resume or cancel a plan."""
        self.pass_time(timedelta(seconds=1))

        def attempt(run: Callable[..., object]) -> None:
            try:
                after = run(replay_plans.change_plan, plan.id, what, by="bình", now=self.now)
            except PlanUnmovable:
                assert self.news() == []
                return
            assert isinstance(after, ReplayPlan)
            plan.state = after.state
            assert {each["event"] for each in self.news()} <= {"replay-plan"}

        self.do(fault, attempt)

    def give_up(self, wanted: MessageFilter, recipient: str | None, fault: Fault = "") -> None:
        """Plan to give up everything that waits of the messages *wanted*, then do it."""
        self.pass_time(timedelta(seconds=1))
        with transactions.read_transaction(self.engine) as tx:
            plan = queue_replay.plan_give_up(tx, wanted, recipient)
        every = [sent for sent in self.story.every() if self._is_wanted(sent, wanted, recipient)]
        planned = Counter((made.message, made.recipient) for _, made in plan.moves)
        assert planned == Counter((one.message.id, one.recipient) for one in every if one.state in WAITS)
        left = Counter((each.delivery.message, each.delivery.recipient) for each in plan.excluded)
        assert left == Counter((one.message.id, one.recipient) for one in every if one.state == "sending")
        some = [made for _, made in plan.moves] + [each.delivery for each in plan.excluded]

        def attempt(run: Callable[..., object]) -> None:
            goes = [one for one in every if one.state in WAITS]
            moved = run(queue_replay.give_up_deliveries, some, reason="thôi", by="an", now=self.now)
            assert isinstance(moved, Sequence)
            assert len(moved) == len(goes)
            self.story.give_up(goes, "given up by an: thôi", self.now)
            self.story.hear(self.news())
            assert all(one.state == "dead" for one in goes)

        self.do(fault, attempt)

    def resume(self, partner: str, limit: int, fault: Fault = "") -> None:
        """Let a person resume some of the suspended deliveries to *partner*: those of the oldest messages."""
        self.pass_time(timedelta(seconds=1))

        def attempt(run: Callable[..., object]) -> None:
            waits = [one for one in self.story.every() if (one.partner, one.state) == (partner, "suspended")]
            moved = run(deliveries.resume_deliveries, partner, limit, reason="thử lại", by="an", now=self.now)
            assert isinstance(moved, Sequence)
            assert len(moved) == min(limit, len(waits))
            self.story.hear(self.news())
            assert sum(one.state == "waiting" for one in waits) == len(moved)

        self.do(fault, attempt)

    @staticmethod
    def _is_wanted(sent: Sent, wanted: MessageFilter, recipient: str | None) -> bool:
        message = sent.message
        by_id = wanted.ids is None or message.id in wanted.ids
        by_unit = wanted.unit is None or wanted.unit in (message.sender, *(one.recipient for one in message.sent))
        return by_id and by_unit and recipient in (None, sent.recipient)

    def alarm(self, fault: Fault = "") -> None:
        """Let the hub tell of what nobody fetches."""
        self.pass_time(timedelta(seconds=1))

        def attempt(run: Callable[..., object]) -> None:
            overdue = self.story.overdue(self.now)
            assert run(pickup.record_unfetched_alarms, self.now, timedelta(days=3)) == len(overdue)
            self.story.hear(self.news())
            assert all(one.told_overdue for one in overdue)

        self.do(fault, attempt)
