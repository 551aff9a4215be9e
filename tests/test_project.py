"""The project as a whole: how it is laid out, packed and found."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest

from tests import upon_import
from tests.conftest import ROOT, cannot_be_had
from tests.waiting import PATIENCE

BIN = Path(sys.executable).parent
PYPROJECT, DEMO = (tomllib.loads((ROOT / each / "pyproject.toml").read_text()) for each in ("", "demo"))


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(*paths: str) -> list[str]:
    if not (ROOT / ".git").exists():
        cannot_be_had("the list of tracked files", "this is no git checkout")
    return [name for name in run("git", "ls-files", "-z", "--", *paths).split("\0") if name]


def required(requirements: Iterable[str]) -> set[str]:
    """Return what is required, without versions and extras, as the index of packages spells it."""
    return {normal(re.split(r"[^\w.-]", each)[0]) for each in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


#: Packages that several distributions share -> the one that a requirement names.
SPACES = {"zope": "zope-interface", "opentelemetry": "opentelemetry-exporter-otlp-proto-http"}


def imported(files: Iterable[Path]) -> set[str]:
    """Return the distributions, besides this one and Python, of which the files import modules, at once or later."""
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(SPACES.get(node.module.partition(".")[0], node.module.partition(".")[0]))
    made_by = packages_distributions()
    modules -= {"hub", "adapters", "lienthong_demo", *sys.stdlib_module_names}
    return {normal(made_by.get(module, [module])[0]) for module in modules}


@pytest.mark.slow
def test_a_node_installs_what_the_hub_imports_and_not_what_only_the_demo_does():
    """No file imports tzdata, which is data for `zoneinfo`."""
    files = {file for folder in ("hub", "adapters") for file in (ROOT / folder).rglob("*.py")}
    node = imported([*files, ROOT / "tap.py", *(ROOT / "twisted").rglob("*.py")])
    extras = PYPROJECT["project"]["optional-dependencies"]
    apart = [*extras["amqp"], *extras["hsm"], *extras["oidc"], *extras["otel"], *extras["pades"]]
    assert node == required([*PYPROJECT["project"]["dependencies"], *apart]) - {"tzdata"}
    base = node - required(extras["otel"])  # it sends with what sample partners call with
    assert imported((ROOT / "demo").rglob("*.py")) - base == required(DEMO["project"]["dependencies"]) - {"lienthong"}


def locked(name: str) -> dict[str, str]:
    """Return distribution -> `==version`, with the marker if there is one, and see that each has its hashes."""
    pieces = re.split(r"^(?=[a-z])", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert [piece for piece in pieces if "--hash=sha256:" not in piece] == []
    found = [re.match(r"([a-z0-9-]+)(==[^\\\n]+?) \\", piece) for piece in pieces]
    return {each[1]: each[2] for each in found if each}


def test_an_operator_can_install_what_a_node_runs_with_by_its_hashes():
    """The demo's lock adds what the demo and the editable install need; that of developers everything."""
    node, demo, everything = map(locked, ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock"))
    assert node.items() < demo.items() < everything.items()
    extras, groups = PYPROJECT["project"]["optional-dependencies"], PYPROJECT["dependency-groups"]
    staged = required([*DEMO["project"]["dependencies"], *groups["build"]]) - {"lienthong"}
    assert required(PYPROJECT["project"]["dependencies"]) < node.keys()
    assert staged - {"requests"} < demo.keys() - node.keys()  # zeep brings that one
    apart = [*extras["amqp"], *extras["hsm"], *extras["oidc"], *extras["otel"], *extras["pades"]]
    assert required([*apart, *groups["dev"][1:]]) - {"requests"} < everything.keys() - demo.keys()


def test_what_the_tests_change_upon_import_is_there():
    assert [name for name in list(upon_import._FINDER.awaited) if importlib.util.find_spec(name) is None] == []


def test_twisted_folder_stays_a_dropin():
    """An __init__.py here would hide Twisted itself."""
    assert not list((ROOT / "twisted").rglob("__init__.py"))


def test_the_hub_is_packages_that_each_say_what_they_know():
    packages = [path.parent for path in (ROOT / "hub").rglob("__init__.py") if path.parent != ROOT / "hub"]
    assert len(list((ROOT / "hub").glob("[!_.]*"))) <= 30
    silent = [path for path in packages if not ast.get_docstring(ast.parse((path / "__init__.py").read_text("utf-8")))]
    assert silent == []
    files = {path: [each for each in path.glob("[!_.]*") if each.is_dir() or each.suffix == ".py"] for path in packages}
    assert [(str(path), len(found)) for path, found in files.items() if len(found) > 25] == []


def test_every_package_of_the_hub_has_its_layer():
    layers = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = set(re.findall(r"hub\.(\w+)", " ".join(layers)))
    rooms = {path.stem for path in (ROOT / "hub").glob("[!_.]*")}
    assert rooms == placed, "name the new package in [tool.importlinter], or mend a name there"


#: Names that more modules than one must have, and why.
SHARED_NAMES = {
    "adapter": "the protocol of adapters: every folder in adapters/ has this function",
    "carrier": "the protocol of transports: every transport in hub/delivery/ has this function",
    "upgrade": "what Alembic calls in each migration",
    "main": "the entry point of a process, by `python -m` or as a console script",
}


def test_a_name_of_one_word_stands_in_one_module():
    """`grep` finds what a public function of one word is only when no other module has one of that name."""
    modules = defaultdict(set)
    for path, text in sources_of_the_hub():
        for name in re.findall(r"^(?:async )?def ([^\W_]+)[(\[]", text, re.MULTILINE):
            modules[name].add(path)
    shared = {name for name, paths in modules.items() if len(paths) > 1}
    assert {name: modules[name] for name in shared - set(SHARED_NAMES)} == {}, "give it a verb and a noun"
    assert set(SHARED_NAMES) - shared == set(), "no exception any more"
    assert len(SHARED_NAMES) <= 15


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for path, text in sources_of_the_hub():
        for name in re.findall(r"^ *class (\w+)[(:\[]", text, re.MULTILINE):
            places[name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@cache
def sources_of_the_hub() -> list[tuple[str, str]]:
    paths = sorted(path for folder in ("hub", "adapters", "demo") for path in (ROOT / folder).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths]


def test_the_guide_for_contributors_names_files_that_are_there():
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"(?:hub|adapters|tests|docs|newsfragments|wsdl|xsd)/[\w./-]*", guide))
    assert [name for name in sorted(named) if "NAME" not in name and not (ROOT / name).exists()] == []
    rows = [re.match(r"\| (\d+)\. .*\| `(hub/[\w/]+\.py)`", line) for line in guide.splitlines()]
    assert [int(row[1]) for row in rows if row] == list(range(1, 26)), (
        "each question has a file of the hub as its answer"
    )


