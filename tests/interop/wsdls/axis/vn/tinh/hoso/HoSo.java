package vn.tinh.hoso;

/** A dossier, as a Java programmer of 2005 writes it: a bean. */
public class HoSo implements java.io.Serializable {
    private String maHoSo;
    private String tenHoSo;
    private java.util.Calendar ngayTiepNhan;
    private int soTrang;
    private boolean khan;
    private String[] giayTo;
    private byte[] noiDung;

    public String getMaHoSo() { return maHoSo; }
    public void setMaHoSo(String value) { maHoSo = value; }
    public String getTenHoSo() { return tenHoSo; }
    public void setTenHoSo(String value) { tenHoSo = value; }
    public java.util.Calendar getNgayTiepNhan() { return ngayTiepNhan; }
    public void setNgayTiepNhan(java.util.Calendar value) { ngayTiepNhan = value; }
    public int getSoTrang() { return soTrang; }
    public void setSoTrang(int value) { soTrang = value; }
    public boolean isKhan() { return khan; }
    public void setKhan(boolean value) { khan = value; }
    public String[] getGiayTo() { return giayTo; }
    public void setGiayTo(String[] value) { giayTo = value; }
    public byte[] getNoiDung() { return noiDung; }
    public void setNoiDung(byte[] value) { noiDung = value; }
}
