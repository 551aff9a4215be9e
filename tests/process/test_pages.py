"""What the pages tell a reader to type is typed here, as it stands, in one shell a page."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from hub.node.init_province import choose_ports
from hub.store import transactions
from hub.store.tables import event
from tests import warm
from tests.conftest import ROOT, cannot_be_had
from tests.interop import building
from tests.interop.toolkits import verified_by_xmlsec1
from tests.pages import DOCS, fenced, parts, quoted, rows, sections
from tests.ports import find_free_ports
from tests.waiting import PATIENCE
from tests.warm import BIN
from tests.warm_shell import open_programs

pytestmark = pytest.mark.slow

INIT = "lienthong init tinh\n"
START = "twistd -n lienthong -c tinh/hub.toml\n"

#: Waits until the hub has its directory; its sockets are bound before.  Stops it when the page is over.
IN_THE_BACKGROUND = """
twistd -n lienthong -c tinh/hub.toml >hub.log 2>&1 &
hub=$!
trap 'kill $hub; wait $hub || echo "hub ended with $?"' EXIT
until [ -s tinh/data/hub.pid ]; do kill -0 $hub; sleep 0.1; done
"""

#: A document for the province office, which does not answer and is given up soon.
A_DEAD_LETTER = """
printf '\\n[policy]\\nfirst-retry = "50ms"\\nmax-retry = "50ms"\\ngive-up = "1s"\\n' >>tinh/partners/vpub.toml
lienthong -c tinh/hub.toml reload
sed 's/H55\\.12/@/g; s/H55\\.13/H55.12/g; s/@/H55.13/g' docs/examples/van-ban.edxml >len.edxml
lienthong -c tinh/hub.toml send len.edxml --as sotttt
until [ "$(lienthong -c tinh/hub.toml messages --delivery-state dead --count)" != 0 ]; do sleep 0.2; done
"""

#: What a CA hands out: its certificate and its list.
A_CA = "cp tinh/pki/ca.crt ca.crt\ncp tinh/pki/crl.pem ca.crl\n"

#: page -> what its reader has done before.  Each is typed in one language: tests/test_twins.py holds the commands of both
#: equal.
BEFORE = {
    "README.md": "",
    "docs/tutorial.md": "",
    "docs/howto/operate.md": INIT + A_CA,
    "docs/howto/first-partner.md": "",
    "docs/vi/howto/connect-a-partner.md": INIT + START,
    "docs/vi/howto/replay.md": INIT + START + A_DEAD_LETTER,
}


#: section of operate.md that is typed by itself: the hub's key goes into a token.
TOKEN = "A key in a token"

#: Applies what the section shows of hub.toml, and sends a document past the key in the token.
AFTER_TOKEN = """
lienthong -c tinh/hub.toml send docs/examples/van-ban.edxml --as vpub --receipt bien-nhan.xml
lienthong -c tinh/hub.toml reload
"""

#: section of connect-a-partner.md -> the language of its program, and how to set up what that needs.
PROGRAMS: dict[str, tuple[str, Callable[[Path], object] | None]] = {
    "Python": ("python", None),
    "Java": ("java", building.wss4j),
    "PHP": ("php", building.php),
    "Node": ("js", building.node),
}

#: Sends a document for the partner, then runs a program; and again with another certificate for the hub's, which must not do.
RUN = """
sed 's/H55\\.13/H55.20/g; s/SNV-VP/{section}/g' docs/examples/van-ban.edxml >cho-{section}.edxml
lienthong -c tinh/hub.toml send cho-{section}.edxml --as vpub
echo begin {section}
{run}
if (set -e; {deceived}) 2>&1; then echo {section} believed a receipt of another; exit 99; fi
echo end {section}
"""


def commands(page: Path, *titles: str) -> str:
    """Return the commands of these sections of a page, or of all but those that run a program."""
    sections = parts(page)
    chosen = titles or tuple(title for title in sections if title not in {*PROGRAMS, TOKEN})
    return "\n".join(block for title in chosen for block in fenced(sections[title], "sh"))


def typed(script: str) -> str:
    """Return *script* on free ports, the hub in the background."""
    ports = choose_ports(*find_free_ports(2))
    script = script.replace(
        "lienthong init tinh\n", f"lienthong init tinh --soap-port {ports.soap} --admin-port {ports.admin}\n"
    )
    script = script.replace(START, IN_THE_BACKGROUND)
    # right after a start, what is not compared yet is unknown, with 503
    script = re.sub(r"(https://\S+/readyz)", r"--retry 20 --retry-delay 1 \1", script)
    return re.sub(r"\b844[34]\b", lambda met: str({"8443": ports.soap, "8444": ports.admin}[met[0]]), script)


def play(script: str, place: Path, lang: str = "en_US.UTF-8") -> str:
    """Run *script* in *place*, which looks like a checkout; return what it printed."""
    for tool in ("bash", "curl", "openssl"):
        if tool in script and shutil.which(tool) is None:
            cannot_be_had(tool, "it is not installed")
    (place / "docs").symlink_to(DOCS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    with open_programs(environment | {"LANG": lang}) as env:
        process = subprocess.Popen(
            ["bash", "-eux"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=place,
            env=env,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(script, timeout=10 * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            pytest.fail(printed)
    assert process.returncode == 0, printed
    return printed


@pytest.fixture(params=BEFORE)
def played(request, tmp_path):
    """Play one page; return its name, where, and what was printed."""
    page = ROOT / request.param
    lang = "vi_VN.UTF-8" if request.param.startswith("docs/vi/") else "en_US.UTF-8"
    return request.param, tmp_path, play(typed(BEFORE[request.param] + commands(page)), tmp_path, lang)


EXPECTED = {
    "README.md": ["Everything is right.", "Accepted: ", "1 messages into den", "Wrote bao-cao.html."],
    "docs/tutorial.md": ["sender-not-allowed", "exit code 1", "new status", "delivery: delivered", "taken on"],
    "docs/howto/operate.md": ['"ready": true', "Nothing changed", "hub-backup.db: ", "Undamaged: "],
    "docs/howto/first-partner.md": [
        "Everything is right.",
        "/readyz finds everything well",
        "0 failed",
        "Accepted: ",
        "1 messages into den",
    ],
    "docs/vi/howto/connect-a-partner.md": ["partners/sotc", "1 thông điệp vào den"],
    "docs/vi/howto/replay.md": ["thôi gửi: ", "Kế hoạch: 1 lượt chuyển", "Đã xếp hàng 1 lượt chuyển."],
}


def test_a_page_can_be_typed_as_it_stands(played):
    page, place, printed = played
    for each in [*EXPECTED[page], "hub ended with 143"]:
        assert each in printed, printed
    events_are_explained(place)
    if page == "docs/tutorial.md":
        answers_are_explained(place)


def test_a_key_can_be_put_into_a_token_as_the_page_says(tmp_path):
    for tool in ("softhsm2-util", "pkcs11-tool", "certtool"):
        if shutil.which(tool) is None:
            cannot_be_had(tool, "it is not installed; Debian: apt-get install softhsm2 opensc gnutls-bin")
    page = DOCS / "howto/operate.md"
    (shown,) = fenced(parts(page)[TOKEN], "toml")
    keys = "|".join(line.split(" = ")[0] for line in shown.splitlines()[1:])
    configured = f"sed -i -E '/^({keys}) = /d' tinh/hub.toml\nsed -i '/^\\[pki\\]$/r pki.toml' tinh/hub.toml\n"
    (tmp_path / "pki.toml").write_text(shown.removeprefix("[pki]\n"))
    *before, check = fenced(parts(page)[TOKEN], "sh")
    printed = play(typed(INIT + "".join(before) + configured + check + START + AFTER_TOKEN), tmp_path)
    for each in ("Everything is right.", "Accepted: ", "Nothing changed", "hub ended with 143"):
        assert each in printed, printed
    assert verified_by_xmlsec1((tmp_path / "bien-nhan.xml").read_bytes(), tmp_path / "tinh/pki/token.crt", tmp_path)


@attrs.frozen
class Ran:
    """What the programs of connect-a-partner.md did, all at one hub."""

    place: Path
    printed: str
    missing: dict[str, str]  #: section -> why it was not run

    def of(self, section: str) -> str:
        """Return what one program printed; skip when it could not be run."""
        if section in self.missing:
            pytest.skip(self.missing[section])
        found = re.search(rf"^begin {section}$(.*)^end {section}$", self.printed, flags=re.MULTILINE | re.DOTALL)
        assert found, self.printed
        return found[1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the programs whose toolkits are there, at one hub."""
    page, place = DOCS / "howto/connect-a-partner.md", tmp_path_factory.mktemp("programs")
    found, missing = parts(page), {}
    before = [title for title in found if title.startswith(("What to", "The operator", "The partner"))]
    script = INIT + START + commands(page, *before)
    for section, (language, set_up) in PROGRAMS.items():
        (program,) = fenced(found[section], language)
        named = re.match(r"(?:#|//|<\?php //) (\w+\.\w+) URL ", program)
        assert named, "a program begins with its name"
        (place / named[1]).write_text(program, "utf-8")
        run = commands(page, section).strip()
        deceived = run.replace("tinh/pki/hub.crt", "sotc.crt")
        assert deceived != run
        try:
            if set_up is not None:
                set_up(place)
        except pytest.skip.Exception as absent:
            missing[section] = str(absent)
        else:
            script += RUN.format(section=section, run=run, deceived=deceived)
    (place / "node_modules").symlink_to(building.NODE_MODULES)
    return Ran(place, play(typed(script), place), missing)


