"""The simulation agrees with the theory of queues, and the page with the simulation and the measured costs."""

import attrs
import pytest

from tests.bench import parts
from tests.bench.capacity import costs, page, simulation, sizing
from tests.bench.capacity.simulation import Load, Node, simulate
from tests.bench.run import Plan, Run
from tests.conftest import cannot_be_had

NODE = Node(cores=2, judge=500.0, answer=100.0, fixed=300.0, write=200.0, sync=1500.0)
SERVES_ONLY = Node(cores=1, judge=1000.0, answer=0.0, fixed=0.0, write=0.0, sync=0.0)


@pytest.mark.parametrize("rate", [200, 500, 800])
def test_calls_at_random_wait_as_long_as_in_md1(rate):
    found = simulate(SERVES_ONLY, Load(rate=rate, messages=8_000))
    assert found.mean * 1000 == pytest.approx(simulation.wait_md1(rate, 1000.0), rel=0.06)
    assert found.cores == pytest.approx(rate / 1000, rel=0.03)


@pytest.mark.parametrize("callers", [1, 4, 16])
def test_callers_that_wait_are_machines_and_one_repairman(callers):
    load = Load(callers=callers, think=4000.0, exponential=True, messages=10_000)
    found = simulate(SERVES_ONLY, load)
    assert found.rate == pytest.approx(simulation.count_repaired(callers, 4000.0, 1000.0), rel=0.03)


@pytest.mark.parametrize("load", [Load(callers=16), Load(callers=64, messages=6000), Load(rate=400), Load(rate=1000)])
@pytest.mark.parametrize("workers", [1, 2])
def test_littles_law_holds(load, workers):
    """Messages under way = rate × time until the answer, each counted for itself."""
    found = simulate(
        attrs.evolve(NODE, workers=workers, holder=100.0 * (workers - 1), delivery=100.0, settle=50.0), load
    )
    assert found.present == pytest.approx(found.rate * found.mean / 1e3, rel=0.03)


def test_a_batch_grows_with_the_load_and_the_disk_is_asked_less_often():
    found = [simulate(NODE, Load(callers=callers, messages=2000)) for callers in (1, 4, 16, 64)]
    batches, rates = [each.batch for each in found], [each.rate for each in found]
    assert batches[0] == pytest.approx(1.0)
    assert batches == sorted(batches)
    assert rates == sorted(rates)
    assert found[-1].disk < found[0].disk
    assert found[0].mean == pytest.approx(2.6, rel=0.001), "alone, a message takes the sum of its parts"


def test_no_resource_is_used_more_than_there_is():
    """Work is conserved: what the cores did is what the messages cost."""
    node = attrs.evolve(NODE, workers=2, holder=80.0, delivery=200.0, settle=100.0, cores=2)
    found = simulate(node, Load(rate=700, messages=6000))
    commits = found.rate * 2 / found.batch
    assert found.cores * 2e6 == pytest.approx(found.rate * (500 + 100 + 80 + 200 + 200 + 100) + commits * 300, rel=0.03)
    assert max(found.cores, found.serving, found.own, found.interpreter, found.writer, found.disk) <= 1


def test_one_process_is_bound_by_its_interpreter_and_workers_by_the_cores():
    alone = simulate(attrs.evolve(NODE, sync=0.0, cores=8), Load(callers=128))
    many = simulate(attrs.evolve(NODE, sync=0.0, cores=8, workers=6, holder=20.0), Load(callers=128))
    assert alone.interpreter > 0.95
    assert alone.rate < 1e6 / 600
    assert many.rate > 2 * alone.rate
    assert alone.name_limit() == "the hub's own process"
    assert many.name_limit() in {"the writer", "the hub's own process"}
    assert simulate(attrs.evolve(NODE, workers=6, holder=20.0, cores=1), Load(callers=64)).name_limit() == "the cores"


def test_an_idle_thread_costs_its_waking():
    alone = simulate(attrs.evolve(NODE, wake=1000.0), Load(callers=1, messages=200))
    many = simulate(attrs.evolve(NODE, wake=1000.0), Load(callers=64, messages=2000))
    assert alone.mean == pytest.approx(2.6 + 2 * 1.0, rel=0.001)
    assert many.rate > 0.8 * simulate(NODE, Load(callers=64, messages=2000)).rate


# --- sizing and its page --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_has_the_tables_of_the_kept_costs():
    """`./dev bench capacity --record` writes them."""
    text = page.PAGE.read_text("utf-8")
    assert page.write_page(text, costs.read_costs()) == text


def test_costs_are_read_as_they_were_kept(tmp_path):
    found = costs.read_costs()
    costs.write_costs(found, tmp_path / "costs.toml")
    assert costs.read_costs(tmp_path / "costs.toml") == found


@pytest.mark.soak
def test_the_costs_are_measured(tmp_path):
    """The hub runs, with a partner and with workers; each message is accepted and in the journal."""
    try:
        load = parts.compile_program("load", tmp_path, "libssl", "libcrypto")
        found = costs.measure_costs(Run(tmp_path, Plan(), load, print), scale=0.02)
    except parts.Missing as missing:
        cannot_be_had("a part of the benchmark", str(missing))
    assert [each.connections for each in found.rounds] == list(costs.CONNECTIONS)
    assert all(each.rate > 0 and each.stretch >= 1 and each.writer_stretch >= 1 for each in found.rounds)
    assert min(found.reactor, found.writer, found.worker, found.holder, found.holder_writer, found.sync) > 0
    assert found.content_octets > found.packet_octets
    assert 2000 < found.message_octets < 50_000


def test_traffic_is_what_the_page_says():
    assert sizing.PROVINCE.messages == 3_200_000
    assert sizing.PROVINCE.day == 12_800
    assert sizing.PROVINCE.peak == pytest.approx(12_800 * 2 / 5 / 3600)
    assert sizing.COUNTRY.messages == 34 * sizing.PROVINCE.messages
    assert sizing.NATION.day == sizing.NATION_DOCUMENTS.day == 100e6
    assert sizing.NATION_DOCUMENTS.large == 0.25


def test_a_place_has_as_many_hubs_as_keep_their_shares_free():
    kept = costs.read_costs()
    for traffic in sizing.PLACES:
        need = sizing.find_need(kept, traffic, messages=300)
        assert need.rate * need.hubs == pytest.approx(traffic.peak)
        node = sizing.make_node(kept, workers=need.workers, traffic=traffic)
        assert need.rate <= sizing.find_most(node)
        assert need.outcome.cores <= sizing.USED
        assert need.rate * sizing.find_load(kept, node) / need.cores <= sizing.USED


def test_a_province_needs_one_small_hub():
    need = sizing.find_need(costs.read_costs(), sizing.PROVINCE, messages=500)
    assert (need.hubs, need.cores, need.workers) == (1, 2, 1)
    assert need.outcome.cores < 0.1


def test_a_measured_round_is_simulated_with_its_callers_and_its_stretch():
    kept = costs.read_costs()
    slow = attrs.evolve(kept.rounds[-1], stretch=2.0, writer_stretch=2.0)
    free = attrs.evolve(kept.rounds[-1], stretch=1.0, writer_stretch=1.0)
    found = [sizing.compare_round(kept, each, messages=600).simulated.rate for each in (slow, free)]
    assert 1.5 < found[1] / found[0] <= 2.0
