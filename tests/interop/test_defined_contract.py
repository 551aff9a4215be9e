"""The generated WSDL of a service that the configuration defines, read by the toolkits of Java and PHP."""

import subprocess
from pathlib import Path

import pytest

from hub import config
from hub.services.defined import load_defined_contract
from tests import homes
from tests.interop import building
from tests.services import test_defined_services as guide
from tests.services import test_work_items as work
from tests.waiting import PROGRAM

pytestmark = pytest.mark.slow

#: Prints the functions that PHP makes of a WSDL.
FUNCTIONS = 'echo implode("\\n", (new SoapClient($argv[1]))->__getFunctions());'


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the contracts of two services: one with a namespace of its own, one with that of the answers."""
    place = tmp_path_factory.mktemp("contracts")
    home = guide.define(homes.begin(place / "tinh"))
    guide.define(home, work.SETTINGS, work.XSD, work.FORM, name="work")
    for name, defined in config.read_config(home / "hub.toml").services.items():
        contract = load_defined_contract(defined)
        (place / f"{name}.wsdl").write_bytes(contract.wsdl(f"https://truc.example.vn/soap/{name}", "./"))
        for each in contract.schema_names:
            (place / each).write_bytes(contract.xsd(each))
    return place


@pytest.mark.parametrize(("service", "operation"), [("phananh", "GuiPhanAnh"), ("work", "SubmitWorkItems")])
def test_php_and_java_make_the_operation_of_it(contracts: Path, service: str, operation: str, tmp_path: Path) -> None:
    php = [str(word) for word in building.find_php()]
    told = subprocess.run(
        [*php, "-r", FUNCTIONS, str(contracts / f"{service}.wsdl")],
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM,
    ).stdout
    assert told.splitlines() == [f"SubmissionAnswer {operation}({operation} $parameters)"] * 2, "SOAP 1.1 and 1.2"
    building.need("wsimport", package="jaxws")
    building.run(
        "wsimport", "-Xnocompile", "-quiet", "-extension", "-d", tmp_path, contracts / f"{service}.wsdl", where=tmp_path
    )
    made = {path.stem: path.read_text("utf-8") for path in tmp_path.rglob("*.java")}
    assert f" {operation[0].lower()}{operation[1:]}(" in made["Port"]
