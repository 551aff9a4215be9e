import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import org.w3c.dom.Element;

/**
 * Caller URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12: calls the documents service, signed and verified by WSS4J, carried by the JDK.
 *
 * What is asked and answered through standard input and output: ../toolkits.py.
 */
final class Caller {
    private static final String SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/";
    private static final String SOAP12 = "http://www.w3.org/2003/05/soap-envelope";

    private final URI url;
    private final String soap;
    private final Envelopes envelopes;
    private final HttpClient http;
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Caller(String[] given) throws Exception {
        url = URI.create(given[0]);
        envelopes = new Envelopes(Path.of(given[1]), Path.of(given[2]), Path.of(given[3]), Path.of(given[4]));
        soap = given[5].equals("12") ? SOAP12 : SOAP11;
        http = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).proxy(HttpClient.Builder.NO_PROXY).sslContext(envelopes.tls).build();
    }

    public static void main(String[] given) throws Exception {
        Caller caller = new Caller(given);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                if (line.startsWith("sign\t")) caller.sign(line.split("\t"));
                else caller.call(line.split("\t"));
            } catch (Exception error) {
                caller.say("Error", error.toString());
            }
            caller.out.println(".");
        }
    }

    /** Takes another form of signature: `sign<TAB>keyIdentifier=…<TAB>…`, fields of Envelopes. */
    private void sign(String[] words) throws ReflectiveOperationException {
        for (int i = 1; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            Envelopes.class.getDeclaredField(pair[0]).set(envelopes, pair[1]);
        }
    }

    private void call(String[] words) throws Exception {
        String action = Envelopes.DOCUMENTS + "/" + words[0];
        byte[] body = envelopes.sign(soap, content(words));
        HttpRequest.Builder request = HttpRequest.newBuilder(url).POST(HttpRequest.BodyPublishers.ofByteArray(body));
        if (soap.equals(SOAP11)) {
            request.header("Content-Type", "text/xml; charset=utf-8").header("SOAPAction", "\"" + action + "\"");
        } else {
            request.header("Content-Type", "application/soap+xml; charset=utf-8; action=\"" + action + "\"");
        }
        byte[] answer = http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray()).body();
        Element verified = envelopes.verify(Envelopes.parse(answer));
        say("Verified", "Body Timestamp");
        say("Raw", Base64.getEncoder().encodeToString(answer));
        for (Element child : Envelopes.children(verified)) {
            if (child.getLocalName().equals("Fault")) fault(child);
            else leaves(child);
        }
    }

    private static String content(String[] words) throws Exception {
        StringBuilder made = new StringBuilder("<" + words[0] + " xmlns=\"" + Envelopes.DOCUMENTS + "\">");
        for (int i = 1; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            String value = pair[0].equals("Packet") ? Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(pair[1]))) : pair[1];
            made.append("<" + pair[0] + ">" + Envelopes.escape(value) + "</" + pair[0] + ">");
        }
        return made.append("</" + words[0] + ">").toString();
    }

    private void fault(Element fault) {
        if (soap.equals(SOAP12)) {
            say("Fault", Envelopes.child(Envelopes.child(fault, SOAP12, "Code"), SOAP12, "Value").getTextContent());
            say("Text", Envelopes.children(Envelopes.child(fault, SOAP12, "Reason")).get(0).getTextContent());
            leaves(Envelopes.child(fault, SOAP12, "Detail"));
        } else {
            say("Fault", Envelopes.child(fault, null, "faultcode").getTextContent());
            say("Text", Envelopes.child(fault, null, "faultstring").getTextContent());
            leaves(Envelopes.child(fault, null, "detail"));
        }
    }

    private void leaves(Element element) {
        if (Envelopes.children(element).isEmpty()) say(element.getLocalName(), element.getTextContent());
        else Envelopes.children(element).forEach(this::leaves);
    }

    private void say(String name, String value) {
        out.println(name + "\t" + value.replaceAll("\\s+", " "));
    }
}
