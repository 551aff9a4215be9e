package vn.tinh.vanban;

import javax.xml.ws.WebFault;

/** The caller did something wrong. */
@WebFault(name = "LoiGoi", targetNamespace = VanBanDen.NAMESPACE)
public class LoiGoi extends Exception {
    private final Loi loi;

    public LoiGoi(String message, Loi loi) {
        super(message);
        this.loi = loi;
    }

    public Loi getFaultInfo() {
        return loi;
    }
}
