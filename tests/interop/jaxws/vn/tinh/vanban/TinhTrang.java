package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlAccessType;
import javax.xml.bind.annotation.XmlAccessorType;
import javax.xml.bind.annotation.XmlElement;
import javax.xml.bind.annotation.XmlType;

/** Where a document stands, its number in the book of incoming documents, or why it was returned. */
@XmlAccessorType(XmlAccessType.FIELD)
@XmlType(namespace = VanBanDen.TYPES, propOrder = {"trangThai", "soDen", "lyDo"})
public class TinhTrang {
    @XmlElement(required = true)
    public TrangThai trangThai;
    public String soDen;
    public String lyDo;
}
