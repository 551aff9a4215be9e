"""What fuzzing has kept is judged again; each target is fuzzed a little; and a judge that could not fail would be found out."""

import importlib.util
import os
import sys
import tarfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from random import Random

import attrs
import pytest
from lxml import etree

from hub.edxml import packet
from hub.formats import base64_content, mime, safe_xml, streamed_xml
from hub.security import anchors, certificates, cms, crl_ocsp, wss_tokens, xmldsig
from hub.soap import documents_requests, documents_responses, envelope
from hub.soap.documents_responses import SubmissionReport
from tests import fuzz
from tests.conftest import not_applicable
from tests.fuzz import CORPUS, TARGETS, archive, keeping, kept, load
from tests.fuzz import __main__ as tool
from tests.fuzz import enveloped as enveloped_target
from tests.fuzz import media_type as media_type_target
from tests.fuzz import signature as signature_target
from tests.fuzz.identities import PARTNER, STRANGER
from tests.waiting import PATIENCE

RUNS = {
    "markup": 2500,
    "attachment": 1250,
    "media_type": 400,
    "packet": 300,
    "replies": 300,
    "time_stamps": 400,
}  #: half a second or so each; ./dev fuzz runs them for as long as it is told
MOST = 1_000_000  #: octets of all corpora together


def nothing(*_: object, **__: object) -> None:
    """Stand in for a check that is not made."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.slow
def test_what_was_kept_is_judged_well(target):
    inputs = kept(target)
    assert inputs, "./dev fuzz has never been run on it"
    for name, content in inputs.items():
        assert name.removeprefix(keeping.FOUND) == keeping.name(content)
        load(target).judge(content)


def test_the_corpora_are_small_and_each_has_its_target():
    assert sum(len(content) for target in TARGETS for content in kept(target).values()) < MOST
    assert {path.name for path in CORPUS.iterdir()} == {archive(target).name for target in TARGETS}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A kept corpus of the target `markup`: two inputs and what was a finding once."""
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path / "corpus")
    monkeypatch.setattr(keeping, "PLACE", tmp_path / "var")
    inputs = {keeping.name(content): content for content in (b"<a/>", b"<a")}
    keeping.write("markup", inputs | {keeping.FOUND + keeping.name(b"<b/>"): b"<b/>"})
    return archive("markup")


def test_the_same_inputs_make_the_same_archive_whenever_it_is_written(corpus):
    before, inputs = corpus.read_bytes(), kept("markup")
    corpus.unlink()
    keeping.write("markup", dict(reversed(inputs.items())))
    assert corpus.read_bytes() == before
    stamp = corpus.stat().st_mtime_ns
    keeping.write("markup", inputs)
    assert corpus.stat().st_mtime_ns == stamp


def test_an_interrupted_writing_leaves_the_archive_as_it_was(corpus, monkeypatch):
    before = corpus.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    for where in (tarfile.TarFile, "addfile"), (os, "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(*where, stop)
            with pytest.raises(KeyboardInterrupt):
                keeping.keep_finding("markup", b"<c/>")
        assert corpus.read_bytes() == before
    assert [path.name for path in corpus.parent.iterdir()] == [corpus.name]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="not applicable: needs sys.monitoring")
def test_what_was_a_finding_stays_and_what_is_learnt_comes_beside_it(corpus, tmp_path):
    (tmp_path / "learnt").mkdir()
    (tmp_path / "learnt/any").write_bytes(b"<!DOCTYPE a><a/>")
    found = keeping.keep_finding("markup", b"<c/>")
    chosen = keeping.keep("markup", [tmp_path / "learnt"])
    inputs = kept("markup")
    assert {inputs[found], inputs[keeping.FOUND + keeping.name(b"<b/>")]} == {b"<c/>", b"<b/>"}
    assert inputs[keeping.name(b"<!DOCTYPE a><a/>")] == b"<!DOCTYPE a><a/>"
    assert len(inputs) == chosen + 2


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_judged_well(target):
    module = load(target)
    seeds = list(module.seeds())
    assert seeds
    for content in seeds:
        assert len(content) <= module.LONGEST
        module.judge(content)


def _spoil_attachment(patch):
    patch.setattr(base64_content, "_check_file_name", nothing)


def _spoil_calls(patch):
    patch.setattr(documents_requests, "read_documents_call", lambda *_: documents_requests.GetDocument("another"))


def _spoil_certificates(patch):
    patch.setattr(anchors.Anchors, "check", nothing)


def _spoil_envelope(patch):
    patch.setattr(envelope, "_list_elements", lambda parent: list(parent.iterchildren("*")))


def _spoil_enveloped(patch):
    patch.setattr(xmldsig.Reference, "check_document", nothing)


def _spoil_mails(patch):
    patch.setattr(cms, "_check_signer", nothing)


def _spoil_markup(patch):
    patch.setattr(safe_xml, "parse_safe_xml", lambda *_: etree.fromstring(b"<a/>"))


def _spoil_media_type(patch):
    patch.setattr(media_type_target, "read_media_type", lambda *_: ("text/xml", {}))


