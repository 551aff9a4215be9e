"""The directory of a hub that nobody has used: written once by `lienthong init`, because keys take their time, and copied for each test."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner

from hub.cli import lienthong


def begin(home: Path) -> Path:
    """Make the directory *home*, as `init` does, and return it."""
    shutil.copytree(Path(_written().name) / "tinh", home)
    return home


@cache
def _written() -> TemporaryDirectory[str]:  # gone when the interpreter ends
    place = TemporaryDirectory()
    home = str(Path(place.name) / "tinh")
    done = CliRunner().invoke(lienthong, ["init", home, "--soap-port", "0", "--admin-port", "0"])
    assert done.exit_code == 0, done.output
    return place
