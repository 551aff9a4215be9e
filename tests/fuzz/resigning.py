"""Changed documents signed anew by the partner's own key: only so is what lies behind a signature reached."""

from collections.abc import Sequence
from random import Random

import xmlsec
from lxml import etree

from tests.fuzz.changing import Trees
from tests.fuzz.identities import PARTNER
from tests.signatures import fill, forge


def trees(words: Sequence[str]) -> Trees:
    """Return how signed documents are changed; *words* mean something to the target."""
    return Trees(words=words, finish=_resigned)


def _resigned(content: bytes, random: Random) -> bytes:
    """Return *content* with every digest and value right, or the value alone; as it is when nothing in it can be signed."""
    try:
        return fill(content.decode(), PARTNER) if random.random() < 0.7 else forge(content, PARTNER)
    except (xmlsec.Error, etree.LxmlError, ValueError, AssertionError):
        return content
