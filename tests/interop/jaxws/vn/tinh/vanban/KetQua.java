package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlAccessType;
import javax.xml.bind.annotation.XmlAccessorType;
import javax.xml.bind.annotation.XmlType;

/** Whether a packet was taken: ma 0, with a receipt to ask by; another ma says why not. */
@XmlAccessorType(XmlAccessType.FIELD)
@XmlType(namespace = VanBanDen.TYPES, propOrder = {"ma", "thongBao", "bienNhan"})
public class KetQua {
    public int ma;
    public String thongBao;
    public String bienNhan;
}
