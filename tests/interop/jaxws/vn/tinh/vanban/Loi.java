package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlAccessType;
import javax.xml.bind.annotation.XmlAccessorType;
import javax.xml.bind.annotation.XmlElement;
import javax.xml.bind.annotation.XmlType;

/** The detail of every fault. */
@XmlAccessorType(XmlAccessType.FIELD)
@XmlType(namespace = VanBanDen.TYPES, propOrder = {"ma", "moTa"})
public class Loi {
    @XmlElement(required = true)
    public String ma;
    public String moTa;

    static Loi of(String ma, String moTa) {
        Loi made = new Loi();
        made.ma = ma;
        made.moTa = moTa;
        return made;
    }
}
