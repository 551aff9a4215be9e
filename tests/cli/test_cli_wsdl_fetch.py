"""A WSDL is fetched from where a person said, and from nowhere else that it names itself."""

import ssl
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.cli.partner import wsdl_fetch
from hub.cli.partner.wsdl_fetch import WsdlFetcher
from hub.cli.screen import UNAVAILABLE, CommandStop
from hub.config.files import parse_certificates
from hub.domain.errors import ConfigurationFault
from hub.security.certificates import Identity
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall, serve_calls
from tests.homes import begin

Answer = tuple[int, Mapping[str, str], bytes]


@attrs.define
class Site:
    """A web server with some pages."""

    url: str
    pages: dict[str, Answer] = attrs.field(factory=dict)


def serve(context: ssl.SSLContext | None = None) -> Generator[Site]:
    def answer(call: ServerCall) -> ServerAnswer:
        status, headers, body = made.pages.get(call.target, (404, {}, b""))
        return ServerAnswer(status, body, "text/xml", headers)

    with serve_calls(answer, tls=context) as server:
        made = Site(server.url)
        yield made


@pytest.fixture
def site() -> Generator[Site]:
    yield from serve()


def fetcher(origin: str, *hosts: str, plain: bool = True, **more: Any) -> WsdlFetcher:
    return WsdlFetcher(
        origin, hosts, plain, more.get("authorities", ()), more.get("shown"), more.get("told", lambda _p, _n: None)
    )


class TestOverHttp:
    def test_a_page_is_returned_and_told(self, site: Site) -> None:
        site.pages["/a?wsdl"] = (200, {}, b"<a/>")
        told: list[tuple[str, int]] = []
        place = f"{site.url}/a?wsdl"
        assert fetcher(place, told=lambda *each: told.append(each)).fetch(place) == b"<a/>"
        assert told == [(place, 4)]

    def test_http_must_be_allowed(self, site: Site) -> None:
        site.pages["/a"] = (200, {}, b"<a/>")
        with pytest.raises(ConfigurationFault, match="allow-http"):
            fetcher(site.url, plain=False).fetch(f"{site.url}/a")

    @pytest.mark.parametrize("place", ["http://169.254.169.254/x", "http://127.0.0.1:1/x", "ftp://127.0.0.1/x"])
    def test_another_host_or_port_or_scheme_is_not_asked(self, site: Site, place: str) -> None:
        with pytest.raises(ConfigurationFault):
            fetcher(f"{site.url}/a").fetch(place)

    def test_an_address_with_a_password_is_refused_without_saying_it(self) -> None:
        place = "https://truc:bi-mat@dvc.vn/a?wsdl"
        with pytest.raises(ConfigurationFault) as refused:
            fetcher(place).fetch(place)
        assert "bi-mat" not in str(refused.value)

    def test_unless_a_person_names_it(self, site: Site) -> None:
        site.pages["/a"] = (200, {}, b"<a/>")
        assert fetcher("http://elsewhere.vn/x", "127.0.0.1").fetch(f"{site.url}/a") == b"<a/>"

    def test_a_redirect_is_judged_like_the_first_address(self, site: Site) -> None:
        site.pages["/a"] = (302, {"Location": "/b"}, b"")
        site.pages["/b"] = (200, {}, b"<b/>")
        site.pages["/c"] = (302, {"Location": "http://127.0.0.1:1/"}, b"")
        assert fetcher(site.url).fetch(f"{site.url}/a") == b"<b/>"
        with pytest.raises(ConfigurationFault):
            fetcher(site.url).fetch(f"{site.url}/c")

    def test_redirects_end(self, site: Site) -> None:
        site.pages["/a"] = (302, {"Location": "/a"}, b"")
        with pytest.raises(CommandStop) as stopped:
            fetcher(site.url).fetch(f"{site.url}/a")
        assert stopped.value.exit_code == UNAVAILABLE

    @pytest.mark.parametrize("page", ["/away", "/broken"])
    def test_what_cannot_be_had_is_unavailable(self, site: Site, page: str) -> None:
        site.pages["/broken"] = (500, {}, b"")
        with pytest.raises(CommandStop) as stopped:
            fetcher(site.url).fetch(f"{site.url}{page}")
        assert stopped.value.exit_code == UNAVAILABLE

    def test_no_more_is_read_than_a_wsdl_may_have(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsdl_fetch, "MAX_OCTETS", 100_000)
        site.pages["/a"] = (200, {}, b" " * 3_000_000)
        assert len(fetcher(site.url).fetch(f"{site.url}/a")) < 300_000

    def test_a_server_that_never_ends_is_left(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
        monkeypatch.setattr(wsdl_fetch, "_ALL", -1.0)
        monkeypatch.setenv("LC_ALL", "en")
        site.pages["/a"] = (200, {}, b"<a/>")
        with pytest.raises(CommandStop, match="no end"):
            fetcher(site.url).fetch(f"{site.url}/a")


class TestFiles:
    def test_those_beside_the_wsdl_are_read_and_no_others(self, tmp_path: Path) -> None:
        (tmp_path / "w/k").mkdir(parents=True)
        (tmp_path / "w/k/a.xsd").write_bytes(b"<a/>")
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "w/link.xsd").symlink_to(tmp_path / "secret")
        opened = fetcher(str(tmp_path / "w/main.wsdl"))
        assert opened.fetch(str(tmp_path / "w/k/a.xsd")) == b"<a/>"
        for place in ("secret", "w/../secret", "w/link.xsd"):
            with pytest.raises(ConfigurationFault):
                opened.fetch(str(tmp_path / place))

    def test_a_wsdl_from_an_address_reads_no_file(self) -> None:
        for place in ("/etc/passwd", "file:///etc/passwd"):
            with pytest.raises(ConfigurationFault):
                fetcher("https://dvc.vn/a?wsdl").fetch(place)

    def test_one_that_is_away_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CommandStop):
            fetcher(str(tmp_path / "main.wsdl")).fetch(str(tmp_path / "main.wsdl"))


class TestOverTls:
    @pytest.fixture
    def pki(self, tmp_path: Path) -> Path:
        return begin(tmp_path / "tinh") / "pki"

    @pytest.fixture
    def guarded_site(self, pki: Path) -> Generator[Site]:
        """A server that wants a certificate of its callers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "hub.crt", pki / "hub.key")
        context.load_verify_locations(pki / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        yield from serve(context)

    def test_the_hub_shows_its_certificate_if_a_person_says_so(self, pki: Path, guarded_site: Site) -> None:
        guarded_site.pages["/a?wsdl"] = (200, {}, b"<a/>")
        place, trusted = f"{guarded_site.url}/a?wsdl", parse_certificates((pki / "ca.crt").read_bytes())
        shown = Identity.read(pki / "hub.key", pki / "hub.crt")
        assert fetcher(place, plain=False, authorities=trusted, shown=shown).fetch(place) == b"<a/>"
        with pytest.raises(CommandStop):
            fetcher(place, plain=False, authorities=trusted).fetch(place)

    def test_a_server_that_nobody_vouches_for_is_not_believed(self, guarded_site: Site) -> None:
        with pytest.raises(CommandStop, match="certificate verify failed"):
            fetcher(guarded_site.url, plain=False).fetch(f"{guarded_site.url}/a?wsdl")
