"""What a partner's entry wants of its mapping: `check` and a reload say what the mapping has no steps for."""

from datetime import timedelta

import pytest

from hub.config import Partner
from hub.domain.model import Receive
from hub.node.consistency import judge_mapping
from hub.partner.policy import Policy
from tests.adapters.test_soap_partner import SEND, terms

ASKING = (
    '[[ask.VerifyCitizen]]\noperation = "XacThuc"\n[ask.VerifyCitizen.input]\n"soDinhDanh" = "1"\n"hoVaTen" = "A"\n'
)


@pytest.mark.parametrize(
    ("mapping", "entry", "wrong"),
    [
        (SEND, {"receive": Receive.PUSH}, ()),
        (ASKING, {"lookups": ("VerifyCitizen",)}, ()),
        (ASKING, {"receive": Receive.PUSH}, ("receive: the mapping has no [[deliver]]",)),
        (SEND, {"policy": Policy(collect=timedelta(minutes=1))}, ("policy.collect: the mapping has no [[collect]]",)),
        (
            ASKING,
            {"lookups": ("VerifyCitizen", "LookupCategory")},
            ("lookups: the mapping has no [[ask.LookupCategory]]",),
        ),
    ],
)
def test_what_the_mapping_has_no_steps_for_is_a_mistake(mapping, entry, wrong):
    said = terms(mapping)
    partner = Partner(
        code="bo", name="Bộ", certificates=(), adapter="soap", settings=said.settings, files=said.files, **entry
    )
    assert tuple(f"{each.path.partition(': ')[2]}: {each.wrong}" for each in judge_mapping(partner)) == wrong
