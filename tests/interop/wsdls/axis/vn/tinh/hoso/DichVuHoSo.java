package vn.tinh.hoso;

/** The interface of a one-stop office. */
public interface DichVuHoSo {
    String guiHoSo(String donVi, HoSo[] hoSo) throws LoiHoSo;

    HoSoKhan timHoSo(String maHoSo) throws LoiHoSo;

    int demHoSo();
}
