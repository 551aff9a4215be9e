"""RabbitMQ goes away under load: nothing of the hub waits for it, and afterwards every event is there, in order and without a gap."""

import itertools
import json
import time

import pytest

from tests import warm
from tests.faults.faults import Fault
from tests.faults.test_matrix import run
from tests.faults.town import Town, opened
from tests.rabbitmq import PASSWORD, Broker
from tests.running import PATIENCE, until
from tests.warm import BIN

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]
QUEUE = "everything"


def publish_to(town, broker):
    """Give every node its [feed], and the exchange a queue that keeps all."""
    for node in town.nodes:
        node.config.with_name("feed-password").write_text(PASSWORD + "\n")
        node.config.with_name("feed-password").chmod(0o600)
        feed = f'\n[feed]\nurl = "{broker.url}"\npassword-file = "feed-password"\n'
        node.config.write_text(node.config.read_text() + feed)
    connection = broker.connect()
    channel = connection.channel()
    channel.exchange_declare("lienthong", "topic", durable=True)
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(QUEUE, "lienthong", "#")
    connection.close()


def gone(broker):
    """SIGKILL of RabbitMQ, and its start, while receipts go on."""

    def strike(town, chance):
        broker.crash()
        before = town.receipts()
        time.sleep(chance.uniform(2, 4))
        until(lambda: town.receipts() > before, "receipts while the broker is gone")
        broker.start()

    return strike


def published(town):
    """Return how the feed stands, as an operator sees it."""
    command = [BIN / "lienthong", "-c", town.nodes[0].config, "db", "status", "--json"]
    told = warm.run(command)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["feed"]


def numbers(broker, most):
    """Return the numbers of the events in the queue, up to *most* at least, as they stand there, and take them."""
    connection = broker.connect()
    channel, found, patience = connection.channel(), [], int(PATIENCE)
    for method, properties, body in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=1):
        if method is None:
            patience -= 1
            if most in found or not patience:
                break
            continue
        assert properties.content_type.startswith("application/cloudevents+json")
        found.append(int(json.loads(body)["sequence"]))
    connection.close()
    return found


@pytest.mark.parametrize("database", [pytest.param("SQLite", marks=pytest.mark.soak), "PostgreSQL"])
def test_a_broker_that_is_gone(database, tmp_path, request):
    url = request.getfixturevalue("fresh") if database == "PostgreSQL" else None
    with Broker.open() as broker, opened(Town.found(tmp_path, url, nodes=2 if url else 1)) as town:
        publish_to(town, broker)
        town.start()
        run(town, Fault("RabbitMQ gone", gone(broker)), database)
        until(lambda: published(town)["unpublished"] == 0, "every event to be published")
        least = published(town)["published"]  # the nodes run on, and may tell of themselves at any time
        seen = numbers(broker, least)
        first_time = list(dict.fromkeys(seen))
        assert sorted(first_time) == list(range(1, max(least, len(first_time)) + 1)), "none is missing"
        # Confirms are pipelined: what the broker lost is sent again with all after it, so a subscriber that takes each number
        # in its turn gets all of them.
        turn = itertools.count(1)
        awaited = next(turn)
        for number in seen:
            if number == awaited:
                awaited = next(turn)
        assert awaited == len(first_time) + 1, "each comes in its turn"
