"""A sample of each element of each contract keeps that contract."""

import pytest
from lxml import etree

from hub.soap import wsdl
from hub.soap.sample_calls import SampleWriter

CONTRACTS = {name: wsdl.load_contract(name) for name in wsdl.list_contract_names()}
ELEMENTS = [
    (name, etree.QName(tag).localname)
    for name, contract in CONTRACTS.items()
    for operation in contract.operations.values()
    for tag in (operation.request, operation.response)
]


@pytest.mark.parametrize(("contract", "element"), ELEMENTS)
@pytest.mark.parametrize("values", [{}, {"OrganId": "H55.13", "MessageId": "m-1", "Note": "x"}], ids=["bare", "full"])
def test_a_sample_keeps_its_contract(contract, element, values):
    sample = SampleWriter.of(CONTRACTS[contract], values).write(element)
    CONTRACTS[contract].validate(sample)
    assert {each.text for each in sample.iter("{*}OrganId")} <= ({values["OrganId"]} if values else {"mẫu"})


def test_an_optional_element_is_written_when_it_is_named():
    writer = SampleWriter.of(CONTRACTS["documents"], {"MessageId": "m-1"})
    assert [etree.QName(each).localname for each in writer.write("SendDocument")] == ["MessageId", "Packet"]
    writer = SampleWriter.of(CONTRACTS["documents"], {})
    assert [etree.QName(each).localname for each in writer.write("SendDocument")] == ["Packet"]


def test_an_element_that_the_contract_does_not_have_has_no_sample():
    with pytest.raises(KeyError):
        SampleWriter.of(CONTRACTS["mail"], {}).write("SendDocument")
