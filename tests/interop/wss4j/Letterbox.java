import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import javax.net.ssl.SSLParameters;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * Letterbox PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER: takes the hub's pushes, verified and answered by WSS4J, on the JDK's HttpsServer.
 */
final class Letterbox {
    private static final String SOAP = "http://schemas.xmlsoap.org/soap/envelope/";

    private final Envelopes envelopes;
    private final Path folder;

    private Letterbox(String[] given) throws Exception {
        envelopes = new Envelopes(Path.of(given[1]), Path.of(given[2]), Path.of(given[3]), Path.of(given[4]));
        folder = Path.of(given[5]);
    }

    public static void main(String[] given) throws Exception {
        Letterbox letterbox = new Letterbox(given);
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(given[0])), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(letterbox.envelopes.tls) {
            @Override
            public void configure(HttpsParameters parameters) {
                SSLParameters ours = getSSLContext().getDefaultSSLParameters();
                ours.setNeedClientAuth(true);
                parameters.setSSLParameters(ours);
            }
        });
        server.createContext("/soap/documents", letterbox::take);
        server.start();
        System.out.println("ready");
    }

    private void take(HttpExchange exchange) {
        try (exchange) {
            byte[] content = exchange.getRequestBody().readAllBytes();
            int status = 200;
            String said;
            try {
                Document document = Envelopes.parse(content);
                said = answer(envelopes.verify(document));
            } catch (Exception error) {
                status = 500;
                said = "<s:Fault xmlns:s=\"" + SOAP + "\"><faultcode>s:Client</faultcode><faultstring>"
                    + Envelopes.escape(error.toString()) + "</faultstring></s:Fault>";
            }
            byte[] reply = envelopes.sign(SOAP, said);
            exchange.getResponseHeaders().set("Content-Type", "text/xml; charset=utf-8");
            exchange.sendResponseHeaders(status, reply.length);
            exchange.getResponseBody().write(reply);
        } catch (Exception error) {
            error.printStackTrace();
        }
    }

    private String answer(Element body) throws Exception {
        Element call = Envelopes.child(body, Envelopes.DOCUMENTS, "SendDocument");
        String id = Envelopes.child(call, Envelopes.DOCUMENTS, "MessageId").getTextContent();
        byte[] packet = Base64.getMimeDecoder().decode(Envelopes.child(call, Envelopes.DOCUMENTS, "Packet").getTextContent());
        Files.write(folder.resolve(Path.of(id).getFileName()), packet);
        boolean unwanted = new String(packet, StandardCharsets.UTF_8).contains("D-unwanted");
        String errors = unwanted ? "<Error><Code>unwanted</Code><Description>Không nhận.</Description></Error>" : "";
        return "<SendDocumentResponse xmlns=\"" + Envelopes.DOCUMENTS + "\"><Report><IsSuccess>" + !unwanted
            + "</IsSuccess><ErrorList>" + errors + "</ErrorList></Report></SendDocumentResponse>";
    }
}
