#import "stlvector.h"
//gsoap vt service name: VanThu
//gsoap vt service protocol: SOAP1.2
//gsoap vt service style: document
//gsoap vt service encoding: literal
//gsoap vt service location: https://127.0.0.1/vanthu
//gsoap vt schema namespace: urn:vanthu.tinh.vn
//gsoap vt schema form: qualified

class xsd__base64Binary { public: unsigned char *__ptr; int __size; };
enum vt__doKhan { THUONG, KHAN, THUONG_KHAN };

class vt__VanBan
{ public:
    @ std::string lan 1;
    std::string maTin 1;
    enum vt__doKhan doKhan 0;
    std::vector<std::string> noiNhan 1:10;
    xsd__base64Binary *goiTin;
};

//gsoap vt service method-documentation: nhanVanBan Nhan mot van ban; maTin khong doi khi gui lai.
//gsoap vt service method-action: nhanVanBan "urn:vanthu.tinh.vn/nhan"
int vt__nhanVanBan(vt__VanBan *vanBan, std::string &ketQua);

//gsoap vt service method-action: trangThai "urn:vanthu.tinh.vn/trangThai"
int vt__trangThai(std::string maTin, enum vt__doKhan &ketQua);