def test_every_news_fragment_is_told_of_in_the_next_release():
    drafted = run(BIN / "towncrier", "build", "--draft")
    assert f"## {PYPROJECT['project']['version']} (" in drafted
    fragments = [path for path in (ROOT / "newsfragments").iterdir() if path.name != "README.md"]
    said = {path.name: path.read_text("utf-8").strip().splitlines()[0].rstrip() for path in fragments}
    told = {line.removeprefix("- ") for line in drafted.splitlines() if line.startswith("- ")}
    told |= {re.sub(r" \(#[^()]*\)$", "", line) for line in told}
    assert {name for name, line in said.items() if line not in told} == set()


def test_a_news_fragment_of_no_kind_is_a_mistake(tmp_path):
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    (tmp_path / "newsfragments").mkdir()
    (tmp_path / "newsfragments/+word.feature.md").write_text("Something new.")
    assert "- Something new." in run(BIN / "towncrier", "build", "--draft", cwd=tmp_path)
    (tmp_path / "newsfragments/+other.featrue.md").write_text("Something passed over.")
    command = [str(BIN / "towncrier"), "build", "--draft"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "+other.featrue.md" in done.stdout + done.stderr


def test_no_test_measures_cpu_without_a_calibration_beside_it():
    """A bound in seconds of this machine fails where the machine is busy; `./dev bench` states seconds, and asserts none."""
    clock = re.compile(r"\b(?:process|thread)_time\(|\bperf_counter\(")
    apart = (ROOT / "tests/bench", ROOT / "tests/effort.py")
    files = [path for path in (ROOT / "tests").rglob("*.py") if not any(path.is_relative_to(each) for each in apart)]
    assert [path.name for path in files if clock.search(path.read_text("utf-8"))] == [], "use tests/effort.py"


def test_no_tracked_file_names_a_package_host():
    """Where packages come from is the business of the machine, not of the project."""
    hosts = "|".join(("py" + "pi", "python" + "hosted", "/sim" + "ple"))  # in halves: this file is tracked too
    host = re.compile(rf"https?://[^\s\"'<>]*(?:{hosts})|--(?:extra-)?index-url")
    present = [name for name in tracked() if (ROOT / name).is_file()]
    assert [name for name in present if host.search((ROOT / name).read_bytes().decode(errors="replace"))] == []


def test_libxml2_is_the_same_for_lxml_and_xmlsec():
    """The second opinion on signatures, xmlsec, must not be loaded beside another libxml2."""
    import xmlsec
    from lxml import etree

    assert xmlsec.get_libxml_version() == etree.LIBXML_VERSION


@pytest.mark.slow
def test_twistd_finds_the_hub_from_anywhere(tmp_path):
    assert re.search(r"^ +lienthong +\S", run(BIN / "twistd", "--help", cwd=tmp_path), re.MULTILINE)


@pytest.mark.slow
def test_imports_point_one_way():
    run(BIN / "lint-imports", "--no-cache")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: the build backend comes with the lock."""
    place = tmp_path_factory.mktemp("wheel")
    run(BIN / "hatchling", "build", "-t", "wheel", "-d", place)
    [built] = place.glob("*.whl")
    return built


def test_the_sample_partners_are_a_distribution_of_the_same_version():
    version = PYPROJECT["project"]["version"]
    assert DEMO["project"]["version"] == version
    assert DEMO["project"]["dependencies"][0] == f"lienthong=={version}"
    assert PYPROJECT["project"]["optional-dependencies"]["demo"] == [f"lienthong-demo=={version}"]


@pytest.mark.slow
def test_the_wheel_of_the_sample_partners_holds_them_and_no_node_does(wheel, tmp_path):
    run(BIN / "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT / "demo")
    [demo] = tmp_path.glob("*.whl")
    held, node = (set(zipfile.ZipFile(each).namelist()) for each in (demo, wheel))
    assert {name.removeprefix("demo/") for name in tracked("demo/lienthong_demo")} - held == set()
    assert [name for name in node if name.startswith(("lienthong_demo", "hub/demo"))] == []
    assert "hub/simulator/__init__.py" in node, "`partners simulate` stays"


@pytest.mark.slow
def test_the_wheel_holds_what_the_hub_needs_and_no_samples(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    sources = tracked("hub", "adapters", "tap.py", "twisted", "wsdl", "xsd")
    needed = [name for name in sources if not re.match(r"adapters/\w+/samples/", name)]
    assert {re.sub(r"^(wsdl|xsd)/", r"hub/_data/\1/", name) for name in needed} - held == set()
    unwanted = r"dropin\.cache|__pycache__|^tests/|^twisted/(plugins/)?__init__|/samples/"
    assert [name for name in held if re.search(unwanted, name)] == []
    scripts = next(name for name in held if name.endswith("entry_points.txt"))
    assert "lienthong = hub.cli:main" in zipfile.ZipFile(wheel).read(scripts).decode()


def node_environment(wheel: Path, place: Path) -> Path:
    """Make an environment of the wheel and what requirements.lock names, without a network; return its Python."""
    venv.create(place, symlinks=True)
    python = place / "bin/python"
    [packages] = place.glob("lib/python*/site-packages")
    for name in locked("requirements.lock"):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:  # not for this machine, says its marker
            continue
        for file in files:
            if ".." not in file.parts:
                at = packages / file
                at.parent.mkdir(parents=True, exist_ok=True)
                at.symlink_to(Path(str(file.locate())).resolve())
    zipfile.ZipFile(wheel).extractall(packages)
    return python


@pytest.mark.slow
def test_an_installed_wheel_is_a_hub_without_the_libraries_of_sample_partners(wheel, tmp_path):
    """Outside the checkout: made, checked, started, sent to, asked for a report."""
    python = node_environment(wheel, tmp_path / "environment")
    packet = shutil.copy(ROOT / "docs/examples/van-ban.edxml", tmp_path)
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LIENTHONG"))}

    def lienthong(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "hub.cli", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)

    for library in ("lienthong_demo", "signxml"):
        assert subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False).returncode == 1
    made = lienthong("init", "tinh", "--soap-port", 0, "--admin-port", 0)
    assert made.returncode == 0, made.stderr
    checked = lienthong("-c", "tinh/hub.toml", "check")
    assert checked.returncode == 0, checked.stderr
    twistd = "from twisted.scripts.twistd import run; run()"
    command = [str(python), "-c", twistd, "-n", "--pidfile=", "lienthong", "-c", "tinh/hub.toml"]
    with subprocess.Popen(command, cwd=tmp_path, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as hub:
        try:
            sent = lienthong("-c", "tinh/hub.toml", "send", packet, "--as", "vpub")
            deadline = time.monotonic() + PATIENCE
            while sent.returncode == 69 and hub.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
                sent = lienthong("-c", "tinh/hub.toml", "send", packet, "--as", "vpub")
        finally:
            hub.terminate()
            said, _ = hub.communicate()
    assert sent.returncode == 0, sent.stderr + said.decode()
    assert lienthong("-c", "tinh/hub.toml", "messages", "--count").stdout == "1\n"
    shown = lienthong("-c", "tinh/hub.toml", "report", "H55", "2026-11", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    assert lienthong("demo").returncode == 69


@pytest.mark.slow
def test_the_doctor_names_a_distribution_that_has_overwritten_the_hub(wheel, tmp_path):
    """As `pip install adapters` does: another distribution has a package of that name."""
    python = node_environment(wheel, tmp_path / "environment")
    [packages] = (tmp_path / "environment").glob("lib/python*/site-packages")

    def doctor() -> tuple[int, dict[str, list[dict[str, str]]]]:
        command = [str(python), "-m", "hub.cli", "-c", "none.toml", "doctor", "--json"]
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LIENTHONG"))}
        ran = subprocess.run(command, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
        rows: dict[str, list[dict[str, str]]] = {}
        for line in ran.stdout.splitlines():
            rows.setdefault(json.loads(line)["check"], []).append(json.loads(line))
        return ran.returncode, rows

    _, rows = doctor()
    assert [row["verdict"] for row in rows["distribution"]] == ["ok"]
    assert [row["verdict"] for row in rows["libraries"]] == ["ok"]
    (packages / "adapters-1.3.0.dist-info").mkdir()
    (packages / "adapters-1.3.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: adapters\nVersion: 1.3.0\n"
    )
    (packages / "adapters-1.3.0.dist-info/RECORD").write_text("adapters/__init__.py,,\nadapters/trainer.py,,\n")
    (packages / "adapters/__init__.py").write_text("import transformers\n")
    (packages / "adapters/trainer.py").write_text("")
    code, rows = doctor()
    assert code == 1
    assert "adapters" in rows["distribution"][0]["found"]
    assert "adapters/__init__.py, adapters/trainer.py" in rows["distribution"][1]["found"]
