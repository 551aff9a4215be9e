"""The province's shared mail as a reporting system: `python -m lienthong_demo.partners.mailusage CODE ...`.

Speaks only SOAP over mutual TLS with the hub. Knows its accounts by number and unit, what each does in a day, and its
own counts by unit, without any person. Does not know the hub's directory, database or code. One order: `{"do": "day",
"day": "2026-11-24", "accounts": 9000}` simulates a day of that many accounts and reports the usage of each unit, of
some units twice.
"""

import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from lienthong_demo.protocol.calling import call_until_answered, connect_to_hub, read_process_options, serve_orders
from lienthong_demo.protocol.client import HubClient, HubReply
from lienthong_demo.protocol.notebook import Notebook
from lienthong_demo.protocol.signing import read_clock

#: What is counted for a unit: elements of SubmitMailUsage.
FIGURES = (
    *("AccountsIssued", "AccountsActive", "OverQuota"),
    *("SentInternal", "SentExternal", "ReceivedInternal", "ReceivedExternal", "RefusedSize", "OfficialDocuments"),
)
LARGEST = 20.0  #: maximum megabytes of a mail
NEARLY_FULL = 0.9  #: share of the quota above which an account counts as over quota
_ACTIVE, _INSIDE, _OFFICIAL = 0.7, 0.8, 0.02  #: shares of active accounts, of recipients inside, of official mails
_AGAIN = 4  #: one in this many units reports twice


def spread_accounts(units: Sequence[str], accounts: int, chance: random.Random) -> list[str]:
    """Return the unit of each account. Each unit gets one first; the others are drawn at random."""
    return [*units[:accounts], *chance.choices(units, k=max(0, accounts - len(units)))]


def simulate_mail_day(accounts: Sequence[str], chance: random.Random) -> Mapping[str, Counter[str]]:
    """Simulate a day of the *accounts*.

    Return the counts of each unit. A mail sent inside is received by an account inside.
    """
    books = {unit: Counter(dict.fromkeys(FIGURES, 0)) for unit in accounts}
    for unit in accounts:
        book = books[unit]
        book["AccountsIssued"] += 1
        book["OverQuota"] += chance.random() > NEARLY_FULL
        book["ReceivedExternal"] += chance.choice((0, 0, 1, 2, 5))
        if chance.random() >= _ACTIVE:
            continue
        book["AccountsActive"] += 1
        for _ in range(chance.randrange(9)):
            to = [
                chance.choice(accounts) if chance.random() < _INSIDE else None
                for _ in range(chance.choice((1, 1, 1, 2, 3)))
            ]
            if chance.expovariate(1 / 5.0) > LARGEST:
                book["RefusedSize"] += 1
                continue
            book["SentExternal" if None in to else "SentInternal"] += 1
            book["OfficialDocuments"] += chance.random() < _OFFICIAL
            for receiver in filter(None, to):
                books[receiver]["ReceivedInternal"] += 1
    return books


@attrs.define
class SharedMail:
    """The mail system and its connection to the hub."""

    units: tuple[str, ...]
    client: HubClient
    notebook: Notebook

    def day(self, day: str, accounts: int) -> Mapping[str, object]:
        """Simulate the *day* and report every unit's usage. Return how many messages were accepted, and those refused."""
        chance = random.Random(day)
        books = simulate_mail_day(spread_accounts(self.units, accounts, chance), chance)
        for unit, book in books.items():
            self.notebook.write("usage", read_clock(), unit=unit, day=day, figures=dict(book))
        taken, refused = 0, []
        for number, (unit, book) in enumerate(books.items()):
            answer = self._hand_in(f"{unit}-{day}", unit, day, book)
            answers = [answer]
            if number % _AGAIN == 0 and self._hand_in(f"{unit}-{day}", unit, day, book) != answer:
                raise ValueError(f"{unit}-{day} sent twice got two answers")
            if number % _AGAIN == 1:
                answers.append(self._hand_in(f"{unit}-{day}-2", unit, day, book))  # the same day reported a second time
            taken += sum(each.accepted for each in answers)
            refused += [[unit, *each.codes] for each in answers if not each.accepted]
        return {"accepted": taken, "refused": refused}

    def _hand_in(self, message_id: str, unit: str, day: str, book: Mapping[str, int]) -> HubReply:
        """Send one unit's usage. Raises Unanswered after the last try."""
        fields = {"MessageId": message_id, "OrganId": unit, "Day": day, "Usage": [{"OrganId": unit, **book}]}
        note = {"message_id": message_id, "unit": unit}
        answer = call_until_answered(partial(self.client.submit, "SubmitMailUsage", **fields), self.notebook, note)
        self.notebook.write("sent", read_clock(), **note, **attrs.asdict(answer))
        return answer


def obey_usage_order(system: SharedMail, order: Mapping[str, Any]) -> Mapping[str, object]:
    """Execute one order of the conductor."""
    if order["do"] != "day":
        raise ValueError(f"no such order: {order['do']}")
    return system.day(order["day"], order["accounts"])


def main() -> None:
    """Run the shared mail until the orders end."""
    given = read_process_options("lienthong_demo.partners.mailusage", sys.argv[1:])
    with Notebook(given.notebook) as notebook:
        system = SharedMail(tuple(given.units.split(",")), connect_to_hub(given, "mail"), notebook)
        serve_orders(given, notebook, partial(obey_usage_order, system))


if __name__ == "__main__":
    main()
