"""A release is built, installed on a clean Debian under a booted systemd, used, upgraded, removed and purged.

Takes some minutes, and the package registries: only `./dev soak` runs it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, cannot_be_had
from tests.pages import DOCS, parts, typed
from tests.release.machine import PACKAGES, BootedMachine, wait_until
from tests.releases.kept import list_releases

pytestmark = pytest.mark.soak

READY = "curl -sS --cacert /etc/lienthong/pki/ca.crt https://127.0.0.1:8444/readyz"
#: A call each 0.2 s, and how it ended.
CALLS = """
for turn in $(seq 600); do
    [ ! -e /tmp/enough ] || break
    curl -sS -o /dev/null -w '%{http_code}\\n' --max-time 200 --cacert /etc/lienthong/pki/ca.crt https://127.0.0.1:8444/healthz
    sleep 0.2
done
"""


#: Says that it listens, and prints the first datagram that arrives.
LISTENER = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("127.0.0.1", 5514))
print("listening", flush=True)
print(heard.recv(65536).decode())
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages of this checkout: `one.deb`, and `two.deb` with a later version."""
    made = tmp_path_factory.mktemp("release")
    command = [ROOT / "dev", "release", "--draft", "--to", made / "dist"]
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    [built] = made.glob("dist/*/*.deb")
    folder = made / "packages"
    folder.mkdir()
    shutil.copy(built, folder / "one.deb")
    raw = made / "raw"
    subprocess.run(["dpkg-deb", "--raw-extract", built, raw], check=True)
    control = raw / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1.1", control.read_text(), flags=re.MULTILINE))
    subprocess.run(["dpkg-deb", "-Zzstd", "-z1", "--build", raw, folder / "two.deb"], check=True)
    list_releases()[0].unpack_journal("sqlite", folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a clean Debian 13."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        cannot_be_had("a clean Debian", "it needs root and mmdebstrap; Debian: apt-get install mmdebstrap")
    made = tmp_path_factory.mktemp("debian") / "base"
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    return made


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, base: Path, packages: Path) -> Iterator[BootedMachine]:
    made = BootedMachine(base, tmp_path_factory.mktemp("machine") / "place", packages)
    yield made
    made.close()


def show(machine: BootedMachine, name: str) -> str:
    return machine.run(f"systemctl show --value -p {name} lienthong").strip()


def test_the_package_installs_and_waits_for_its_configuration(machine: BootedMachine) -> None:
    said = machine.run("dpkg -i /packages/one.deb 2>&1")
    assert "Next:  lienthong init /etc/lienthong --production" in said
    assert machine.run("systemctl is-enabled lienthong") == "enabled\n"
    assert show(machine, "ActiveState") == "inactive"


def test_systemd_there_finds_nothing_wrong_and_an_exposure_under_two(machine: BootedMachine) -> None:
    machine.run("systemd-analyze verify lienthong.service lienthong-soap.socket lienthong-admin.socket")
    machine.run("systemd-analyze security --threshold=19 lienthong.service")


def test_the_hub_starts_under_its_own_account_and_serves(machine: BootedMachine) -> None:
    machine.run("cd / && lienthong init /etc/lienthong && lienthong check && systemctl start lienthong")
    assert json.loads(machine.run(READY))["ready"] is True
    assert machine.run("stat -c %U /proc/$(systemctl show --value -p MainPID lienthong)") == "lienthong\n"
    machine.run("lienthong send /usr/share/doc/lienthong/docs/examples/van-ban.edxml --as vpub")
    assert '"form": "edoc"' in machine.run("lienthong report H55 2026-11 --format json")
    assert machine.run("find /etc/lienthong /var/lib/lienthong -not -user lienthong") == ""


def test_systemd_reloads_it_and_shows_a_reload_that_was_refused(machine: BootedMachine) -> None:
    machine.run("systemctl reload lienthong")
    served = show(machine, "StatusText")
    machine.run("echo 'colour = 1' >>/etc/lienthong/partners/vpub.toml && systemctl reload lienthong")
    assert show(machine, "StatusText") != served
    machine.run("lienthong reload", code=78)
    machine.run("sed -i '/^colour/d' /etc/lienthong/partners/vpub.toml && systemctl reload lienthong")
    assert show(machine, "StatusText") == served


def test_a_hub_that_hangs_is_started_again(machine: BootedMachine) -> None:
    drop_in(machine, "watchdog", "[Service]\\nWatchdogSec=4\\n")
    machine.run("systemctl restart lienthong")
    before = show(machine, "MainPID")
    machine.run(f"kill -STOP {before}")
    wait_until(lambda: show(machine, "ActiveState") == "active" and show(machine, "MainPID") != before, "a start")
    machine.run("rm /etc/systemd/system/lienthong.service.d/watchdog.conf && systemctl daemon-reload")


def drop_in(machine: BootedMachine, name: str, content: str, unit: str = "lienthong.service") -> None:
    folder = f"/etc/systemd/system/{unit}.d"
    machine.run(f"mkdir -p {folder} && printf '{content}' >{folder}/{name}.conf && systemctl daemon-reload")


