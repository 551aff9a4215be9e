import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Objects;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.SignatureMethod;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSEncryptionPart;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.components.crypto.Merlin;
import org.apache.ws.security.message.WSSecHeader;
import org.apache.ws.security.message.WSSecSignature;
import org.apache.ws.security.message.WSSecTimestamp;
import org.apache.ws.security.util.WSSecurityUtil;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/** Signs envelopes with one key and believes one certificate, by WSS4J; and the TLS that goes with them. */
final class Envelopes {
    static final String DOCUMENTS = "urn:lienthong:documents:1";
    private static final String ALIAS = "me";
    private static final String PASSWORD = "in memory only";

    final SSLContext tls;
    /** How to sign; names of WSConstants and algorithms' URIs. */
    String keyIdentifier = "BST_DIRECT_REFERENCE"; // by itself: issuer and serial
    String algorithm = SignatureMethod.RSA_SHA256; // by itself: RSA-SHA1
    String digest = DigestMethod.SHA256;
    String canonicalForm = WSConstants.C14N_EXCL_OMIT_COMMENTS;
    String token = "X509v3"; // X509PKIPathv1: the chain
    String signToken = "no"; // yes: through the reference to it, by STR-Transform
    private final Merlin own = new Merlin();
    private final Merlin believed = new Merlin();

    /** key (PKCS #8), certificate, CA and the other side's certificate: PEM files. */
    Envelopes(Path key, Path certificate, Path ca, Path other) throws GeneralSecurityException, IOException {
        KeyStore identity = empty();
        identity.setKeyEntry(ALIAS, privateKey(key), PASSWORD.toCharArray(), new Certificate[] {certificate(certificate)});
        own.setKeyStore(identity);
        KeyStore trusted = empty();
        trusted.setCertificateEntry("other", certificate(other));
        believed.setTrustStore(trusted);
        KeyStore anchors = empty();
        anchors.setCertificateEntry("ca", certificate(ca));
        KeyManagerFactory shown = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        shown.init(identity, PASSWORD.toCharArray());
        TrustManagerFactory judge = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        judge.init(anchors);
        tls = SSLContext.getInstance("TLS");
        tls.init(shown.getKeyManagers(), judge.getTrustManagers(), null);
    }

    /** Returns an envelope of the SOAP version with that namespace around content, Timestamp and Body signed. */
    byte[] sign(String soap, String content) throws Exception {
        String text = "<s:Envelope xmlns:s=\"" + soap + "\"><s:Header/><s:Body>" + content + "</s:Body></s:Envelope>";
        return sign(parse(text.getBytes(StandardCharsets.UTF_8))); // a DOM built by hand would be signed wrongly
    }

    /** Returns an envelope as it was parsed, Timestamp and Body signed. */
    byte[] sign(Document document) throws Exception {
        String soap = document.getDocumentElement().getNamespaceURI();
        WSSecHeader header = new WSSecHeader();
        header.insertSecurityHeader(document);
        WSSecTimestamp timestamp = new WSSecTimestamp();
        timestamp.setTimeToLive(300);
        timestamp.build(document, header);
        WSSecSignature signature = new WSSecSignature();
        signature.setUserInfo(ALIAS, PASSWORD);
        signature.setKeyIdentifierType(WSConstants.class.getField(keyIdentifier).getInt(null));
        signature.setUseSingleCertificate(token.equals("X509v3"));
        signature.setSignatureAlgorithm(algorithm);
        signature.setDigestAlgo(digest);
        signature.setSigCanonicalization(canonicalForm);
        List<WSEncryptionPart> parts = new ArrayList<>(List.of(
            new WSEncryptionPart(WSConstants.TIMESTAMP_TOKEN_LN, WSConstants.WSU_NS, ""),
            new WSEncryptionPart(WSConstants.ELEM_BODY, soap, "")));
        if (signToken.equals("yes")) parts.add(new WSEncryptionPart("STRTransform", "", "Content"));
        signature.setParts(parts);
        signature.build(document, own, header);
        return write(document);
    }

    /** Returns the Body that the other side signed, the one of this envelope, beside a Timestamp that is not over. */
    Element verify(Document document) throws Exception {
        List<WSSecurityEngineResult> results = new WSSecurityEngine().processSecurityHeader(document, null, null, believed);
        if (results == null) throw new SecurityException("there is no Security header");
        WSSecurityEngineResult signed = WSSecurityUtil.fetchActionResult(results, WSConstants.SIGN);
        if (signed == null) throw new SecurityException("there is no signature");
        List<Node> covered = new ArrayList<>();
        for (Object each : (List<?>) signed.get(WSSecurityEngineResult.TAG_DATA_REF_URIS)) {
            covered.add(((WSDataRef) each).getProtectedElement());
        }
        Element envelope = document.getDocumentElement();
        Element security = WSSecurityUtil.getSecurityHeader(document, null);
        Element body = child(envelope, envelope.getNamespaceURI(), "Body");
        Element timestamp = child(security, WSConstants.WSU_NS, "Timestamp");
        if (!covered.contains(body) || !covered.contains(timestamp)) throw new SecurityException("Body or Timestamp is not signed");
        return body;
    }

    static Document parse(byte[] content) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(content));
    }

    static byte[] write(Document document) throws Exception {
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(written));
        return written.toByteArray();
    }

    /** Returns the one child of that name. */
    static Element child(Element parent, String namespace, String name) {
        List<Element> found = children(parent);
        found.removeIf(each -> !name.equals(each.getLocalName()) || !Objects.equals(namespace, each.getNamespaceURI()));
        if (found.size() != 1) throw new SecurityException(found.size() + " elements " + name);
        return found.get(0);
    }

    static List<Element> children(Element parent) {
        List<Element> found = new ArrayList<>();
        for (Node each = parent.getFirstChild(); each != null; each = each.getNextSibling()) {
            if (each instanceof Element) found.add((Element) each);
        }
        return found;
    }

    static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }

    private static KeyStore empty() throws GeneralSecurityException, IOException {
        KeyStore made = KeyStore.getInstance("PKCS12");
        made.load(null, null);
        return made;
    }

    private static Certificate certificate(Path path) throws GeneralSecurityException, IOException {
        return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(Files.readAllBytes(path)));
    }

    private static java.security.PrivateKey privateKey(Path path) throws GeneralSecurityException, IOException {
        String text = Files.readString(path).replaceAll("-----[A-Z ]+-----", "");
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(text)));
    }
}
