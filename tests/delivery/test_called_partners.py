"""Partners that the hub calls in other ways than its own: over another transport, to collect, to ask, with settings and secrets."""

from pathlib import Path

import pytest

from hub.config import Config, read_config
from hub.domain.errors import ConfigurationFault, Mistake
from hub.node.consistency import find_adapter_mistakes
from tests import homes
from tests.words import in_vietnamese


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory that `init` wrote."""
    return homes.begin(tmp_path / "tinh")


def config_with(home: Path, text: str) -> Config:
    (home / "partners/axis.toml").write_text(text, "utf-8")
    return read_config(home / "hub.toml", {})


def wrong(home: Path, text: str) -> dict[str, Mistake]:
    """Return the mistakes of the partner that *text* says, which are all said in Vietnamese too."""
    try:
        mistakes = list(find_adapter_mistakes(config_with(home, text)))
    except ConfigurationFault as fault:
        mistakes = list(fault.mistakes)
    assert all(in_vietnamese(each.wrong) and in_vietnamese(each.expected) for each in mistakes), mistakes
    return {mistake.path.removeprefix("partners/axis.toml: "): mistake for mistake in mistakes}


def test_a_partner_that_is_only_collected_from_needs_a_url_and_over_plain_http_no_certificate(home: Path) -> None:
    policy = '[policy]\ntransport = "plain"\ncollect = "10s"\n'
    axis = config_with(home, f'url = "http://10.0.0.5:8080/adapter"\n{policy}').partners["axis"]
    assert axis.called
    assert axis.certificates == ()
    assert not axis.takes_documents
    assert set(wrong(home, policy)) == {"url"}


@pytest.mark.parametrize(
    ("transport", "url", "fits"),
    [
        ("mutual-tls", "https://10.0.0.5/x", True),
        ("mutual-tls", "http://10.0.0.5/x", False),
        ("tls", "https://10.0.0.5/x", True),
        ("tls", "http://10.0.0.5/x", False),
        ("plain", "http://10.0.0.5/x", True),
        ("plain", "https://10.0.0.5/x", False),
        ("plain", "file:///var/spool/out", True),
        ("plain", "file:", False),
    ],
)
def test_how_a_url_begins_must_agree_with_the_transport(home: Path, transport: str, url: str, fits: bool) -> None:
    certificates = 'certificates = ["pki/partners/vpub.crt"]\n' if transport == "mutual-tls" else ""
    (home / "partners/vpub.toml").unlink()
    said = f'url = "{url}"\n{certificates}receive = "push"\n[policy]\ntransport = "{transport}"\n'
    found = wrong(home, said)
    assert ("url" not in found) is (fits and not url.startswith("file"))  # the adapter `documents` does not write files


def test_without_transport_a_partner_still_needs_its_certificate(home: Path) -> None:
    assert set(wrong(home, 'receive = "fetch"\n')) == {"certificates"}


def test_a_secret_is_named_by_its_file_and_a_setting_that_no_adapter_reads_is_a_mistake(home: Path) -> None:
    homes.lay_secret(home, "axis", "secret", "s3cret")
    said = 'url = "http://10.0.0.5/x"\n[policy]\ntransport = "plain"\ncollect = "10s"\n[settings]\n'
    axis = config_with(home, f'{said}system-id = "00.53.W00"\nkey-file = "secret"\n').partners["axis"]
    assert (axis.settings, axis.secrets) == ({"system-id": "00.53.W00"}, {"key": "s3cret"})
    assert "s3cret" not in repr(axis)
    found = wrong(home, f'{said}system-id = "00.53.W00"\nkey-file = "secret"\n')
    assert set(found) == {"settings.key-file", "settings.system-id"}
    assert set(wrong(home, f'{said}key-file = "nowhere"\n')) == {"settings.key-file"}


def test_a_service_that_there_is_not_and_the_code_of_the_hub_itself_are_mistakes(home: Path) -> None:
    said = 'certificates = ["pki/partners/vpub.crt"]\nurl = "https://10.0.0.5/x"\nreceive = "push"\nservices = ["nothing"]\n'
    (home / "partners/vpub.toml").unlink()
    assert set(wrong(home, said)) == {"services"}
    (home / "partners/axis.toml").unlink()
    (home / "partners/hub.toml").write_text('certificates = ["pki/partners/vpub.crt"]\n', "utf-8")
    with pytest.raises(ConfigurationFault) as caught:
        read_config(home / "hub.toml", {})
    assert [mistake.path for mistake in caught.value.mistakes] == ["partners/hub.toml: "]
