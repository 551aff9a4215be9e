"""What may stand in XML wherever anything may: elements in every crowd, with every number of namespaces around them.  Knows no reader."""

from collections.abc import Mapping

from hub.formats.safe_xml import LIMITS

#: What `fill` knows.
DIMENSIONS: dict[str, int | None] = {
    "elements": None,
    "depth": 50,
    "scoped": 40,  # namespaces declared around the elements
    "declared": 30,  # namespaces that each element declares itself
    "attributes": LIMITS.attributes - 32,  # of each element
    "attribute_length": None,
    "name_length": LIMITS.name - 8,
    "names": LIMITS.names - 200,  # different ones
    "text_length": None,  # of each element
    "references": None,  # to characters
    "comments": None,
    "sections": None,  # CDATA
    "ids": None,
}
_EACH = 30  #: namespaces that one of the elements around declares


def fill(counts: Mapping[str, int]) -> str:
    """Return elements as *counts* says."""
    have = {name: counts.get(name, 0) for name in DIMENSIONS} | {"elements": counts.get("elements", 1)}
    name = "a" * max(1, have["name_length"])
    own = "".join(f' xmlns:o{number}="o:{number}"' for number in range(have["declared"]))
    given = "".join(f' b{number:02}=""' for number in reversed(range(have["attributes"])))
    long = f' long="{"x" * have["attribute_length"]}"' if have["attribute_length"] else ""
    text = "x" * have["text_length"]
    one = f"<{name}{own}{given}>{text}</{name}>" if text else f"<{name}{own}{given}/>"
    inner = "".join(
        (
            one * have["elements"],
            "".join(f"<n{number}/>" for number in range(have["names"])),
            "".join(f'<i Id="{number}"/>' for number in range(have["ids"])),
            "<!---->" * have["comments"],
            "<![CDATA[]]>" * have["sections"],
            "&#9;" * have["references"],
        )
    )
    rest, layers = have["scoped"], []
    while rest > 0:
        layers.append("".join(f' xmlns:s{rest - number}="s:{rest - number}"' for number in range(min(_EACH, rest))))
        rest -= _EACH
    layers += [""] * (max(1, have["depth"]) - len(layers))
    return (
        "".join(f"<w{layer}>" for layer in layers[:-1])
        + f"<w{layers[-1]}{long}>{inner}</w>"
        + "</w>" * (len(layers) - 1)
    )
