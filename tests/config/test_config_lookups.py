"""`[lookups]`: what may be kept and how long, how often a unit may ask, and where the key is."""

import tomllib
from datetime import timedelta

import pytest

from hub.config import lookups
from hub.config.table import ConfigTable
from hub.domain.errors import Mistake
from hub.security import encryption


@pytest.fixture
def home(tmp_path):
    (tmp_path / "key").write_text(encryption.write_key_text(bytes(32)))
    return tmp_path


def read(home, text):
    mistakes: list[Mistake] = []
    found = lookups.read_lookup_settings(ConfigTable(tomllib.loads(text), "hub.toml", mistakes, {}, ("lookups",)), home)
    return found, [f"{each.path}: {each.wrong}" for each in mistakes]


def test_without_a_key_no_lookup_is_answered(home):
    assert read(home, "") == (None, [])


def test_public_answers_are_kept_a_while_and_nothing_else(home):
    found, mistakes = read(home, 'key-file = "key"')
    assert not mistakes
    assert found.age("LookupCategory") == timedelta(days=1)
    assert found.age("LookupEnterprise") == timedelta(hours=1)
    assert found.age("VerifyCitizen") is None
    assert set(found.quota.values()) == {1000}


def test_the_operator_says_what_the_law_allows(home):
    text = 'key-file = "key"\n[cache]\nVerifyCitizen = "10m"\nLookupEnterprise = "none"\n[quota]\nVerifyCitizen = 0\n'
    found, mistakes = read(home, text)
    assert not mistakes
    assert found.age("VerifyCitizen") == timedelta(minutes=10)
    assert found.age("LookupEnterprise") is None
    assert found.quota["VerifyCitizen"] == 0


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('key-file = "none"', "hub.toml: lookups.key-file: "),
        ('key-file = "key"\nage = "1d"', "hub.toml: lookups.age: unknown key"),
        ('[cache]\nX = "1d"', "hub.toml: lookups.cache.X: there is no operation X"),
        (
            '[cache]\nOrderPostalReturn = "1d"',
            "hub.toml: lookups.cache.OrderPostalReturn: an operation that changes something has no",
        ),
        ('[cache]\nVerifyCitizen = "31d"', "hub.toml: lookups.cache.VerifyCitizen: '31d' does not fit"),
        ('[cache]\nVerifyCitizen = "0s"', "hub.toml: lookups.cache.VerifyCitizen: '0s' does not fit"),
        ("[cache]\nVerifyCitizen = 5", "hub.toml: lookups.cache.VerifyCitizen: 5 does not fit"),
        ("[quota]\nX = 5", "hub.toml: lookups.quota.X: there is no operation X"),
        ("[quota]\nVerifyCitizen = -1", "hub.toml: lookups.quota.VerifyCitizen: -1 does not fit"),
    ],
)
def test_each_mistake_is_named_with_its_place(home, text, mistake):
    _, mistakes = read(home, text)
    assert len(mistakes) == 1
    assert mistakes[0].startswith(mistake)
