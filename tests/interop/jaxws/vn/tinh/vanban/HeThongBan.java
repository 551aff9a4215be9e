package vn.tinh.vanban;

import javax.xml.ws.WebFault;

/** The system cannot take it now; ask again. */
@WebFault(name = "HeThongBan", targetNamespace = VanBanDen.NAMESPACE)
public class HeThongBan extends Exception {
    private final Loi loi;

    public HeThongBan(String message, Loi loi) {
        super(message);
        this.loi = loi;
    }

    public Loi getFaultInfo() {
        return loi;
    }
}
