"""python -m tests.attacker: attacks a hub with everything in the literature, and says what got in.

Without --url it makes a hub of its own and attacks that.
"""

import argparse
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from tests.attacker import (
    clocks,
    keys,
    markup,
    mixtures,
    multipart,
    packets,
    signatures,
    strangers,
    transport,
    wrapping,
)
from tests.attacker.campaign import Attack, Campaign
from tests.attacker.honest import Identity
from tests.attacker.stage import PROGRAMS, counterfeits, fresh

SETS = {
    "wrapping": wrapping.attacks,
    "signatures": signatures.attacks,
    "keys": keys.attacks,
    "packets": packets.attacks,
    "markup": markup.attacks,
    "clocks": clocks.attacks,
    "strangers": strangers.attacks,
    "multipart": multipart.attacks,
    "transport": transport.attacks,
}


def systematic(only: Iterable[str] = ()) -> list[Attack]:
    """Every attack of the chosen sets, in the order of the literature."""
    return [attack for name, attacks in SETS.items() if not only or name in set(only) for attack in attacks()]


def sample(attacks: list[Attack], share: float, chance: random.Random) -> list[Attack]:
    """A share of the attacks, of each class at least five, the classes by turns: a run that is cut short has seen them all."""
    families: dict[str, list[Attack]] = {}
    for attack in attacks:
        families.setdefault(attack.family, []).append(attack)
    chosen = [chance.sample(each, min(len(each), max(5, round(len(each) * share)))) for each in families.values()]
    return [attack for turn in itertools.zip_longest(*chosen) for attack in turn if attack is not None]


def wage(
    campaign: Campaign,
    *,
    seed: int,
    share: float = 1.0,
    mixed: int = 300,
    only: Iterable[str] = (),
    until: float | None = None,
) -> None:
    """Systematic attacks, then mixtures; ends early only at `until` (monotonic), and the table shows what was fired."""
    chance = random.Random(seed)
    multipart.ask(campaign)
    chosen = systematic(only)
    if not only or "mixtures" in only:
        chosen += list(mixtures.attacks(chance, mixed))
    if share < 1:
        chosen = sample(chosen, share, chance)
    for number, attack in enumerate(chosen):
        if until is not None and time.monotonic() > until:
            campaign.notes.append(f"out of time after {number} of {len(chosen)} attacks")
            break
        campaign.run(attack)
        if number % 1000 == 999:
            campaign.audit()
    campaign.audit()


def report(campaign: Campaign, seed: int, seconds: float) -> str:
    """The table, the findings and what should be known about the run."""
    lines = [*campaign.table(), *campaign.notes]
    if not campaign.speaks_multipart:
        lines.append("multipart: not spoken by this hub; only that it refuses was tried")
    lines.append(
        f"seed {seed}, {seconds:.0f} s, {campaign.audits} audits of the journal, hub at most {campaign.memory()} MB"
    )
    lines += [f"FINDING {finding}" for finding in campaign.findings]
    lines.append(f"{len(campaign.findings)} findings")
    return "\n".join(lines)


def keep(campaign: Campaign, folder: Path) -> None:
    """Each finding's request in a file of its own, with what is needed to send it again."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, finding in enumerate(campaign.findings):
        (folder / f"{number:03d}.request").write_bytes(finding.request)
        facts = {"attack": finding.attack, "source": finding.source, "what": finding.what, "code": finding.code}
        (folder / f"{number:03d}.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


def role(text: str) -> tuple[str, Identity]:
    name, _, files = text.partition("=")
    key, certificate, *units = files.split(",")
    return name, Identity.read(name, Path(key), Path(certificate), units[0] if units else "")


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.attacker", description=__doc__)
    made.add_argument("--url", help="the documents service of a hub; without it a hub of its own is made and attacked")
    made.add_argument("--ca", type=Path, help="the CA of the hub's certificate, PEM")
    made.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="NAME=KEY,CERTIFICATE,UNIT",
        help="a registered partner: sender and recipient (which fetches) are needed; second, packet (signature=packet), both (signature=both), "
        "elliptic (an EC key), vxp, three (exponent 3) widen the attack",
    )
    made.add_argument(
        "--recipient-unit",
        action="append",
        default=[],
        help="a unit the recipient fetches for; the recipient's UNIT otherwise",
    )
    made.add_argument("--hub", type=Path, help="the hub's directory, for the operator's own list of messages")
    made.add_argument("--programs", type=Path, default=PROGRAMS, help="without --url: where lienthong and twistd are")
    made.add_argument(
        "--only", action="append", default=[], choices=[*SETS, "mixtures"], help="this set alone; may be repeated"
    )
    made.add_argument(
        "--share", type=float, default=1.0, help="share of the systematic attacks to fire, by chance; 1 is all"
    )
    made.add_argument("--mixed", type=int, default=300, help="how many mixtures of two or three changes")
    made.add_argument("--seed", type=int, default=None, help="of the choice and the mixtures; printed")
    made.add_argument("--seconds", type=float, default=None, help="stop after this time")
    made.add_argument("--rounds", type=int, default=1, help="wage it so often, each round with the next seed")
    made.add_argument("--findings", type=Path, help="write the request of every finding into this directory")
    made.add_argument("--list", action="store_true", help="only list the attacks, with where each comes from")
    return made


def main(words: list[str] | None = None) -> int:
    given = options().parse_args(words)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    if given.list:
        for attack in systematic(given.only):
            print(f"{attack.family}/{attack.name}\t{attack.expect}\t{attack.source}\t{attack.wins}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if given.url is None:
            with fresh(Path(folder), show=print, programs=given.programs) as campaign:
                return fight(campaign, seed, given)
        roles = dict(role(text) for text in given.role)
        ca = x509.load_pem_x509_certificate(given.ca.read_bytes())
        extras = {"counterfeits": counterfeits(Path(folder), roles["sender"], ca), "ca": ca}
        units = given.recipient_unit or [roles["recipient"].unit]
        campaign = Campaign(
            given.url, given.ca, roles, units=units, hub=given.hub, extras=extras, tag=f"atk{seed}", show=print
        )
        with contextlib.closing(campaign):
            campaign.settle()
            return fight(campaign, seed, given)


def fight(campaign: Campaign, seed: int, given: argparse.Namespace) -> int:
    begun = time.monotonic()
    until = None if given.seconds is None else begun + given.seconds
    for turn in range(given.rounds):
        wage(campaign, seed=seed + turn, share=given.share, mixed=given.mixed, only=given.only, until=until)
    print(report(campaign, seed, time.monotonic() - begun))
    if given.findings is not None:
        keep(campaign, given.findings)
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
