"""The question by which each adapter tries its secrets, with canned replies: taken, refused, garbage.  Without network."""

import json
from typing import Any

import pytest

import adapters
from hub.domain.conversations import Reply, Request, Unavailable
from hub.partner.adapter_settings import Terms
from hub.partner.secret_trials import SecretTrial, SecretTrier
from tests.pki import NOW, partner

URL = "https://partner.example.vn/api"
SECRET, WORDS = "mật-khẩu-mẫu", "lời của đối tác"


def reply(status: int, said: object = None, **headers: str) -> Reply:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Reply(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


MAPPING = b"""
[wsdl]
file = "p.wsdl"
[wsdl.sha256]
"p.wsdl" = "0000000000000000000000000000000000000000000000000000000000000000"
[security.oauth2]
url = "{settings.token-url}"
client-id = "hub"
client-secret = "{secrets.client-secret}"
[[deliver]]
operation = "Send"
[deliver.input]
"id" = "{message.id}"
"""
TOKEN = reply(200, {"access_token": "abc", "expires_in": 3600})
NO_CLIENT = reply(401, {"error": "invalid_client", "error_description": WORDS})
SETTINGS: dict[str, dict[str, str]] = {
    "ngsp": {"token-url": f"{URL}/token"},
    "lgsp": {"system-id": "H37.DN.001", "username": "truc"},
    "vxp": {"system-id": "00.55.W00"},
    "wso2": {"consumer-key": "key"},
    "mail": {"from": "a@example.vn", "user": "truc", "mailbox": "imap://mail.example.vn/INBOX"},
    "soap": {"mapping": "p/mapping.toml", "token-url": f"{URL}/token"},
}
SECRETS = {
    "ngsp": ("client-id", "client-secret"),
    "lgsp": ("secret", "password"),
    "vxp": ("secret",),
    "wso2": ("consumer-secret", "unit-secret"),
    "mail": ("password",),
    "soap": ("client-secret",),
}
#: What is asked, in order, and what is answered to it when the secrets are taken.
TAKEN = {
    "ngsp": [("POST /api/token", TOKEN)],
    "lgsp": [
        ("POST /api/v1/auth/login", reply(200, {"success": True, "data": {"token": "abc"}})),
        ("GET /api/v1/syncReceivedEdocList", reply(200, {"success": True, "data": []})),
    ],
    "vxp": [("POST /api/getReceivedEdocList", reply(200, {"status": "OK", "ErrorCode": "0", "data": []}))],
    "wso2": [("POST /token", TOKEN), ("GET /api/vanbans", reply(200, {"status": "OK", "data": []}))],
    "mail": [("POST /api", reply(235, b"2.7.0", stage="auth")), ("POST /INBOX", reply(200, b""))],
    "soap": [("POST /api/token", TOKEN)],
}
#: The same when the last answer refuses a secret.
REFUSED = {
    "ngsp": NO_CLIENT,
    "lgsp": reply(200, {"success": False, "data": {"errorCode": "15", "errorDesc": WORDS}}),
    "vxp": reply(200, {"status": "FAIL", "ErrorCode": "15", "ErrorDesc": WORDS}),
    "wso2": reply(403, {"fault": {"message": WORDS}}),
    "mail": reply(401, WORDS.encode(), text=WORDS),
    "soap": NO_CLIENT,
}
NAMES = sorted(TAKEN)


def make(name: str, url: str = URL, **settings: str) -> Any:
    secrets = {each.name: SECRET for each in adapters.list_adapter_settings(name) if each.secret}
    secrets = {each: secrets.get(each, SECRET) for each in SECRETS[name]}
    terms = Terms(
        partner="p",
        url=url,
        identity=partner("hub"),
        settings=SETTINGS[name] | settings,
        secrets=secrets,
        files={"mapping.toml": MAPPING},
    )
    return adapters.make_adapter(name, terms)


def hold(trial: SecretTrial, replies: list[Reply]) -> tuple[list[Request], object]:
    asked: list[Request] = []
    waiting = iter(replies)
    try:
        step = next(trial.conversation)
        while True:
            asked.append(step)
            step = trial.conversation.send(next(waiting))
    except StopIteration as end:
        return asked, end.value


def try_all(name: str, last: Reply) -> tuple[list[Request], Any]:
    replies = [said for _, said in TAKEN[name][:-1]]
    return hold(make(name).try_secret(NOW), [*replies, last])


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_that_is_taken_needs_a_few_requests_and_hands_nothing_over(name: str) -> None:
    adapter = make(name)
    assert isinstance(adapter, SecretTrier)
    trial = adapter.try_secret(NOW)
    assert trial is not None
    assert trial.secrets == SECRETS[name]
    asked, end = hold(trial, [said for _, said in TAKEN[name]])
    assert not isinstance(end, Unavailable), end
    said = [f"{each.method} /{each.url.split('/', 3)[3].partition('?')[0]}" for each in asked]
    assert said == [wanted for wanted, _ in TAKEN[name]]
    assert not any(each.hands_over for each in asked)
    assert len(asked) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_that_is_refused_is_a_matter_for_a_person(name: str) -> None:
    _, end = try_all(name, REFUSED[name])
    assert isinstance(end, Unavailable)
    assert end.credentials


@pytest.mark.parametrize("last", [reply(503, b"<html/>"), reply(200, b"\xff<html>", text=WORDS)], ids=["503", "page"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "mail"])
def test_an_outage_and_a_page_of_a_proxy_say_nothing_about_a_secret(name: str, last: Reply) -> None:
    _, end = try_all(name, last)
    assert isinstance(end, Unavailable)
    assert not end.credentials


@pytest.mark.parametrize(
    ("first", "refused"),
    [
        (reply(535, b"5.7.8", stage="auth"), True),
        (reply(454, b"4.7.0", stage="auth"), False),
        (reply(554, b"no", stage="greeting"), False),
    ],
)
def test_a_mail_server_that_refuses_the_sign_in_is_told_from_one_that_is_busy(first: Reply, refused: bool) -> None:
    asked, end = hold(make("mail").try_secret(NOW), [first])
    assert isinstance(end, Unavailable)
    assert end.credentials is refused
    assert [each.body for each in asked] == [b""]
    assert "Mail-From" not in dict(asked[0].headers)


def test_a_mailbox_that_is_busy_says_nothing_about_a_secret() -> None:
    _, end = try_all("mail", reply(404, b"", text=WORDS))
    assert isinstance(end, Unavailable)
    assert not end.credentials


def test_mail_that_is_only_sent_or_only_collected_signs_in_once() -> None:
    asked, end = hold(make("mail", mailbox="").try_secret(NOW), [TAKEN["mail"][0][1]])
    assert (len(asked), isinstance(end, Unavailable)) == (1, False)
    asked, end = hold(make("mail", url="").try_secret(NOW), [TAKEN["mail"][1][1]])
    assert ([each.body for each in asked], isinstance(end, Unavailable)) == ([b"NOOP"], False)


def test_a_login_that_is_refused_ends_the_trial() -> None:
    for name in ("lgsp", "wso2"):
        asked, end = hold(make(name).try_secret(NOW), [reply(401, {"message": WORDS})])
        assert isinstance(end, Unavailable)
        assert end.credentials
        assert len(asked) == 1


def test_without_a_user_there_is_no_login_to_try() -> None:
    assert make("mail", user="").try_secret(NOW) is None
    assert make("lgsp", username="").try_secret(NOW).secrets == ("secret",)


def test_a_mapping_without_a_token_has_nothing_to_try() -> None:
    before, _, rest = MAPPING.partition(b"[security.oauth2]")
    files = {"mapping.toml": before + b"[[deliver]]" + rest.partition(b"[[deliver]]")[2]}
    terms = Terms(partner="p", url=URL, identity=partner("hub"), settings=SETTINGS["soap"], files=files)
    adapter: Any = adapters.make_adapter("soap", terms)
    assert adapter.try_secret(NOW) is None
