"""What an operator types to back up a hub on SQLite and to restore it, and what is refused on the way."""

import gzip
import hashlib
import io
import json
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from shutil import which

import attrs
import pytest
import sqlalchemy as sa
from click.testing import Result

from hub.config import read_config
from hub.config.durable_files import hold_workplace
from hub.domain.errors import ConfigurationFault
from hub.domain.local_time import write_local_time
from hub.journal import events, messages
from hub.keeping.backups import contents, journal_copy, making, package, shelf
from hub.keeping.backups.manifest import BackupManifest, MemberEntry
from hub.language.phrases import phrase
from hub.node.doctor import examination
from hub.node.doctor.diagnosis import DiagnosisState
from hub.runtime.pidfile import PidFileLock
from hub.security import age_files
from hub.security.age_files import PrivateKey
from hub.store import tables, transactions
from tests import homes
from tests.conftest import cannot_be_had
from tests.homes import lay_secret
from tests.province import NOW, ROUTES, document, entry
from tests.releases.kept import list_releases

pytestmark = pytest.mark.slow


@attrs.frozen
class Backed:
    """A hub with some messages and a `[backup]`, and the private key that the operator keeps elsewhere."""

    home: Path
    key: PrivateKey
    identity: Path

    def record(self, *numbers: int) -> None:
        """Let messages come in."""
        engine = homes.engine_of(self.home)
        with transactions.write_transaction(engine) as tx:
            for number in numbers:
                messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
            events.chain_events(tx)
        engine.dispose()

    def run(self, *words: object, code: int = 0, json_lines: bool = True) -> list[dict[str, object]]:
        """Type `lienthong backup` and *words*; return the lines of JSON."""
        done = self.typed(*words, *(["--json"] if json_lines else []))
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines()] if json_lines else []

    def typed(self, *words: object) -> Result:
        return homes.typing(self.home, "backup")(*map(str, words))

    def back_up(self) -> Path:
        """Make a backup and return its file."""
        (made,) = self.run("run")
        return Path(str(made["file"]))

    def configure(self, **settings: str) -> None:
        """Write `[backup]` with these values of TOML."""
        file = self.home / "hub.toml"
        kept = file.read_text("utf-8").split("\n[backup]")[0]
        values = {"folder": '"../kept"', "recipients": f'["{self.key.recipient.text}"]'} | settings
        lines = [f"{key.replace('_', '-')} = {value}" for key, value in values.items()]
        file.write_text("\n".join([kept, "[backup]", *lines, ""]), "utf-8")

    def messages(self) -> set[str]:
        """Return the ids of the messages in the journal."""
        engine = homes.engine_of(self.home)
        with transactions.read_transaction(engine) as tx:
            found = set(tx.exec_driver_sql("SELECT message_id FROM message").scalars())
        engine.dispose()
        return found


@pytest.fixture
def backed(tmp_path: Path) -> Backed:
    key = age_files.make_private_key()
    identity = tmp_path / "khoa.txt"
    identity.write_text(f"# created: today\n{key.text}\n")
    made = Backed(homes.begin(tmp_path / "tinh"), key, identity)
    made.configure()
    made.record(1, 2, 3)
    return made


def unpacked(file: Path, key: PrivateKey) -> dict[str, bytes]:
    """Return the members, as the programs age, gzip and tar show them."""
    plain = io.BytesIO()
    with file.open("rb") as source:
        age_files.decrypt_stream(source, plain, [key])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(plain.getvalue()))) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def packed(file: Path, members: dict[str, bytes], key: PrivateKey) -> None:
    """Write *members* as a backup that anybody could encrypt to the public key."""
    plain = io.BytesIO()
    with gzip.GzipFile(fileobj=plain, mode="wb") as zipped, tarfile.open(fileobj=zipped, mode="w|") as tar:
        for name, octets in members.items():
            said = tarfile.TarInfo(name)
            said.size = len(octets)
            tar.addfile(said, io.BytesIO(octets))
    with file.open("wb") as target:
        age_files.encrypt_stream(io.BytesIO(plain.getvalue()), target, [key.recipient])


