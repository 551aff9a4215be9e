"""The mistakes of a configuration in Vietnamese.  Knows the English sentences by their shape; not where they come from.

A mistake travels in English, through logs and JSON; whoever shows it to a person asks here.  `{}` stands for what is quoted.
"""

import re
from functools import cache

from hub.errors import Mistake

_SENTENCES = {
    # what is wrong
    "cannot be read: {}": "không đọc được: {}",
    "is not TOML: {}": "không phải TOML: {}",
    "unknown key": "khóa không có trong tài liệu",
    "is missing": "thiếu",
    "is empty": "để trống",
    "{} is not a text": "{} không phải chữ trong ngoặc kép",
    "{} does not fit: {}": "{} không hợp lệ: {}",
    "{} does not fit": "{} không hợp lệ",
    "{} stands there twice": "{} bị nêu hai lần",
    "{} is not a table": "{} không phải bảng",
    "{} is the SOAP port too": "{} cũng là cổng SOAP",
    "there is no partner {}": "không có đối tác {}",
    "there is no adapter {}": "không có bộ chuyển đổi {}",
    "{} is not an IP address": "{} không phải địa chỉ IP",
    "{} with certificates of the sample PKI": "{} trong khi dùng chứng thư của PKI mẫu",
    "{} is no CA": "{} không phải CA",
    "{} is no other partner": "{} không phải đối tác khác",
    "it is empty": "để trống",
    'it stands beside signature = "packet"': 'đi cùng signature = "packet"',
    "{} holds {} CAs": "{} chứa {} CA",
    "{} has another file": "{} đã có tệp khác",
    "is missing, and ocsp-urls too": "thiếu, ocsp-urls cũng thiếu",
    "{} is not the key of {}": "{} không phải khóa của {}",
    "{} holds another kind of key": "{} chứa loại khóa khác",
    "{} cannot be read: {}": "không đọc được {}: {}",
    "{} cannot be used: {}": "không dùng được {}: {}",
    "{} may be read by others": "{} để người khác đọc được",
    'stands beside receive = "{}"': 'đi cùng receive = "{}"',
    "{} is no code of a partner": "{} không dùng làm mã đối tác được",
    "the upstream partner names {}": "đối tác cấp trên lại nêu {}",
    "{} already receives through {}": "{} đã có hệ thống nhận là {}",
    "{} is {}, which already receives through {}": "{} là {}, đã có hệ thống nhận là {}",
    "the certificate {} is of {} too": "chứng thư {} cũng là của {}",
    "it is the hub's own certificate": "đó là chứng thư của chính trục",
    "{} is not available yet": "{} chưa dùng được trong phiên bản này",
    "{} is not known": "{} không có trong danh sách",
    "{} is neither": "{} không phải cả hai",
    "{} is not a duration": "{} không phải khoảng thời gian",
    "{} is not a rate": "{} không phải tốc độ",
    "{} is not such a number": "{} không phải số như vậy",
    "a whole number of messages a second, minute or hour, such as {}, {} or {}; or none": (
        "số nguyên thông điệp mỗi giây, phút hoặc giờ, như {}, {} hoặc {}; hoặc none"
    ),
    "{} is too short": "{} quá ngắn",
    "{} is longer than max-retry, {}": "{} dài hơn max-retry, {}",
    "the schema is of version {}": "lược đồ đang ở phiên bản {}",
    "the database is empty": "cơ sở dữ liệu trống",
    "a password stands in it": "trong URL có mật khẩu",
    "SQLite takes no password": "SQLite không dùng mật khẩu",
    "{} is off: a commit would not survive a power cut": "{} đang tắt: mất điện là mất dữ liệu đã ghi",
    "the database is encoded in {}": "cơ sở dữ liệu dùng bảng mã {}",
    "the server is a standby, which takes no writes": "máy chủ này là bản dự phòng, không nhận ghi",
    "the database does not answer: {}": "cơ sở dữ liệu không trả lời: {}",
    "the registry has no unit {}": "sổ đăng ký không có đơn vị {}",
    "the registry has {} as an agency outside the province": "trong sổ đăng ký, {} là cơ quan ngoài tỉnh",
    "{} ends on {}": "{} hết hạn ngày {}",
    "the CRL of {} is overdue": "CRL của {} đã quá hạn cập nhật",
    "there is a CRL of {}, which is no anchor": "có CRL của {}, vốn không phải chứng thư gốc",
    "the CRL of {} is not signed by that anchor": "CRL của {} không do chứng thư gốc đó ký",
    "{} is not there or not writable": "không có hoặc không ghi được {}",
    "`tap` is {}": "`tap` là {}",
    "there is no module `tap`": "không có mô đun `tap`",
    "a hub runs in {} already (pid {})": "đã có một trục chạy ở {} (pid {})",
    "{} on {} is held by another process": "cổng {} trên {} đang do tiến trình khác giữ",
    "a sample packet for {} was refused: {}": "gói tin mẫu cho {} bị từ chối: {}",
    "a sample packet for {} goes to {}": "gói tin mẫu cho {} lại đi tới {}",
    "issued on {}, before the one held": "phát hành ngày {}, trước bản đang giữ",
    "it is not the certificate of a CA": "không phải chứng thư của CA",
    "it is valid from {}": "có hiệu lực từ {}",
    "this CRL is not signed by the CA given with it": "CRL này không do CA đi cùng ký",
    "a newer CRL was due on {}": "lẽ ra đã có CRL mới vào {}",
    "the first line is {}": "dòng đầu là {}",
    "is not UTF-8: {}": "không phải UTF-8: {}",
    "is not CSV: {}": "không phải CSV: {}",
    "there are more values than columns": "số giá trị nhiều hơn số cột",
    "{} stands at {} too": "{} cũng có ở {}",
    "{} is no day": "{} không phải ngày",
    "{} is not after {}": "{} không sau {}",
    "there is no unit {}": "không có đơn vị {}",
    "{} stands above itself": "{} là cấp trên của chính nó",
    "{} follows itself": "{} kế nhiệm chính nó",
    "{} is a code of the province": "{} là mã của tỉnh",
    "{} is a code of {} too": "{} cũng là mã của {}",
    "{} is an alias of {}": "{} là mã khác của {}",
    "{} shows {}": "{} trình ra {}",
    # what is expected
    "a file; `lienthong init DIR` writes all of them": "một tệp; `lienthong init DIR` ghi đủ các tệp",
    "TOML in UTF-8": "TOML mã hóa UTF-8",
    "text in quotes": "chữ trong ngoặc kép",
    "text in quotes, such as {}": "chữ trong ngoặc kép, ví dụ {}",
    "a list of texts in quotes": "danh sách chữ trong ngoặc kép",
    "a table, {}": "bảng {}",
    "a whole number from {} to {}": "số nguyên từ {} đến {}",
    "a size in quotes: a whole number and {}, such as {}": "dung lượng trong ngoặc kép: số nguyên và {}, ví dụ {}",
    "a duration: a whole number and {}, such as {}": "khoảng thời gian: số nguyên và {}, ví dụ {}",
    "the code of the province, such as {}": "mã của tỉnh, ví dụ {}",
    "the code of a partner": "mã của một đối tác",
    "one of {}": "một trong: {}",
    "another port": "cổng khác",
    "a free port": "cổng còn trống",
    "a port that is free": "cổng còn trống",
    "an IP address, such as {}": "địa chỉ IP, ví dụ {}",
    "an address of this machine": "địa chỉ của máy này",
    "127.0.0.1, or certificates of your own": "127.0.0.1, hoặc chứng thư của riêng bạn",
    "certificates of CAs": "chứng thư của CA",
    "the key that the certificate was made for": "khóa ứng với chứng thư đó",
    "an unencrypted PEM private key: {}": "khóa riêng dạng PEM không mã hóa: {}",
    "a file of X.509 certificates, PEM or DER": "tệp chứng thư X.509 dạng PEM hoặc DER",
    "a file of X.509 CRLs, PEM or DER": "tệp CRL X.509 dạng PEM hoặc DER",
    "a file that only its owner may read: chmod 600": "tệp chỉ chủ sở hữu đọc được: chmod 600",
    '"sqlite:///PATH", or "postgresql://USER@HOST/DATABASE"': (
        '"sqlite:///ĐƯỜNG-DẪN", hoặc "postgresql://NGƯỜI-DÙNG@MÁY/CƠ-SỞ-DỮ-LIỆU"'
    ),
    "a URL without a password, and password-file": "URL không có mật khẩu, và password-file",
    "no password-file": "bỏ password-file",
    "a file that holds the password and nothing else": "tệp chỉ chứa mật khẩu",
    "{} on, as PostgreSQL comes": "bật {}, như PostgreSQL mặc định",
    "a database with ENCODING 'UTF8'": "cơ sở dữ liệu có ENCODING 'UTF8'",
    "PostgreSQL 14 or newer": "PostgreSQL 14 trở lên",
    'an https URL, because receive = "push"': 'một URL https, vì receive = "push"',
    'no url, or receive = "push"': 'bỏ url, hoặc receive = "push"',
    "an https URL without user, password or fragment, such as {}": "URL https không có tên, mật khẩu hay #, ví dụ {}",
    "at least one PEM file": "ít nhất một tệp PEM",
    "letters, digits, - and _": "chữ, số, - và _",
    "an agency code without spaces, such as {}, or '*'": "mã định danh không có dấu cách, ví dụ {}, hoặc '*'",
    "the name of a folder in adapters/": "tên một thư mục trong adapters/",
    "no units: it may send for every unit outside the province and owns none": (
        "không nêu đơn vị: đối tác này gửi thay mọi đơn vị ngoài tỉnh và không sở hữu đơn vị nào"
    ),
    "one receiving partner a unit": "mỗi đơn vị một hệ thống nhận",
    "a certificate of its own": "chứng thư riêng của nó",
    "each once": "mỗi thứ một lần",
    "yes or no": "yes hoặc no",
    "at least {}": "ít nhất {}",
    "first-retry at most max-retry": "first-retry không quá max-retry",
    "the primary: target_session_attrs=read-write": "máy chủ chính: target_session_attrs=read-write",
    "version {}: run `lienthong db upgrade`": "phiên bản {}: hãy chạy `lienthong db upgrade`",
    "version {}: this program is older than the database": "phiên bản {}: chương trình này cũ hơn cơ sở dữ liệu",
    "a unit of `lienthong units list`; `lienthong units import FILE` adds units": (
        "đơn vị có trong `lienthong units list`; thêm bằng `lienthong units import FILE`"
    ),
    "a unit of the province: what is for others goes to the upstream partner": (
        "đơn vị của tỉnh: văn bản cho nơi khác đi qua đối tác cấp trên"
    ),
    "a certificate that is valid now and chains to an anchor": "chứng thư còn hiệu lực, dẫn tới một chứng thư gốc",
    "a valid certificate that chains to an anchor (`lienthong trust list`)": (
        "chứng thư còn hiệu lực, dẫn tới một chứng thư gốc (`lienthong trust list`)"
    ),
    "renew it": "hãy gia hạn",
    "a newer one: nothing of that issuer is trusted": "bản mới hơn: chưa có thì không tin chứng thư nào của nơi cấp đó",
    "the anchor too, or not this CRL": "thêm chứng thư gốc đó, hoặc bỏ CRL này",
    "the CRL that the anchor signed": "CRL do chứng thư gốc đó ký",
    "a directory that this account may write": "thư mục mà tài khoản này ghi được",
    "a database that opens": "cơ sở dữ liệu mở được",
    "{}: install lienthong in an environment of its own": "{}: hãy cài lienthong trong môi trường riêng",
    "the files of this version, unchanged": "các tệp của phiên bản này, không sửa",
    "one hub a data directory": "mỗi thư mục dữ liệu một trục",
    "accepted": "được nhận",
    "a route to {}": "tuyến tới {}",
    "one issued after {}": "bản phát hành sau {}",
    "a certificate with basicConstraints CA:TRUE and keyCertSign": "chứng thư có basicConstraints CA:TRUE và keyCertSign",
    "a certificate that is valid now": "chứng thư còn hiệu lực",
    "the CRL of that CA": "CRL của CA đó",
    "a CRL whose nextUpdate lies ahead": "CRL có nextUpdate còn ở phía trước",
    "the columns {}; code and name at least": "các cột {}; ít nhất code và name",
    "a CSV file in UTF-8": "tệp CSV mã hóa UTF-8",
    "each unit once": "mỗi đơn vị một lần",
    "one value a column; quote a comma": "mỗi cột một giá trị; giá trị có dấu phẩy đặt trong ngoặc kép",
    "a day such as {}": "ngày, ví dụ {}",
    "a code without spaces, such as {}": "mã không có dấu cách, ví dụ {}",
    "a code": "một mã",
    "a name": "một tên",
    "the day from which the successors go on with its work": "ngày các đơn vị kế nhiệm tiếp quản",
    "units that are not followed by this one": "đơn vị không do chính đơn vị này kế nhiệm",
    "an agency of another province or of none": "cơ quan ngoài tỉnh",
    "a file in UTF-8": "tệp mã hóa UTF-8",
    "is no list of agencies: {}": "không phải danh sách cơ quan: {}",
    "JSON or CSV with {}, as getAgenciesList gives": "JSON hoặc CSV có {}, như getAgenciesList trả về",
    "a day after `since`": "ngày sau `since`",
    "a unit of this file or of the registry": "đơn vị trong tệp này hoặc trong sổ đăng ký",
    "parents that lead to a topmost unit": "cấp trên dẫn tới một đơn vị cao nhất",
    "each code for one unit": "mỗi mã cho một đơn vị",
    "a server that takes the hub's certificate": "máy chủ nhận chứng thư của trục",
    "one of the partner's certificates, valid": "một chứng thư của đối tác, còn hiệu lực",
    "see the log": "xem nhật ký chạy",
    "an http or https URL without user, password or fragment, such as {}": "URL http hoặc https không có tên, mật khẩu hay #, ví dụ {}",
    "the code of the partner that carries its calls, or none": "mã đối tác chuyển hộ lời gọi, hoặc none",
    "the code of a partner, or none": "mã một đối tác, hoặc none",
    "signature=message or both: only a signed envelope says whose call a relay carries": "signature=message hoặc both: chỉ phong bì đã ký cho biết lời gọi chuyển hộ là của ai",
    "where the CA is asked": "nơi hỏi CA",
    "the certificate of a CA": "chứng thư của một CA",
    "one file a CA": "mỗi CA một tệp",
    "one CA a file, where URLs are given: they are of one CA": "mỗi tệp một CA khi có URL: URL là của một CA",
}


def of(sentence: str) -> str | None:
    """Return the Vietnamese of a sentence of a mistake; None when it is not known, or is only names and values."""
    for shape, vietnamese in _shapes():
        found = shape.fullmatch(sentence)
        if found:
            return vietnamese.format(*found.groups())
    return None


def mistake(english: Mistake) -> Mistake:
    """Return the mistake in Vietnamese, where it is known."""
    return Mistake(english.path, of(english.wrong) or english.wrong, of(english.expected) or english.expected)


@cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    """The longest come first: they leave the least to what is quoted."""
    shapes = sorted(_SENTENCES.items(), key=lambda item: -len(item[0].replace("{}", "")))
    return tuple((re.compile(re.escape(shape).replace(r"\{\}", "(.+)"), re.DOTALL), text) for shape, text in shapes)
