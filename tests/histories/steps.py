"""What may happen to a journal, step by step.  Knows whom a step concerns; how often it happens is for tests/histories/drawing.py."""

from datetime import UTC, date, datetime, timedelta

from hub.domain.conversations import Accepted, Outcome, Postponed, Refused, Unavailable
from hub.journal.replays.replay_rules import PlanEvent
from hub.journal.searching.message_filter import MessageFilter
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered
from tests.histories import office
from tests.histories.history import History
from tests.histories.office import Letter
from tests.histories.sights import Sights
from tests.packets import BARE, Seal, letter
from tests.recount import places
from tests.recount.places import HANOI, canonical

SENDERS = [("H55.13", "sotttt"), ("H55.01", "vpub"), ("G22", "vpcp"), ("000.00.13.H55", "sotttt"), ("H55.01.2", "vpub")]
SENDERS += [("H55.13", "any"), ("000.00.00.A12", "vpcp"), ("H55.13.1", "any")]
STRANGERS = [("H55.01", "sotttt"), ("H55.13", "vpcp"), ("H55.01", "any")]
TO = ["H55.01", "H55.13", "H55.01.2", "H55.13.1", "G22", "G01", "000.02.01.H55", "A12"]
NOWHERE = ["H55.20", "H55.30", "H55.99", "H55.50", "H55.40"]  #: or not always
ALIAS = {code: alias for alias, code in places.ALIASES.items()}
DAY = date(2026, 11, 10)
NUMBERS = {"D1": "1", "D2": "2", "D3": "2"}  #: two documents with one number

JUMPS = [timedelta(seconds=1), timedelta(seconds=31), timedelta(seconds=61), timedelta(minutes=15), timedelta(hours=3)]
JUMPS += [timedelta(hours=24), timedelta(days=4), timedelta(days=16), timedelta(days=40)]


