import com.sun.net.httpserver.Filter;
import com.sun.net.httpserver.HttpContext;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLParameters;
import javax.xml.ws.Endpoint;
import vn.tinh.vanban.VanBanDenMtomService;
import vn.tinh.vanban.VanBanDenService;

/**
 * Server PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER ANOTHER_KEY ANOTHER_CERTIFICATE: VanBanDenService under JAX-WS on the JDK's
 * HttpsServer, behind WSS4J.
 *
 * Under /mtom it is there a second time, in SOAP 1.2 with MTOM and without WSS4J.
 *
 * WSS4J verifies what comes in and signs what goes out, before and after JAX-WS, in the octets themselves. Words on standard input
 * change how it answers: `signed`, `unsigned`, `altered`, `another` (signed with the other key), `busy`, `free`, `forget`; each is answered by itself.
 */
final class Server {
    private static final String SOAP = "http://schemas.xmlsoap.org/soap/envelope/";

    private final Envelopes envelopes;
    private final Envelopes another;
    private final VanBanDenService service;
    private volatile String answers = "signed";

    private Server(String[] given) throws Exception {
        envelopes = new Envelopes(Path.of(given[1]), Path.of(given[2]), Path.of(given[3]), Path.of(given[4]));
        another = new Envelopes(Path.of(given[6]), Path.of(given[7]), Path.of(given[3]), Path.of(given[4]));
        service = new VanBanDenService(Path.of(given[5]));
    }

    public static void main(String[] given) throws Exception {
        System.setProperty("com.sun.xml.ws.monitoring.endpoint", "false"); // it would want more jars
        Server ours = new Server(given);
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(given[0])), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.setHttpsConfigurator(new HttpsConfigurator(ours.envelopes.tls) {
            @Override
            public void configure(HttpsParameters parameters) {
                SSLParameters demanded = getSSLContext().getDefaultSSLParameters();
                demanded.setNeedClientAuth(true);
                parameters.setSSLParameters(demanded);
            }
        });
        HttpContext context = server.createContext("/vanban");
        context.getFilters().add(ours.new Security());
        Endpoint.create(ours.service).publish(context);
        HttpContext beside = server.createContext("/mtom");
        beside.getFilters().add(Filter.beforeHandler("says on standard error in what form a call came",
            exchange -> System.err.println(exchange.getRequestHeaders().getFirst("Content-Type"))));
        Endpoint.create(new VanBanDenMtomService(Path.of(given[5]))).publish(beside);
        server.start();
        System.out.println("ready");
        BufferedReader words = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String word = words.readLine(); word != null; word = words.readLine()) {
            switch (word) {
                case "busy", "free" -> ours.service.busy = word.equals("busy");
                case "forget" -> ours.service.forget();
                default -> ours.answers = word;
            }
            System.out.println(word);
        }
    }

    /** Hands JAX-WS what WSS4J verified, and sends what WSS4J signed of its answer. */
    private final class Security extends Filter {
        @Override
        public String description() {
            return "WS-Security";
        }

        @Override
        public void doFilter(HttpExchange exchange, Chain chain) throws IOException {
            if (!exchange.getRequestMethod().equals("POST")) { // ?wsdl and ?xsd
                chain.doFilter(exchange);
                return;
            }
            byte[] content = exchange.getRequestBody().readAllBytes();
            Signing signing = new Signing(exchange);
            try {
                envelopes.verify(Envelopes.parse(content));
            } catch (Exception error) {
                System.err.println(error);
                byte[] fault = ("<s:Envelope xmlns:s=\"" + SOAP + "\"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>"
                    + Envelopes.escape(error.toString()) + "</faultstring></s:Fault></s:Body></s:Envelope>").getBytes(StandardCharsets.UTF_8);
                exchange.getResponseHeaders().set("Content-Type", "text/xml; charset=utf-8");
                exchange.sendResponseHeaders(500, 0);
                signing.write(fault);
                signing.close();
                return;
            }
            exchange.setStreams(new ByteArrayInputStream(content), signing);
            chain.doFilter(exchange);
        }
    }

    /** Keeps what is written until it is closed, and then sends it signed. */
    private final class Signing extends ByteArrayOutputStream {
        private final OutputStream wire;
        private boolean sent;

        private Signing(HttpExchange exchange) {
            wire = exchange.getResponseBody();
        }

        @Override
        public void close() throws IOException {
            if (sent) return;
            sent = true;
            try (wire) {
                wire.write(signed(toByteArray()));
            }
        }
    }

    private byte[] signed(byte[] content) throws IOException {
        try {
            switch (answers) {
                case "unsigned":
                    return content;
                case "altered": // after it was signed
                    String made = new String(envelopes.sign(Envelopes.parse(content)), StandardCharsets.UTF_8);
                    return made.replace("DEN-", "GIA-").getBytes(StandardCharsets.UTF_8);
                case "another":
                    return another.sign(Envelopes.parse(content));
                default:
                    return envelopes.sign(Envelopes.parse(content));
            }
        } catch (Exception error) {
            throw new IOException(error);
        }
    }
}
