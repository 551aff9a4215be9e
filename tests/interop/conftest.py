"""Hubs that run, and toolkits that are built once for all tests."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.security.certificates import Identity
from tests.interop.building import TOOLKITS, Toolkit, jaxws_server
from tests.interop.toolkits import Caller
from tests.packets import Seal
from tests.running import RunningHub


@pytest.fixture(scope="session", params=TOOLKITS)
def toolkit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Toolkit:
    """Each toolkit, ready to start."""
    name: str = request.param
    return TOOLKITS[name](tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def java_office(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[object, ...], Path]:
    """Return how to start the office in Java, and the folder where its classes and its WSDL are."""
    scratch = tmp_path_factory.mktemp("jaxws")
    return jaxws_server(scratch), scratch


@pytest.fixture(scope="session")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], RunningHub]]:
    """Return a way to a hub that runs, one a file of tests and policy `signature` of its sample partners."""
    running: dict[tuple[str, str], RunningHub] = {}

    def of(file: str, signature: str) -> RunningHub:
        if (file, signature) not in running:
            running[file, signature] = hub = RunningHub(tmp_path_factory.mktemp(signature) / "hub")
            for partner in ("vpub", "sotttt"):
                with (hub.home / f"partners/{partner}.toml").open("a") as settings:
                    settings.write(f'\n[policy]\nsignature = "{signature}"\n')
            hub.start()
        return running[file, signature]

    yield of
    for hub in running.values():
        hub.close()


@pytest.fixture
def hub(request: pytest.FixtureRequest, hubs: Callable[[str, str], RunningHub], toolkit: Toolkit) -> RunningHub:
    """A hub that runs, and wants envelopes signed, or packets of a toolkit that does not sign envelopes."""
    return hubs(request.path.name, "message" if toolkit.signs else "packet")


@pytest.fixture
def signed(hub: RunningHub, toolkit: Toolkit) -> Callable[[bytes, str], bytes]:
    """Return a way to sign a partner's packet, by xmlsec, where the toolkit does not sign envelopes."""

    def sign(packet: bytes, partner: str) -> bytes:
        if toolkit.signs:
            return packet
        return Seal().signed(Identity.read(hub.files(partner)["key"], hub.files(partner)["certificate"]), packet)

    return sign


@pytest.fixture
def caller(hub: RunningHub, toolkit: Toolkit, tmp_path: Path) -> Iterator[Callable[..., Caller]]:
    """Return a way to start the toolkit's client as a partner."""
    with contextlib.ExitStack() as stack:

        def start(partner: str, version: str, *, believed: Path | None = None, url: str | None = None) -> Caller:
            files = hub.files(partner)
            certificate = believed or hub.home / "pki/hub.crt"
            words = (url or hub.soap, files["key"], files["certificate"], files["ca"], certificate, version)
            return stack.enter_context(Caller((*toolkit.caller, *words), tmp_path / f"{partner}.log"))

        yield start
