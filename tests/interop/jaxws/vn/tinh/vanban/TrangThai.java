package vn.tinh.vanban;

import javax.xml.bind.annotation.XmlEnum;
import javax.xml.bind.annotation.XmlType;

/** Where a document stands. */
@XmlEnum
@XmlType(namespace = VanBanDen.TYPES)
public enum TrangThai { CHO_VAO_SO, DA_VAO_SO, TRA_LAI }
