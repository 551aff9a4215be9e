"""The files of a partner's folder are read with the configuration: those that its mapping lists, with their hashes."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import adapters
from hub.config import Config, describe_config_changes, read_config
from hub.config.partners import partner_files
from hub.config.partners.partner_edit import describe_partner_change
from hub.delivery.partner_adapters import AdapterMemory, make_adapters, make_terms
from hub.domain.errors import ConfigurationFault, Mistake
from hub.node.hub import Hub
from hub.partner.adapter_settings import MAPPING
from hub.units.province import Province
from tests.homes import begin

WSDL = b"<definitions/>"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory in which the partner `vpub` has a mapping and a WSDL."""
    home = begin(tmp_path / "tinh")
    path = home / "partners/vpub.toml"
    path.write_text(path.read_text("utf-8") + '\n[settings]\nmapping = "dvc/mapping.toml"\n', "utf-8")
    (home / "partners/dvc").mkdir()
    put(home, "dichvu.wsdl", WSDL)
    put(home, "mapping.toml", list_files({"dichvu.wsdl": WSDL}))
    return home


def put(home: Path, name: str, content: bytes) -> None:
    (home / "partners/dvc" / name).write_bytes(content)


def list_files(files: dict[str, bytes]) -> bytes:
    lines = [f'"{name}" = "{hashlib.sha256(content).hexdigest()}"' for name, content in files.items()]
    return "\n".join(["[wsdl.sha256]", *lines]).encode()


def read(home: Path) -> Config:
    return read_config(home / "hub.toml", {})


def refused(home: Path) -> list[Mistake]:
    with pytest.raises(ConfigurationFault) as caught:
        read(home)
    return list(caught.value.mistakes)


def places(home: Path) -> list[str]:
    return [mistake.path for mistake in refused(home)]


