"""Signed SOAP envelopes: what the Header, the signature and the Body may hold."""

from collections.abc import Mapping

from lxml import etree

from hub.security import xmldsig
from hub.soap import documents_requests
from tests.costs import filling, stage
from tests.packets import document
from tests.signatures import EXCLUSIVE, INCLUSIVE, Layout, c14n

DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "blocks": 64,  # of the Header
    "signed": xmldsig.MOST_REFERENCES - 2,  # of the blocks
    "prefixes": xmldsig.MOST_PREFIXES,
    "tokens": None,
    "children": 10_000,  # of the operation's element
    "space": None,  # in the message id
}
FILLER = "elements"
FORMS = {
    "place": ("block", "body", "operation", "security", "key_info", "signed"),
    "transform": ("plain", "listed", "inclusive"),
}
WORST = [
    ({"scoped": 40}, {"place": "block", "transform": "inclusive"}),
    ({"scoped": 40, "signed": 1}, {"place": "signed", "transform": "inclusive"}),
    ({"scoped": 19, "signed": 28, "elements": 60_000}, {"place": "signed", "transform": "inclusive"}),
    ({"prefixes": 32, "depth": 50, "signed": 1, "elements": 30_000}, {"place": "signed", "transform": "listed"}),
    ({"prefixes": 32, "depth": 50, "scoped": 15, "signed": 1}, {"place": "signed", "transform": "listed"}),
    ({"prefixes": 32, "depth": 50, "signed": 1}, {"place": "signed", "transform": "listed"}),
    ({"blocks": 30, "signed": 28, "ids": 3000}, {"place": "signed", "transform": "plain"}),
    ({"children": 4000, "ids": 3000}, {"place": "operation", "transform": "plain"}),
    ({"attributes": 30, "signed": 1}, {"place": "signed", "transform": "inclusive"}),
    ({"declared": 30, "signed": 1}, {"place": "signed", "transform": "plain"}),
]
_OPERATION = etree.tostring(
    documents_requests.build_call_element(documents_requests.SendDocument(document(), "m-1"))
).decode()


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    transforms = {
        "plain": c14n(),
        "listed": c14n(EXCLUSIVE, " ".join(f"s{number + 1}" for number in range(counts.get("prefixes", 20)))),
        "inclusive": c14n(INCLUSIVE),
    }[form["transform"]]
    many = counts.get("signed", 0)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    place = form["place"]
    blocks = [f'<h wsu:Id="h{number}"/>' for number in range(many)]
    if place == "signed" and many:  # shared out among them
        less = {
            name: count // many if filling.DIMENSIONS[name] is None else count
            for name, count in counts.items()
            if name in filling.DIMENSIONS
        }
        blocks = [f'<h wsu:Id="h{number}">{filling.fill(less)}</h>' for number in range(many)]
    content = (
        _OPERATION.replace("</", "<x/>" * counts.get("children", 0) + "</", 1) if "children" in counts else _OPERATION
    )
    content = content.replace(">m-1<", f">{' ' * counts.get('space', 0)}m-1<")
    if place == "operation":
        content = content.replace("</SendDocument>", f"{filled}</SendDocument>")
    layout = Layout(
        references=(("#TS", c14n()), ("#B", transforms), *((f"#h{number}", transforms) for number in range(many))),
        headers="<h/>" * counts.get("blocks", 0)
        + "".join(blocks)
        + (filled if place == "block" or (place == "signed" and not many) else ""),
        content=filled if place == "body" and filled else content,
        key_info=Layout().key_info + (filled if place == "key_info" else ""),
    )
    written = layout.template(stage.ME.token)
    more = "<wsse:BinarySecurityToken/>" * counts.get("tokens", 0) + (filled if place == "security" else "")
    return written.replace("</wsse:Security>", f"{more}</wsse:Security>").encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return stage.sign(content)


def read(content: bytes) -> None:
    stage.open_call(content)
