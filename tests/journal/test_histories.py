"""Any history of the journal: what may never happen, and facts that equal a recount from messages and events alone."""

import json
import shutil
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from hub import changes, deliveries, journal, ledger, operations, store
from hub.deliveries import Exchange
from hub.errors import Rejected
from hub.lifecycle import Verdict
from hub.model import Kind, Replaced, State
from hub.search import Filter
from tests.province import NOW, ROUTES, document, entry, status

pytestmark = pytest.mark.slow

PARTNERS = {"H55.13": "sotttt", "H55.13.1": "sotttt", "H55.01": "vpub", "G22": "vpcp"}
SENT = {"recall": "sent-recall", "update": "sent-update", "replacement": "sent-replacement", "document": "sent"}
senders = st.sampled_from(["H55.13", "H55.01", "G22"])
ours = st.lists(st.sampled_from(["H55.01", "H55.13", "H55.13.1"]), min_size=1, max_size=3, unique=True)
documents = st.sampled_from(["D1", "D2"])
urgencies = st.integers(0, 4)


class Histories(RuleBasedStateMachine):
    """A hub with three senders and two DocumentIds, so that much of what happens concerns the same document."""

    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.engine = store.open_journal(f"sqlite:///{self.place / 'hub.db'}", pooled=False)
        store.upgrade(self.engine)
        self.number, self.expected = 0, {}
        self.delivered, self.gone = set(), {}  # deliveries; stopped ones and how often they had been tried

    def teardown(self):
        self.engine.dispose()
        shutil.rmtree(self.place)

    @property
    def now(self):
        return NOW + timedelta(seconds=self.number)

    def write(self, step, *args, **kwargs):
        self.number += 1
        with store.writing(self.engine) as tx:
            return step(tx, *args, **kwargs)

    def take(self, packet):
        self.number += 1
        partner = PARTNERS[packet.sender]
        made = entry(packet, self.number, partner=partner, at=self.now)
        if packet.kind is not Kind.STATUS:
            told = (*packet.recipients, *changes.told(packet))
            try:
                routes = ROUTES.route_all(partner, told, NOW.date(), also=packet.removed)
            except Rejected:
                return
            made = attrs.evolve(made, routes=routes)
        with store.writing(self.engine) as tx:
            taken = journal.take(tx, made, ROUTES)
        if not taken.problems and packet.kind is not Kind.STATUS:
            self.expected[taken.id] = {route.recipient for route in made.routes}

    @rule(sender=senders, to=ours, name=documents, priority=urgencies)
    def send(self, sender, to, name, priority):
        self.take(document(sender, *to, document_id=name, priority=priority))

    @rule(sender=senders, to=ours, name=documents, own=documents)
    def recall(self, sender, to, name, own):
        self.take(attrs.evolve(document(sender, *to, document_id=own), kind=Kind.RECALL, about=name))

    @rule(sender=senders, to=ours, name=documents, added=ours, removed=ours)
    def update(self, sender, to, name, added, removed):
        removed = tuple(unit for unit in removed if unit not in added)
        changed = attrs.evolve(document(sender, *to, document_id="D3"), kind=Kind.UPDATE, about=name)
        self.take(attrs.evolve(changed, added=tuple(added), removed=removed))

    @rule(
        sender=senders, to=ours, name=documents, own=documents, organs=st.lists(st.sampled_from(["H55.01", "H55.13"]))
    )
    def replace(self, sender, to, name, own, organs):
        new = document(sender, *to, document_id=own, replaces=(Replaced(name, tuple(dict.fromkeys(organs))),))
        self.take(attrs.evolve(new, kind=Kind.REPLACEMENT))

    @rule(code=st.sampled_from(["01", "03", "06", "13", "15", "16"]), unit=senders, organ=senders, name=documents)
    def answer(self, code, unit, organ, name):
        if (unit == organ) == (code == "13"):
            self.take(status(code, unit, organ, name))

    @rule(target=claims, partner=st.sampled_from(["vpub", "vpcp"]), limit=st.integers(1, 4), wait=st.booleans())
    def claim(self, partner, limit, wait):
        self.number += 120 if wait else 0
        taken = self.write(deliveries.claim, partner, self.now, limit=limit, holder="n", lease=timedelta(seconds=60))
        for claim in taken:
            self.is_in_order(claim)
        return taken

    def is_in_order(self, claim):
        rows = self.rows()
        for row in (row for row in rows if row["id"] in claim.deliveries):
            assert row["stopped"] is None, "what was stopped is never sent"
            for mate in rows:
                if (mate["lane"], mate["recipient"]) == (row["lane"], row["recipient"]) and mate["id"] != row["id"]:
                    assert mate["state"] != "sending", "one at a time"
                    assert not (mate["state"] == "waiting" and mate["id"] < row["id"]), "the earlier one first"

    @rule(taken=claims, how=st.sampled_from(["accepted", "refused", "unavailable", "postponed", "give back"]))
    def settle(self, taken, how):
        for claim in taken:
            if how == "give back":
                self.write(deliveries.give_back, claim, self.now)
                continue
            again = Verdict(State.WAITING, how, self.now + timedelta(seconds=30), counts=how != "postponed")
            verdicts = {"accepted": Verdict(State.DELIVERED), "refused": Verdict(State.DEAD, "refused: no")}
            self.write(deliveries.settle, claim, how, verdicts.get(how, again), Exchange(), self.now)

    @rule(alone=st.booleans())
    def rescue(self, alone):
        self.write(deliveries.rescue, self.now, alone=alone)

    @rule(unit=st.sampled_from(["H55.13", "H55.13.1"]), confirms=st.booleans())
    def fetch(self, unit, confirms):
        for message in self.write(deliveries.pending, "sotttt", unit, 2, self.now):
            self.write(deliveries.fetch, "sotttt", message, self.now)
            if confirms:
                self.write(deliveries.confirm, "sotttt", message, None, self.now)

    @precondition(lambda self: any(row["state"] == "dead" for row in self.rows()))
    @rule()
    def replay(self):
        plan = self.write(operations.plan_replay, Filter())
        assert all(made.stopped is None for _, made in plan.replays)
        every = [made for _, made in plan.replays] + [each.delivery for each in plan.excluded]
        moved = self.write(operations.replay, every, ROUTES, reason="r", by="an", now=self.now)
        assert len(moved) == len(plan.replays)

    def rows(self):
        with store.reading(self.engine) as tx:
            return [dict(row) for row in tx.execute(sa.text("select * from delivery order by id")).mappings()]

    @invariant()
    def nothing_leaves_delivered_and_nothing_stopped_goes_again(self):
        rows = self.rows()
        now = {row["id"] for row in rows if row["state"] == "delivered"}
        assert self.delivered <= now
        self.delivered = now
        for row in rows:
            if row["stopped"] and row["state"] == "dead":
                assert self.gone.setdefault(row["id"], row["attempts"]) == row["attempts"]
            assert row["id"] not in self.gone or row["state"] == "dead"
            assert not (row["stopped"] and row["state"] in ("waiting", "held", "fetched"))

    @invariant()
    def every_accepted_message_has_a_delivery_for_each_recipient(self):
        made = defaultdict(set)
        for row in self.rows():
            made[row["message"]].add(row["recipient"])
        assert {message: made[message] for message in self.expected} == self.expected

    @invariant()
    def facts_equal_a_recount_from_messages_and_events(self):
        with store.reading(self.engine) as tx:
            rows = tx.execute(sa.text("select * from message where state = 'accepted'")).mappings()
            messages = {row["id"]: dict(row) for row in rows}
            texts = tx.execute(sa.text("select text from event order by serial")).scalars()
            happened = [json.loads(text) for text in texts]
            facts = [(fact.unit, fact.milestone, fact.key) for fact in ledger.facts(tx)]
        counted = set()
        for event in happened:
            message = messages.get(event.get("message"))
            if message is None:
                continue
            changes_one = [] if message["kind"] == "document" else [message["sha256"]]
            key = json.dumps([message["sender"], message["document_id"], *changes_one], separators=(",", ":"))
            stopped = str(event.get("reason", "")).startswith(("recalled: ", "removed: ", "replaced: "))
            match event["event"], message["kind"]:
                case "message-accepted", "status":
                    key = json.dumps([message["answers_unit"], message["document_id"]], separators=(",", ":"))
                    counted.add((message["sender"], f"status-{message['status']}", key))
                case "message-accepted", kind:
                    counted.add((message["sender"], SENT[kind], key))
                case (("delivery-delivered" | "delivery-dead"), "status"):
                    pass
                case "delivery-delivered", _:
                    counted.add((event["recipient"], "received", key))
                case "delivery-dead", _ if not stopped:
                    counted.add((message["sender"], "failed", key))
        assert len(facts) == len(set(facts))
        assert set(facts) == counted


Histories.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase
