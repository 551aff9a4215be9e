package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlAccessType;
import javax.xml.bind.annotation.XmlAccessorType;
import javax.xml.bind.annotation.XmlElement;
import javax.xml.bind.annotation.XmlType;

/** A session. */
@XmlAccessorType(XmlAccessType.FIELD)
@XmlType(namespace = VanBanDen.TYPES, propOrder = {"ma", "soGiay"})
public class Phien {
    @XmlElement(required = true)
    public String ma;
    public int soGiay;
}
