"""A schema that is written otherwise means the same: it has the same model, and judges contracts and packets alike."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Problem
from hub.edxml import packet, schema
from hub.edxml.normalise import is_normal
from hub.edxml.schema import SchemaPart, Shape, load_packet_schema
from hub.formats import safe_xml, xsd_mistakes, xsd_schemas
from hub.formats.models.schema_loading import load_schema_model
from hub.formats.models.xsd_components import derive_model
from hub.formats.models.xsd_files import gather_schema_files, gather_schema_folder
from hub.formats.models.xsd_model import ModelElement, ModelGroup, ModelValue, SchemaModel
from hub.soap import wsdl
from hub.soap.sample_calls import SampleWriter
from hub.soap.wsdl import Contract
from tests.conftest import ROOT
from tests.edxml import test_packet as packet_tests
from tests.examples import at_most
from tests.fuzz import changing
from tests.rewriting import (
    PREFIXES,
    REWRITINGS,
    Rewriting,
    extend_types,
    make_elements_local,
    make_groups,
    make_types_anonymous,
    name_types,
    read_schemas,
    refer_to_elements,
    write_extensions_out,
    write_groups_out,
    write_schemas,
)

#: Without the rules, which are XML Schema 1.1.
SCHEMAS = sorted(path for path in (ROOT / "xsd").rglob("*.xsd") if not path.stem.endswith("-rules"))
CONTRACTS = {name: wsdl.load_contract(name) for name in wsdl.list_contract_names()}
PACKETS = ROOT / "xsd/qcvn102"
#: Each at most once: xmlschema follows groups in groups fifteen deep.
STEPS = st.lists(
    st.tuples(st.sampled_from(REWRITINGS), st.integers(0, 999)), min_size=1, max_size=6, unique_by=lambda each: each[0]
)
#: A schema is built for each example: what fails is not made smaller, and its seeds are short.
EXPENSIVE = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
Steps = Sequence[tuple[Rewriting, int]]
Prefixes = tuple[str | None, str | None]


def rewrite(files: Mapping[str, bytes], steps: Steps, prefixes: Prefixes) -> dict[str, bytes]:
    trees = read_schemas(files)
    for rewriting, seed in steps:
        trees = rewriting(trees, Random(seed))
    return write_schemas(trees, *prefixes)


@contextmanager
def written(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write *files* into a folder of their own, whose schemas are forgotten with it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        for path, content in files.items():
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_bytes(content)
        try:
            yield place
        finally:
            caches: list[dict[Any, Any]] = [xsd_schemas._COMPILED.schemas, xsd_mistakes._MODELS._built]
            for known in caches:
                for built in [each for each in known if isinstance(each, Path) and each.is_relative_to(place)]:
                    del known[built]


# --- the model --------------------------------------------------------------------------------------------------------


def unfold(model: SchemaModel, element: ModelElement, inside: tuple[str, ...] = ()) -> Any:
    """Return what *model* says of *element* and of all in it, without the names of types."""
    own = attrs.evolve(element, type="")
    if element.type in inside:
        return own, inside[::-1].index(element.type)
    kind = model.type_of(element)
    attributes = sorted(
        (attrs.evolve(each, value=_sort(each.value)) for each in kind.attributes), key=lambda each: each.name
    )
    group = kind.group and _unfold_group(model, kind.group, (*inside, element.type))
    return own, kind.is_any, kind.mixed, kind.value and _sort(kind.value), attributes, kind.attribute_spaces, group


def _unfold_group(model: SchemaModel, group: ModelGroup, inside: tuple[str, ...]) -> Any:
    items: list[Any] = []
    for each in group.items:
        if isinstance(each, ModelElement):
            items.append(unfold(model, each, inside))
        else:
            items.append(_unfold_group(model, each, inside) if isinstance(each, ModelGroup) else each)
    return group.kind, group.least, group.most, items


def _sort(value: ModelValue) -> ModelValue:
    return attrs.evolve(value, patterns=tuple(sorted(value.patterns)))


@pytest.mark.parametrize("rewriting", REWRITINGS, ids=lambda each: each.__name__)
def test_each_rewriting_changes_something(rewriting: Rewriting) -> None:
    """What the properties below draw is no empty list."""
    before: dict[Rewriting, list[Rewriting]] = {
        name_types: [make_types_anonymous],
        write_extensions_out: [extend_types],
        write_groups_out: [make_groups],
        make_elements_local: [refer_to_elements],
    }
    first = [(each, 1) for each in before.get(rewriting, [])]
    files = rewrite(gather_schema_folder(PACKETS / "strict/document.xsd"), first, ("xs", None))
    assert rewrite(files, [(rewriting, 1)], ("xs", None)) != rewrite(files, [], ("xs", None))


@pytest.mark.slow
@settings(EXPENSIVE, max_examples=at_most(15))
@given(st.sampled_from(SCHEMAS), STEPS, st.sampled_from(PREFIXES))
def test_a_rewritten_schema_has_the_same_model(path: Path, steps: Steps, prefixes: Prefixes) -> None:
    files = gather_schema_folder(path)
    own, other = (
        derive_model(gather_schema_files(path.name, each.__getitem__), path.name)
        for each in (files, rewrite(files, steps, prefixes))
    )
    for tag, element in own.elements.items():
        assert unfold(other, other.elements[tag]) == unfold(own, element)


# --- contracts --------------------------------------------------------------------------------------------------------


@cache
def sample_calls(name: str) -> Sequence[bytes]:
    """Return calls and answers of a contract, and some of them changed, most of which break it."""
    contract = CONTRACTS[name]
    found = []
    for values in ({}, {"OrganId": "H55.13", "MessageId": "m-1", "Note": "x"}):
        writer = SampleWriter.of(contract, values)
        for operation in contract.operations.values():
            tags = operation.request, operation.response
            found += [etree.tostring(writer.write(etree.QName(tag).localname)) for tag in tags]
    trees = changing.Trees(words=("1", "H55.01", "QQ==", "QUJD"), blindly=0)
    changed = [trees.change(each, 20_000, seed) for seed in range(3) for each in found]
    return [*found, *(each for each in changed if _is_call(each, contract))]


_PLACE = re.compile(r"line \d+(?:, column \d+)?, [^ :]+")


def judge(contract: Contract, call: bytes) -> object:
    """Return the octets of the binary values, or the code and place of each mistake."""
    child = etree.fromstring(call)
    try:
        return [bytes(each) if isinstance(each, bytes) else each.read() for each in contract.validate(child)]
    except CallRefused as refused:
        return sorted((each.code, *_PLACE.findall(str(each.detail))[:1]) for each in refused.problems)


def _is_call(octets: bytes, contract: Contract) -> bool:
    """Tell whether *octets* call an operation or answer it. Others are refused before they are validated."""
    try:
        root = safe_xml.parse_safe_xml(octets)
    except Rejected:
        return False
    return any(root.tag in {each.request, each.response} for each in contract.operations.values())


@pytest.mark.slow
@settings(EXPENSIVE, max_examples=at_most(6))
@given(st.sampled_from(sorted(CONTRACTS)), STEPS, st.sampled_from(PREFIXES), st.randoms())
def test_a_rewritten_contract_judges_alike(name: str, steps: Steps, prefixes: Prefixes, random: Random) -> None:
    own = CONTRACTS[name]
    files = rewrite(gather_schema_folder(ROOT / f"xsd/lienthong/1/{name}.xsd"), steps, prefixes)
    with written(files) as place:
        model = load_schema_model(gather_schema_folder(place / f"{name}.xsd"), f"{name}.xsd")
        other = attrs.evolve(own, schema=place / f"{name}.xsd", model=model)
        assert other.binary == own.binary
        for call in random.sample(sample_calls(name), min(12, len(sample_calls(name)))):
            assert judge(other, call) == judge(own, call), call


# --- packets ----------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"line \d+")


@cache
def sample_packets() -> Mapping[str, Sequence[bytes]]:
    """Return packets by kind: a normal one, those that deviate, and those that are refused."""
    names = ("OrganId", "OrganName", "Priority", "Paper", "Direction", "PromulgationDate", "Subject", "Type")
    edited = [
        packet_tests.holding(base, name, text)
        for base in (packet_tests.NEW, packet_tests.STATUS)
        for name in (*names, "StatusCode", "Timestamp")
        for text in ("", "1", "x  y", "x" * 600)
        if f"{name}>".encode() in base
    ]
    refused = [content for name, (content, _) in packet_tests.REFUSED.items() if name != "too many To"]
    varied = [packet_tests.document(variation=variation) for variation, _ in packet_tests.VARIATIONS]
    found = [packet_tests.NEW, packet_tests.STATUS, packet_tests.UPDATE, *edited, *refused, *varied]
    is_status = [b"StatusCode" in each for each in found]
    return {
        kind: [each for each, status in zip(found, is_status, strict=True) if status is (kind == "status")]
        for kind in ("document", "status")
    }


def read(content: bytes, schemas: Path) -> object:
    """Return what the packet says, and the code and line of each deviation; or of each reason of its refusal."""
    try:
        found = packet.read_packet(content, schemas=schemas)
    except Rejected as rejected:
        return [_place(each) for each in rejected.problems]
    return attrs.evolve(found, deviations=()), [_place(each) for each in found.deviations]


def _place(problem: Problem) -> tuple[str, str]:
    line = _LINE.search(str(problem.detail))
    return problem.code, line[0] if line else ""


def list_parts(shape: Shape, place: str = "") -> Iterator[Any]:
    """Yield what *shape* says, of the parts below it too, but their rules of texts."""
    yield place, shape.spaces, shape.wild_rank, shape.attributes, shape.attribute_spaces
    for part in shape.parts.values():
        inside = f"{place}/{part.name}"
        yield inside, attrs.evolve(part, shape=None, rule=None), [_fits(part, text) for text in TEXTS]
        if part.shape is not None:
            yield from list_parts(part.shape, inside)


def is_normal_packet(content: bytes, packet_schema: schema.Schema) -> bool:
    root = safe_xml.parse_safe_xml(content)
    for leaf in root.iter(packet.LOADED_TAG):
        leaf.text = None
    return is_normal(root, packet_schema)


@pytest.mark.slow
@settings(EXPENSIVE, max_examples=at_most(4))
@given(STEPS, st.sampled_from(PREFIXES), st.randoms())
def test_rewritten_schemas_of_packets_judge_alike(steps: Steps, prefixes: Prefixes, random: Random) -> None:
    for kind, contents in sample_packets().items():
        files = {
            f"{profile}/{path}": content
            for profile in ("observed", "strict")
            for path, content in rewrite(
                gather_schema_folder(PACKETS / profile / f"{kind}.xsd"), steps, prefixes
            ).items()
        }
        with written(files) as place:
            own, other = (load_packet_schema.__wrapped__(kind, folder) for folder in (PACKETS, place))
            assert list(list_parts(other.root)) == list(list_parts(own.root))
            assert other.values == own.values
            assert is_normal_packet(contents[0], other)
            for content in random.sample(contents, 12):
                assert read(content, place) == read(content, PACKETS), content
            load_packet_schema.cache_clear()


TEXTS = (
    "",
    "x",
    "x  y",
    "0",
    "7",
    "01",
    "true",
    "A12",
    "H55.01",
    "2026/01/31",
    "2026/01/31 23:59:59",
    "x" * 25,
    "x" * 200,
)


def _fits(part: SchemaPart, text: str) -> bool:
    return part.rule is not None and part.rule.fits(text)