def _spoil_multipart(patch):
    right = mime._divide_part
    patch.setattr(mime, "_divide_part", lambda body, start, end: right(body, start, end - 1))


def _spoil_packet(patch):
    right = packet.read_packet
    patch.setattr(packet, "read_packet", lambda root: attrs.evolve(right(root), sender="H55.99"))


def _spoil_replies(patch):
    patch.setattr(documents_responses, "read_report", lambda *_: SubmissionReport(True, ()))


def _spoil_revocation(patch):
    patch.setattr(crl_ocsp, "_is_signed_by", lambda *_: True)


def _spoil_sealed(patch):
    patch.setattr(xmldsig.Reference, "check", nothing)


def _spoil_signature(patch):
    patch.setattr(xmldsig.Reference, "check", nothing)


def _spoil_slimming(patch):
    patch.setattr(streamed_xml, "_normalise_references", lambda text: text.replace(b"Q", b"R"))


def _spoil_time_stamps(patch):
    patch.setattr(cms, "_check_signer", nothing)


def _spoil_tokens(patch):
    patch.setattr(wss_tokens, "_by_serial", lambda *_: [STRANGER.certificate])


#: What to take from a seed, and what to put there, for the mistake to show; where a seed as it is does not show it.
CHANGED = {
    "envelope": (b"<s:Body", b"text<s:Body"),
    "enveloped": (b"V/v k", b"V-v k"),
    "mails": (b"PGE+", b"PGI+"),
    "sealed": (b"m-1", b"m-2"),
    "signature": (b"\xe1\xbb\x91 1<", b"\xe1\xbb\x91 2<"),
    "time_stamps": (b"20261124080000Z", b"20261124080001Z"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_mistake_in_the_hub_is_seen(target, monkeypatch):
    module = load(target)
    old, new = CHANGED.get(target, (b"", b""))
    inputs = [seed.replace(old, new) if old else seed for seed in module.seeds()]
    for content in inputs:
        module.judge(content)
    globals()[f"_spoil_{target}"](monkeypatch)
    seen = 0
    for content in inputs:
        try:
            module.judge(content)
        except AssertionError:
            seen += 1
    assert seen


def test_the_smallest_inputs_that_reach_everything_are_kept():
    inputs = [
        (b"aaaa", frozenset({1, 2})),
        (b"b", frozenset({1})),
        (b"cc", frozenset({1})),
        (b"ddd", frozenset({2, 3})),
    ]
    assert keeping.choose(inputs) == [b"b", b"ddd"]
    assert keeping.choose(inputs, most=2) == [b"b"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="not applicable: needs sys.monitoring")
def test_what_an_input_reaches_is_told_apart():
    judge = load("markup").judge
    read, again, refused = (keeping.reached(judge, content) for content in (b"<a/>", b"<b/>", b"<a"))
    assert read == again
    assert read != refused


@pytest.mark.parametrize("target", [enveloped_target, signature_target])
def test_inputs_are_changed_the_same_way_for_the_same_seed(target):
    content = next(target.seeds())
    changed = [
        target.change(content, target.LONGEST, seed)
        for seed in range(50)
        for _ in range(2)
        if seed not in _blind(target)
    ]
    assert changed[::2] == changed[1::2]
    assert len(set(changed)) > 20
    assert all(len(each) <= target.LONGEST for each in changed)


def _blind(target):
    """Return the seeds with which octets would be changed blindly, which only atheris can."""
    return {seed for seed in range(50) if Random(seed).random() < target.trees.blindly}


def test_the_keys_are_the_same_everywhere():
    assert certificates.hash_certificate(PARTNER.certificate).startswith("8ccd2b42")


def test_runs_at_once_are_all_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "HOURS", tmp_path / "hours.toml")
    monkeypatch.setattr(tool, "PLACE", tmp_path / "var")
    run = tool.Run(seconds=2, executions=3, coverage=0, features=0, findings=(), said="")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tool.add(("one", "other")[number % 2], run), range(40)))
    counted = {"seconds": 40, "executions": 60}
    assert tomllib.loads(tool.HOURS.read_text()) == {"one": counted, "other": counted}


def _fuzz(target, place, *options):
    if importlib.util.find_spec("atheris") is None:
        not_applicable("atheris has no wheel for this Python and machine")
    hang = f"-timeout={PATIENCE:.0f}"  # by the clock: for a busy machine no less than for others
    return tool.fuzz(target, place, "-seed=1", hang, *options, wait=5 * PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(target, tmp_path):
    runs = RUNS.get(target, 1000)
    run = _fuzz(target, tmp_path, f"-runs={runs}")
    assert run.findings == (), run.said[-3000:]
    assert run.executions >= runs


@pytest.mark.slow
def test_a_run_finds_what_is_there(tmp_path):
    run = _fuzz("planted", tmp_path, "-runs=100000")
    (finding,) = run.findings
    assert finding.read_bytes().startswith(b"!")
    assert "planted" in run.said
