"""`lienthong check --connect` asks sample partners, each a process of its own, whether they take the hub's secrets."""

from contextlib import ExitStack

import pytest

from lienthong_demo.protocol.notebook import read_notebook
from tests.offices import opened

pytestmark = pytest.mark.slow

PARTNER = """
adapter = "{name}"
url = "{url}{path}"
receive = "push"
calls = []
policy = {{transport = "plain", timeout = "{timeout}"}}
[settings]
{texts}
"""
PATHS = {"ngsp": "", "lgsp": "", "wso2": "/truclienthong/v1.0.0", "vxp": "/XrdAdapter/adapter"}
TEXTS = {
    "ngsp": {"token-url": "{url}/token"},
    "lgsp": {"system-id": "H37.TN", "username": "truc"},
    "wso2": {"consumer-key": "ung-dung-thai-nguyen"},
    "vxp": {"system-id": "00.55.W00"},
}
#: What each partner takes, by the names of its adapter's settings.
RIGHT = {
    "ngsp": {"client-id": "truc-lien-thong", "client-secret": "mật khẩu mẫu"},
    "lgsp": {"secret": "khoa-bi-mat", "password": "mat-khau"},
    "wso2": {"consumer-secret": "khoa-ung-dung", "unit-secret": "ma-bi-mat"},
    "vxp": {"secret": "khoa-cua-truc"},
}
WRONG = "khong-dung"


def write(hub, name, office, timeout="10s", **secrets):
    folder = hub.home / "secrets" / name
    folder.mkdir(parents=True, exist_ok=True)
    texts = {key: text.format(url=office.url) for key, text in TEXTS[name].items()}
    for key, text in (RIGHT[name] | {key.replace("_", "-"): text for key, text in secrets.items()}).items():
        (folder / key).write_text(text)
        (folder / key).chmod(0o600)
        texts[f"{key}-file"] = key
    lines = "\n".join(f'{key} = "{text}"' for key, text in texts.items())
    text = PARTNER.format(name=name, url=office.url, path=PATHS[name], timeout=timeout, texts=lines)
    (hub.home / f"partners/{name}.toml").write_text(text)


def place(name):
    """Return where it is said that a secret is not taken."""
    return f"partners/{name}.toml: " + ", ".join(f"settings.{key}-file" for key in RIGHT[name])


def check(hub, code):
    """Run the check, and return what it says of the secrets by the partner or, of mistakes, by the place."""
    told = hub.cli("check", "--connect", "--json", code=code)
    return {line.get("partner", line["path"]): line for line in told if ": settings" in line.get("path", "")}


@pytest.fixture
def offices(hub, tmp_path):
    for each in (hub.home / "partners").glob("*.toml"):  # the sample partners do not run
        kept = [line for line in each.read_text().splitlines() if not line.startswith("url")]
        each.write_text("\n".join(kept).replace('receive = "push"', 'receive = "fetch"'))
    secret = tmp_path / "vxp.secret"
    secret.write_text(RIGHT["vxp"]["secret"])
    further = {
        "lgsp": ("--login", "truc:mat-khau:"),
        "vxp": ("--system-id", "00.55.W00", "--secret-file", str(secret)),
    }
    with ExitStack() as stack:
        made = {name: stack.enter_context(opened(name, tmp_path, *further.get(name, ()))) for name in RIGHT}
        for name, office in made.items():
            write(hub, name, office)
        yield made


def test_right_and_wrong_secrets_are_told_apart_and_nothing_changes_at_the_partners(hub, offices):
    told = check(hub, 0)
    assert {code for code, line in told.items() if line["kind"] == "secret" and line["tried"]} == set(RIGHT)
    assert [len(offices[name].noted("token")) for name in ("ngsp", "lgsp", "wso2")] == [1, 1, 1]
    noted = {name: {line["what"] for line in read_notebook(office.notebook)} for name, office in offices.items()}
    assert noted == {"ngsp": {"token"}, "lgsp": {"token"}, "wso2": {"token"}, "vxp": set()}

    for secret in sorted({key for right in RIGHT.values() for key in right}):  # `secret` at two partners at once
        for name, right in RIGHT.items():
            write(hub, name, offices[name], **({secret: WRONG} if secret in right else {}))
        told = check(hub, 78)
        refused = {path for path, line in told.items() if line["kind"] == "mistake"}
        assert refused == {place(name) for name, right in RIGHT.items() if secret in right}
        assert len(told) == len(RIGHT)
    said = hub.cli("check", "--connect", code=78, text=True)
    assert WRONG not in said


def test_a_partner_that_does_not_answer_says_nothing_about_the_secret_and_keeps_nobody(hub, offices):
    write(hub, "ngsp", offices["ngsp"], timeout="1s")
    for mood, said in (("mute", offices["ngsp"].url), ("garbage", "200")):
        offices["ngsp"].mood(mood)
        told = check(hub, 69)
        assert told[place("ngsp")]["kind"] == "unreachable"
        assert said in told[place("ngsp")]["wrong"]
        assert {code for code, line in told.items() if line["kind"] == "secret"} == set(RIGHT) - {"ngsp"}
