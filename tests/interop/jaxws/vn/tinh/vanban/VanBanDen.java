package vn.tinh.vanban;

import java.util.List;
import javax.jws.WebMethod;
import javax.jws.WebParam;
import javax.jws.WebResult;
import javax.jws.WebService;

/** The documents that come to an office and go from it: what its system lets others call. wsgen makes the WSDL of this. */
@WebService(targetNamespace = VanBanDen.NAMESPACE)
public interface VanBanDen {
    String NAMESPACE = "http://vanban.tinh.example.vn/";
    String TYPES = "http://vanban.tinh.example.vn/kieu";

    @WebMethod(action = NAMESPACE + "dangNhap")
    @WebResult(name = "phien")
    Phien dangNhap(@WebParam(name = "tenDangNhap") String tenDangNhap, @WebParam(name = "matKhau") String matKhau) throws LoiGoi;

    @WebMethod(action = NAMESPACE + "guiVanBan")
    @WebResult(name = "ketQua")
    KetQua guiVanBan(@WebParam(name = "maPhien") String maPhien, @WebParam(name = "vanBan") VanBan vanBan) throws LoiGoi, HeThongBan;

    @WebMethod(action = NAMESPACE + "xemTinhTrang")
    @WebResult(name = "tinhTrang")
    TinhTrang xemTinhTrang(@WebParam(name = "maPhien") String maPhien, @WebParam(name = "bienNhan") String bienNhan) throws LoiGoi;

    @WebMethod(action = NAMESPACE + "lietKeVanBanDi")
    @WebResult(name = "vanBan")
    List<VanBanDi> lietKeVanBanDi(@WebParam(name = "maPhien") String maPhien) throws LoiGoi;

    @WebMethod(action = NAMESPACE + "layVanBanDi")
    @WebResult(name = "noiDung")
    byte[] layVanBanDi(@WebParam(name = "maPhien") String maPhien, @WebParam(name = "ma") String ma) throws LoiGoi;

    @WebMethod(action = NAMESPACE + "xacNhanVanBanDi")
    void xacNhanVanBanDi(@WebParam(name = "maPhien") String maPhien, @WebParam(name = "ma") String ma,
        @WebParam(name = "ketQua") String ketQua) throws LoiGoi;
}