class Steps:
    """What may happen in a province with three partners, and few documents, so that much of it concerns the same one.

    A `pick` counts back from the newest, around; a step for which there is nothing to do does nothing.
    """

    def __init__(self, engine, nodes):
        office.empty(engine)
        self.history, self.nodes, self.number = History(engine, nodes), nodes, 0
        self.sights = Sights(self.history)

    # --- what partners bring ----------------------------------------------------------------------------------------------

    def subject(self):
        self.number += 1
        return f"V/v số {self.number}"

    def partner_of(self, unit):
        own = {"H55.01": "vpub", "H55.01.2": "vpub", "H55.13": "sotttt"}
        return "vpcp" if places.outside(unit) else own.get(canonical(unit), "any")

    def write(self, who, to, document_id, *, sign=0, **said):
        code, partner = who
        made = letter(
            code,
            to,
            document_id=document_id,
            **{"number": NUMBERS.get(document_id, "9"), "subject": self.subject(), "promulgated": DAY, **said},
        )
        if sign:
            made = Seal().signed(office.identity(partner), made)
        if sign == 2:
            made = made.replace(b"V/v s", b"V/v S")
        return Letter(partner=partner, octets=made, message_id=f"m{self.number}" if self.number % 4 else None)

    def send(self, who, to, nowhere, name, priority, hours, due, paper, sign, fault):
        now = self.history.now
        said = {"priority": priority, "paper": paper}
        if hours is not None:
            said["hour"] = now + timedelta(hours=hours)
        if due is not None:
            said["due"] = now.astimezone(HANOI).date() + timedelta(days=due)
        self.history.take(self.write(who, to + [nowhere] * bool(nowhere), name, sign=sign, **said), fault=fault)

    def documents(self):
        return [one for one in self.history.story.messages if one.letter.kind != "status"]

    def change(self, kind, about, to, added, removed, how, by, own, priority=0):
        """Write a change of the message *about* (None: of one that nobody knows), naming it in one of four ways."""
        who = by or (about.letter.sender if about else "H55.13", about.partner if about else "sotttt")
        name = about.letter.document_id if about else "D7"
        said = {"kind": {"recall": 1, "update": 2, "replacement": 3}[kind], "priority": priority}
        if kind == "replacement":
            said["replaced"] = [(name, to if how % 2 else []), *([("D2", to[:1])] if how == 2 else [])]
        elif kind == "update":
            said["receivers"] = [(unit, "1") for unit in added] + [(unit, "0") for unit in removed]
            said["about"] = name if how else None
            own = own if how else name
        elif how == 0:
            said["about"] = name
        else:
            number = "" if how == 1 else f"{NUMBERS.get(name, '9')}/VB"
            answered = Answered(who[0], number, DAY if how > 1 else "", "" if how == 2 else name)
            said["responses"] = [answered, *([Answered("G01", "", "", "D3")] if how == 3 else [])]
        return self.write(who, to, own, **said)

    def send_change(self, kind, pick, to, added, removed, how, by, own, fault):
        known = self.documents()
        about = known[-1 - pick % len(known)] if known and pick is not None else None
        self.history.take(self.change(kind, about, to, added, removed, how, by, own), fault=fault)

    def some(self, state, pick):
        """Return a delivery of a document in this state, if there is one."""
        found = [
            one for one in self.history.story.every() if one.state == state and one.message.letter.kind != "status"
        ]
        return found[-1 - pick % len(found)] if found else None

    def stop(self, state, kind, pick, whole, how, own, fault):
        """Send a change that concerns a delivery in this state, alone or with the others of its message."""
        one = self.some(state, pick)
        if one is None:
            return
        name = ALIAS.get(one.recipient, one.recipient) if pick % 2 else one.recipient
        to = [each.recipient for each in one.message.sent] if whole else [name]
        removed = [name] if kind == "update" else []
        self.history.take(self.change(kind, one.message, to, [], removed, how, None, own), fault=fault)

    def status(self, reporter, code, organ, message, how):
        """Write a status about a message (None: about one that nobody knows), naming it by its id, its number or both.

        3: as a system that writes the number without “/”, and its own day as the document's (standards 12).
        """
        name = message.letter.document_id if message else "D8"
        number = "" if how == 0 else (message.letter.number if message else "8/VB")
        day = places.day(self.history.now) if how == 3 else DAY
        answered = Answered(
            organ, number.replace("/", "") if how == 3 else number, day if how else "", "" if how > 1 else name
        )
        octets = packets.write_status_packet(
            reporter, code, answered, at=self.history.now, description=self.subject(), variation=BARE
        )
        partner = self.partner_of(reporter)
        return Letter(partner=partner, octets=octets, message_id=f"m{self.number}", traces=self.number % 2 == 0)

    def answer(self, code, pick, which, how, alias, again, fault):
        """A recipient tells what became of a document, perhaps once more; 13 is the sender's own word."""
        known = self.documents()
        message = known[-1 - pick % len(known)] if known and pick is not None else None
        organ = message.sender if message else "H55.13"
        to = [one.recipient for one in message.sent] if message else ["H55.01"]
        reporter = to[which % len(to)]
        told = [one for one in self.history.story.every() if one.status or one.answer] if again else []
        if told:
            message, reporter = told[-1 - which % len(told)].message, told[-1 - which % len(told)].recipient
            organ = message.sender
        if code == "13":
            reporter = organ
        if alias:
            organ, reporter = ALIAS.get(organ, organ), ALIAS.get(reporter, reporter)
        self.history.take(self.status(reporter, code, organ, message, how), fault=fault)

    def work(self, pick, hours, code, how, fault):
        """A recipient whose work nobody has heard of tells of it, in time or late."""
        done = [one for one in self.history.story.every() if one.state == "delivered" and one.status is None]
        done = [one for one in done if one.message.letter.kind == "document"]
        if done:
            one = done[-1 - pick % len(done)]
            self.history.pass_time(timedelta(hours=hours))
            self.history.take(self.status(one.recipient, code, one.message.sender, one.message, how), fault=fault)

    def answer_oddly(self, code, reporter, organ, pick, fault):
        """Somebody tells something of somebody's document."""
        known = self.documents()
        message = known[-1 - pick % len(known)] if known else None
        self.history.take(self.status(reporter, code, organ, message, pick % 4), fault=fault)

    def send_again(self, pick, how, fault):
        """Send a letter again: what makes it the same message is its id and its bytes."""
        letters = self.history.letters
        if not letters:
            return
        old = letters[-1 - pick % len(letters)]
        said = {"partner": old.partner, "octets": old.octets, "message_id": old.message_id}
        if how == "other bytes":
            said |= {
                "octets": old.octets.replace(b"V/v", b"V/V").replace(b"Timestamp>", b"Timestamp >"),
                "message_id": old.name,
            }
        elif how == "other id":
            said |= {"message_id": f"again {self.subject()}"}
        elif how == "other partner":
            said |= {"partner": "any"}
        self.history.take(Letter(**said, spoilt=False, traces=old.traces), fault=fault)
        if how == "spoilt":
            self.history.take(
                Letter(partner=old.partner, octets=old.octets[:-9], message_id=old.message_id, spoilt=True), fault=fault
            )

    def send_together(self, who, to, name, kind):
        """Several letters share a commit: a document, the same again, and perhaps its change; one step among them fails."""
        first = self.write(who, to, name)
        others = [first]
        if kind:
            said = {"replaced": [(name, [])]} if kind == "replacement" else {"about": name}
            said |= {"kind": {"recall": 1, "update": 2, "replacement": 3}[kind]}
            others.insert(0, self.write(who, to, "D4", **said))
        self.history.take(first, *others, spoils=True)

    # --- what the hub and its partners do -----------------------------------------------------------------------------------

    def claim(self, partner, node, limit, fault):
        self.history.claim(self.nodes[node % len(self.nodes)], partner, limit, fault)

    def settle(self, node, which, how, fault):
        name = self.nodes[node % len(self.nodes)]
        outcomes: dict[str, Outcome] = {
            "accepted": Accepted(),
            "refused": Refused("không đúng nơi nhận"),
            "unavailable": Unavailable("down"),
            "later": Unavailable("busy", 600),
            "postponed": Postponed(self.history.now + timedelta(hours=1), "not yet"),
        }
        if self.history.memory[name]:
            self.history.settle(name, which, outcomes[how], fault)

    def push(self, partner, hows, node):
        """A whole round: what is due goes, and is accepted or refused."""
        name = self.nodes[node % len(self.nodes)]
        for accepted, _ in zip(hows, self.history.claim(name, partner, len(hows)), strict=False):
            self.history.settle(name, len(self.history.memory[name]) - 1, Accepted() if accepted else Refused("no"))

    def split(self, node, pick, rescues):
        """A part of an update goes ahead while the rest must wait for its document; then the rest goes, and the part gets lost."""
        name = self.nodes[node % len(self.nodes)]
        claims = [claim for claim in self.history.memory[name] if claim.attempt in self.history.open]
        if not claims:
            return
        claim = claims[-1 - pick % len(claims)]
        message = self.history.story.message(claim.message)
        units = {"vpcp": ["G22", "G01", "A12"], "vpub": ["H55.01", "H55.01.2"]}[claim.partner]
        to = [claim.recipients[0], *(unit for unit in units if unit not in claim.recipients)]
        if message.letter.kind == "status" or len(to) < 2:
            return
        self.history.take(self.change("update", message, to[:2], [], [], 1, None, "D4"))
        self.history.claim(name, claim.partner, 4)
        self.history.pass_time(timedelta(seconds=31))
        self.history.settle(name, self.history.memory[name].index(claim), Accepted())
        self.history.claim(name, claim.partner, 4)
        if rescues:
            self.history.pass_time(timedelta(seconds=31))
            self.history.rescue(name)

    def stop_node(self, node, fault):
        self.history.give_back(self.nodes[node % len(self.nodes)], fault)

    def rescue(self, node, late, again, fault):
        """A node looks for what was lost; *late*: its own leases are over too; what waits is taken *again*, or it stops after that."""
        name = self.nodes[node % len(self.nodes)]
        self.history.pass_time(timedelta(seconds=61 * late))
        self.history.rescue(name, fault=fault)
        for partner in ("vpub", "vpcp") if again else ():
            self.history.claim(name, partner, 2)
        if again == "and stops":
            self.history.give_back(name)

    def die(self, node, at_once):
        """A node dies with all it had in memory, and starts again, soon or later."""
        name = self.nodes[node % len(self.nodes)]
        self.history.die(name)
        if at_once:
            self.history.rescue(name, alone=len(self.nodes) == 1)

    def fetch(self, unit, limit, confirms, fault):
        """The partner that fetches asks, takes, and confirms for all its units, for one of them, or not yet."""
        for message in self.history.pending("sotttt", unit, limit):
            self.history.fetch("sotttt", message, fault)
            if confirms is not None:
                self.history.confirm("sotttt", message, [None, "H55.13.1", "H55.13"][confirms], fault)

    def fetch_oddly(self, pick, partner, fetches, held, unit):
        """A partner asks for any message, or for one whose hour may not have come; or confirms it unasked."""
        messages = self.history.story.messages
        timed = [
            one for one in messages if any(each.state == "held" and each.due > self.history.now for each in one.sent)
        ]
        messages = timed if held and timed else messages
        if messages:
            message = messages[-1 - pick % len(messages)].id
            if fetches:
                self.history.fetch(partner, message)
            else:
                self.history.confirm(partner, message, unit)

    def replay(self, pick, unit, to, again, at_once, fault):
        messages = self.history.story.messages
        if not messages:
            return
        ids = None if pick is None else tuple(one.id for one in messages[-1 - pick % len(messages) :])
        self.history.replay(MessageFilter(ids=ids, unit=unit), to, fault, again=again, at_once=at_once)

    def go_on(self, pick, limit, what, fault):
        """Queue some more of a replay, or let a person hold it (*what*)."""
        if self.history.plans:
            plan = self.history.plans[-1 - pick % len(self.history.plans)]
            if what is None:
                self.history.replay_some(plan, limit, fault)
            else:
                self.history.hold(plan, PlanEvent(what), fault)

    def give_up(self, pick, unit, to, fault):
        """A person gives up what waits of some of the latest messages."""
        messages = self.history.story.messages
        if messages:
            ids = tuple(one.id for one in messages[-1 - pick % len(messages) :])
            self.history.give_up(MessageFilter(ids=ids, unit=unit), to, fault)

    def resume(self, partner, limit, fault):
        self.history.resume(partner, limit, fault)

    def wait_too_long(self, partner, node, resumes):
        """What is due for a partner has waited for two weeks, the partner is still down, and perhaps a person resumes it."""
        name = self.nodes[node % len(self.nodes)]
        self.history.pass_time(timedelta(days=16))
        for _ in self.history.claim(name, partner, 3):
            self.history.settle(name, len(self.history.memory[name]) - 1, Unavailable("down"))
        if resumes:
            self.history.resume(partner, 2)

    def alarm(self, fault):
        self.history.alarm(fault)
        self.history.alarm()  # what was told of once is not told of again

    def wait(self, much):
        self.history.pass_time(much)

    def wait_for_the_cut_off(self, before):
        """Go to the last or the first instant about the midnight in Hà Nội at which a period ends."""
        ends = next(end for end in map(cut_off, range(99)) if end > self.history.now + timedelta(seconds=10))
        self.history.pass_time(ends - self.history.now - timedelta(seconds=1, milliseconds=1 if before else 0))

    # --- what must be so ----------------------------------------------------------------------------------------------------

    def report(self, unit):
        """Somebody looks at a report that has not ended."""
        period = list(self.sights.periods())[-5]
        self.sights.report(unit, period, self.sights.recount())

    def traces(self, unit, pick, partner):
        known = self.documents()
        document = known[-1 - pick % len(known)].id if known and pick is not None else None
        self.sights.traces(canonical(unit), document, partner)

    # --- what must be so at the end -----------------------------------------------------------------------------------------

    def end(self):
        done = self.history
        self.sights.letters()
        found, periods = self.sights.recount(), list(self.sights.periods())
        for period in dict.fromkeys([*periods[:4], *periods[-6:]]):
            for unit in ("H55", "G22", "A12"):
                self.sights.report(unit, period, found)
        for unit in ("H55.13", "000.02.01.H55"):
            self.sights.report(unit, "2026-12", found)
        for unit in {canonical(unit) for unit in TO}:
            self.sights.traces(unit)
            done.pending("sotttt", unit)
        for document in self.documents()[-8:]:
            self.sights.traces(document.sender, document.id)
        self.drain()
        self.sights.chain()

    def drain(self):
        """Nothing starves: however urgent what comes meanwhile, each round brings what waits nearer, until nothing does."""
        done = self.history
        for node in self.nodes:
            done.die(node)
        done.pass_time(timedelta(days=50))
        for node in self.nodes:
            done.rescue(node)
        waiting = [one for one in done.story.every() if one.state in ("waiting", "sending")]
        for number in range(2 * len(waiting) + 2):
            if all(one.state not in ("waiting", "sending") for one in waiting):
                break
            if number < 2:
                done.take(self.write(("H55.13", "sotttt"), ["H55.01", "G22"], f"U{number}", priority=3))
            for partner in ("vpub", "vpcp"):
                for _ in done.claim(self.nodes[0], partner, 1):
                    done.settle(self.nodes[0], 0, Accepted())
            done.pass_time(timedelta(minutes=5))
        assert all(one.state not in ("waiting", "sending") for one in waiting), "something waits for ever"
        self.sights.deliveries()


def cut_off(number):
    """Return the end of the period of a month, counted from November 2026."""
    year, month = divmod(2026 * 12 + 10 + number, 12)
    return datetime(year, month + 1, 15, tzinfo=HANOI).astimezone(UTC)
