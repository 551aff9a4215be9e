"""What a WSDL offers is the same, however it is written."""

import re

import pytest

from hub.domain.errors import ConfigurationFault
from hub.formats import xsd_schemas
from hub.soap import wsdl
from hub.soap.wsdl_documents import read_wsdl
from hub.soap.wsdl_operations import find_disagreements, load_offered_service, read_offered_service

ROOT = xsd_schemas.find_schema_root()


def files(name):
    return {
        "may.wsdl": (ROOT / f"wsdl/lienthong/1/{name}.wsdl").read_text("utf-8"),
        f"{name}.xsd": (ROOT / f"xsd/lienthong/1/{name}.xsd").read_text("utf-8"),
    }


def target(text: str) -> str:
    return text.partition('targetNamespace="')[2].partition('"')[0]


def with_other_prefixes(texts, name):
    text = texts["may.wsdl"]
    for number, prefix in enumerate(re.findall(r'xmlns:(\w+)="', text)):
        text = re.sub(rf"(?<![\w-])(xmlns:)?{prefix}(:|=)(?=[\w\"])", rf"\g<1>q{number}\2", text)
    assert "wsdl:operation" not in text
    return texts | {"may.wsdl": text}


def without_prefixes(texts, name):
    text = texts["may.wsdl"].replace("xmlns:wsdl=", "xmlns=")
    return texts | {"may.wsdl": re.sub(r"(</?)wsdl:", r"\1", text)}


def in_two_files(texts, name):
    text = texts["may.wsdl"]
    begin, end = text.index("<wsdl:definitions"), text.index("<wsdl:binding")
    opening = text[begin : text.index(">", begin) + 1]
    space = target(opening)
    bound = f'{opening}<wsdl:import namespace="{space}" location="chung.wsdl"/>{text[end:]}'
    return texts | {"chung.wsdl": f"{text[begin:end]}</wsdl:definitions>", "may.wsdl": bound}


def with_its_types_inside(texts, name):
    inside = re.sub(r"^<\?xml[^>]*>", "", texts[f"{name}.xsd"])
    text = re.sub(r"(?s)(<wsdl:types>).*(</wsdl:types>)", lambda found: found[1] + inside + found[2], texts["may.wsdl"])
    return {"may.wsdl": text}


def with_its_schema_included(texts, name):
    space = target(texts["may.wsdl"])
    types = f'<xsd:schema targetNamespace="{space}"><xsd:include schemaLocation="{name}.xsd"/></xsd:schema>'
    text = re.sub(r"(?s)(<wsdl:types>).*(</wsdl:types>)", lambda found: found[1] + types + found[2], texts["may.wsdl"])
    return texts | {"may.wsdl": text}


@pytest.mark.parametrize("name", wsdl.list_contract_names())
@pytest.mark.parametrize(
    "rewrite", [with_other_prefixes, without_prefixes, in_two_files, with_its_types_inside, with_its_schema_included]
)
def test_a_contract_offers_the_same_however_it_is_written(name, rewrite):
    rewritten = {file: text.encode() for file, text in rewrite(files(name), name).items()}
    assert rewritten != {file: text.encode() for file, text in files(name).items()}
    assert load_offered_service(rewritten, "may.wsdl") == wsdl.load_published_contract(name).offered


def refused(old, new):
    texts = files("mail")
    assert old in texts["may.wsdl"]
    texts["may.wsdl"] = texts["may.wsdl"].replace(old, new)
    with pytest.raises(ConfigurationFault) as fault:
        read_offered_service(read_wsdl({file: text.encode() for file, text in texts.items()}, "may.wsdl"), "may.wsdl")
    return str(fault.value)


def test_rpc_and_several_elements_are_no_operation_of_a_contract():
    assert "SubmitMailUsage is not document/literal" in refused('style="document"', 'style="rpc"')
    part = '<wsdl:part name="parameters" element="m:SubmitMailUsage"/>'
    assert "SubmitMailUsage is not document/literal" in refused(part, part + part.replace("parameters", "khac"))


def test_two_operations_with_one_request_are_told():
    offered = wsdl.load_published_contract("dossiers").offered
    twice = type(offered)(operations=(*offered.operations, offered.operations[0]), ports=offered.ports)
    assert [str(each) for each in find_disagreements(offered)] == []
    assert "two operations have one request" in [str(each) for each in find_disagreements(twice)]
