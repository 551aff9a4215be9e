"""An operator's file is edited in place: what is not named keeps every letter, and of several files all are written or none."""

import os
import stat
from pathlib import Path

import pytest

from hub.config import editing
from hub.config.durable_files import MARK
from hub.config.editing import FileChangedMeanwhile, FileEdit, Value, edit_toml, undo_edits, write_edits
from hub.config.partners.partner_settings import find_key_lines
from hub.config.writing import write_atomically

#: A file that uses much of TOML.
FILE = """\
# đầu tệp
"name" = 'Sở Y tế'  # tên
units = [
    # các bệnh viện
    "H55.1", # một
    "H55.2",
    "H55.3", # ba
]
calls = ["a", "b"] # gọi
policy.timeout = "5s" # chậm
settings = { user = "soyte" }
"""


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        ({"units": ("H55.1", "H55.3")}, '    "H55.2",\n', ""),
        ({"units": ("H55.1", "H55.2", "H55.3", "H55.4")}, "# ba\n", '# ba\n    "H55.4",\n'),
        ({"calls": ("b", "c")}, '["a", "b"]', '["b", "c"]'),
        ({"policy": {"timeout": "9s"}}, '"5s"', '"9s"'),
        ({"settings": {"user": "x"}}, '"soyte"', '"x"'),
        ({"policy": {"timeout": "5s"}, "settings": {"other": None}, "none": {"at": None}}, "", ""),
        ({"name": "Sở Y tế", "units": ("H55.1", "H55.2", "H55.3")}, "", ""),
    ],
)
def test_what_is_not_named_keeps_every_letter(changes: dict[str, Value], old: str, new: str) -> None:
    assert edit_toml(FILE, changes, "x") == (FILE.replace(old, new) if old else FILE)


def test_a_new_key_stands_with_its_table_and_a_file_keeps_its_line_ends() -> None:
    text = 'name = "x"\n\n[policy]\ntimeout = "5s"\n\n# của bộ chuyển đổi\n[settings]\nuser = "u"\n'
    changes: dict[str, Value] = {"policy": {"rate": "1/s", "concurrency": "2"}, "url": "https://x"}
    expected = text.replace('"5s"\n', '"5s"\nrate = "1/s"\nconcurrency = "2"\n').replace(
        '"x"\n', '"x"\nurl = "https://x"\n'
    )
    assert edit_toml(text, changes, "x") == expected
    assert edit_toml(text.replace("\n", "\r\n"), changes, "x") == expected.replace("\n", "\r\n")
    assert edit_toml("policy.timeout = '5s'\n# hết", {"policy": {"rate": "1/s"}}, "x").count("policy.") == 2


def test_items_in_another_order_replace_the_list() -> None:
    assert '"H55.3"' in edit_toml(FILE, {"units": ("H55.3", "H55.1")}, "x").splitlines()[3]


def test_the_line_of_each_key_is_found() -> None:
    text = FILE + '\n[other]\nkey = "policy.timeout = 3"\n'
    assert find_key_lines(text) == {
        "name": 2,
        "units": 3,
        "calls": 9,
        "policy.timeout": 10,
        "settings": 11,
        "settings.user": 11,
        "other.key": 14,
    }
    assert find_key_lines("= nonsense") == {}


def test_all_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    one.write_bytes(b"1")
    one.chmod(0o640)
    two.write_bytes(b"2")
    edits = [FileEdit(one, b"1", b"one"), FileEdit(three, None, b"three"), FileEdit(two, b"2", None)]
    written: list[Path] = []

    def fail(path: Path, content: bytes, mode: int | None = None) -> None:
        if path.name == "three" and not written:
            written.append(path)
            raise OSError(28, "No space left on device")
        write_atomically(path, content, mode)

    monkeypatch.setattr(editing, "write_atomically", fail)
    with pytest.raises(OSError, match="No space"):
        write_edits(tmp_path, edits)
    assert (one.read_bytes(), two.read_bytes(), three.exists()) == (b"1", b"2", False)
    assert write_edits(tmp_path, edits) == [tmp_path / "one.old", tmp_path / "two.old"]
    assert (one.read_bytes(), two.exists(), three.read_bytes()) == (b"one", False, b"three")
    assert one.stat().st_mode & 0o777 == 0o640
    one.write_bytes(b"another writer")
    undo_edits(tmp_path, edits)
    assert (one.read_bytes(), two.read_bytes(), three.exists()) == (b"another writer", b"2", False)


def test_names_are_on_the_disk_too_and_a_secret_is_never_open_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal says that a file was changed: a power cut after that must not bring the old one back."""
    secret, gone = tmp_path / "secret", tmp_path / "gone"
    for path in (secret, gone):
        path.write_bytes(b"1")
        path.chmod(0o600)
    synced: list[dict[str, int]] = []

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(lay())
        else:
            assert os.fstat(descriptor).st_mode & 0o777 == 0o600

    def lay() -> dict[str, int]:
        return {each.name: each.stat().st_ino for each in tmp_path.iterdir() if not each.name.endswith(MARK)}

    monkeypatch.setattr(os, "fsync", sync)
    edits = [FileEdit(secret, b"1", b"2"), FileEdit(gone, b"1", None)]
    write_edits(tmp_path, edits)
    assert synced.pop() == lay()
    undo_edits(tmp_path, edits)
    assert synced.pop() == lay()


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"of somebody else")
    for before in (b"as it was read", None):
        with pytest.raises(FileChangedMeanwhile):
            write_edits(tmp_path, [FileEdit(tmp_path / "two", None, b"2"), FileEdit(path, before, b"mine")])
    assert path.read_bytes() == b"of somebody else"
    assert not (tmp_path / "two").exists()
