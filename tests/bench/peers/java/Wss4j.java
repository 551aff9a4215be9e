import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.components.crypto.Merlin;
import org.apache.ws.security.util.WSSecurityUtil;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** Verifies by WSS4J, with the CA as its trust store. */
final class Wss4j implements Peer.Engine {
    private final Merlin trusted = new Merlin();

    Wss4j(X509Certificate ca) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("ca", ca);
        trusted.setTrustStore(store);
    }

    @Override
    public List<Element> verify(Document call) throws Exception {
        List<WSSecurityEngineResult> results = new WSSecurityEngine().processSecurityHeader(call, null, null, trusted);
        WSSecurityEngineResult signature = results == null ? null : WSSecurityUtil.fetchActionResult(results, WSConstants.SIGN);
        if (signature == null) throw new SecurityException("there is no signature");
        List<Element> signed = new ArrayList<>();
        for (Object each : (List<?>) signature.get(WSSecurityEngineResult.TAG_DATA_REF_URIS)) {
            signed.add(((WSDataRef) each).getProtectedElement());
        }
        return signed;
    }
}
