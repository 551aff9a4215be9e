package vn.tinh.hoso;

/** A fault. */
public class LoiHoSo extends Exception {
    private int ma;

    public LoiHoSo() { }
    public int getMa() { return ma; }
    public void setMa(int value) { ma = value; }
}
