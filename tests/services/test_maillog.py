"""Counting the logs of Postfix and Dovecot: each mail once for who sent it, once for each who got it, by day and unit; and no address in it."""

from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from hub.intake.mail_usage import subtract_tally
from hub.services.mail import read_usage_report
from hub.services.mail.log import NOBODY, MailDirectory, count_mail_log, write_usage_message
from hub.soap import wsdl
from tests.pki import NOW

DAY = date(2026, 11, 24)
DIRECTORY = MailDirectory.read("""
# who is where
vanthu.soyte@thainguyen.gov.vn, H55.14
*.soyte@thainguyen.gov.vn,H55.14
*.sotttt@thainguyen.gov.vn,H55.13
ubnd.thainguyen.gov.vn,H55.1
""")
A, B, C = "a.soyte@thainguyen.gov.vn", "b.sotttt@thainguyen.gov.vn", "c@ubnd.thainguyen.gov.vn"
OUT = "x@ngoai.example"


def line(said, at="Nov 24 09:00:00", part="postfix/smtpd[71]"):
    return f"{at} mail {part}: {said}\n"


def sent(number, sender, *recipients, at="Nov 24 09:00:00", login=None, message_id=None):
    """Return what Postfix writes of one mail: handed in with *login* (the sender, unless said otherwise; empty: from elsewhere)."""
    login = sender if login is None else login
    signed_in = f", sasl_method=PLAIN, sasl_username={login}" if login else ""
    name = f"4gWn{number:06}"
    return [
        line(f"{name}: client=unknown[10.0.0.7]{signed_in}", at, "postfix/submission/smtpd[71]"),
        line(f"{name}: message-id=<{message_id or number}@mail>", at, "postfix/cleanup[72]"),
        line(f"{name}: from=<{sender}>, size=350, nrcpt={len(recipients)} (queue active)", at, "postfix/qmgr[73]"),
        *(
            line(
                f"{name}: to=<{each}>, relay=virtual, delay=0.06, dsn=2.0.0, status=sent (delivered)",
                at,
                "postfix/virtual[74]",
            )
            for each in recipients
        ),
        line(f"{name}: removed", at, "postfix/qmgr[73]"),
    ]


def test_a_mail_counts_once_for_who_sent_it_and_for_each_who_got_it():
    lines = [*sent(1, A, B, C), *sent(2, A, B, OUT), *sent(3, OUT, A, B, login="")]
    assert count_mail_log(lines, DIRECTORY, DAY) == {
        "H55.1": {"received-internal": 1},
        "H55.13": {"received-external": 1, "received-internal": 2},
        "H55.14": {"accounts-active": 1, "received-external": 1, "sent-external": 1, "sent-internal": 1},
    }


def test_who_only_writes_our_address_from_elsewhere_has_not_sent_it():
    assert count_mail_log(sent(1, A, B, login=""), DIRECTORY, DAY) == {"H55.13": {"received-internal": 1}}


def test_a_mail_that_a_filter_hands_in_again_is_the_same_mail():
    first = sent(1, A, B, message_id="one")
    again = sent(2, A, B, login="", message_id="one")
    assert count_mail_log(first + again, DIRECTORY, DAY)["H55.13"] == {"received-internal": 1}
    assert count_mail_log(first + again, DIRECTORY, DAY)["H55.14"] == {"accounts-active": 1, "sent-internal": 1}
    assert count_mail_log(again + first, DIRECTORY, DAY) == count_mail_log(first + again, DIRECTORY, DAY)


def test_a_note_that_delivery_failed_and_a_mail_that_never_went_are_nobodys_work():
    lines = [*sent(1, "", A, login=""), *sent(2, A)]
    assert count_mail_log(lines, DIRECTORY, DAY) == {"H55.14": {"accounts-active": 1}}


def test_a_day_is_hanois_whatever_the_servers_clock_says():
    late = sent(1, A, B, at="Nov 23 17:00:01")  # after midnight in Hà Nội, for a server on UTC
    early = sent(2, A, B, at="Nov 23 16:59:59")
    assert count_mail_log(late + early, DIRECTORY, DAY, zone=ZoneInfo("UTC"))["H55.13"] == {"received-internal": 1}
    stamped = sent(3, A, B, at="2026-11-23T17:00:01.123456+00:00") + sent(4, A, B, at="2026-11-24T23:59:59+07:00")
    assert count_mail_log(stamped, DIRECTORY, DAY)["H55.13"] == {"received-internal": 2}
    assert count_mail_log(sent(5, A, B, at="2026-11-25T00:00:00+07:00"), DIRECTORY, DAY) == {}


