"""How the places of one node are divided between partners.  Knows numbers only; neither partners nor the journal."""

from collections.abc import Mapping


def divide(places: int, wants: Mapping[str, int], busy: Mapping[str, int], *, after: str = "") -> dict[str, int]:
    """Return how many more messages each partner gets of what it *wants*; *busy*: how many it has under way.

    One place a partner is its own, whatever the others have; the rest of the *places* goes round, one each, beginning with those
    that have fewest and, among equals, with who comes *after* the one that began last.  So a long queue takes what nobody else
    wants, and no more.
    """
    left = places - sum(max(0, count - 1) for count in busy.values())
    order = sorted(wants, key=lambda partner: (partner <= after, partner))
    shares = dict.fromkeys(order, 0)
    while True:
        hungry = [partner for partner in order if shares[partner] < wants[partner]]
        if not hungry:
            return shares
        first = min(hungry, key=lambda partner: busy.get(partner, 0) + shares[partner])
        if busy.get(first, 0) + shares[first] > 0:
            if left <= 0:
                return shares
            left -= 1
        shares[first] += 1