@pytest.mark.parametrize("section", PROGRAMS)
def test_a_program_of_the_page_sends_verifies_and_fetches(ran, section):
    printed = ran.of(section)
    assert "\naccepted 0" in printed, printed
    (fetched,) = re.findall(r"^fetched (\S+)$", printed, flags=re.MULTILINE)
    assert (ran.place / f"{fetched}.edxml").read_bytes() == (ran.place / f"cho-{section}.edxml").read_bytes()
    (name,) = set(
        re.findall(
            r"bien-nhan-\w+\.xml",
            "".join(fenced(parts(DOCS / "howto/connect-a-partner.md")[section], PROGRAMS[section][0])),
        )
    )
    assert verified_by_xmlsec1((ran.place / name).read_bytes(), ran.place / "tinh/pki/hub.crt", ran.place)


def events_are_explained(place: Path) -> None:
    """Each event that really happened has the fields that the reference says, and no other."""
    fields = {}
    for row in rows(sections(DOCS / "reference/events.md")["Events"]):
        fields[quoted(row[0])[0]] = set(quoted(row[2])) | {"at", "event", "message", "delivery"}
    engine = transactions.open_journal(f"sqlite:///{place}/tinh/data/hub.db", pooled=False)
    with transactions.read_transaction(engine) as tx:
        happened = [json.loads(text) for text in tx.scalars(event.select().with_only_columns(event.c.text))]
    engine.dispose()
    for each in happened:
        assert set(each) <= fields[each["event"]], each


