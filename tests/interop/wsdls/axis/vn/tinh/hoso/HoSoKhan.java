package vn.tinh.hoso;

/** A dossier with a deadline of its own: an extension of the other type. */
public class HoSoKhan extends HoSo {
    private java.math.BigDecimal lePhi;

    public java.math.BigDecimal getLePhi() { return lePhi; }
    public void setLePhi(java.math.BigDecimal value) { lePhi = value; }
}