def test_the_running_hub_backs_up_into_the_folder_of_the_page_and_tells_syslog(machine: BootedMachine) -> None:
    """The unit lets it write there because the page says how."""
    (public,) = re.findall(r"age1\w+", machine.run("cd /tmp && lienthong backup make-key khoa.txt"))
    machine.run(f"""
        printf '[backup]\nfolder = "/sao-luu/lienthong"\nrecipients = ["{public}"]\n' >>/etc/lienthong/hub.toml
        printf '[alerts.operators]\nsyslog = "udp://127.0.0.1:5514"\n' >>/etc/lienthong/hub.toml
        {typed(parts(DOCS / "howto/back-up.md")["Set up"])}
    """)
    wait_until(lambda: "yes" in machine.run("lienthong backup list"), "the backup that the hub makes at its start")
    heard = machine.start(f"timeout 60 python3 -c '{LISTENER}'")
    assert heard.stdout is not None
    assert heard.stdout.readline() == "listening\n"
    assert machine.run("lienthong alerts test").endswith("syslog: sent\n")
    told, _ = heard.communicate(timeout=120)
    assert " lienthong - test - " in told


def test_systemd_keeps_the_key_and_the_ports_also_for_workers(machine: BootedMachine) -> None:
    """The key is in a folder of root's, the ports are open before the hub runs, and a first call starts it."""
    machine.run("""
        systemctl stop lienthong
        install -d -m 0700 /etc/lienthong-keys && mv /etc/lienthong/pki/hub.key /etc/lienthong-keys/
        chown root:root /etc/lienthong-keys/hub.key
        sed -i -e '1i workers = 2' -e 's|^key = .*|key = "${CREDENTIALS_DIRECTORY}/hub.key"|' \
            -e 's/^\\[soap\\]/&\\nendpoint = "systemd:domain=INET:name=soap"/' \
            -e 's/^\\[admin\\]/&\\nendpoint = "systemd:domain=INET:name=admin"/' /etc/lienthong/hub.toml
    """)
    drop_in(machine, "key", "[Service]\\nLoadCredential=hub.key:/etc/lienthong-keys/hub.key\\n")
    for name, port in (("soap", 8443), ("admin", 8444)):
        here = f"[Socket]\\nListenStream=\\nListenStream=127.0.0.1:{port}\\n"
        drop_in(machine, "here", here, f"lienthong-{name}.socket")
    script = typed(parts(DOCS / "howto/install.md")["Ports that systemd holds"])
    assert "systemctl enable --now" in script
    machine.run(script)
    machine.run("systemctl stop lienthong")
    machine.run(READY)  # the first call starts it
    wait_until(lambda: json.loads(machine.run(READY))["ready"], "both workers")
    machine.run("lienthong check")
    sent = "sed 's/SNV-VP/SNV-HAI/' /usr/share/doc/lienthong/docs/examples/van-ban.edxml >/tmp/second.edxml"
    machine.run(f"{sent}; cd /tmp && lienthong send second.edxml --as vpub")
    assert json.loads(machine.run(READY))["reasons"]["workers"] == "ok"


def test_an_upgrade_refuses_no_call(machine: BootedMachine) -> None:
    """Calls wait while the files are exchanged."""
    calls = machine.start(CALLS)
    before = show(machine, "MainPID")
    said = machine.run("dpkg -i /packages/two.deb 2>&1", patience=600)
    assert "Setting up lienthong" in said
    wait_until(lambda: show(machine, "ActiveState") == "active", "the new version to serve")
    assert show(machine, "MainPID") != before
    machine.run("touch /tmp/enough")
    answers, _ = calls.communicate(timeout=300)
    assert set(answers.split()) == {"200"}


def test_the_next_version_is_tried_beside_the_running_one(machine: BootedMachine) -> None:
    """As docs/howto/install.md says."""
    said = typed(parts(DOCS / "howto/install.md")["Debian's package"]).partition("dpkg-deb --extract ")
    script = "".join(said[1:]).replace("lienthong_VERSION_amd64.deb", "/packages/two.deb")
    assert "--rehearse" in script
    machine.run(f"export CREDENTIALS_DIRECTORY=/run/credentials/lienthong.service\n{script}")


def test_the_commands_find_nothing_wrong_in_the_installation(machine: BootedMachine) -> None:
    said = [json.loads(line) for line in machine.run("lienthong doctor --json || true").splitlines() if line[0] == "{"]
    assert said
    wrong = [each for each in said if each["verdict"] == "failed" and each["check"] != "file-system"]  # it is in memory
    assert wrong == []


def test_a_stop_is_a_clean_end(machine: BootedMachine) -> None:
    machine.run("systemctl stop lienthong-soap.socket lienthong-admin.socket lienthong")
    assert (show(machine, "ActiveState"), show(machine, "Result")) == ("inactive", "success")


