"""A multipart body is taken apart in one way, or refused."""

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.domain.errors import CallRefused
from hub.formats import mime, spool
from hub.formats.mime import read_content_id, read_related_header, split_mime_body
from hub.formats.spool import Drawer, Octets
from tests.effort import run_within
from tests.mtom import PART, ROOT, Body

ENVELOPE = b"<Envelope/>"


@pytest.fixture
def drawer(tmp_path):
    made = Drawer(tmp_path)
    yield made
    made.close()


def apart(body, form=None, drawer=None):
    """Return the envelope and the parts of *body*."""
    root, others = split_mime_body(
        Octets.of(body), read_related_header((form or Body()).content_type), drawer or Drawer()
    )
    return root.octets.read(), {name: part.octets.read() for name, part in others.items()}


def refused(body, form=None, drawer=None):
    with pytest.raises(CallRefused) as caught:
        apart(body, form, drawer)
    (problem,) = caught.value.problems
    return problem.code


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.from_regex(r"[a-z0-9.%+]{1,20}@[a-z]{1,9}", fullmatch=True), st.binary(max_size=500), max_size=15
    ),
    st.integers(1, 40),
    st.from_regex(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", fullmatch=True),
)
@pytest.mark.slow
def test_parts_come_out_as_they_went_in_wherever_a_slice_ends(envelope, parts, step, boundary):
    form = Body(boundary=boundary)
    if any(f"\r\n--{boundary}".encode() in b"\r\n" + each for each in (envelope, *parts.values())) or ROOT in parts:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Octets.pieces, "__defaults__", (step,))
        assert apart(form.written(envelope, parts), form) == (envelope, parts)


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
@example(b"\r\n--uuid:8a7c+id=1--", 200, 200)
def test_any_octets_are_taken_apart_into_slices_of_themselves_or_refused(noise, start, end):
    body = Body().written(ENVELOPE, {PART: b"\r\n\r\n"})
    for spoilt in (noise, body[:start] + noise, body[:start] + noise + body[end:]):
        try:
            envelope, parts = apart(spoilt)
        except CallRefused:
            continue
        assert all(octets in spoilt and b"\r\n--uuid:8a7c+id=1" not in octets for octets in (envelope, *parts.values()))


def test_base64_is_undone_into_a_file_and_other_encodings_are_as_they_are(drawer):
    octets = bytes(range(256)) * 1000
    for name in ("base64", "BASE64"):
        form = Body(part_headers=f"Content-Transfer-Encoding: {name}\r\n")
        assert apart(
            form.written(ENVELOPE, {PART: base64.encodebytes(octets).replace(b"\n", b"\r\n")}), form, drawer
        ) == (
            ENVELOPE,
            {PART: octets},
        )
    for name in ("7bit", "8bit", "binary"):
        form = Body(part_headers=f"Content-Transfer-Encoding: {name}\r\n")
        assert apart(form.written(ENVELOPE, {PART: octets}), form, drawer)[1] == {PART: octets}
    form = Body(part_headers="Content-Transfer-Encoding: base64\r\n")
    assert refused(form.written(ENVELOPE, {PART: b"QQ=!"}), form) == "multipart-broken"
    for name in ("quoted-printable", "x-uuencode", "gzip"):
        form = Body(part_headers=f"Content-Transfer-Encoding: {name}\r\n")
        assert refused(form.written(ENVELOPE, {PART: b"x"}), form) == "multipart-broken"


def test_the_envelope_is_the_start_or_else_the_first_part():
    body = Body().written(ENVELOPE, {PART: b"x"})
    assert apart(body, Body(start=None))[0] == ENVELOPE
    assert apart(body, Body(start=ROOT))[0] == ENVELOPE, "some write it without <>"
    assert apart(body, Body(start=f"<{PART}>")) == (b"x", {ROOT: ENVELOPE})
    assert refused(body, Body(start="<nobody@test>")) == "multipart-broken"


