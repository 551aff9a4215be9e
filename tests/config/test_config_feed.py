"""[feed] and metrics: where events are published, read whole, its mistakes named, its password never said."""

import shutil
from pathlib import Path

import pytest

from hub.config import Config, describe_config_changes, read_config
from hub.config.feed import BrokerPlace
from hub.domain.errors import ConfigurationFault, Mistake
from hub.node import init_province
from tests.pages import DOCS, fenced
from tests.pki import NOW
from tests.words import in_vietnamese

TLS = 'url = "amqps://hub@mq.example/tinh"\npassword-file = "secret"\nca = "pki/ca.crt"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that `init` wrote, with a password."""
    home = tmp_path_factory.mktemp("made") / "tinh"
    init_province.write_province(home, init_province.ProvincePorts(8443, 8444, 9001, 9002), NOW)
    (home / "secret").write_text("geheim\n")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "tinh"))


def with_feed(home: Path, lines: str, **environment: str) -> Config:
    path = home / "hub.toml"
    path.write_text(path.read_text("utf-8") + "\n[feed]\n" + lines, "utf-8")
    return read_config(path, environment)


def mistakes_with(home: Path, lines: str) -> list[Mistake]:
    with pytest.raises(ConfigurationFault) as caught:
        with_feed(home, lines)
    return list(caught.value.mistakes)


def test_without_a_url_nothing_is_published_and_metrics_are_off(home: Path) -> None:
    config = read_config(home / "hub.toml", {})
    assert (config.feed, config.admin.metrics, config.soap.metrics) == (None, False, False)


def test_a_feed_over_tls(home: Path) -> None:
    feed = with_feed(home, TLS).feed
    assert feed is not None
    assert feed.place == BrokerPlace("mq.example", 5671, tls=True, user="hub", vhost="tinh")
    assert (feed.password_file, feed.exchange, feed.waits) == (home / "secret", "lienthong", True)
    assert len(feed.authorities) == 1


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqp://me@127.0.0.1", BrokerPlace("127.0.0.1", 5672, tls=False, user="me", vhost="/")),
        ("amqp://me@localhost:5000/", BrokerPlace("localhost", 5000, tls=False, user="me", vhost="/")),
        ("amqp://me@[::1]/a%2Fb", BrokerPlace("::1", 5672, tls=False, user="me", vhost="a/b")),
        ("amqp://t%C3%A2m@127.0.0.1/%2f", BrokerPlace("127.0.0.1", 5672, tls=False, user="tâm", vhost="/")),
    ],
)
def test_a_feed_on_this_machine(home: Path, url: str, place: BrokerPlace) -> None:
    feed = with_feed(
        home, f'url = "{url}"\npassword-file = "secret"\nexchange = "tinh.su-kien"\nunrouted = "drop"\n'
    ).feed
    assert feed is not None
    assert (feed.place, feed.exchange, feed.waits) == (place, "tinh.su-kien", False)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("amqps", "amqp", "url"),  # the password would travel as it is
        ("amqps", "https", "url"),
        ("hub@", "", "url"),
        ("hub@", "hub:geheim@", "url"),
        ("mq.example", "mq.example:x", "url"),
        ("mq.example", "mq.example:0", "url"),
        ("/tinh", "/tinh/hai", "url"),
        ("/tinh", "/tinh?heartbeat=1", "url"),
        ('password-file = "secret"', "", "password-file"),
        ('"secret"', '"absent"', "password-file"),
        ('ca = "pki/ca.crt"', "", "ca"),
        ("pki/ca.crt", "pki/hub.crt", "ca"),
        ("pki/ca.crt", "pki/absent.crt", "ca"),
        ("amqps://hub@mq.example", "amqp://hub@127.0.0.1", "ca"),
        ('ca = "pki/ca.crt"', 'ca = "pki/ca.crt"\nexchange = "a b"', "exchange"),
        ('ca = "pki/ca.crt"', 'ca = "pki/ca.crt"\nunrouted = "keep"', "unrouted"),
        ('ca = "pki/ca.crt"', 'ca = "pki/ca.crt"\nqueue = "q"', "queue"),
        ('url = "amqps://hub@mq.example/tinh"', "", "url"),
    ],
)
def test_a_mistake_is_named_where_it_stands_in_both_languages_and_says_no_password(
    home: Path, old: str, new: str, key: str
) -> None:
    assert old in TLS
    (mistake,) = mistakes_with(home, TLS.replace(old, new))
    assert mistake.path == f"hub.toml: feed.{key}"
    assert in_vietnamese(mistake.wrong)
    assert in_vietnamese(mistake.expected)
    assert "geheim" not in str(mistake)


def test_metrics_are_a_truth_value_of_the_admin_port(home: Path) -> None:
    path = home / "hub.toml"
    text = path.read_text("utf-8")
    old = read_config(path, {})
    path.write_text(text.replace("[admin]\n", "[admin]\nmetrics = true\n"), "utf-8")
    assert read_config(path, {}).admin.metrics is True
    assert read_config(path, {"LIENTHONG_ADMIN_METRICS": "false"}).admin.metrics is False
    assert describe_config_changes(old, read_config(path, {})) == ["! admin"]
    for wrong in ('"yes"', "1"):
        path.write_text(text.replace("[admin]\n", f"[admin]\nmetrics = {wrong}\n"), "utf-8")
        with pytest.raises(ConfigurationFault) as caught:
            read_config(path, {})
        assert [mistake.path for mistake in caught.value.mistakes] == ["hub.toml: admin.metrics"]
    path.write_text(text.replace("[soap]\n", "[soap]\nmetrics = true\n"), "utf-8")
    with pytest.raises(ConfigurationFault):
        read_config(path, {})


def test_another_feed_waits_for_a_restart(home: Path) -> None:
    old = read_config(home / "hub.toml", {})
    assert describe_config_changes(old, with_feed(home, TLS)) == ["! feed"]


def test_what_the_page_shows_is_read(home: Path) -> None:
    (shown,) = fenced((DOCS / "howto/subscribe.md").read_text("utf-8"), "toml")
    feed, _, admin = shown.removeprefix("[feed]\n").partition("[admin]\n")
    for written, here in (("/etc/lienthong/mq-password", "secret"), ("/etc/lienthong/mq-ca.crt", "pki/ca.crt")):
        assert written in feed
        feed = feed.replace(written, here)
    assert with_feed(home, feed).feed is not None
    assert admin == "metrics = true\n"