class TestWhatIsRead:
    def test_the_mapping_and_the_files_it_lists_reach_the_adapter_by_their_names(self, home: Path) -> None:
        put(home, "notes.txt", b"not listed")
        config = read(home)
        files = make_terms(config, config.partners["vpub"]).files
        assert files == {"mapping.toml": list_files({"dichvu.wsdl": WSDL}), "dichvu.wsdl": WSDL}
        assert "vpub" in make_adapters(config)

    def test_what_an_adapter_noted_outlives_a_reload_that_changes_nothing_of_its_partner(self, home: Path) -> None:
        memory = AdapterMemory()
        before, other = (memory.find_notes(read(home).partners[code]) for code in ("vpub", "vpcp"))
        put(home, "mapping.toml", list_files({"dichvu.wsdl": WSDL}) + b"\n")
        changed = read(home)
        assert memory.find_notes(changed.partners["vpub"]) is not before, "it notes what is agreed with the partner"
        assert memory.find_notes(changed.partners["vpcp"]) is other
        assert make_adapters(changed, memory).keys() == make_adapters(changed).keys()

    def test_a_running_hub_has_one_memory_for_all_its_reloads(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        noted: list[object] = []
        monkeypatch.setattr(adapters, "make_adapter", lambda _, terms: noted.append(terms.notes))
        running = cast("Hub", SimpleNamespace(_check=lambda *_: None, _memory=AdapterMemory()))
        for _ in range(2):
            Hub._set_up(running, Province.of(read(home), []))
        first, second = noted[: len(noted) // 2], noted[len(noted) // 2 :]
        assert first
        assert [id(each) for each in first] == [id(each) for each in second]

    def test_a_partner_without_a_mapping_has_no_files(self, home: Path) -> None:
        assert read(home).partners["vpcp"].files == {}

    def test_what_is_not_written_yet_is_judged_as_if_it_were(self, home: Path) -> None:
        said = {"partners/dvc/mapping.toml": list_files({"moi.xsd": b"<x/>"}), "partners/dvc/moi.xsd": b"<x/>"}
        config = read_config(home / "hub.toml", {}, partner_files=said)
        assert set(config.partners["vpub"].files) == {"mapping.toml", "moi.xsd"}

    def test_a_setting_that_names_a_file_has_the_name_by_which_it_is_read(self) -> None:
        known = [each for name in adapters.list_adapter_names() for each in adapters.list_adapter_settings(name)]
        assert all((each.name == MAPPING) == each.file for each in known)


class TestAReload:
    def test_a_changed_file_with_its_new_hash_is_a_change_of_the_partner(self, home: Path) -> None:
        before = read(home)
        put(home, "dichvu.wsdl", b"<definitions>2</definitions>")
        put(home, "mapping.toml", list_files({"dichvu.wsdl": b"<definitions>2</definitions>"}))
        after = read(home)
        assert before.partners["vpub"] != after.partners["vpub"]
        assert describe_config_changes(before, after) == ["~ partners/vpub: files"]
        (said,) = describe_partner_change(before.partners["vpub"], after.partners["vpub"])
        assert said.count("dichvu.wsdl") == 2
        assert said.startswith("files: - mapping.toml")

    def test_a_partner_with_a_wrong_mapping_is_set_aside_alone(self, home: Path) -> None:
        put(home, "dichvu.wsdl", b"<other/>")
        told: list[Mistake] = []
        config = read_config(home / "hub.toml", {}, set_aside=told.extend)
        assert [each.path for each in told] == ['partners/dvc/mapping.toml: wsdl.sha256."dichvu.wsdl"']
        assert "vpub" not in config.partners
        assert "vpcp" in config.partners


class TestMistakes:
    def test_another_content_is_refused_and_its_hash_told(self, home: Path) -> None:
        put(home, "dichvu.wsdl", b"<other/>")
        (mistake,) = refused(home)
        assert mistake.path == 'partners/dvc/mapping.toml: wsdl.sha256."dichvu.wsdl"'
        assert hashlib.sha256(b"<other/>").hexdigest() in str(mistake.wrong)

    def test_a_hash_in_capital_letters_is_the_same_hash(self, home: Path) -> None:
        put(home, "mapping.toml", list_files({"dichvu.wsdl": WSDL}).upper().replace(b"WSDL.SHA256", b"wsdl.sha256"))
        (home / "partners/dvc/dichvu.wsdl").rename(home / "partners/dvc/DICHVU.WSDL")
        assert set(read(home).partners["vpub"].files) == {"mapping.toml", "DICHVU.WSDL"}

    @pytest.mark.parametrize(
        "place", ["mapping.toml", "../mapping.toml", "/etc/mapping.toml", "a/b/mapping.toml", "a/b"]
    )
    def test_a_mapping_stands_in_a_folder_of_partners(self, home: Path, place: str) -> None:
        path = home / "partners/vpub.toml"
        path.write_text(path.read_text("utf-8").replace("dvc/mapping.toml", place), "utf-8")
        assert places(home) == ["partners/vpub.toml: settings.mapping"]

    @pytest.mark.parametrize("name", ["../../hub.toml", "/etc/passwd", ".hidden", "a/b.xsd", "a b.xsd"])
    def test_no_path_leads_out_of_the_folder(self, home: Path, name: str) -> None:
        put(home, "mapping.toml", list_files({name: b""}))
        assert places(home) == [f'partners/dvc/mapping.toml: wsdl.sha256."{name}"']

    def test_a_mapping_that_is_away_is_named_at_the_setting(self, home: Path) -> None:
        (home / "partners/dvc/mapping.toml").unlink()
        assert places(home) == ["partners/vpub.toml: settings.mapping"]

    def test_a_file_that_is_away_is_named_at_its_hash(self, home: Path) -> None:
        (home / "partners/dvc/dichvu.wsdl").unlink()
        assert places(home) == ['partners/dvc/mapping.toml: wsdl.sha256."dichvu.wsdl"']

    @pytest.mark.parametrize(
        "content", [b"\xff", b"= 1", b"a = " + b"[" * 5000, b"[wsdl]\nsha256 = 1", b"[wsdl.sha256]\na = 1"]
    )
    def test_a_mapping_that_cannot_be_read_is_named(self, home: Path, content: bytes) -> None:
        put(home, "mapping.toml", content)
        put(home, "a", b"")
        assert all(place.startswith("partners/dvc/mapping.toml") for place in places(home))

    def test_a_symbolic_link_is_not_followed(self, home: Path) -> None:
        (home / "partners/dvc/dichvu.wsdl").rename(home / "dichvu.wsdl")
        (home / "partners/dvc/dichvu.wsdl").symlink_to(home / "dichvu.wsdl")
        (mistake,) = refused(home)
        assert "a symbolic link" in str(mistake.wrong)

    def test_nor_is_one_in_place_of_the_folder(self, home: Path) -> None:
        (home / "partners/dvc").rename(home / "dvc")
        (home / "partners/dvc").symlink_to(home / "dvc")
        assert places(home) == ["partners/vpub.toml: settings.mapping"]

    def test_a_named_pipe_does_not_hold_the_hub_up(self, home: Path) -> None:
        (home / "partners/dvc/dichvu.wsdl").unlink()
        os.mkfifo(home / "partners/dvc/dichvu.wsdl")
        assert places(home) == ['partners/dvc/mapping.toml: wsdl.sha256."dichvu.wsdl"']


def _many(home: Path) -> None:
    put(home, "mapping.toml", list_files({f"{number}.xsd": b"" for number in range(partner_files.MOST_FILES + 1)}))


def _large_mapping(home: Path) -> None:
    put(home, "mapping.toml", b"#" * (partner_files.LARGEST_MAPPING + 1))


def _large_file(home: Path) -> None:
    put(home, "dichvu.wsdl", b" " * (partner_files.LARGEST_FOLDER + 1))


def _large_folder(home: Path) -> None:
    files = {f"{number}.xsd": b" " * (3 << 20) for number in range(3)}
    for name, content in files.items():
        put(home, name, content)
    put(home, "mapping.toml", list_files(files))


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (_many, "partners/dvc/mapping.toml: wsdl.sha256"),
        (_large_mapping, "partners/vpub.toml: settings.mapping"),
        (_large_file, 'partners/dvc/mapping.toml: wsdl.sha256."dichvu.wsdl"'),
        (_large_folder, 'partners/dvc/mapping.toml: wsdl.sha256."2.xsd"'),
    ],
)
def test_what_is_read_is_bounded(home: Path, spoil: Callable[[Path], None], place: str) -> None:
    spoil(home)
    assert places(home) == [place]
