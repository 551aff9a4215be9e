"""Judges a packet by rules that XML Schema 1.0 cannot say: assertions of XML Schema 1.1, which are data.

Knows xmlschema, which reads the file of the rules, and elementpath, which evaluates them (XPath 2.0). Does not know any
rule, or who is judged: only packets of partners with the profile `strict` come here, and never in a turn of the reactor.
"""

import time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, cast

import attrs
import elementpath
from elementpath import ElementPathError, XPath2Parser, XPathContext
from lxml import etree
from xmlschema import XMLSchema11
from xmlschema.exceptions import XMLSchemaException

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import Problem
from hub.domain.turns import leave_turn
from hub.edxml.schema import QCVN
from hub.formats import xsd_schemas
from hub.language.languages import Language
from hub.language.phrases import SaidText, phrase, verbatim

#: The most elements of a packet that the rules are asked about: 0.1 s of a core. One with more departs from the standard.
ELEMENTS = 20_000
#: The most seconds of CPU. It is looked at before each rule.
SECONDS = 0.3
_LOADING = Lock()
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@attrs.frozen(eq=False)
class StrictRule:
    """One assertion."""

    name: str
    code: str  #: of the refusal, such as `R.MessageHeader.DueDate`
    said: SaidText  #: what is wrong where it does not hold, and what to do
    test: Any = attrs.field(repr=False)  #: the XPath 2.0, parsed


def find_broken_rules(root: etree._Element, *, is_status: bool) -> tuple[Problem, ...]:
    """Return the rules that the packet under *root* breaks; its attachments may be left out of the tree.

    Raises NeedsThread in a turn of the reactor.
    """
    leave_turn()
    with _LOADING:  # two threads would load them twice, and the library its own schemas at once
        rules = load_strict_rules("status" if is_status else "document")
    count = sum(1 for _each in root.iter("*"))
    if count > ELEMENTS:
        detail = phrase("{count} elements; at most {most} are judged", count=count, most=ELEMENTS)
        return (Problem("R.edXML", detail),)
    tree = elementpath.get_node_tree(cast("Any", root))
    until = time.thread_time() + SECONDS
    broken: list[Problem] = []
    for rule in rules:
        if time.thread_time() > until:
            return (*broken, Problem("R.edXML", phrase("judging it took too long; not all rules were judged")))
        if not _rule_holds(rule, tree):
            name = rule.code.rpartition(".")[2]
            place = next(root.iter(f"{{{QCVN}}}{name}"), root)
            broken.append(Problem(rule.code, phrase("line {line}: {reason}", line=place.sourceline, reason=rule.said)))
    return tuple(broken)


def _rule_holds(rule: StrictRule, tree: Any) -> bool:
    """Tell whether *rule* holds. One that cannot be evaluated does not hold (XML Schema 1.1 part 1, 3.13.4.1)."""
    try:
        return bool(rule.test.boolean_value(list(rule.test.select(XPathContext(tree)))))
    except (ElementPathError, ValueError, ArithmeticError):
        return False


@cache
def load_strict_rules(kind: str, folder: Path | None = None) -> tuple[StrictRule, ...]:
    """Return the rules of *kind*, `document` or `status`, from the file `KIND-rules.xsd` in *folder*; None: the hub's.

    Raises ConfigurationFault if the file is no XML Schema 1.1, or a rule has no code or lacks a sentence.
    """
    path = (folder or xsd_schemas.find_schema_root() / "xsd/qcvn102/strict") / f"{kind}-rules.xsd"
    try:
        schema = XMLSchema11(str(path), allow="sandbox", base_url=str(path.parent), defuse="always")
        packet = schema.elements["edXML"]
        parser = XPath2Parser(namespaces={"xs": "http://www.w3.org/2001/XMLSchema"}, default_namespace=QCVN)
        return tuple(_read_rule(path, each, parser) for each in cast("Any", packet.type).assertions)
    except (XMLSchemaException, ElementPathError, KeyError, OSError) as error:
        raise _make_unfit_fault(path, str(error)) from error


def _read_rule(path: Path, found: Any, parser: Any) -> StrictRule:
    name, annotation = found.elem.get("id", ""), found.annotation
    code = "".join("".join(each.itertext()) for each in annotation.appinfo).strip() if annotation else ""
    said = {
        each.get(_XML_LANG): " ".join("".join(each.itertext()).split())
        for each in annotation.documentation
        if annotation
    }
    if not code or not all(said.get(language) for language in Language):
        raise _make_unfit_fault(path, f"{name}: no code, or no sentence in a language")
    return StrictRule(name, code, SaidText(english=said["en"], vietnamese=said["vi"]), parser.parse(found.path))


def _make_unfit_fault(path: Path, why: str) -> ConfigurationFault:
    return ConfigurationFault([Mistake(path.name, verbatim(why[:300]), phrase("assertions of XML Schema 1.1"))])
