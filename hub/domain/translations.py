"""Translates configuration mistakes from English to Vietnamese, and removes diacritics from text.

Logs and JSON carry a mistake in English. A component that shows it to a person translates it here. Recognises the
English sentences by their pattern, in which `{}` stands for a quoted value. Does not know which module made them.
"""

import re
import unicodedata
from functools import cache

from hub.domain.errors import Mistake

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
    "{} is listed twice": "{} bị nêu hai lần",
    "{} is not a table": "{} không phải bảng",
    "{} is also the SOAP port": "{} cũng là cổng SOAP",
    "there is no partner {}": "không có đối tác {}",
    "there is no adapter {}": "không có bộ chuyển đổi {}",
    "{} is not an IP address": "{} không phải địa chỉ IP",
    "{} with certificates of the sample PKI": "{} trong khi dùng chứng thư của PKI mẫu",
    "{} is not a CA": "{} không phải CA",
    "{} is not another partner": "{} không phải đối tác khác",
    "it is empty": "để trống",
    'it stands beside signature = "packet"': 'đi cùng signature = "packet"',
    "{} holds {} CAs": "{} chứa {} CA",
    "{} already has a file": "{} đã có tệp khác",
    "is missing, and ocsp-urls too": "thiếu, ocsp-urls cũng thiếu",
    "is missing, and {} is there": "thiếu, trong khi có {}",
    "{} is not the key of {}": "{} không phải khóa của {}",
    "{} holds a key of another type": "{} chứa loại khóa khác",
    "{} cannot be read: {}": "không đọc được {}: {}",
    "{} cannot be used: {}": "không dùng được {}: {}",
    "{} may be read by others": "{} để người khác đọc được",
    'is set although receive = "{}"': 'đi cùng receive = "{}"',
    "{} is not a valid partner code": "{} không dùng làm mã đối tác được",
    "the upstream partner names {}": "đối tác cấp trên lại nêu {}",
    "{} already receives through {}": "{} đã có hệ thống nhận là {}",
    "{} is {}, which already receives through {}": "{} là {}, đã có hệ thống nhận là {}",
    "the certificate {} also belongs to {}": "chứng thư {} cũng là của {}",
    "it is the hub's own certificate": "đó là chứng thư của chính trục",
    "{} is not available yet": "{} chưa dùng được trong phiên bản này",
    "{} is not known": "{} không có trong danh sách",
    "{} is neither yes nor no": "{} không phải cả hai",
    "{} is not a duration": "{} không phải khoảng thời gian",
    "{} is not a rate": "{} không phải tốc độ gửi hợp lệ",
    "{} is not a valid number": "{} không phải số hợp lệ",
    "a whole number of messages a second, minute or hour, such as {}, {} or {}; or none": (
        "số thông điệp (số nguyên) mỗi giây, phút hoặc giờ, ví dụ {}, {} hoặc {}; hoặc none"
    ),
    "{} is too short": "{} quá ngắn",
    "{} is longer than max-retry, {}": "{} dài hơn max-retry, {}",
    "the schema is of version {}": "lược đồ đang ở phiên bản {}",
    "this journal was moved on {} and is now at {}": "nhật ký này đã được chuyển đi ngày {}, nay ở {}",
    "the move of {} into it is not finished": "việc chuyển {} vào đây chưa xong",
    "the journal is damaged: {}": "nhật ký bị hỏng: {}",
    "the database is empty": "cơ sở dữ liệu trống",
    "it contains a password": "trong URL có mật khẩu",
    "SQLite takes no password": "SQLite không dùng mật khẩu",
    "{} is off: a commit would not survive a power cut": "{} đang tắt: mất điện là mất dữ liệu đã ghi",
    "the database is encoded in {}": "cơ sở dữ liệu dùng bảng mã {}",
    "the server is a standby, which takes no writes": "máy chủ này đang là máy dự phòng, không cho ghi",
    "the database does not answer: {}": "cơ sở dữ liệu không trả lời: {}",
    "the registry has no unit {}": "sổ đăng ký không có đơn vị {}",
    "the registry has {} as an agency outside the province": "trong sổ đăng ký, {} là cơ quan ngoài tỉnh",
    "{} ends on {}": "{} hết hạn ngày {}",
    "the CRL of {} is overdue": "CRL của {} đã quá hạn cập nhật",
    "there is a CRL of {}, which is not an anchor": "có CRL của {}, vốn không phải chứng thư gốc",
    "the CRL of {} is not signed by that anchor": "CRL của {} không do chứng thư gốc đó ký",
    "{} does not exist or is not writable": "không có hoặc không ghi được {}",
    "`tap` is {}": "`tap` là {}",
    "there is no module `tap`": "không có mô đun `tap`",
    "a hub runs in {} already (pid {})": "đã có một trục chạy ở {} (pid {})",
    "{} on {} is held by another process": "cổng {} trên {} đang do tiến trình khác giữ",
    "a sample packet for {} was refused: {}": "gói tin mẫu cho {} bị từ chối: {}",
    "a sample packet for {} goes to {}": "gói tin mẫu cho {} lại đi tới {}",
    "issued on {}, before the stored CRL": "phát hành ngày {}, trước bản đang giữ",
    "it is not the certificate of a CA": "không phải chứng thư của CA",
    "it is valid from {}": "có hiệu lực từ {}",
    "this CRL is not signed by the CA given with it": "CRL này không do CA đi cùng ký",
    "a newer CRL was due on {}": "lẽ ra đã có CRL mới vào {}",
    "the first line is {}": "dòng đầu là {}",
    "is not UTF-8: {}": "không phải UTF-8: {}",
    "is not CSV: {}": "không phải CSV: {}",
    "there are more values than columns": "số giá trị nhiều hơn số cột",
    "{} is also at {}": "{} cũng có ở {}",
    "{} is not a day": "{} không phải ngày",
    "{} is not after {}": "{} không sau {}",
    "there is no unit {}": "không có đơn vị {}",
    "{} is its own ancestor": "{} là cấp trên của chính nó",
    "{} is its own successor": "{} kế nhiệm chính nó",
    "{} is a code of the province": "{} là mã của tỉnh",
    "{} is also a code of {}": "{} cũng là mã của {}",
    "{} is an alias of {}": "{} là mã khác của {}",
    "{} shows {}": "{} trình ra {}",
    "it contains a PIN": "trong URI có mã PIN",
    "its type is not private": "URI này không chỉ tới khóa riêng",
    "it names no key": "không nêu khóa nào",
    "it names no module": "không nêu thư viện PKCS#11",
    "it has no pin-source": "không nêu mã PIN",
    "its pin-source is a program": "mã PIN lấy từ một chương trình",
    "it contains module-path, and pki.module is set too": "vừa có module-path vừa có pki.module",
    "slot-id={} is not a number": "slot-id={} không phải số",
    "an attribute has no value, or is repeated": "một thuộc tính không có giá trị hoặc nêu hai lần",
    "an attribute is not UTF-8": "một thuộc tính không phải UTF-8",
    "is set although the key is a file": "không dùng cùng với khóa nằm trong tệp",
    "a key in a token needs python-pkcs11: {}": "khóa trong thiết bị cần python-pkcs11: {}",
    "{} does not load: {}": "không nạp được {}: {}",
    "there is no token {}": "không có thiết bị {}",
    "{} tokens are {}": "có {} thiết bị cùng khớp với {}",
    "the token {} refuses the PIN in {}": "thiết bị {} không nhận mã PIN trong {}",
    "the PIN of the token {} is locked": "mã PIN của thiết bị {} đã bị khóa",
    "the token {} does not open: {}": "không mở được thiết bị {}: {}",
    "the token {} holds no private key {}": "thiết bị {} không có khóa riêng {}",
    "{} private keys in the token {} are {}": "có {} khóa riêng trong thiết bị {} cùng khớp với {}",
    "the key {} is of another type than the certificate's key": "khóa {} khác loại với khóa của chứng thư",
    "the key {} is not the key of {}": "khóa {} không phải khóa của {}",
    "the token has not returned from the previous call": "thiết bị chưa trả lời yêu cầu trước đó",
    "the token {} does not sign: {}": "thiết bị {} không ký: {}",
    "the token would export the key {}": "thiết bị cho phép lấy khóa {} ra ngoài",
    "there is no operation {}": "không có chức năng {}",
    "an operation that changes something has no answer to cache": "chức năng làm một việc thì không có câu trả lời để lưu",
    "the adapter {} answers no lookups": "bộ chuyển đổi {} không trả lời câu hỏi",
    "it is missing, and {} answers lookups": "thiếu, trong khi {} trả lời tra cứu",
    # what is expected
    "a day without quotes, such as {}": "một ngày, không có dấu nháy, chẳng hạn {}",
    "a later day": "một ngày sau đó",
    "a valid certificate that chains to an anchor of [officials]": "chứng thư còn hiệu lực, dẫn tới gốc trong [officials]",
    "a list of files of CAs": "danh sách tệp chứng thư của CA",
    "an agency code without spaces, such as H55.13": "mã đơn vị, không có dấu cách, chẳng hạn H55.13",
    "required or optional": "required hoặc optional",
    "an operation that only queries": "chức năng chỉ để hỏi",
    "the URL that issues tokens, such as https://api.ngsp.gov.vn/token": "nơi lấy token, ví dụ https://api.ngsp.gov.vn/token",
    "a file that holds the consumer key and nothing else": "tệp chỉ chứa consumer key",
    "a file that holds the consumer secret and nothing else": "tệp chỉ chứa consumer secret",
    "a path below the url, without a leading /": "đường dẫn dưới url, không có / ở đầu",
    "a path with the category's name in braces": "đường dẫn có category trong ngoặc nhọn",
    "the post's code of this customer; none: the post answers no order": "mã khách hàng do bưu điện cấp; không có thì không đặt đơn",
    "the statuses that mean: order accepted; separated by spaces": "các trạng thái bưu điện nhận đơn, cách nhau bằng dấu cách",
    "the statuses that mean: accepted; separated by spaces": "các trạng thái được tiếp nhận, cách nhau bằng dấu cách",
    "INSTANCE:CLASS:MEMBER:SUBSYSTEM, such as VN:GOV:000.00.00.H55:truclienthong": (
        "INSTANCE:CLASS:MEMBER:SUBSYSTEM, ví dụ VN:GOV:000.00.00.H55:truclienthong"
    ),
    "INSTANCE:CLASS:MEMBER:SUBSYSTEM:SERVICE, and :VERSION where it has one": (
        "INSTANCE:CLASS:MEMBER:SUBSYSTEM:SERVICE, thêm :VERSION nếu có"
    ),
    "none, or a duration of at most 30 days, such as {}, {} or {}": "none, hoặc khoảng thời gian tối đa 30 ngày, ví dụ {}, {} hoặc {}",
    "a file that holds 64 hexadecimal digits and nothing else, as `lienthong init` writes one": (
        "tệp chỉ chứa 64 chữ số thập lục phân, như `lienthong init` ghi ra"
    ),
    "an adapter that answers lookups, such as {}, or no lookups": "bộ chuyển đổi có trả lời, ví dụ {}, hoặc bỏ lookups",
    '"pkcs11:token=NAME;object=NAME?module-path=FILE&pin-source=FILE"': (
        '"pkcs11:token=TÊN;object=TÊN?module-path=TỆP&pin-source=TỆP"'
    ),
    'no module, or key = "pkcs11:token=NAME;object=NAME?module-path=FILE&pin-source=FILE"': (
        'bỏ module, hoặc key = "pkcs11:token=TÊN;object=TÊN?module-path=TỆP&pin-source=TỆP"'
    ),
    "pin-source, a file that holds the PIN and nothing else": "pin-source, tệp chỉ chứa mã PIN",
    "object or id": "object hoặc id",
    "module-path in it, or pki.module": "module-path trong URI, hoặc pki.module",
    "both or none: {} is there": "khai cả hai hoặc bỏ cả hai: đã có {}",
    "a file with a key for TLS, which cannot use a key in a token": (
        "tệp khóa cho TLS, vì TLS không dùng được khóa trong thiết bị"
    ),
    "the PKCS#11 library of the token's manufacturer": "thư viện PKCS#11 của hãng làm thiết bị",
    "a token in a slot of that module": "một thiết bị cắm ở khe (slot) của thư viện đó",
    "a URI that matches only one token: add serial": "URI chỉ khớp với một thiết bị; phân biệt bằng serial",
    "the PIN of the token's user; after a few wrong ones the token locks itself": (
        "mã PIN của người dùng thiết bị; sai vài lần thì thiết bị tự khóa"
    ),
    "a PIN that the token's security officer has reset": "mã PIN do người quản trị thiết bị đặt lại",
    "a token that opens": "thiết bị mở được",
    "a private key in the token": "một khóa riêng trong thiết bị",
    "a URI that matches only one key: add id": "URI chỉ khớp với một khóa; phân biệt bằng id",
    "the key of both": "cùng một khóa",
    "a token that signs": "thiết bị ký được",
    "a token that answers": "thiết bị trả lời",
    "a key made in the token, sensitive and not extractable": "khóa tạo trong thiết bị, đặt sensitive và không đặt extractable",
    "replace it with a backup: docs/howto/operate.md, Restore": "đặt bản sao lưu vào chỗ đó: xem docs/howto/operate.md, mục Restore",
    "run `lienthong db move` again until it ends": "chạy lại `lienthong db move` cho đến khi xong",
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
    '"amqps://USER@HOST:PORT/VHOST"; on this machine "amqp://USER@127.0.0.1/VHOST" will do': (
        '"amqps://NGƯỜI-DÙNG@MÁY:CỔNG/VHOST"; trên chính máy này có thể dùng "amqp://NGƯỜI-DÙNG@127.0.0.1/VHOST"'
    ),
    "the URL does not fit": "URL không hợp lệ",
    "is set although the URL is amqp": "không dùng với amqp",
    "a file of CAs with amqps, none with amqp": "tệp CA khi dùng amqps, bỏ khi dùng amqp",
    "letters, digits and . _ : -": "chữ, số và . _ : -",
    "wait or drop": "wait hoặc drop",
    "true or false": "true hoặc false",
    "pika is not installed": "chưa cài pika",
    "RabbitMQ refuses: {}": "RabbitMQ từ chối: {}",
    "a user that may write to the exchange": "tài khoản có quyền ghi vào exchange",
    "a RabbitMQ that answers": "một RabbitMQ có trả lời",
    "no password-file": "bỏ password-file",
    "a file that holds the password and nothing else": "tệp chỉ chứa mật khẩu",
    "{} on, PostgreSQL's default": "bật {}, như PostgreSQL mặc định",
    "a database with ENCODING 'UTF8'": "cơ sở dữ liệu có ENCODING 'UTF8'",
    "PostgreSQL 14 or newer": "PostgreSQL 14 trở lên",
    'an https URL, because receive = "push"': 'một URL https, vì receive = "push"',
    'no url, or receive = "push"': 'bỏ url, hoặc receive = "push"',
    "an https URL without user, password or fragment, such as {}": "URL https không có tên, mật khẩu hay #, ví dụ {}",
    "at least one PEM file": "ít nhất một tệp PEM",
    "letters, digits, - and _": "chữ, số, - và _",
    "an agency code without spaces, such as {}, or '*'": "mã định danh không có dấu cách, ví dụ {}, hoặc '*'",
    "the name of a folder in adapters/": "tên một thư mục trong adapters/",
    "our id at the axis, such as {}": "mã hệ thống của ta trên trục quốc gia, ví dụ {}",
    '"sender", "system" or the code of an agency': '"sender", "system" hoặc mã một cơ quan',
    "short or full": "short hoặc full",
    'a pattern such as {}, or "none"': 'mẫu ngày, ví dụ {}, hoặc "none"',
    "the name of an operation": "tên một thao tác",
    "codes with a space between": "các mã, cách nhau một dấu cách",
    "no units: it may send for every unit outside the province and owns none": (
        "không nêu đơn vị: đối tác này gửi thay mọi đơn vị ngoài tỉnh và không sở hữu đơn vị nào"
    ),
    "one receiving partner per unit": "mỗi đơn vị một hệ thống nhận",
    "a certificate of its own": "chứng thư riêng của nó",
    "each item once": "mỗi thứ một lần",
    "yes or no": "yes hoặc no",
    "at least {}": "ít nhất {}",
    "first-retry at most max-retry": "first-retry không quá max-retry",
    "the primary: target_session_attrs=read-write": "máy chủ chính: target_session_attrs=read-write",
    "version {}: run `lienthong db upgrade`": "phiên bản {}: hãy chạy `lienthong db upgrade`",
    "version {}: this program is older than the database": "phiên bản {}: chương trình này cũ hơn cơ sở dữ liệu",
    "a unit of `lienthong units list`; `lienthong units import FILE` adds units": (
        "đơn vị có trong `lienthong units list`; thêm bằng `lienthong units import FILE`"
    ),
    "only units of the province or only agencies outside it, and another partner for the rest": (
        "chỉ đơn vị của tỉnh, hoặc chỉ cơ quan ngoài tỉnh: phần còn lại thuộc một đối tác khác"
    ),
    "a certificate that is valid now and chains to an anchor": "chứng thư còn hiệu lực, dẫn tới một chứng thư gốc",
    "a valid certificate that chains to an anchor (`lienthong trust list`)": (
        "chứng thư còn hiệu lực, dẫn tới một chứng thư gốc (`lienthong trust list`)"
    ),
    "renew it": "hãy gia hạn",
    "a newer one: nothing of that issuer is trusted": "bản mới hơn: chưa có thì không tin chứng thư nào của nơi cấp đó",
    "the anchor added, or this CRL removed": "thêm chứng thư gốc đó, hoặc bỏ CRL này",
    "the CRL that the anchor signed": "CRL do chứng thư gốc đó ký",
    "a directory that this account may write": "thư mục mà tài khoản này ghi được",
    "a database that opens": "cơ sở dữ liệu mở được",
    "{}: install lienthong in an environment of its own": "{}: hãy cài lienthong trong môi trường riêng",
    "the files of this version, unchanged": "các tệp của phiên bản này, không sửa",
    "the hub with pid {} runs here": "trục với pid {} đang chạy ở đây",
    "one hub per data directory": "mỗi thư mục dữ liệu một trục",
    "the hash of event {} does not match its text and its predecessor": "sự kiện {} không khớp với nội dung của nó và sự kiện đứng trước",
    "the octets of {} do not match this hash": "byte của {} đã khác",
    "the octets of message {} are missing": "thiếu byte của thông điệp {}",
    "accepted": "được nhận",
    "a route to {}": "tuyến tới {}",
    "a CRL issued after {}": "bản phát hành sau {}",
    "a certificate with basicConstraints CA:TRUE and keyCertSign": "chứng thư có basicConstraints CA:TRUE và keyCertSign",
    "a certificate that is valid now": "chứng thư còn hiệu lực",
    "the CRL of that CA": "CRL của CA đó",
    "a CRL whose nextUpdate is in the future": "CRL có nextUpdate còn ở phía trước",
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
    "is not a list of agencies: {}": "không phải danh sách cơ quan: {}",
    "JSON or CSV with {}, as getAgenciesList gives": "JSON hoặc CSV có {}, như getAgenciesList trả về",
    "a day after `since`": "ngày sau `since`",
    "a unit of this file or of the registry": "đơn vị trong tệp này hoặc trong sổ đăng ký",
    "parents that lead to a topmost unit": "cấp trên dẫn tới một đơn vị cao nhất",
    "each code for one unit": "mỗi mã cho một đơn vị",
    "each code for one unit at a time": "mỗi mã, mỗi thời điểm, cho một đơn vị",
    "letters, digits, - and _; not {}, which is the hub itself": "chữ cái, chữ số, - và _; không dùng {}, là mã của chính trục",
    'a URL, because of receive = "push", policy.collect or lookups': 'một URL, vì có receive = "push", policy.collect hoặc lookups',
    "a URL without user, password or fragment that begins with {}": "URL không có tên, mật khẩu hay #, bắt đầu bằng {}",
    "a file that holds the secret and nothing else": "tệp chỉ chứa bí mật, không gì khác",
    "the adapter {} does not support {}": "bộ chuyển đổi {} không nói chuyện với {}",
    "a server that answers": "máy chủ trả lời",
    "a URL that begins with {}": "URL bắt đầu bằng {}",
    "no [settings]: the adapter {} reads none": "không có [settings]: bộ chuyển đổi {} không đọc khóa nào",
    "there is no service {}": "không có dịch vụ {}",
    "there is no service or operation {}": "không có dịch vụ hay thao tác {}",
    "it fetches, and may not call {}": "hệ thống tự lấy về mà không được gọi {}",
    "documents, or another receive": "documents, hoặc receive khác",
    "'*': it may report figures about any unit": "'*': được báo số liệu về mọi đơn vị",
    "does not fit": "không hợp lệ",
    "a server that takes the hub's certificate": "máy chủ nhận chứng thư của trục",
    "one of the partner's certificates, valid": "một chứng thư của đối tác, còn hiệu lực",
    "see the log": "xem nhật ký chạy",
    "an http or https URL without user, password or fragment, such as {}": "URL http hoặc https không có tên, mật khẩu hay #, ví dụ {}",
    "the code of the partner that carries its calls, or none": "mã đối tác chuyển hộ lời gọi, hoặc none",
    "the code of a partner, or none": "mã một đối tác, hoặc none",
    "signature=message or both: only a signed envelope says whose call a relay carries": "signature=message hoặc both: chỉ phong bì đã ký cho biết lời gọi chuyển hộ là của ai",
    "the URLs at which the CA publishes revocations": "nơi hỏi CA",
    "the certificate of a CA": "chứng thư của một CA",
    "one file per CA": "mỗi CA một tệp",
    "one CA a file, where URLs are given: they are of one CA": "mỗi tệp một CA khi có URL: URL là của một CA",
}


def find_vietnamese(sentence: str) -> str | None:
    """Return the Vietnamese of *sentence*. Return None if it is not known or contains only names and values."""
    for shape, vietnamese in _shapes():
        found = shape.fullmatch(sentence)
        if found:
            return vietnamese.format(*found.groups())
    return None


def translate_mistake(english: Mistake) -> Mistake:
    """Return the mistake in Vietnamese. A sentence without a translation stays English."""
    return Mistake(
        english.path,
        find_vietnamese(english.wrong) or english.wrong,
        find_vietnamese(english.expected) or english.expected,
    )


def fold_text(text: str) -> str:
    """Return *text* in lower case without diacritics, as people type it in a search.

    `Sở Nội vụ Đà Lạt` becomes `so noi vu da lat`.
    """
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return " ".join("".join(each for each in apart if not unicodedata.combining(each)).split())


@cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns, those with the most fixed text first: they leave the least to the placeholders."""
    shapes = sorted(_SENTENCES.items(), key=lambda item: -len(item[0].replace("{}", "")))
    return tuple((re.compile(re.escape(shape).replace(r"\{\}", "(.+)"), re.DOTALL), text) for shape, text in shapes)
