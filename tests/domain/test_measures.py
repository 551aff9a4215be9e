"""What a process counts: bounded, and handed from one process to another without loss or repetition."""

import pickle

import pytest

from hub.domain.errors import SENTENCES
from hub.domain.measures import (
    ATTEMPT_SECONDS,
    CALL_SECONDS,
    CALLS_ANSWERED,
    COMMIT_STEPS,
    DEFINED,
    MOST,
    OTHERS,
    Measures,
    name_code,
)


def test_a_value_on_a_limit_belongs_to_the_class_below_it():
    measures = Measures()
    for value in (0.0, 1.0, 1.5, 256.0, 257.0, -3.0):
        measures.observe(COMMIT_STEPS, value)
    counts = measures.read(COMMIT_STEPS)[()]
    assert counts == [3, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0.0 + 1.0 + 1.5 + 256.0 + 257.0]


def test_what_is_taken_out_and_added_elsewhere_is_counted_once():
    worker, node = Measures(), Measures()
    node.count(CALLS_ANSWERED, "vpub", "documents", "ok")
    for _ in range(2):
        worker.count(CALLS_ANSWERED, "vpub", "documents", "ok", by=2)
        worker.observe(CALL_SECONDS, 0.02, "vpub", "documents")
        node.add(pickle.loads(pickle.dumps(worker.take())))
    assert worker.take() == {}
    assert node.read(CALLS_ANSWERED) == {("vpub", "documents", "ok"): [5]}
    ((*classes, total),) = node.read(CALL_SECONDS).values()
    assert (sum(classes), total) == (2, 0.04)


def test_sets_of_labels_beyond_the_limit_are_counted_together():
    measures = Measures()
    for number in range(MOST + 50):
        measures.observe(ATTEMPT_SECONDS, 1.0, f"p{number}")
    kept = measures.read(ATTEMPT_SECONDS)
    assert len(kept) == MOST + 1
    assert sum(kept[OTHERS,][:-1]) == 50
    assert sum(kept["p0",][:-1]) == 1


def test_the_names_keep_to_the_conventions_of_prometheus():
    assert len({each.name for each in DEFINED}) == len(DEFINED)
    for each in DEFINED:
        assert each.name.startswith("lienthong_")
        assert not each.name.endswith("_total")
        assert each.help.endswith(".")
        assert list(each.limits) == sorted(set(each.limits))


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("not-yours", "not-yours"),
        ("N.From.OrganId", "N"),
        ("T.Body[2]", "T"),
        ("X.what-a-stranger-wrote", OTHERS),
        ("", OTHERS),
    ],
)
def test_a_code_becomes_a_label_of_a_short_list(code, label):
    assert name_code(code) == label
    assert {name_code(each) for each in SENTENCES} == set(SENTENCES)


def test_a_copy_does_not_change_while_it_is_written():
    measures = Measures()
    measures.count(CALLS_ANSWERED, "vpub", "documents", "ok")
    measures.observe(COMMIT_STEPS, 3)
    copied = measures.copy()
    measures.count(CALLS_ANSWERED, "vpub", "documents", "ok")
    measures.count(CALLS_ANSWERED, "sotttt", "documents", "ok")
    measures.observe(COMMIT_STEPS, 300)
    assert copied.read(CALLS_ANSWERED) == {("vpub", "documents", "ok"): [1]}
    assert sum(copied.read(COMMIT_STEPS)[()][:-1]) == 1
    assert copied.count_values() == 1 + len(COMMIT_STEPS.limits) + 2