# --- making


def test_a_backup_is_encrypted_signed_tried_and_listed_without_the_private_key(backed: Backed) -> None:
    (made,) = backed.run("run")
    file = Path(str(made["file"]))
    assert file.parent.resolve() == (backed.home.parent / "kept").resolve()
    assert (made["messages"], made["removed"]) == (3, [])
    assert made["tried_at"]
    octets = file.read_bytes()
    assert octets.startswith(b"age-encryption.org/v1\n")
    assert hashlib.sha256(octets).hexdigest() == made["sha256"]
    assert b"SQLite format" not in octets
    assert file.stat().st_mode & 0o077 == 0
    assert [each["file"] for each in backed.run("list")] == [str(file)]
    assert not (backed.home / "data" / making.WORK).exists(), "no plain copy is left"
    assert sorted(each.suffix for each in file.parent.iterdir()) == [".age", ".json"]


def test_people_read_its_times_in_ha_noi_and_programs_in_utc(backed: Backed) -> None:
    (made,) = backed.run("run")
    last = datetime.fromisoformat(str(made["last"]))
    assert last.utcoffset() == timedelta(0)
    told = [backed.typed("list").stdout, backed.typed("verify", made["file"], "--identity", backed.identity).stdout]
    for each in told:
        assert write_local_time(last) in each
        assert str(made["last"])[:19] not in each


