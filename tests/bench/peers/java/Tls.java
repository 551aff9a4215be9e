import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;

/** Mutual TLS of the JDK's server: the key and certificate of PEER_KEY and PEER_CERTIFICATE; callers show one that the CA has issued. */
final class Tls {
    private static final char[] PASSWORD = "in memory only".toCharArray();

    private Tls() {
    }

    static HttpServer server(InetSocketAddress address, X509Certificate ca) throws Exception {
        Certificate own;
        try (FileInputStream file = new FileInputStream(System.getenv("PEER_CERTIFICATE"))) {
            own = CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
        String text = Files.readString(Path.of(System.getenv("PEER_KEY"))).replaceAll("-----[A-Z ]+-----", "");
        PKCS8EncodedKeySpec octets = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(text));
        PrivateKey key = KeyFactory.getInstance(own.getPublicKey().getAlgorithm()).generatePrivate(octets);
        KeyStore identity = KeyStore.getInstance("PKCS12"), anchors = KeyStore.getInstance("PKCS12");
        identity.load(null, null);
        anchors.load(null, null);
        identity.setKeyEntry("me", key, PASSWORD, new Certificate[] {own});
        anchors.setCertificateEntry("ca", ca);
        KeyManagerFactory shown = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        shown.init(identity, PASSWORD);
        TrustManagerFactory judge = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        judge.init(anchors);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(shown.getKeyManagers(), judge.getTrustManagers(), null);
        HttpsServer server = HttpsServer.create(address, 200);
        server.setHttpsConfigurator(new HttpsConfigurator(context) {
            @Override
            public void configure(HttpsParameters parameters) {
                SSLParameters ours = getSSLContext().getDefaultSSLParameters();
                ours.setNeedClientAuth(true);
                parameters.setSSLParameters(ours);
            }
        });
        return server;
    }
}
