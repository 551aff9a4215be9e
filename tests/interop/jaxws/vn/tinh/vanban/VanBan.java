package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlAccessType;
import javax.xml.bind.annotation.XmlAccessorType;
import javax.xml.bind.annotation.XmlElement;
import javax.xml.bind.annotation.XmlType;

/** A document: the sender's id of the message, which stays the same on a repetition, and the packet. */
@XmlAccessorType(XmlAccessType.FIELD)
@XmlType(namespace = VanBanDen.TYPES, propOrder = {"maTin", "noiNhan", "ghiChu", "noiDung"})
public class VanBan {
    @XmlElement(required = true)
    public String maTin;
    @XmlElement(required = true)
    public String noiNhan;
    public String ghiChu;
    @XmlElement(required = true)
    public byte[] noiDung;
}