def test_a_second_backup_of_the_same_second_is_refused_and_the_first_stays(
    backed: Backed, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Still":
            return cls(2026, 11, 29, tzinfo=tz)

    monkeypatch.setattr("hub.cli.db.backups.datetime", Still)
    first = backed.back_up()
    octets = first.read_bytes()
    refused = backed.typed("run")
    assert (refused.exit_code, "already exists" in refused.stderr) == (1, True)
    assert first.read_bytes() == octets


def test_the_programs_age_and_tar_read_it(backed: Backed, tmp_path: Path) -> None:
    age = which("age") or cannot_be_had("age", "the program is not installed")
    plain = subprocess.run([age, "-d", "-i", backed.identity, backed.back_up()], capture_output=True, check=True).stdout
    subprocess.run(["tar", "xzf", "-", "-C", tmp_path], input=plain, check=True)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        assert journal.execute("SELECT count(*) FROM message").fetchone() == (3,)
    place = {
        "-in": tmp_path / "manifest.p7s",
        "-content": tmp_path / "manifest.json",
        "-CAfile": backed.home / "pki/ca.crt",
    }
    words = [word for pair in place.items() for word in pair]
    openssl = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", *words]
    shown = subprocess.run(openssl, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_configuration_is_in_it_and_keys_are_only_by_choice(backed: Backed) -> None:
    members = unpacked(backed.back_up(), backed.key)
    assert members["hub/hub.toml"] == (backed.home / "hub.toml").read_bytes()
    assert "hub/partners/vpub.toml" in members
    assert "hub/pki/hub.crt" in members
    assert not [name for name in members if name.endswith(".key")]
    assert not [name for name, octets in members.items() if b"PRIVATE KEY-----" in octets]
    left = json.loads(members["manifest.json"])["left_out"]
    assert {"pki/hub.key", "pki/ca.key"} <= set(left), "what is missing is named"
    assert not [name for name in members if name.startswith("hub/data/")]
    shelf.find_last_backup(backed.home.parent / "kept").file.unlink()  # type: ignore[union-attr]
    backed.configure(keys="true")
    with_keys = unpacked(backed.back_up(), backed.key)
    assert with_keys["hub/pki/hub.key"] == (backed.home / "pki/hub.key").read_bytes()
    assert json.loads(with_keys["manifest.json"])["left_out"] == []


def test_a_secret_that_only_a_key_of_a_partner_names_is_left_out(backed: Backed) -> None:
    (backed.home / "partners/secret.txt").write_text("mat khau")
    vpub = backed.home / "partners/vpub.toml"
    vpub.write_text(vpub.read_text("utf-8") + '\n[settings]\npassword-file = "partners/secret.txt"\n', "utf-8")
    members = unpacked(backed.back_up(), backed.key)
    assert "hub/partners/secret.txt" not in members
    assert "partners/secret.txt" in json.loads(members["manifest.json"])["left_out"]


def test_the_folders_of_the_secrets_of_partners_are_left_out_whole(backed: Backed) -> None:
    for name in ("password", "password.old", "laid"):
        lay_secret(backed.home, "vpub", name, "mat khau")
    members = unpacked(backed.back_up(), backed.key)
    assert not [name for name in members if "secrets/" in name]
    assert "secrets/vpub/password.old" in json.loads(members["manifest.json"])["left_out"]


def test_a_damaged_journal_makes_no_backup_and_removes_none(backed: Backed) -> None:
    backed.configure(keep="1")
    first = backed.back_up()
    with closing(sqlite3.connect(backed.home / "data/hub.db")) as journal:
        journal.execute("UPDATE content SET octets = x'00' WHERE sha256 = (SELECT sha256 FROM message LIMIT 1)")
        journal.commit()
    refused = backed.typed("run")
    assert refused.exit_code == 1
    assert "do not match this hash" in refused.stderr
    assert [each["file"] for each in backed.run("list")] == [str(first)]
    assert len(list(first.parent.iterdir())) == 2, "nothing unfinished is left"


def test_what_was_written_is_tried_not_what_was_meant(backed: Backed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that returns other octets than were written is found by the trial."""
    write = package.write_package

    def spoilt(to: Path, *given: object) -> package.Written:
        written = write(to, *given)  # type: ignore[arg-type]
        octets = bytearray(to.read_bytes())
        octets[len(octets) // 2] ^= 1
        to.write_bytes(octets)
        return written

    monkeypatch.setattr(package, "write_package", spoilt)
    refused = backed.typed("run")
    assert refused.exit_code == 1
    assert "cannot be decrypted" in refused.stderr
    listed = backed.typed("list")
    assert listed.exit_code == 4
    assert "The last backup failed" in listed.stderr
    assert "cannot be decrypted" in listed.stderr, "as the alert and the page about it promise"
    monkeypatch.undo()
    backed.back_up()
    assert backed.typed("list").stderr == ""


def test_the_list_is_there_without_a_journal_and_before_the_first_backup(backed: Backed) -> None:
    assert backed.typed("list").exit_code == 4, "there is no folder yet"
    file = backed.back_up()
    (backed.home / "data" / "hub.db").unlink()
    listed = backed.typed("list")
    assert (listed.exit_code, str(file) in listed.stdout) == (0, True)
    assert "cannot be read" in listed.stderr


def test_only_the_newest_are_kept_and_only_after_a_new_one_was_tried(backed: Backed) -> None:
    settings = read_config(backed.home / "hub.toml").backup
    assert settings is not None
    config = read_config(backed.home / "hub.toml")
    days = [NOW.replace(day=day) for day in (20, 21, 22)]
    made = [making.make_backup(config, attrs.evolve(settings, keep=2), partial(lambda day: day, day)) for day in days]
    assert [each.removed for each in made[:2]] == [(), ()]
    assert made[2].removed == (made[0].record.file,)
    assert [each.file for each in shelf.list_backups(settings.folder)] == [made[1].record.file, made[2].record.file]
    last = shelf.find_last_backup(settings.folder)
    assert last is not None
    assert last.made_at == NOW.replace(day=22)


def test_two_backups_of_a_hub_do_not_run_at_once(backed: Backed) -> None:
    with making.hold_work_folder(backed.home / "data"):
        assert backed.typed("run").exit_code == 69


def test_a_backup_never_takes_the_room_that_the_hub_needs(backed: Backed) -> None:
    hub = backed.home / "hub.toml"
    hub.write_text(hub.read_text("utf-8").replace("\n[backup]", '\n[limits]\nfree-disk = "999999999MiB"\n[backup]'))
    refused = backed.typed("run")
    assert refused.exit_code == 1
    assert "only 0 may be used" in refused.stderr


def test_what_a_killed_backup_left_is_removed_by_the_next(backed: Backed) -> None:
    left = backed.home / "data" / making.WORK
    left.mkdir()
    (left / "journal.db").write_text("half")
    folder = backed.home.parent / "kept"
    folder.mkdir()
    with hold_workplace(folder / f"lienthong-H55-x{shelf.SUFFIX}") as place:
        pass
    place.mkdir()
    (place / "half").write_text("half")
    backed.back_up()
    assert not left.exists()
    assert len(list(folder.iterdir())) == 2


def test_a_backup_is_brought_elsewhere_and_is_not_good_if_it_cannot_be(backed: Backed, tmp_path: Path) -> None:
    there = tmp_path / "there"
    backed.configure(send=f'["cp", "{{file}}", "{there}/{{name}}"]', keep="1")
    first = backed.typed("run")
    assert first.exit_code == 1, "the place is not there"
    assert "made, but not sent" in first.stderr
    there.mkdir()
    with closing(sqlite3.connect(backed.home / "data/hub.db")) as journal:
        reason, outcome = journal.execute("SELECT reason, outcome FROM backup_run").fetchone()
    assert (outcome, "not sent" in reason) == ("failed", True)
    for each in (tmp_path / "kept").iterdir():
        each.unlink()
    file = backed.back_up()
    assert (there / file.name).read_bytes() == file.read_bytes()
    words = ("verify", there / file.name, "--identity", backed.identity)
    assert backed.run(*words)[0]["verified"] == "restored"
    assert backed.run("verify", there / file.name)[0]["verified"] == "unchanged", "its record came with it"


# --- verifying


def test_verify_restores_on_trial_with_the_key_and_compares_without_it(backed: Backed) -> None:
    file = backed.back_up()
    assert backed.run("verify", file)[0]["verified"] == "unchanged"
    assert backed.run("verify", file, "--identity", backed.identity)[0]["verified"] == "restored"
    octets = file.read_bytes()
    file.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    assert backed.typed("verify", file).exit_code == 1
    assert "cannot be decrypted" in backed.typed("verify", file, "--identity", backed.identity).stderr
    file.write_bytes(octets[:-100])
    assert backed.typed("verify", file, "--identity", backed.identity).exit_code == 1


def test_another_private_key_opens_nothing(backed: Backed, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(age_files.make_private_key().text)
    refused = backed.typed("verify", backed.back_up(), "--identity", other)
    assert refused.exit_code == 1
    assert "cannot be decrypted" in refused.stderr


def test_a_backup_that_somebody_else_encrypted_to_the_public_key_is_refused(backed: Backed) -> None:
    """The public key lies on the hub; so only the hub's signature shows that a backup is the hub's."""
    file = backed.back_up()
    good = unpacked(file, backed.key)

    def said(members: dict[str, bytes]) -> str:
        packed(file, members, backed.key)
        refused = backed.typed("restore", file, "--identity", backed.identity)
        assert refused.exit_code == 1, refused.output
        return refused.stderr

    packed(file, good, backed.key)
    assert backed.run("verify", file, "--identity", backed.identity), "the same octets are good"
    changed = json.loads(good["manifest.json"]) | {"messages": 4}
    assert "--signer names the old certificate" in said(good | {"manifest.json": json.dumps(changed).encode()})
    assert "signature does not fit" in said(good | {"manifest.json": json.dumps(changed).encode()})
    assert "was changed" in said(good | {"journal.db": good["journal.db"][:-1] + b"\1"})
    assert "is missing" in said({name: octets for name, octets in good.items() if name != "manifest.p7s"})
    assert "is not in its manifest" in said(good | {"hub/partners/mine.toml": b"units = ['*']"})
    assert backed.messages() == {"m1", "m2", "m3"}, "nothing was restored"


@pytest.mark.parametrize("name", ["hub/../x", "hub//x", "/etc/passwd", "hub/", "x", "hub/a\0b", "hub/./x"])
def test_a_name_of_a_member_leads_nowhere_else(name: str) -> None:
    good = BackupManifest(
        hub="x", config="hub.toml", province="H55", made_at=NOW, program="1", schema="0050", number=1, hash="h",
        last=None, messages=0, members=(MemberEntry("journal.db", 1, "00"),), left_out=(),
    )  # fmt: skip
    assert BackupManifest.read(good.write()) == good
    bad = attrs.evolve(good, members=(*good.members, MemberEntry(name, 1, "00")))
    with pytest.raises(Exception, match="name of a member"):
        BackupManifest.read(bad.write())


def with_long_header(tar: tarfile.TarFile) -> None:
    said = tarfile.TarInfo("manifest.json")
    said.pax_headers = {"comment": "x" * (1 << 20)}
    tar.addfile(said)


def with_odd_header(tar: tarfile.TarFile) -> None:
    said = tarfile.TarInfo("manifest.json")
    said.pax_headers = {"GNU.sparse.map": "x"}
    tar.addfile(said)


def with_link(tar: tarfile.TarFile) -> None:
    said = tarfile.TarInfo("manifest.json")
    said.type, said.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar.addfile(said)


@pytest.mark.parametrize("fill", [with_long_header, with_odd_header, with_link], ids=lambda each: each.__name__)
def test_what_anybody_may_have_written_is_refused_before_it_fills_the_memory(tmp_path: Path, fill) -> None:
    """A header of a gibibyte takes one mebibyte in the file, and `tarfile` reads it at once."""
    plain, key = io.BytesIO(), age_files.make_private_key()
    with gzip.GzipFile(fileobj=plain, mode="wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        fill(tar)
    with (tmp_path / "x").open("wb") as target:
        age_files.encrypt_stream(io.BytesIO(plain.getvalue()), target, [key.recipient])
    expected = "too many octets" if fill is with_long_header else "no backup|is missing"
    with pytest.raises(package.BackupUnfit, match=expected):
        package.read_package(tmp_path / "x", [key], [], lambda _: lambda _: None)


# --- restoring


def test_a_restored_journal_has_what_the_backup_had_and_the_old_one_lies_beside(backed: Backed) -> None:
    file = backed.back_up()
    backed.record(4, 5)
    (restored,) = backed.run("restore", file, "--identity", backed.identity)
    assert backed.messages() == {"m1", "m2", "m3"}
    assert restored["messages"] == 3
    (old,) = [Path(str(each)) for each in restored["moved"] if str(each).endswith("Z")]  # type: ignore[attr-defined]
    with closing(sqlite3.connect(old)) as journal:
        assert journal.execute("SELECT count(*) FROM message").fetchone() == (5,), "nothing was thrown away"
    assert homes.typing(backed.home)("db", "verify").exit_code == 0


def test_restores_may_follow_each_other_within_a_second(backed: Backed) -> None:
    file = backed.back_up()
    for count in range(1, 5):
        backed.run("restore", file, "--identity", backed.identity)
        assert len(list((backed.home / "data").glob("hub.db.before-restore-*Z"))) == count


def test_a_log_of_the_old_journal_is_never_read_into_the_restored_one(backed: Backed) -> None:
    file = backed.back_up()
    (backed.home / "data/hub.db").unlink()
    (backed.home / "data/hub.db-wal").write_bytes(b"of another journal" * 1000)
    backed.run("restore", file, "--identity", backed.identity)
    assert backed.messages() == {"m1", "m2", "m3"}


def test_nothing_is_restored_beside_a_running_hub(backed: Backed) -> None:
    file = backed.back_up()
    hold = PidFileLock.acquire(backed.home / "data")
    try:
        refused = backed.typed("restore", file, "--identity", backed.identity)
    finally:
        hold.release()
    assert refused.exit_code == 1
    assert "stop it first" in refused.stderr


def test_a_hub_is_restored_on_another_machine_keys_and_all(backed: Backed, tmp_path: Path) -> None:
    backed.configure(keys="true")
    file, signer = backed.back_up(), tmp_path / "hub.crt"
    signer.write_bytes((backed.home / "pki/hub.crt").read_bytes())
    backed.home.rename(tmp_path / "burnt")
    elsewhere = tmp_path / "elsewhere"
    words = ("restore", file, "--identity", backed.identity, "--configuration-to", elsewhere)
    assert backed.typed(*words).exit_code == 78, "without hub.toml nothing says whose backup it must be"
    backed.run(*words, "--signer", signer)
    there = attrs.evolve(backed, home=elsewhere)
    assert there.messages() == {"m1", "m2", "m3"}
    assert homes.typing(elsewhere)("check").exit_code == 0
    assert (elsewhere / "pki/hub.key").stat().st_mode & 0o077 == 0
    assert backed.typed(*words, "--signer", signer).exit_code == 1, "the folder is not empty now"


def test_without_the_keys_the_configuration_is_written_and_the_rest_is_said(backed: Backed, tmp_path: Path) -> None:
    file = backed.back_up()
    elsewhere, signer = tmp_path / "elsewhere", backed.home / "pki/hub.crt"
    words = ("restore", file, "--identity", backed.identity, "--signer", signer)
    partly = backed.typed(*words, "--configuration-to", elsewhere)
    assert partly.exit_code == 3
    assert "pki/hub.key" in partly.stderr
    with pytest.raises(ConfigurationFault):
        read_config(elsewhere / "hub.toml")
    for name in ("hub.key", "lookups.key"):
        (elsewhere / "pki" / name).write_bytes((backed.home / "pki" / name).read_bytes())
        (elsewhere / "pki" / name).chmod(0o600)
    there = attrs.evolve(backed, home=elsewhere)
    there.run(*words)
    assert there.messages() == {"m1", "m2", "m3"}


def test_a_restore_that_fails_changes_nothing(backed: Backed, monkeypatch: pytest.MonkeyPatch) -> None:
    file = backed.back_up()
    backed.record(4)
    monkeypatch.setattr(journal_copy, "_find_difference", lambda *_: iter([phrase("another")]))
    assert backed.typed("restore", file, "--identity", backed.identity).exit_code == 1
    assert backed.messages() == {"m1", "m2", "m3", "m4"}
    assert sorted(each.name for each in (backed.home / "data").glob("*restore*")) == []


def test_a_backup_of_the_internal_build_is_restored_by_the_program_of_today(backed: Backed, tmp_path: Path) -> None:
    old = list_releases()[0].unpack_journal("sqlite", tmp_path / "kept") / "data/hub.db"
    engine = transactions.open_journal(f"sqlite:///{old}", pooled=False)
    with transactions.write_transaction(engine) as tx:
        events.chain_events(tx)
        state = journal_copy.read_journal_state(tx)
    with transactions.read_transaction(engine) as tx:
        had = set(tx.exec_driver_sql("SELECT message_id FROM message").scalars())
    engine.dispose()
    with closing(sqlite3.connect(old)) as here:
        here.execute("PRAGMA journal_mode=DELETE")
    assert state.schema == "0050"
    config = read_config(backed.home / "hub.toml")
    said = attrs.asdict(state) | {"hub": "x", "config": "hub.toml", "province": "H55", "made_at": NOW, "program": "0"}
    manifest = BackupManifest(**said, members=(package.describe_member("journal.db", old),), left_out=())
    file = tmp_path / "old.tar.gz.age"
    package.write_package(file, manifest, [old], config.identity, [backed.key.recipient], NOW)
    backed.run("restore", file, "--identity", backed.identity)
    assert backed.messages() == had
    assert homes.typing(backed.home)("db", "status").exit_code == 0
    for schema, refusal in (("9999", "which this program does not know"), ("0042", "with the build of version 0050")):
        other = attrs.evolve(manifest, schema=schema)
        package.write_package(tmp_path / f"{schema}.age", other, [old], config.identity, [backed.key.recipient], NOW)
        refused = backed.typed("verify", tmp_path / f"{schema}.age", "--identity", backed.identity)
        assert refusal in " ".join(refused.stderr.split())


def test_archive_files_are_named_as_not_being_in_it(backed: Backed) -> None:
    archive = backed.home / "data/archive"
    archive.mkdir()
    (archive / "2026-01.zip").write_text("sealed")
    (made,) = backed.run("run")
    assert f"{archive}/" in made["left_out"]  # type: ignore[operator]
    backed.configure(configuration="false")
    config = read_config(backed.home / "hub.toml")
    assert config.backup is not None
    assert contents.choose_files(config, config.backup).left_out == ("hub.toml", f"{archive}/")


def test_whoever_restores_a_journal_hears_which_archive_files_it_names_and_lacks(backed: Backed) -> None:
    engine = homes.engine_of(backed.home)
    with transactions.write_transaction(engine) as tx:
        counts = dict.fromkeys(("size", "messages", "events", "octets"), 1)
        row = {
            "id": "0193",
            "period": "2026-01",
            "path": "/lost/archive-2026-01-0193.zip",
            "sha256": "",
            "made_at": NOW,
        }
        tx.execute(sa.insert(tables.archive).values(row | counts))
    engine.dispose()
    config = read_config(backed.home / "hub.toml")
    said = {each.check: each for each in examination.examine_database(config, lambda: NOW)[0]}
    assert (said["archives"].verdict, "archive-2026-01-0193.zip" in str(said["archives"].found)) == (
        DiagnosisState.WARNING,
        True,
    )
    (restored,) = backed.run("restore", backed.back_up(), "--identity", backed.identity)
    assert restored["archives_absent"] == ["archive-2026-01-0193.zip"]
    config.archive.mkdir()
    (config.archive / "archive-2026-01-0193.zip").write_text("sealed")
    said = {each.check: each for each in examination.examine_database(config, lambda: NOW)[0]}
    assert said["archives"].verdict is DiagnosisState.OK
    (config.archive / "archive-2026-02-0194.zip").write_text("sealed")
    said = {each.check: each for each in examination.examine_database(config, lambda: NOW)[0]}
    assert (said["archives"].verdict, "archive-2026-02-0194.zip" in str(said["archives"].found)) == (
        DiagnosisState.WARNING,
        True,
    )


# --- the keys


def test_a_key_pair_is_made_and_what_is_printed_is_what_hub_toml_takes(backed: Backed, tmp_path: Path) -> None:
    (made,) = backed.run("make-key", tmp_path / "new.txt")
    assert (tmp_path / "new.txt").stat().st_mode & 0o077 == 0
    backed.configure(recipients=json.dumps([backed.key.recipient.text, made["recipient"]]))
    file = backed.back_up()
    for identity in (backed.identity, tmp_path / "new.txt"):
        assert backed.run("verify", file, "--identity", identity)
    assert backed.typed("make-key", tmp_path / "new.txt").exit_code == 1, "a key is never overwritten"


# --- what is configured


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"recipients": '["age1nothing"]'}, "backup.recipients"),
        ({"recipients": "[]"}, "backup.recipients"),
        ({"folder": '""'}, "backup.folder"),
        ({"every": '"1s"'}, "backup.every"),
        ({"every": '"1m"'}, "backup.every"),
        ({"at": '"25:00"'}, "backup.at"),
        ({"keep": "0"}, "backup.keep"),
        ({"keys": "true", "configuration": "false"}, "backup.keys"),
        ({"trial_database": '"sqlite:///x.db"'}, "backup.trial-database"),
        ({"trial_database": '"postgresql://a:b@c/d"'}, "backup.trial-database"),
        ({"where": '"x"'}, "backup.where"),
        ({"send": '["scp", "x:"]'}, "backup.send"),
    ],
)
def test_a_mistake_is_named(backed: Backed, settings: dict[str, str], place: str) -> None:
    backed.configure(**settings)
    with pytest.raises(ConfigurationFault) as fault:
        read_config(backed.home / "hub.toml")
    assert [mistake.path for mistake in fault.value.mistakes] == [f"hub.toml: {place}"]


def test_a_private_key_in_the_configuration_is_refused_and_not_shown(backed: Backed) -> None:
    backed.configure(recipients=f'["{backed.key.text}"]')
    refused = homes.typing(backed.home)("check")
    assert refused.exit_code == 78
    assert backed.key.text not in refused.output
