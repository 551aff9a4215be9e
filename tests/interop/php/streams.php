<?php
// streams.php: a web server of one request at a time on PHP's own TLS streams, which demand client certificates.
declare(strict_types=1);

// Prints `ready` and hands every request to $answer(string $content, array $headers), whose output is sent: HTTP 500 where it holds a fault.
// $answer returns a status line of its own, or null.
function serve(string $port, string $key, string $certificate, string $ca, callable $answer): never
{
    $tls = ['local_cert' => $certificate, 'local_pk' => $key, 'cafile' => $ca, 'verify_peer' => true, 'verify_peer_name' => false];
    $context = stream_context_create(['ssl' => $tls]);
    $socket = stream_socket_server("tls://127.0.0.1:$port", $errno, $error, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context) ?: exit($error);
    file_put_contents('php://stdout', "ready\n");
    while (true) {
        $connection = @stream_socket_accept($socket, 3600);
        if ($connection === false) {
            continue; // a handshake that failed
        }
        $headers = [];
        while (($line = fgets($connection)) !== false && rtrim($line) !== '') {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $headers[strtolower($name)] = trim($value);
        }
        $length = (int) ($headers['content-length'] ?? 0);
        $content = $length > 0 ? stream_get_contents($connection, $length) : '';
        ob_start();
        $status = $answer($content, $headers);
        $reply = ob_get_clean();
        $status ??= str_contains($reply, ':Fault>') ? '500 Internal Server Error' : '200 OK';
        $type = str_contains($reply, 'http://www.w3.org/2003/05/soap-envelope') ? 'application/soap+xml' : 'text/xml';
        fwrite($connection, "HTTP/1.1 $status\r\nContent-Type: $type; charset=utf-8\r\nConnection: close\r\nContent-Length: " . strlen($reply) . "\r\n\r\n$reply");
        fclose($connection);
    }
}

// Writes a fault of the sender. Not `SoapServer::fault`, which ends the process.
function fault(string $text): void
{
    echo '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>'
        . htmlspecialchars($text, ENT_XML1) . '</faultstring></s:Fault></s:Body></s:Envelope>';
}
