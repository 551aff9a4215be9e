"""The WSDLs of other toolkits that stand in the project are those that these toolkits make."""

import subprocess
from pathlib import Path

import pytest
from lxml import etree

from tests.conftest import cannot_be_had
from tests.interop import building
from tests.interop.toolkits import HERE
from tests.waiting import PROGRAM

pytestmark = pytest.mark.slow


def parts(content: bytes) -> list[bytes]:
    """Return the parts of a WSDL or schema in canonical form, comments left out: some toolkits have no order of their own."""
    root = etree.fromstring(content)
    return sorted(etree.tostring(part, method="c14n", with_comments=False).strip() for part in root.iterchildren("*"))


def test_wsgen_makes_the_same_of_the_classes(java_office: tuple[object, Path]) -> None:
    _, place = java_office
    building.wsgen(place, "VanBanDenMtomService", "-wsdl:Xsoap1.2", "-extension")
    made = {path.name: parts(path.read_bytes()) for path in place.iterdir() if path.suffix in {".wsdl", ".xsd"}}
    assert made == {path.name: parts(path.read_bytes()) for path in (HERE / "jaxws/wsdl").iterdir()}


def test_nusoap_makes_the_same_of_what_is_registered() -> None:
    php = building.find_php()
    if not Path("/usr/share/php/Econea/Nusoap/nusoap.php").exists():
        cannot_be_had("NuSOAP", "Debian: apt-get install php-econea-nusoap")
    command = [str(word) for word in (*php, HERE / "php/describe.php")]
    made = subprocess.run(command, capture_output=True, check=True, timeout=PROGRAM).stdout
    assert made == (HERE / "php/TiepNhan.wsdl").read_bytes()
