import java.io.ByteArrayInputStream;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** Verifies by javax.xml.crypto.dsig; a certificate that led to the CA once is known by its text. */
final class Dsig implements Peer.Engine {
    private final XMLSignatureFactory factory = XMLSignatureFactory.getInstance("DOM");
    private final Map<String, PublicKey> known = new ConcurrentHashMap<>();
    private final X509Certificate ca;

    Dsig(X509Certificate ca) {
        this.ca = ca;
    }

    @Override
    public List<Element> verify(Document call) throws Exception {
        Element envelope = call.getDocumentElement();
        Element security = Peer.child(Peer.child(envelope, Peer.SOAP, "Header"), Peer.WSSE, "Security");
        List<Element> parts = List.of(Peer.child(envelope, Peer.SOAP, "Body"), Peer.child(security, Peer.WSU, "Timestamp"));
        PublicKey key = key(Peer.child(security, Peer.WSSE, "BinarySecurityToken").getTextContent());
        DOMValidateContext context = new DOMValidateContext(key, Peer.child(security, XMLSignature.XMLNS, "Signature"));
        for (Element part : parts) context.setIdAttributeNS(part, Peer.WSU, "Id");
        XMLSignature signature = factory.unmarshalXMLSignature(context);
        if (!signature.validate(context)) throw new SecurityException("the signature does not hold");
        List<Element> signed = new ArrayList<>();
        for (Object each : signature.getSignedInfo().getReferences()) {
            for (Element part : parts) {
                if (((Reference) each).getURI().equals("#" + part.getAttributeNS(Peer.WSU, "Id"))) signed.add(part);
            }
        }
        return signed;
    }

    private PublicKey key(String token) throws Exception {
        PublicKey found = known.get(token);
        if (found == null) {
            byte[] octets = Base64.getDecoder().decode(token);
            X509Certificate certificate = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(octets));
            certificate.verify(ca.getPublicKey());
            certificate.checkValidity();
            found = certificate.getPublicKey();
            known.put(token, found);
        }
        return found;
    }
}
