"""Which program runs on which version of the schema: the one of the release before, beside the one of today."""

import pytest

from hub.store.schema_version import (
    MigrationPart,
    MigrationStep,
    applies_after_part,
    choose_target_version,
    is_version_supported,
    list_migration_steps,
    list_pending_migrations,
)

OLD = [MigrationStep("0008", MigrationPart.BEFORE), MigrationStep("0009", MigrationPart.BEFORE)]
NEW = [
    *OLD,
    MigrationStep("0010", MigrationPart.BEFORE),
    MigrationStep("0011", MigrationPart.BEFORE),
    MigrationStep("0012", MigrationPart.AFTER),
]
NEXT = [*NEW, MigrationStep("0013", MigrationPart.BEFORE)]


@pytest.mark.parametrize(
    ("program", "found", "least", "runs"),
    [
        (OLD, "0009", "0008", True),
        (OLD, "0008", "0008", False),  # what it needs is not there
        (OLD, None, None, False),
        (OLD, "0011", "0008", True),  # the new release has only added
        (OLD, "0012", "0012", False),  # and then taken away
        (OLD, "0013", "0012", False),
        (OLD, "0011", None, False),  # nobody wrote down what was done
        (OLD, "moved", "0008", False),  # it is no version but a mark
        (NEW, "0011", "0008", True),  # the rest is to be taken away
        (NEW, "0010", "0008", False),
        (NEW, "0012", "0012", True),
        (NEW, "0013", "0012", True),
        (NEXT, "0012", "0012", False),
        (NEXT, "0011", "0008", False),
        (NEXT, "0013", "0012", True),
    ],
)
def test_a_program_runs_where_all_is_that_it_needs(program, found, least, runs):
    assert is_version_supported(program, found, least) is runs


@pytest.mark.parametrize(
    ("program", "found", "part", "becomes"),
    [
        (NEW, "0009", "before", "0011"),
        (NEW, "0009", "after", "0012"),
        (NEW, "0009", None, "0012"),
        (NEW, "0011", "before", None),
        (NEW, "0011", "after", "0012"),
        (NEW, "0012", None, None),
        (NEW, None, None, "0012"),
        (NEXT, "0011", "before", None),  # one release at a time: first the rest of the one before
        (OLD, "0011", None, None),  # it is newer than the program
    ],
)
def test_an_upgrade_stops_before_what_takes_away_when_it_is_told_to(program, found, part, becomes):
    assert choose_target_version(program, found, part) == becomes


def test_what_takes_away_is_told_apart():
    assert not applies_after_part(NEW, "0009", "0011")
    assert applies_after_part(NEW, "0009", "0012")
    assert not applies_after_part(NEXT, "0012", "0013")


def test_every_migration_since_there_are_parts_says_its_part():
    assert {step.part for step in list_migration_steps() if step.version >= "0008"} <= {"before", "after"}
    assert [step.version for step in list_pending_migrations(list_migration_steps(), None)] == [
        step.version for step in list_migration_steps()
    ]
