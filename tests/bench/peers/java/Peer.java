import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.Executors;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import javax.xml.transform.dom.DOMSource;
import javax.xml.validation.Schema;
import javax.xml.validation.SchemaFactory;
import javax.xml.validation.Validator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * Takes signed calls as a user of the JDK would write it: HttpServer, eight threads, JAXP, JDBC. `Peer ENGINE`, where the class
 * ENGINE verifies signatures; files, port and database are told by PEER_* in the environment.
 *
 * The checks are the hub's: no DTD, the schemas of call and packet, a signature of Body and Timestamp whose certificate leads to the CA,
 * a message id that is new. A row is committed before the answer, which is not signed.
 */
final class Peer {
    /** Verifies signatures. */
    interface Engine {
        /** Returns the elements that were signed by a certificate that leads to the CA; fails otherwise. */
        List<Element> verify(Document call) throws Exception;
    }

    static final String SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
    static final String OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-";
    static final String WSSE = OASIS + "wssecurity-secext-1.0.xsd";
    static final String WSU = OASIS + "wssecurity-utility-1.0.xsd";
    static final String OURS = "urn:lienthong:documents:1";
    private static final int SKEW = 60;

    private final Engine engine;
    private final ThreadLocal<DocumentBuilder> builders = ThreadLocal.withInitial(Peer::builder);
    private final ThreadLocal<Validator> documents = validators("PEER_DOCUMENTS");
    private final ThreadLocal<Validator> packets = validators("PEER_PACKETS");
    private final PreparedStatement insert;

    private Peer(Engine engine) throws SQLException {
        this.engine = engine;
        Connection database = DriverManager.getConnection("jdbc:sqlite:" + System.getenv("PEER_DATABASE"));
        try (Statement statement = database.createStatement()) {
            statement.execute("PRAGMA journal_mode=WAL");
            statement.execute("PRAGMA synchronous=FULL");
            statement.execute("CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, sender TEXT, received_at TEXT, packet BLOB) WITHOUT ROWID");
        }
        insert = database.prepareStatement("INSERT INTO message VALUES (?, ?, ?, ?)");
    }

    public static void main(String[] given) throws Exception {
        X509Certificate ca;
        try (FileInputStream file = new FileInputStream(System.getenv("PEER_CA"))) {
            ca = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
        Engine engine = (Engine) Class.forName(given[0]).getDeclaredConstructor(X509Certificate.class).newInstance(ca);
        Peer peer = new Peer(engine);
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PEER_PORT")));
        HttpServer server = System.getenv("PEER_KEY") == null ? HttpServer.create(address, 200) : Tls.server(address, ca);
        server.createContext("/soap/documents", peer::answer);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    private void answer(HttpExchange exchange) {
        try (exchange) {
            byte[] content = exchange.getRequestBody().readAllBytes();
            int status = 200;
            String success = "true", errors = "";
            try {
                take(content);
            } catch (Exception error) {
                status = 400;
                success = "false";
                errors = "<Error><Code>" + error.getClass().getSimpleName() + "</Code><Description></Description></Error>";
            }
            byte[] said = ("<soap:Envelope xmlns:soap=\"" + SOAP + "\"><soap:Body><SendDocumentResponse xmlns=\"" + OURS + "\"><Report><IsSuccess>" + success
                + "</IsSuccess><ErrorList>" + errors + "</ErrorList></Report></SendDocumentResponse></soap:Body></soap:Envelope>").getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "text/xml; charset=utf-8");
            exchange.sendResponseHeaders(status, said.length);
            exchange.getResponseBody().write(said);
        } catch (Exception error) {
            error.printStackTrace();
        }
    }

    private void take(byte[] content) throws Exception {
        Document call = builders.get().parse(new ByteArrayInputStream(content));
        Element envelope = call.getDocumentElement();
        Element body = child(envelope, SOAP, "Body");
        Element timestamp = child(child(child(envelope, SOAP, "Header"), WSSE, "Security"), WSU, "Timestamp");
        List<Element> signed = engine.verify(call);
        if (!signed.contains(body) || !signed.contains(timestamp)) throw new SecurityException("Body or Timestamp is not signed");
        Instant now = Instant.now();
        if (time(timestamp, "Created").isAfter(now.plusSeconds(SKEW)) || time(timestamp, "Expires").isBefore(now.minusSeconds(SKEW))) {
            throw new SecurityException("not its time");
        }
        Element asked = child(body, OURS, "SendDocument");
        documents.get().validate(new DOMSource(asked));
        byte[] packet = Base64.getDecoder().decode(child(asked, OURS, "Packet").getTextContent());
        Document document = builders.get().parse(new ByteArrayInputStream(packet));
        packets.get().validate(new DOMSource(document));
        String sender = document.getElementsByTagNameNS("*", "OrganId").item(0).getTextContent();
        keep(child(asked, OURS, "MessageId").getTextContent(), sender, now, packet);
    }

    private synchronized void keep(String id, String sender, Instant now, byte[] packet) throws SQLException {
        insert.setString(1, id);
        insert.setString(2, sender);
        insert.setString(3, now.toString());
        insert.setBytes(4, packet);
        insert.executeUpdate();
    }

    private static Instant time(Element timestamp, String name) {
        return Instant.parse(child(timestamp, WSU, name).getTextContent());
    }

    /** Returns the one child of that name. */
    static Element child(Element parent, String namespace, String name) {
        List<Element> found = new ArrayList<>();
        for (Node each = parent.getFirstChild(); each != null; each = each.getNextSibling()) {
            if (each instanceof Element && name.equals(each.getLocalName()) && namespace.equals(each.getNamespaceURI())) found.add((Element) each);
        }
        if (found.size() != 1) throw new SecurityException(found.size() + " elements " + name);
        return found.get(0);
    }

    private static DocumentBuilder builder() {
        try {
            DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
            factory.setNamespaceAware(true);
            factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
            DocumentBuilder made = factory.newDocumentBuilder();
            made.setErrorHandler(null);
            return made;
        } catch (ParserConfigurationException error) {
            throw new IllegalStateException(error);
        }
    }

    private static ThreadLocal<Validator> validators(String name) {
        try {
            Schema schema = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(Path.of(System.getenv(name)).toFile());
            return ThreadLocal.withInitial(schema::newValidator);
        } catch (org.xml.sax.SAXException error) {
            throw new IllegalStateException(error);
        }
    }
}