def test_removal_leaves_no_code_and_keeps_the_data(machine: BootedMachine) -> None:
    machine.run("apt-get remove -y lienthong")
    machine.run("! ls /opt/lienthong /usr/bin/lienthong 2>/dev/null")
    machine.run("test -s /etc/lienthong/data/hub.db && test -s /etc/lienthong/hub.toml && id lienthong")


def test_a_purge_leaves_nothing_but_roots_own_copy(machine: BootedMachine) -> None:
    machine.run("apt-get purge -y lienthong")
    machine.run("! ls -d /etc/lienthong /var/lib/lienthong 2>/dev/null")
    machine.run("test -s /var/backups/lienthong-*/etc/data/hub.db")
    assert machine.run("stat -c '%U %a' /var/backups/lienthong-*") == "root 700\n"
    assert machine.run("ls /etc/systemd/system/*.wants | grep -c lienthong || true").strip() == "0"


def test_the_hub_reaches_postgresql_by_its_socket_as_its_own_account(machine: BootedMachine) -> None:
    """Peer authentication sees the account through the namespace that `PrivateUsers=` makes."""
    machine.run("""
        dpkg -i /packages/one.deb
        rm -rf /etc/systemd/system/lienthong.service.d /etc/systemd/system/lienthong-*.socket.d
        systemctl daemon-reload && systemctl start postgresql@17-main
        su postgres -c 'createuser lienthong && createdb -O lienthong -E UTF8 -T template0 lienthong'
        cd / && lienthong init /etc/lienthong --database 'postgresql://lienthong@/lienthong?host=/run/postgresql'
        systemctl start lienthong
        lienthong send /usr/share/doc/lienthong/docs/examples/van-ban.edxml --as vpub
    """)
    assert json.loads(machine.run(READY))["ready"] is True


def test_the_journal_of_an_earlier_release_is_refused_until_it_is_upgraded(machine: BootedMachine) -> None:
    machine.run("""
        systemctl stop lienthong && rm -r /etc/lienthong/* && cp -r /packages/hub/. /etc/lienthong/
        chown -R lienthong:lienthong /etc/lienthong
        ! systemctl start lienthong
    """)
    assert show(machine, "ExecMainStatus") == "78"
    assert "lienthong db upgrade" in machine.run("lienthong check", code=78)
    machine.run("lienthong db upgrade --rehearse && lienthong db upgrade")
    machine.run("systemctl reset-failed lienthong && systemctl start lienthong && lienthong check")
    assert machine.run("lienthong messages --limit 1 --json").startswith("{")


#: Builds an image of the Containerfile on a base of its own, and runs it without any right. crun wants one hierarchy of cgroups.
CONTAINER = r"""
umount --lazy --recursive /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
cd "$PLACE"
limits="--ulimit nofile=$(ulimit -n):$(ulimit -n) --ulimit nproc=$(ulimit -u):$(ulimit -u)"
podman() { command podman --storage-driver=overlay --root "$PLACE/images" --runroot "$PLACE/run" "$@"; }
tar -C "$BASE" --one-file-system -c . | podman import --quiet - base
podman build --layers=false --isolation=chroot --network=host $limits --build-arg BASE=localhost/base --build-arg PACKAGE=one.deb -t hub .
run="--cgroups=disabled --network=host $limits --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"
user=$(podman run --rm $run --entrypoint /usr/bin/id localhost/hub -u)
mkdir configuration data && chown "$user" configuration data
run="$run -v $PLACE/configuration:/etc/lienthong -v $PLACE/data:/var/lib/lienthong"
podman run --rm $run --entrypoint /usr/bin/lienthong localhost/hub init /etc/lienthong --soap-port 0 --admin-port 0
podman run --detach --name hub $run localhost/hub
trap 'podman kill hub >/dev/null 2>&1 || true' EXIT
admin=$(sed -n '/^\[admin\]/,/^\[/s/^port = //p' configuration/hub.toml)
for turn in $(seq 60); do
    curl -sS --cacert configuration/pki/ca.crt "https://127.0.0.1:$admin/readyz" && break
    sleep 0.5
done
podman exec hub lienthong reload
podman stop --time 30 hub
podman inspect hub --format 'ended with {{.State.ExitCode}}'
"""


def test_the_container_serves_without_any_right_and_stops_in_order(base: Path, packages: Path, tmp_path: Path) -> None:
    if shutil.which("podman") is None or shutil.which("crun") is None:
        cannot_be_had("podman", "it is not installed; Debian: apt-get install podman buildah crun")
    shutil.copy(packages / "one.deb", tmp_path)
    shutil.copy(ROOT / "packaging/Containerfile", tmp_path)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-eu", "-o", "pipefail", "-c", CONTAINER],
        env=os.environ | {"PLACE": str(tmp_path), "BASE": str(base), "LANG": "C.UTF-8"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert '"ready": true' in done.stdout
    assert done.stdout.endswith("ended with 0\n")
