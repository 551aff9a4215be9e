package vn.tinh.vanban;

import java.nio.file.Path;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.SOAPBinding;

/** The same service in SOAP 1.2, with octets beside the envelope (MTOM). */
@BindingType(SOAPBinding.SOAP12HTTP_MTOM_BINDING)
@WebService(
    endpointInterface = "vn.tinh.vanban.VanBanDen",
    serviceName = "VanBanDenMtomService",
    portName = "VanBanDenPort",
    targetNamespace = "http://vanban.tinh.example.vn/dichvu")
public class VanBanDenMtomService extends VanBanDenService {
    public VanBanDenMtomService() { // for wsgen
    }

    public VanBanDenMtomService(Path folder) {
        super(folder);
    }
}
