"""Writes what was seen of a day's links into the journal, once the day is over: a message of the hub's own, with its facts.

Knows when a day is over and what its message is called; not how links are probed or counted.
"""

from datetime import datetime, timedelta

from hub.domain import local_time
from hub.domain.ids import new_id
from hub.domain.model import HUB
from hub.intake import admission
from hub.journal import messages, search
from hub.monitoring import link_rows
from hub.services import list_services
from hub.services.links import NAME, write_link_message
from hub.store.transactions import Transaction
from hub.units.province import Province

#: How long after midnight in Hà Nội a day is written: every node has told of its last minutes by then.
GRACE = timedelta(minutes=10)


def write_link_days(tx: Transaction, province: Province, now: datetime) -> tuple[list[str], list[str]]:
    """Write the message of each day that is over, in the transaction that takes its rows out.

    Return the days written, and those of which a node told only after they had been: these minutes are not counted any more.
    """
    written, late = [], []
    for on, found in link_rows.take_days(tx, local_time.local_day(now - GRACE)).items():
        name = f"{NAME}/{on.isoformat()}"
        if search.find_accepted_message(tx, HUB, name) is not None:
            late.append(on.isoformat())
            continue
        octets = write_link_message(province.config.province, on, found)
        entry = admission.judge_record(list_services()[NAME], octets, name, HUB, province, now, new_id(now))
        taken = messages.record_message(tx, entry, province.routes)
        assert not taken.problems, taken.problems
        written.append(on.isoformat())
    return written, late
