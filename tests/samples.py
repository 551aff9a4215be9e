"""The real packets beside the project, in `../shared`.  Knows where they lie; copies nothing of them."""

from tests.conftest import ROOT, cannot_be_had

SHARED = ROOT.parent / "shared"


def edxml() -> dict[str, bytes]:
    """Return the sample packets by name; skip the test when they are not there."""
    found = {path.stem: path.read_bytes() for path in sorted((SHARED / "samples" / "edxml").glob("*.edxml"))}
    return found or cannot_be_had("the sample packets", f"there is no {SHARED.name}/samples/edxml beside the project")