#: What is asked under --json, and the section that explains the answer.
ASKED = {
    "messages": "lienthong messages",
    "show ID": "lienthong show",
    "trace ID": "lienthong trace",
    "report --facts": "lienthong report facts",
    "report H55.13 2026-12 --explain received": "lienthong report facts",
    "partners list": "lienthong partners list",
    "trust list": "lienthong trust list",
    "units list": "lienthong units list",
    "db status": "lienthong db status",
    "db upgrade": "lienthong db upgrade",
    "db verify": "lienthong db verify",
    "check": "lienthong check",
}


def answers_are_explained(place: Path) -> None:
    """Each field under --json stands in the section of its command."""

    def answer(words: str) -> list[dict[str, object]]:
        command = [BIN / "lienthong", "-c", place / "tinh/hub.toml", *words.split(), "--json"]
        ran = warm.run(command)
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines()]

    page = {title: set(quoted(text)) for title, text in sections(DOCS / "reference/cli.md").items()}
    page["lienthong show"] |= page["lienthong messages"]
    page["lienthong trace"] |= set(quoted(sections(DOCS / "reference/events.md")["Events"]))
    message = next(str(row["id"]) for row in answer("messages") if row["state"] == "accepted")
    for words, section in ASKED.items():
        for row in answer(words.replace("ID", message)):
            assert set(row) - page[section] == set(), words
