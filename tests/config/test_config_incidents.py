"""`[syslog]` and `[incidents]`: off by default; what they say is read whole or told to be wrong, all at once."""

import pytest
from click.testing import CliRunner

from hub import config
from hub.cli import lienthong
from hub.config.incidents import IncidentSettings
from hub.domain.errors import ConfigurationFault
from hub.services.incidents import IncidentClass
from tests import homes


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return homes.begin(tmp_path_factory.mktemp("made") / "tinh")


@pytest.fixture
def read(home):
    text = (home / "hub.toml").read_text()

    def said(more):
        (home / "hub.toml").write_text(text + more)
        return config.read_config(home / "hub.toml", {})

    yield said
    (home / "hub.toml").write_text(text)


def test_without_a_port_no_syslog_is_taken(read):
    assert read("").syslog is None
    assert read("").incidents == IncidentSettings()


def test_what_stands_there_is_read(read):
    found = read("""
[syslog]
port = 6514
[incidents]
element = "su-co@12345"
closed = ["Da-Xu-Ly"]
report-to = ["000.00.51.G14"]
report-from = "H55.13"
report-severity = "error"
[incidents.classes.malware]
apps = ["edr"]
facilities = ["local0"]
severity = "warning"
[incidents.classes.other]
""")
    assert (found.syslog.host, found.syslog.port) == ("127.0.0.1", 6514)
    told = found.incidents
    assert (told.rules.element, told.rules.closed) == ("su-co@12345", {"da-xu-ly"})
    assert (told.report_to, told.report_from, told.report_severity) == (("000.00.51.G14",), "H55.13", 3)
    assert told.rules.classes == (
        IncidentClass(name="malware", facilities=frozenset({"local0"}), apps=frozenset({"edr"}), severity=4),
        IncidentClass(name="other"),
    )


def test_every_mistake_is_told_at_once(read):
    with pytest.raises(ConfigurationFault) as fault:
        read("""
[syslog]
host = "10.0.0.4"
metrics = true
[incidents]
element = "a b"
report-to = ["000.00.51.G14"]
report-severity = "bad"
[incidents.classes.a]
facilities = ["local9"]
severity = "worst"
what = 1
[incidents.classes."b c"]
""")
    assert {mistake.path.removeprefix("hub.toml: ") for mistake in fault.value.mistakes} == {
        "syslog.port",
        "syslog.metrics",
        "incidents.element",
        "incidents.report-severity",
        "incidents.report-from",
        "incidents.classes.b c",
        "incidents.classes.a.facilities",
        "incidents.classes.a.severity",
        "incidents.classes.a.what",
    }


def test_the_port_is_its_own_and_on_loopback_with_sample_certificates(read):
    port = read("").soap.port
    with pytest.raises(ConfigurationFault) as fault:
        read(f"[syslog]\nport = {port}\n")
    assert [mistake.path for mistake in fault.value.mistakes] == ["hub.toml: syslog.port"]
    with pytest.raises(ConfigurationFault) as fault:
        read('[syslog]\nport = 6514\nhost = "0.0.0.0"\n')
    assert [mistake.path for mistake in fault.value.mistakes] == ["hub.toml: syslog.host"]


def test_check_tells_of_reports_that_would_not_arrive(home, read):
    read('[incidents]\nreport-to = ["H55.99", "000.00.51.G14"]\nreport-from = "H55.98"\n')
    checked = CliRunner().invoke(lienthong, ["-c", str(home / "hub.toml"), "check", "--json"])
    assert checked.exit_code == 78
    assert "incidents.report-from" in checked.output
    assert "unit-unknown: H55.99" in checked.output
