"""The attacker against a fresh hub: nothing that no honest key signed is accepted, and nothing breaks.

What it fires and how it judges is in the files beside; it shares no code with the hub or with any other test.
"""

import random
import time

import pytest

from tests.attacker import __main__ as attacker
from tests.attacker import campaign as campaigns
from tests.attacker.honest import call
from tests.attacker.stage import fresh

BUDGET = 45  # seconds in which a sample is fired; it ends early, never late


def test_every_attack_says_where_it_comes_from_and_what_acceptance_means():
    attacks = attacker.systematic()
    assert len(attacks) > 2500
    for attack in attacks:
        assert attack.source, attack.name
        assert attack.wins, attack.name
    assert len({(attack.family, attack.name, attack.form, attack.role) for attack in attacks}) == len(attacks)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_sample():
    def chosen():
        return [attack.name for attack in attacker.sample(attacker.systematic(), 0.1, random.Random(5))]

    assert chosen() == chosen()


@pytest.mark.slow
def test_no_attack_of_the_literature_gets_in(tmp_path, capsys):
    with fresh(tmp_path) as campaign:
        begun = time.monotonic()
        attacker.wage(campaign, seed=20261124, share=0.12, mixed=1500, until=begun + BUDGET)
        told = attacker.report(campaign, 20261124, time.monotonic() - begun)
    with capsys.disabled():
        print(f"\n{told}")
    assert not campaign.findings, told
    assert campaign.audits, "the journal was never looked at"
    fired = {family for family, tally in campaign.tally.items() if tally["variants"]}
    assert fired >= {
        "wrapping-moved",
        "forgeries",
        "keys",
        "packet-packet",
        "doctypes",
        "clocks",
        "access",
        "framing",
    }, told


@pytest.mark.slow
def test_the_judge_sees_what_got_in(tmp_path):
    """A judge that never convicts would be worth nothing: it is shown messages that must strike it."""
    accepted = campaigns.Attack(
        "judge", "honest, said to be an attack", "-", "-", lambda case: campaigns.Shot(case.base)
    )
    other = campaigns.Attack(
        "judge",
        "other bytes than the honest",
        "-",
        "-",
        lambda case: campaigns.Shot(case.message(case.evil)),
        campaigns.SAME,
    )

    def confirmed(case):
        campaign, recipient = case.campaign, case.role("recipient")
        target = min(campaign.known)
        campaign.document(target)
        campaign.ask(recipient, call("ConfirmReceived", DocumentId=target), "ConfirmReceived")
        return campaigns.Shot(case.base, expect=campaigns.SAME)

    gone = campaigns.Attack("judge", "a document is confirmed by the way", "-", "-", confirmed)
    with fresh(tmp_path) as campaign:
        for attack, expected in (
            (accepted, "carried out"),
            (other, "bytes that nobody signed"),
            (gone, "no longer wait"),
        ):
            campaign.findings.clear()
            campaign.run(attack)
            assert any(expected in finding.what for finding in campaign.findings), attack.name
        campaign.findings.clear()
        campaign.audit()
        assert any("the journal holds" in finding.what for finding in campaign.findings)


@pytest.mark.soak
def test_no_attack_gets_in_however_long(tmp_path, capsys):
    """Every systematic attack and thousands of mixtures, with seeds by chance, which the report names."""
    seed = random.SystemRandom().randrange(10**6)
    with fresh(tmp_path) as campaign:
        begun = time.monotonic()
        attacker.wage(campaign, seed=seed, mixed=10_000)
        told = attacker.report(campaign, seed, time.monotonic() - begun)
    with capsys.disabled():
        print(f"\n{told}")
    assert not campaign.findings, told
