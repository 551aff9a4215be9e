"""Defines the hub's errors, one class for each party at fault, and the table of error codes with their sentences.

`Rejected` (the message) and `CallRefused` (the call around it) are faults of the sender. `Unready` is a passing fault
of the hub. `ConfigurationFault` is a fault of the operator. A fault of a partner is an `Outcome`, not an error. Every
other exception is a defect of the hub: it is logged, and the caller reads `hub-error`. Does not know which module
raises which code.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from hub.domain.model import Problem

#: Code -> (Vietnamese, English): what is wrong and what to do. The keys `N.`, `R.`, `T.` and `M.` stand for codes that
#: consist of this prefix and a path.
SENTENCES: dict[str, tuple[str, str]] = {
    "N.": ("Thiếu phần tử bắt buộc; hãy bổ sung rồi gửi lại", "A required element is missing; add it and send again"),
    "R.": (
        "Giá trị ngoài phạm vi cho phép; hãy sửa rồi gửi lại",
        "The value is out of range; correct it and send again",
    ),
    "T.": ("Giá trị sai kiểu; hãy sửa rồi gửi lại", "The value has the wrong type; correct it and send again"),
    "M.": (
        "Giá trị không khớp với phần liên quan; hãy sửa rồi gửi lại",
        "The value does not match its counterpart; correct it",
    ),
    "action-mismatch": (
        "SOAPAction không khớp với phần tử trong Body; hãy để trống hoặc ghi đúng",
        "SOAPAction disagrees with the Body's element; leave it empty or set it right",
    ),
    "algorithm-refused": (
        "Thuật toán ký không được chấp nhận; hãy dùng RSA-SHA256 và C14N loại trừ",
        "The signature algorithm is not accepted; use RSA-SHA256 with exclusive C14N",
    ),
    "attachment-not-signed": (
        "Chữ ký không bao trùm tệp gửi kèm; hãy ký tệp (Attachment-Content-Signature-Transform) hoặc gửi bằng MTOM",
        "The signature does not cover the attachment; sign it (Attachment-Content-Signature-Transform) or send it by MTOM",
    ),
    "attachment-unknown": (
        "Phần đính kèm và tham chiếu cid không khớp một-một; hãy kiểm tra Content-ID",
        "Attachments and cid references do not match one to one; check each Content-ID",
    ),
    "attribute-unknown": (
        "Thuộc tính không có trong QCVN 102; hãy bỏ đi",
        "The attribute is not in QCVN 102; remove it",
    ),
    "audience-mismatch": (
        "Lời gọi được ký để gửi nơi khác (wsa:To không phải trục này); hãy ghi đúng địa chỉ của trục rồi ký lại",
        "The call was signed for another receiver (its wsa:To is not this hub); address it to this hub and sign again",
    ),
    "calendar-too-large": (
        "Lịch họp có quá nhiều chuỗi, ngày, dòng hoặc người dự; hãy rút ngắn chuỗi hoặc gửi thành nhiều gói",
        "The calendar has too many series, days, lines or attendees; end its series sooner, or send it in several packets",
    ),
    "calendar-unreadable": (
        "Không đọc được lịch họp (iCalendar); hãy đối chiếu RFC 5545",
        "The calendar cannot be read; compare it with RFC 5545",
    ),
    "call-not-granted": (
        "Hệ thống của bạn không được cấp quyền gọi thao tác này; đơn vị vận hành cấp bằng khóa calls (lienthong partners add MÃ --replace --calls …)",
        "Your system is not granted this operation; the operator grants it by the key calls (lienthong partners add CODE --replace --calls …)",
    ),
    "certificate-expired": (
        "Chứng thư ngoài thời hạn hiệu lực; hãy gia hạn",
        "The certificate is outside its validity; renew it",
    ),
    "certificate-revoked": (
        "Chứng thư đã bị thu hồi; hãy thay chứng thư khác",
        "The certificate is revoked; replace it",
    ),
    "certificate-unknown": (
        "Chứng thư chưa được đăng ký cho hệ thống đối tác nào; hãy liên hệ đơn vị vận hành",
        "The certificate belongs to no registered partner; ask the operator to register it",
    ),
    "certificate-untrusted": (
        "Chứng thư không dẫn tới gốc tin cậy; hãy liên hệ đơn vị vận hành",
        "The certificate does not chain to a trusted anchor; ask the operator",
    ),
    "certificate-weak": (
        "Khóa của chứng thư quá yếu; hãy thay bằng RSA từ 2048 bit, hoặc EC P-256, P-384, P-521",
        "The certificate's key is too weak; replace it by RSA from 2048 bits, or EC on P-256, P-384 or P-521",
    ),
    "child-order": (
        "Các phần tử con không theo thứ tự; hãy sắp lại",
        "The child elements are in the wrong order; reorder them",
    ),
    "column-unknown": (
        "Biểu mẫu không có cột này, hoặc cột không nhận số khai; hãy dùng khóa cột đã nêu",
        "The form has no such column, or the column takes no declared figure; use one of the keys named",
    ),
    "contract-broken": (
        "Lời gọi không đúng đặc tả dịch vụ; hãy đối chiếu WSDL",
        "The call breaks the service contract; compare it with the WSDL",
    ),
    "declaration-missing": (
        "Đơn vị chưa nộp số liệu cho biểu mẫu và kỳ này; hãy gọi SubmitWorkloadReport trước",
        "The unit has declared nothing for this form and period; call SubmitWorkloadReport first",
    ),
    "disk-low": (
        "Trục sắp hết chỗ trên đĩa; hãy gửi lại sau",
        "The hub's disk is nearly full; send again later",
    ),
    "doctype-refused": ("Không chấp nhận DOCTYPE; hãy bỏ đi rồi gửi lại", "A DOCTYPE is not accepted; remove it"),
    "document-not-found": (
        "Không có thông điệp này cho hệ thống của bạn; hãy kiểm tra mã",
        "There is no such message for your system; check the id",
    ),
    "dossier-unknown": (
        "Không có hồ sơ này ở đơn vị mà hệ thống của bạn được gửi thay; hãy kiểm tra mã hồ sơ và mã đơn vị",
        "No dossier of this code is known at a unit your system may send for; check both codes",
    ),
    "element-unknown": (
        "Phần tử không có trong QCVN 102; hãy bỏ đi",
        "The element is not in QCVN 102; remove it",
    ),
    "evidence-differs": (
        "Căn cứ của tháng đã đóng không còn như lúc đóng; hãy báo đơn vị vận hành đếm lại (lienthong report close), rồi thử lại",
        "The evidence of a closed month differs from the closing; ask the operator to count again (lienthong report close), then try again",
    ),
    "facts-outstanding": (
        "Còn kết quả của thông điệp đã nhận đang được ghi; hãy hỏi lại sau ít phút",
        "Facts of accepted messages are still being written; ask again in a few minutes",
    ),
    "form-unknown": (
        "Không có biểu mẫu này cho kỳ báo cáo; hãy dùng mã biểu mẫu đã nêu",
        "There is no such form for the period; use one of the forms named",
    ),
    "hub-busy": (
        "Trục đang quá tải; hãy gửi lại sau",
        "The hub is overloaded; send again later",
    ),
    "hub-error": (
        "Lỗi của trục liên thông; hãy gửi lại sau và báo mã theo dõi cho đơn vị vận hành",
        "The hub failed; send again later and give the operator the tracking id",
    ),
    "id-reused": (
        "MessageId đã dùng cho nội dung khác; hãy dùng mã mới",
        "This MessageId was already used for other content; use a new one",
    ),
    "incident-unreadable": (
        "Không đọc được thông tin sự cố; hãy đối chiếu đặc tả",
        "The incident data cannot be read; compare it with the reference",
    ),
    "journal-damaged": (
        "Nhật ký của trục bị hỏng và phải được khôi phục; hãy gửi lại sau",
        "The hub's journal is damaged and must be restored; send again later",
    ),
    "journal-unavailable": (
        "Tạm thời chưa ghi được nhật ký; hãy gửi lại sau",
        "The journal cannot be written now; send again later",
    ),
    "key-unavailable": (
        "Trục tạm thời không ký được; hãy gửi lại sau",
        "The hub cannot sign now; send again later",
    ),
    "list-unreadable": (
        "Danh mục không đọc được hoặc bị từ chối; bản trước vẫn được dùng, hãy xem bên cung cấp trả lời gì",
        "The list cannot be read or was refused; the previous list stays in use; check the provider's answer",
    ),
    "lookup-not-served": (
        "Không có hệ thống nào trả lời chức năng này; hãy liên hệ đơn vị vận hành",
        "No system answers this operation; contact the operator",
    ),
    "lookup-refused": (
        "Hệ thống được hỏi từ chối; hãy kiểm tra thông tin đã gửi",
        "The queried system refused; check what you sent",
    ),
    "lookup-unavailable": (
        "Hệ thống được hỏi hiện không trả lời; hãy gọi lại sau với cùng MessageId",
        "The queried system does not answer now; call again later with the same MessageId",
    ),
    "media-type": (
        "Kiểu nội dung HTTP không được hỗ trợ; hãy gửi text/xml, application/soap+xml hoặc multipart/related, không nén",
        "The HTTP media type is not supported; send text/xml, application/soap+xml or multipart/related, not compressed",
    ),
    "multipart-broken": (
        "Nội dung multipart/related không đúng dạng; hãy đối chiếu RFC 2387 và MTOM",
        "The multipart/related body is malformed; compare it with RFC 2387 and MTOM",
    ),
    "not-fetched": (
        "Chưa lấy thông điệp nên chưa thể xác nhận; hãy gọi GetDocument trước",
        "The message was not fetched, so it cannot be confirmed; call GetDocument first",
    ),
    "not-must-understand": (
        "Có header mustUnderstand mà trục không hiểu; hãy bỏ đi",
        "A mustUnderstand header is not understood; remove it",
    ),
    "not-ours": (
        "Không có nơi nhận nào thuộc tỉnh; hãy kiểm tra nơi nhận",
        "No recipient belongs to the province; check the recipients",
    ),
    "not-the-sender": (
        "Chỉ đơn vị đã gửi văn bản mới được thu hồi, cập nhật hoặc thay thế; hãy kiểm tra DocumentId",
        "Only the unit that sent a document may recall, update or replace it; check the DocumentId",
    ),
    "not-well-formed": (
        "XML sai cú pháp tại vị trí đã nêu; hãy sửa rồi gửi lại",
        "The XML is not well-formed at the place given; correct it and send again",
    ),
    "not-yours": (
        "Đơn vị này không thuộc hệ thống của bạn; hãy kiểm tra mã đơn vị",
        "That unit does not belong to your system; check the code",
    ),
    "official-not-for-unit": (
        "Người ký không được phân công ký báo cáo của đơn vị này; hãy để đúng người ký, hoặc đề nghị đơn vị vận hành bổ sung phân công",
        "The signer may not sign for this unit; let the right person sign, or ask the operator to enter the assignment",
    ),
    "official-not-in-office": (
        "Người ký chưa được hoặc không còn được phân công vào ngày ký; hãy để người đang được phân công ký",
        "The signer was not assigned on the day of signing; let an assigned official sign",
    ),
    "official-unknown": (
        "Chứng thư của người ký chưa được đăng ký; hãy dùng chứng thư đã đăng ký, hoặc gửi chứng thư cho đơn vị vận hành",
        "The signer's certificate is not registered; use the registered one, or bring this one to the operator",
    ),
    "operation-unknown": (
        "Không có chức năng này; hãy đối chiếu WSDL",
        "There is no such operation; compare it with the WSDL",
    ),
    "packet-signature-invalid": (
        "Chữ ký trong gói tin không đúng: gói tin đã đổi sau khi ký, hoặc chứng thư hết hiệu lực; hãy ký lại",
        "The packet's own signature is invalid: the packet changed after signing, or the certificate is no longer valid; sign it again",
    ),
    "packet-signature-unverifiable": (
        "Không kiểm tra được chữ ký trong gói tin; hãy ký XMLDSig enveloped, RSA-SHA256, bằng chứng thư đã đăng ký",
        "The packet's own signature cannot be checked; sign an enveloped XMLDSig, RSA-SHA256, with a registered certificate",
    ),
    "packet-unreadable": (
        "Không phải gói tin edXML theo QCVN 102; hãy kiểm tra phần tử gốc và không gian tên",
        "This is not an edXML packet of QCVN 102; check its root element and namespace",
    ),
    "packet-unsigned": (
        "Gói tin chưa được ký; hãy ký toàn bộ gói tin (XMLDSig enveloped)",
        "The packet is not signed; sign the whole packet (enveloped XMLDSig)",
    ),
    "period-not-closed": (
        "Tháng đã nêu chưa đóng; hãy đợi trục tự đóng lúc rạng sáng, hoặc đề nghị đơn vị vận hành đóng",
        "The month named is not closed; wait until the hub closes it early in the morning, or ask the operator to close it",
    ),
    "period-not-ended": (
        "Kỳ báo cáo chưa kết thúc, số liệu còn thay đổi; hãy tải báo cáo để ký sau khi kỳ kết thúc",
        "The period has not ended and its numbers may change; download the report for signing after the period has ended",
    ),
    "period-unreadable": (
        "Không đọc được kỳ báo cáo; hãy ghi như 2026-11, 2026-Q4, 2026-H1, 2026-9M hoặc 2026",
        "The period cannot be read; write it like 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026",
    ),
    "secret-refused": (
        "Văn bản mật không được gửi qua trục liên thông; hãy gửi bằng cách khác",
        "A secret document may not be sent over the hub; send it another way",
    ),
    "quota-exceeded": (
        "Đơn vị đã hết lượt hỏi trong ngày; hãy hỏi lại vào ngày mai hoặc liên hệ đơn vị vận hành",
        "The unit has used up its lookups of the day; ask again tomorrow, or contact the operator",
    ),
    "replayed": (
        "Lời gọi đã ký này đã đến trước đó và nay sẽ làm thay đổi dữ liệu; hãy ký lại rồi gọi lại",
        "This signed call was received before and would change data now; sign it again and call again",
    ),
    "reason-missing": (
        "Lập bản mới phải có lý do; hãy ghi lý do rồi gửi lại",
        "A new revision needs a reason; write it and send again",
    ),
    "report-already-signed": (
        "Bản báo cáo này đã được ký; muốn ký lại, hãy lập bản mới kèm lý do rồi ký bản đó",
        "This revision is already signed; to sign again, make a new revision with a reason and sign that one",
    ),
    "report-changed": (
        "Nội dung khác với báo cáo đã tải về; hãy tải lại và ký đúng tệp đó bằng công cụ không sửa XML (giữ nguyên khoảng trắng)",
        "The content differs from the downloaded report; download it again and sign that file with a tool that does not change the XML",
    ),
    "report-not-closed": (
        "Báo cáo chưa khóa nên chưa có gì để ký; hãy tải báo cáo XML của kỳ đã kết thúc, rồi ký tệp đó",
        "The report is not closed: there is nothing to sign; get the XML report of an ended period, then sign that file",
    ),
    "report-other-revision": (
        "Tệp đã ký là của báo cáo hoặc bản khác; hãy tải bản mới nhất của đúng báo cáo này, ký rồi nộp lại",
        "The signed file is another report or revision; download the newest revision of this report, sign it and submit it",
    ),
    "report-signatures": (
        "Tệp phải có đúng một chữ ký, đặt cuối, sau niêm phong của trục; hãy tải lại và ký một lần",
        "The file must hold exactly one signature, at the end, after the hub's seal; download it again and sign once",
    ),
    "report-unsigned": (
        "Báo cáo chưa có chữ ký của người có thẩm quyền; hãy ký (XAdES-B, enveloped) rồi nộp tệp đã ký",
        "No official has signed the report; sign it (XAdES-B, enveloped) and submit the signed file",
    ),
    "revocation-unknown": (
        "Chưa biết chứng thư còn hiệu lực hay đã bị thu hồi; hãy gửi lại sau hoặc liên hệ đơn vị vận hành",
        "The revocation status of the certificate is unknown now; send again later, or contact the operator",
    ),
    "sender-not-allowed": (
        "Hệ thống của bạn không được gửi thay đơn vị này; hãy liên hệ đơn vị vận hành",
        "Your system may not send for this unit; ask the operator",
    ),
    "signature-covers-too-little": (
        "Chữ ký phải bao trùm Body và Timestamp; hãy ký cả hai",
        "The signature must cover Body and Timestamp; sign both",
    ),
    "signature-incomplete": (
        "Chữ ký không đúng XAdES-B, chưa ký đủ hoặc kèm phần thừa; hãy ký lại theo XAdES-B (Baseline-B), enveloped",
        "The signature is not XAdES-B: too little is signed, or it contains extra parts; sign again as XAdES-B (Baseline-B), enveloped",
    ),
    "signature-invalid": (
        "Chữ ký không đúng: nội dung đã đổi sau khi ký hoặc ký sai cách",
        "The signature is invalid: the content changed after signing, or was signed incorrectly",
    ),
    "signing-time": (
        "Thời điểm ký ở tương lai hoặc trước khi báo cáo khóa; hãy chỉnh đồng hồ máy ký rồi ký lại",
        "The signing time is in the future or before the report was closed; correct the clock of the signing machine and sign again",
    ),
    "soap-version": (
        "Phiên bản SOAP không được hỗ trợ hoặc không hợp Content-Type; hãy dùng SOAP 1.1 hoặc 1.2",
        "The SOAP version is not supported or does not match the Content-Type; use SOAP 1.1 or 1.2",
    ),
    "timestamp-expired": (
        "Timestamp đã quá hạn; hãy kiểm tra đồng hồ rồi ký lại",
        "The Timestamp has expired; check your clock and sign again",
    ),
    "timestamp-future": (
        "Timestamp ở tương lai; hãy chỉnh lại đồng hồ",
        "The Timestamp is in the future; correct your clock",
    ),
    "timestamp-missing": (
        "Thiếu Timestamp; hãy thêm và ký cả Timestamp",
        "The Timestamp is missing; add it and sign it",
    ),
    "too-deep": (
        "XML lồng nhau quá sâu hoặc quá nhiều thuộc tính",
        "The XML is nested too deeply or has too many attributes",
    ),
    "too-large": (
        "Thông điệp vượt giới hạn kích thước; hãy chia nhỏ tệp đính kèm",
        "The message is over the size limit; send less",
    ),
    "too-many-enclosures": (
        "Quá nhiều lịch họp hoặc báo cáo sự cố trong một gói tin; hãy gửi thành nhiều gói",
        "There are too many calendars or incident reports in one packet; send them in several packets",
    ),
    "too-many-facts": (
        "Thông điệp có quá nhiều kết quả; hãy chia thành nhiều thông điệp",
        "The message reports too many results; split it into several messages",
    ),
    "too-many-traces": (
        "Quá nhiều trạng thái cho một lần trả lời; hãy thu hẹp bằng Since hoặc DocumentId",
        "There are too many statuses for one answer; narrow the call with Since or DocumentId",
    ),
    "unit-inactive": (
        "Đơn vị đã ngừng hoạt động hoặc chưa hoạt động; hãy dùng mã kế nhiệm",
        "The unit is not active on this day; use its successor's code",
    ),
    "unit-not-below": (
        "Đơn vị này không trực thuộc đơn vị báo cáo; hãy kiểm tra mã, hoặc để đơn vị ấy tự nộp",
        "This unit is not below the reporting unit; check the code, or let that unit declare for itself",
    ),
    "unit-unknown": ("Không có đơn vị mang mã này; hãy kiểm tra mã", "No unit has this code; check it"),
    "unit-without-system": (
        "Đơn vị chưa có hệ thống nhận; hãy gửi bằng cách khác",
        "No system receives for this unit yet; send it another way",
    ),
    "unsigned": (
        "Thiếu chữ ký WS-Security; hãy ký Body và Timestamp",
        "There is no WS-Security signature; sign Body and Timestamp",
    ),
}


def find_error_sentences(code: str) -> tuple[str, str]:
    """Return the (Vietnamese, English) sentences of *code*.

    A code with a path is found by its prefix. Raises KeyError for an unknown code.
    """
    return SENTENCES[code] if code in SENTENCES else SENTENCES[code[:2]]


def describe_problem(problem: Problem) -> str:
    """Return the text that the caller reads: the Vietnamese sentence, the English sentence, then the detail."""
    vietnamese, english = find_error_sentences(problem.code)
    return f"{vietnamese}. / {english}." + (f" [{problem.detail}]" if problem.detail else "")


class Rejected(Exception):
    """The sender's fault: the message is refused and the answer lists every problem."""

    #: the `hub.journal.replay_guard.ReplayMark` of the signed call that is refused; None if no signature was verified
    mark: Any = None

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.code}: {problem.detail}" for problem in problems))
        self.problems = problems


class CallRefused(Rejected):
    """The sender's fault in the call itself: transport, security or contract.

    No message was judged. Becomes a SOAP Client fault.
    """


class Unready(Exception):
    """A passing fault of the hub: the caller may send the same call again.

    Becomes a SOAP Server fault with Retry-After.
    """

    def __init__(self, code: str, detail: str = "", retry_after: int = 5) -> None:
        super().__init__(f"{code}: {detail}")
        self.problem = Problem(code, detail)
        self.retry_after = retry_after  #: seconds


@attrs.frozen
class Mistake:
    """One mistake of a configuration: where it is, what is wrong, what is expected."""

    path: str
    wrong: str
    expected: str


class ConfigurationFault(Exception):
    """The operator's fault. Carries all mistakes found, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(f"{m.path}: {m.wrong} ({m.expected})" for m in mistakes))
        self.mistakes = tuple(mistakes)