def test_a_leading_line_end_a_folded_header_and_no_last_line_end_are_read():
    for form in (Body(preamble=b"\r\n"), Body(epilogue=b"")):
        assert apart(form.written(ENVELOPE, {PART: b"x"}), form) == (ENVELOPE, {PART: b"x"})
    form = Body(part_headers='Content-Type: application/octet-stream;\r\n\tname="a"\r\nX-Other: 1\r\n')
    root, others = split_mime_body(
        Octets.of(form.written(ENVELOPE, {PART: b"x"})), read_related_header(form.content_type), Drawer()
    )
    assert others[PART].parameters == {"name": "a"}
    assert root.content_id == ROOT


GOOD = Body().written(ENVELOPE, {PART: b"x"})
LINE = b"--uuid:8a7c+id=1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        LINE,
        LINE + b"--",
        LINE + b"\r\n",
        LINE + b"--\r\n",
        GOOD.replace(b"\r\n", b"\n"),
        b"preamble\r\n" + GOOD,
        b"\r\n\r\n" + GOOD,
        GOOD + b"epilogue",
        GOOD + b"\r\n",
        GOOD[: GOOD.rindex(b"--")],
        GOOD.replace(LINE + b"\r\n", LINE + b" \r\n", 1),
        GOOD.replace(LINE + b"\r\n", LINE + b"x\r\n"),
        GOOD.replace(b"\r\n\r\nx", b"\r\nx"),
        GOOD.replace(b"Content-ID", b"Content ID"),
        GOOD.replace(
            b"Content-Type: application/octet", b"Content-Type: text/plain\r\nContent-Type: application/octet"
        ),
        GOOD.replace(b"Content-ID: <pac", b"Content-ID: <a@b>\r\nContent-ID: <pac"),
        GOOD.replace(b"application/octet-stream", b"multipart/related"),
        GOOD.replace(b"application/octet-stream", b"message/rfc822"),
        GOOD.replace(b"application/octet-stream", b"application/\xffoctet"),
        GOOD.replace(b"<packet@test.example>", b"<packet test>"),
        GOOD.replace(b"<packet@test.example>", b"<" + b"a" * 600 + b">"),
        GOOD.replace(b"Content-ID: <pac", b"X: " + b"a" * 9000 + b"\r\nContent-ID: <pac"),
        Body().written(ENVELOPE, {f"{n}@x": b"" for n in range(16)}),
    ],
)
def test_what_two_readers_might_take_apart_differently_is_refused(body):
    assert refused(body) == "multipart-broken"


def test_two_parts_with_one_id_or_a_part_without_any_are_refused():
    twice = GOOD.replace(
        LINE + b"--", GOOD[GOOD.rindex(LINE + b"\r\n") : GOOD.rindex(b"\r\n" + LINE)] + b"\r\n" + LINE + b"--"
    )
    assert refused(twice) == "attachment-unknown"
    assert refused(GOOD.replace(b"Content-ID: <packet@test.example>", b"X-Nothing: 1")) == "attachment-unknown"
    assert refused(GOOD.replace(b"<packet@", b"<envelope@")) == "multipart-broken", "two parts are the start"


def test_an_envelope_of_more_than_a_megabyte_is_too_large():
    assert refused(Body().written(b"x" * (mime.LONGEST_ROOT + 1), {})) == "too-large"


@pytest.mark.parametrize(
    "header",
    [
        'multipart/related; type="text/xml"',
        'multipart/related; boundary=""; type="text/xml"',
        'multipart/related; boundary="a "; type="text/xml"',
        f'multipart/related; boundary="{"a" * 71}"; type="text/xml"',
        'multipart/related; boundary="a\\"b"; type="text/xml"',
        'multipart/related; boundary="a"',
        'multipart/related; boundary="a"; boundary="b"; type="text/xml"',
        'multipart/related; boundary="a"; nonsense; type="text/xml"',
        'multipart/related; boundary="a"; type="text/xml"; start="<a b>"',
        'multipart/related;\xa0boundary="a"; type="text/xml"',
        'multipart/related; boundary="a";\x0btype="text/xml"',
        'multipart/related; boundary\x85="a"; type="text/xml"',
    ],
)
def test_a_content_type_that_may_be_read_in_two_ways_is_refused(header):
    with pytest.raises(CallRefused, match="multipart-broken"):
        read_related_header(header)


