"""`lienthong check --connect` asks sample partners, each a process of its own, whether they take the hub's secrets."""

from contextlib import ExitStack

import pytest

from tests.offices import opened

pytestmark = pytest.mark.slow

HEAD = """
adapter = "{name}"
url = "{url}"
receive = "push"
calls = []
policy = {{transport = "plain", timeout = "{timeout}"}}
[settings]
"""
SETTINGS = {
    "ngsp": 'token-url = "{url}/token"\nclient-id-file = "id"\nclient-secret-file = "secret"\n',
    "lgsp": 'system-id = "H37.TN"\nsecret-file = "secret"\nusername = "truc"\npassword-file = "password"\n',
}
RIGHT = {
    "ngsp": {"id": "truc-lien-thong", "secret": "mật khẩu mẫu"},
    "lgsp": {"secret": "khoa-bi-mat", "password": "mat-khau"},
}
KEYS = {
    "ngsp": "partners/ngsp.toml: settings.client-id-file, settings.client-secret-file",
    "lgsp": "partners/lgsp.toml: settings.secret-file, settings.password-file",
}


def write(hub, name, url, timeout="10s", **secrets):
    folder = hub.home / "secrets" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (RIGHT[name] | secrets).items():
        (folder / file).write_text(text)
        (folder / file).chmod(0o600)
    text = HEAD.format(name=name, url=url, timeout=timeout) + SETTINGS[name].format(url=url)
    (hub.home / f"partners/{name}.toml").write_text(text)


def check(hub, code):
    """Run the check, and return what it says of the secrets: the lines of stdout by path."""
    told = hub.cli("check", "--connect", "--json", code=code)
    return {line["path"]: line for line in told if ": settings" in line.get("path", "")}


@pytest.fixture
def offices(hub, tmp_path):
    for each in (hub.home / "partners").glob("*.toml"):  # the sample partners do not run
        kept = [line for line in each.read_text().splitlines() if not line.startswith("url")]
        each.write_text("\n".join(kept).replace('receive = "push"', 'receive = "fetch"'))
    with ExitStack() as stack:
        yield {
            "ngsp": stack.enter_context(opened("ngsp", tmp_path)),
            "lgsp": stack.enter_context(opened("lgsp", tmp_path, "--login", "truc:mat-khau:")),
        }


def test_right_and_wrong_secrets_are_told_apart_and_nothing_changes_at_the_partners(hub, offices):
    for name, office in offices.items():
        write(hub, name, office.url)
    told = check(hub, 0)
    assert {line["partner"] for line in told.values() if line["kind"] == "secret" and line["tried"]} == {"ngsp", "lgsp"}
    assert [len(office.noted("token")) for office in offices.values()] == [1, 1]
    assert not offices["ngsp"].noted("asked")
    assert not offices["lgsp"].noted("sent")

    write(hub, "ngsp", offices["ngsp"].url, secret="sai")
    told = check(hub, 78)
    assert told[KEYS["ngsp"]]["kind"] == "mistake"
    assert told["partners/lgsp.toml: settings"]["tried"]
    for wrong in ({"secret": "sai"}, {"password": "sai"}):
        write(hub, "lgsp", offices["lgsp"].url, **wrong)
        assert check(hub, 78)[KEYS["lgsp"]]["kind"] == "mistake"
    said = hub.cli("check", "--connect", code=78, text=True)
    assert "sai" not in said


def test_a_partner_that_does_not_answer_says_nothing_about_the_secret_and_keeps_nobody(hub, offices):
    for name, office in offices.items():
        write(hub, name, office.url, timeout="1s")
    offices["ngsp"].mood("mute")
    told = check(hub, 69)
    assert told[KEYS["ngsp"]]["kind"] == "unreachable"
    assert told["partners/lgsp.toml: settings"]["tried"]
    offices["ngsp"].mood("garbage")
    told = check(hub, 69)
    assert told[KEYS["ngsp"]]["kind"] == "unreachable"
    assert "200" in told[KEYS["ngsp"]]["wrong"]