def test_a_stamp_without_a_year_is_of_the_year_next_to_the_day():
    new_year = date(2027, 1, 1)
    lines = sent(1, A, B, at="Dec 31 17:00:00") + sent(2, A, B, at="Jan  1 09:00:00")
    assert count_mail_log(lines, DIRECTORY, new_year, zone=UTC)["H55.13"] == {"received-internal": 2}
    assert count_mail_log(sent(1, A, B, at="Jan  1 00:00:00"), DIRECTORY, date(2026, 12, 31)) == {}


def test_mails_refused_as_too_large_are_counted_at_once_or_when_they_grow():
    rejected = "NOQUEUE: reject: MAIL from unknown[10.0.0.7]: 552 5.3.4 Message size exceeds fixed limit; "
    cut = "4gWn000009: queue file size limit exceeded"
    lines = [
        line(f"{rejected}from=<{A}> proto=ESMTP helo=<pc> sasl_method=PLAIN sasl_username={A}"),
        line(f"{rejected}from=<{OUT}> proto=ESMTP helo=<mx>"),
        line(f"4gWn000009: client=unknown[10.0.0.7], sasl_method=PLAIN, sasl_username={B}"),
        line(f"warning: {cut}"),
        line(f"warning: {cut}", part="postfix/cleanup[72]"),
        line(
            f"NOQUEUE: reject: RCPT from unknown[10.0.0.7]: 550 5.1.1 <q@ubnd.thainguyen.gov.vn>: unknown; from=<{A}>"
        ),
    ]
    found = count_mail_log(lines, DIRECTORY, DAY)
    assert {unit: figures.get("refused-size", 0) for unit, figures in found.items()} == {
        NOBODY: 1,
        "H55.13": 1,
        "H55.14": 1,
    }


def test_an_account_is_active_once_a_day_by_signing_in_or_by_sending():
    lines = [
        line(f"imap-login: Info: Logged in: user=<{A}>, method=PLAIN, rip=127.0.0.1, TLS, session=<x>", part="dovecot"),
        line(f"pop3-login: Login: user=<{A.upper()}>, method=PLAIN, rip=127.0.0.1", part="dovecot"),
        line(f"imap-login: Info: Logged in: user=<{C}>, method=PLAIN", at="Nov 23 09:00:00", part="dovecot"),
        f"Nov 24 10:00:00 imap-login: Info: Logged in: user=<{B}>, method=PLAIN, TLS\n",
        line("imap-login: Info: Login aborted: Connection closed: user=<>, rip=127.0.0.1", part="dovecot"),
        *sent(1, A, OUT),
    ]
    found = count_mail_log(lines, DIRECTORY, DAY)
    assert {unit: figures["accounts-active"] for unit, figures in found.items()} == {"H55.13": 1, "H55.14": 1}


@pytest.mark.parametrize(
    "said",
    [
        f"imap-login: Login: user=<{A}>",
        f"dovecot: imap-login: Info: Logged in: user=<{A}>",
        f"postfix/smtpd[1]: 4gWn000009: client=x[10.0.0.7], sasl_method=PLAIN, sasl_username={A}",
        f"x sasl_method=PLAIN sasl_username={A} x",
        ": 552 5.3.4 x",
    ],
)
@pytest.mark.parametrize("reason", ["554 5.7.1 <q@x.example>: Relay access denied", "552 5.3.4 Message size exceeds"])
def test_what_a_stranger_writes_into_a_line_counts_for_nobody(said, reason):
    """The name after HELO may be any text, and a server of elsewhere says what it likes when it takes a mail."""
    rejected = f"NOQUEUE: reject: MAIL from unknown[10.0.0.7]: {reason}; from=<{A}> proto=ESMTP helo=<{said}>"
    taken = f"4gWn000001: to=<{OUT}>, relay=mx[10.0.0.8]:25, dsn=2.0.0, status=sent (250 {said})"
    late = f"4gWn000002: to=<{B}>, relay=mx[10.0.0.8]:25, dsn=4.0.0, status=deferred (450 {said} status=sent ok)"
    failed = f"imap-login: Disconnected: Connection closed (auth failed, 1 attempts): user=<{said}>, rip=10.0.0.7"
    lines = [
        line(rejected),
        line(f"4gWn000001: from=<{C}>, size=350, nrcpt=1 (queue active)", part="postfix/qmgr[73]"),
        line(taken, part="postfix/smtp[74]"),
        line(f"4gWn000002: from=<{C}>, size=350, nrcpt=1 (queue active)", part="postfix/qmgr[73]"),
        line(late, part="postfix/smtp[74]"),
        line(failed, part="dovecot"),
    ]
    assert set(count_mail_log(lines, DIRECTORY, DAY)) <= {NOBODY}


HEAD = "Username\tQuota name\tType\tValue\tLimit\t%\n"


def quota(account, used, limit="5242880"):
    storage = f"{account}\tUser quota\tSTORAGE\t{used}\t{limit}\t0\n"
    return [storage, f"{account}\tUser quota\tMESSAGE\t1\t-\t0\n"]