def test_a_content_type_is_read_in_one_go_however_its_white_space_could_be_shared_out():
    """Each empty value would make it four times as long."""

    def read() -> None:
        with pytest.raises(CallRefused, match="multipart-broken"):
            read_related_header(f'multipart/related{"; a=   " * 13}"')

    run_within(2, read)


def test_a_reference_is_a_cid_and_nothing_else():
    assert read_content_id("cid:a@b") == "a@b"
    assert read_content_id("CID:http%3A%2F%2Ftempuri.org%2F1%2F63") == "http://tempuri.org/1/63"
    for uri in (
        "",
        "cid:",
        "http://10.0.0.1/x",
        "file:///etc/passwd",
        "cid:a b",
        "cid:%0d%0a",
        "cid:%ff",
        "cid:é",
        "mid:a@b",
    ):
        with pytest.raises(CallRefused, match="attachment-unknown"):
            read_content_id(uri)


def test_a_drawer_keeps_what_is_small_in_memory_and_what_is_large_in_one_nameless_file(tmp_path):
    drawer = Drawer(tmp_path)
    small = drawer.keep([b"a", b"b"])
    assert (small.read(), small._source) == (b"ab", b"ab")
    many = drawer.keep_each([[b"a" * 70_000], [], [b"b", b"c"]])
    assert [len(each) for each in many] == [70_000, 0, 2]
    assert many[2].read() == b"bc"
    assert b"".join(many[0].pieces(999)) == b"a" * 70_000
    assert list(tmp_path.iterdir()) == []
    drawer.close()
    with pytest.raises(ValueError, match="closed"):
        many[0].read()


def test_what_a_killed_hub_left_is_cleared(tmp_path):
    folder = spool.name_spool_folder(tmp_path)
    spool.clear_spool(folder)
    (folder / "left").write_bytes(b"x")
    spool.clear_spool(folder)
    assert list(folder.iterdir()) == []
    assert re.fullmatch("drwx------", __import__("stat").filemode(folder.stat().st_mode))


# --- forms ----------------------------------------------------------------------------------------------------------------

FORM = "multipart/form-data; boundary=B"


def form(*parts, end=b"\r\n--B--\r\n"):
    return b"".join(b"\r\n--B\r\n" + head + b"\r\n\r\n" + octets for head, octets in parts)[2:] + end


def field(name, more=b""):
    return b'Content-Disposition: form-data; name="' + name + b'"' + more


def test_the_fields_of_a_form_are_read_by_name_and_a_files_own_name_is_not():
    body = form((field(b"proof"), b"abc"), (field(b"file", b'; filename="../../\xe1\xbb\x9f.xlsx"'), b"\r\n--\x00B--"))
    found = mime.read_form_data(Octets.of(body), FORM)
    assert {name: octets.read() for name, octets in found.items()} == {"proof": b"abc", "file": b"\r\n--\x00B--"}


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (form((field(b"a"), b"1"), (field(b"a"), b"2")), FORM),
        (form((b"Content-Type: text/plain", b"1")), FORM),
        (form((field(b"a") + b"\r\n" + field(b"b"), b"1")), FORM),
        (form((field(b"A B"), b"1")), FORM),
        (form(*[(field(b"abcdefghijklmnopq"[n : n + 1]), b"") for n in range(11)]), FORM),
        (form((field(b"a"), b"1"), end=b""), FORM),
        (form((field(b"a"), b"1")), "multipart/form-data"),
        (form((field(b"a"), b"1")), "multipart/related; boundary=B"),
        (form((b"x" * 100_000, b"1")), FORM),
        (b"", FORM),
    ],
)
def test_a_form_that_is_not_well_made_is_refused(body, header):
    with pytest.raises(CallRefused):
        mime.read_form_data(Octets.of(body), header)


def test_a_field_that_is_none_is_refused_in_no_time():
    """Each blank looked at from each would take a minute."""

    def read() -> None:
        with pytest.raises(CallRefused, match="multipart-broken"):
            mime._read_header_fields(b"a:" + b" " * 100_000 + b"\xff")

    run_within(2, read)
