"""Journals what the nodes saw of a day's links, once the day is over: a message of the hub's own, with its facts.

Knows when a day is over and the id of its message. Neither probes links nor counts.
"""

from datetime import datetime, timedelta

from hub.domain import local_time
from hub.domain.ids import make_id
from hub.domain.model import HUB
from hub.intake import admission
from hub.journal import messages
from hub.journal.searching import message_reading
from hub.monitoring import link_rows
from hub.services import list_services
from hub.services.links import NAME, write_link_message
from hub.store.transactions import Transaction
from hub.units.province import Province

#: How long after midnight in Hà Nội a day is written. By then every node has written its last minutes of that day.
GRACE = timedelta(minutes=10)


def write_link_days(tx: Transaction, province: Province, now: datetime) -> tuple[list[str], list[str]]:
    """Write the message of each day that is over, in the transaction that deletes its rows.

    Returns the days written, and the days for which a node wrote rows only after their message existed. Those minutes
    are no longer counted.
    """
    written, late = [], []
    for on, found in link_rows.remove_link_days(tx, local_time.find_local_day(now - GRACE)).items():
        name = f"{NAME}/{on.isoformat()}"
        if message_reading.find_accepted_message(tx, HUB, name) is not None:
            late.append(on.isoformat())
            continue
        octets = write_link_message(province.config.province, on, found)
        entry = admission.judge_record(list_services()[NAME], octets, name, HUB, province, now, make_id(now))
        taken = messages.record_message(tx, entry, province.routes)
        assert not taken.problems, taken.problems
        written.append(on.isoformat())
    return written, late