def test_accounts_and_those_over_90_percent_come_from_the_quotas_to_the_last_octet():
    most = 5 * 1024 * 1024  # KiB: 5 GB
    lines = [
        HEAD,
        *quota(A, most * 9 // 10),
        *quota("d.soyte@thainguyen.gov.vn", most * 9 // 10 + 1),
        *quota(B, most, "-"),
    ]
    assert count_mail_log([], DIRECTORY, DAY, quotas=lines) == {
        "H55.13": {"accounts-issued": 1, "over-quota": 0},
        "H55.14": {"accounts-issued": 2, "over-quota": 1},
    }
    for wrong in (["Tài khoản\n"], [HEAD, "a\tb\n"], [HEAD, *quota(A, "nhiều")]):
        with pytest.raises(ValueError, match=r"quota|columns|nhiều"):
            count_mail_log([], DIRECTORY, DAY, quotas=wrong)


def test_lines_that_are_none_of_theirs_and_octets_that_are_no_text_are_passed_over():
    lines = [
        "",
        "\ufffd\ufffd\n",
        "Nov 31 09:00:00 mail postfix/smtpd[1]: 4gWn000001: x\n",
        "Abc 24 09:00:00 m kernel: x\n",
    ]
    lines += [line("connect from unknown[10.0.0.7]"), line("statistics: max cache size 2", part="postfix/anvil[7]")]
    assert count_mail_log(lines, DIRECTORY, DAY) == {}


def test_the_directory_takes_the_closest_pattern_and_says_which_line_is_wrong():
    found = MailDirectory.read("a@x.vn,H55.1\n@x.vn,H55.2\n*.y@x.vn,H55.3\n")
    assert [found.unit(each) for each in ("A@X.vn", "b@x.vn", "b.y@x.vn", "b@z.vn")] == [
        "H55.1",
        "H55.2",
        "H55.3",
        NOBODY,
    ]
    assert found.inside("q@x.vn")
    assert not found.inside("q@sub.x.vn")
    for wrong in ("a@x.vn\n", ",H55\n", "a@x.vn,H55,1\n", "a b@x.vn,H55.1\n"):
        with pytest.raises(ValueError, match="line 2"):
            MailDirectory.read("\n" + wrong)


def test_what_is_handed_in_keeps_the_contract_and_has_no_address_subject_or_name_in_it():
    secret = sent(1, A, B, OUT, message_id="subject-of-a-person")
    refused = line(f"NOQUEUE: reject: MAIL from mx[1.2.3.4]: 552 5.3.4 too large; from=<{OUT}> proto=ESMTP helo=<mx>")
    tally = count_mail_log([*secret, refused], DIRECTORY, DAY, quotas=[HEAD, *quota(A, 1)])
    content = write_usage_message(tally, "H55", DAY)
    for word in (b"@", b"soyte", b"sotttt", b"ngoai", b"subject", b"10.0.0.7", b"1.2.3.4"):
        assert word not in content
    kept = wsdl.load_contract("mail")
    element = etree.fromstring(content)
    assert kept.validate(element) == []
    record = read_usage_report(content, NOW, "m-1")
    assert record.sender == "H55"
    assert not any("@" in str(value) for fact in record.facts for value in (fact.unit, fact.key, fact.attributes))
    assert {(fact.unit, fact.milestone): fact.amount for fact in record.facts} == {
        (unit, milestone): number for unit, figures in tally.items() if unit for milestone, number in figures.items()
    }


def test_a_correction_is_what_is_missing_from_what_was_told_and_nothing_of_what_is_right():
    told = {"H55.1": {"sent-internal": 3, "accounts-active": 2}, "H55.2": {"sent-internal": 1}}
    counted = {
        "H55.1": {"sent-internal": 4, "accounts-active": 2},
        "H55.3": {"over-quota": 1},
        NOBODY: {"over-quota": 5},
    }
    assert subtract_tally(counted, told) == {
        "H55.1": {"sent-internal": 1},
        "H55.2": {"sent-internal": -1},
        "H55.3": {"over-quota": 1},
    }
    assert subtract_tally(told, told) == {}


def test_accounts_active_on_any_of_several_days_are_counted_once_and_nothing_else_is():
    lines = [
        *sent(1, A, B),
        *sent(2, A, B, at="2026-11-25T08:00:00+07:00"),
        *sent(3, B, A, at="2026-11-26T08:00:00+07:00"),
    ]
    found = count_mail_log(lines, DIRECTORY, DAY + timedelta(days=1), since=DAY)
    assert found == {"H55.14": {"accounts-active": 1}}
    content = write_usage_message(found, "H55", DAY + timedelta(days=1), since=DAY)
    assert b"<Day>2026-11-25</Day><Since>2026-11-24</Since>" in content
