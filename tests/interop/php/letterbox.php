<?php
// letterbox.php PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER: takes the hub's pushes with PHP's SoapServer.
//
// A web server would carry TLS; here PHP's own streams do.  SoapServer verifies nothing: `believed` does, by ext-dom and ext-openssl,
// and hands over an envelope of nothing but what was signed.
declare(strict_types=1);

require __DIR__ . '/streams.php';

const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/';
const DS = 'http://www.w3.org/2000/09/xmldsig#';
const WSU = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd';

[, $port, $key, $certificate, $ca, $hub, $folder] = $argv;

// Returns the one node at an XPath.
function one(DOMXPath $xpath, string $path, ?DOMNode $from = null): DOMElement
{
    $found = $xpath->query($path, $from);
    return $found->length === 1 ? $found->item(0) : throw new SoapFault('Client', "$found->length of $path");
}

// Returns an envelope around the Body that the hub signed, of the one form in which it signs.
function believed(string $content, string $hub): string
{
    $document = new DOMDocument();
    if (str_contains($content, '<!DOCTYPE') || !@$document->loadXML($content, LIBXML_NONET | LIBXML_PARSEHUGE)) {
        throw new SoapFault('Client', 'not XML');
    }
    $xpath = new DOMXPath($document);
    foreach (['s' => SOAP, 'ds' => DS, 'u' => WSU] as $prefix => $uri) {
        $xpath->registerNamespace($prefix, $uri);
    }
    $signature = one($xpath, '/s:Envelope/s:Header/*/ds:Signature');
    $info = one($xpath, 'ds:SignedInfo', $signature);
    $value = base64_decode(one($xpath, 'ds:SignatureValue', $signature)->textContent);
    $method = one($xpath, 'ds:SignatureMethod', $info)->getAttribute('Algorithm');
    if ($method !== 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'
        || openssl_verify($info->C14N(true, false), $value, $hub, OPENSSL_ALGO_SHA256) !== 1) {
        throw new SoapFault('Client', 'the signature is not the hub\'s');
    }
    $body = one($xpath, '/s:Envelope/s:Body');
    $time = one($xpath, '/s:Envelope/s:Header/*/u:Timestamp');
    foreach ([$body, $time] as $part) { // by their place, not by their ids
        $reference = one($xpath, 'ds:Reference[@URI="#' . $part->getAttributeNS(WSU, 'Id') . '"]', $info);
        $digest = base64_decode(one($xpath, 'ds:DigestValue', $reference)->textContent);
        if (!hash_equals(hash('sha256', $part->C14N(true, false), true), $digest)) {
            throw new SoapFault('Client', "$part->localName is not what was signed");
        }
    }
    [$created, $expires] = [strtotime(one($xpath, 'u:Created', $time)->textContent), strtotime(one($xpath, 'u:Expires', $time)->textContent)];
    if ($created - 60 > time() || $expires <= time()) {
        throw new SoapFault('Client', 'the Timestamp is over, or not yet');
    }
    return '<s:Envelope xmlns:s="' . SOAP . '">' . $body->C14N(true, false) . '</s:Envelope>';
}

final class Documents
{
    public function __construct(private readonly string $folder)
    {
    }

    public function SendDocument(stdClass $call): array
    {
        file_put_contents("$this->folder/" . basename($call->MessageId), $call->Packet);
        $unwanted = str_contains($call->Packet, 'D-unwanted');
        $errors = $unwanted ? ['Error' => [['Code' => 'unwanted', 'Description' => 'Không nhận.']]] : [];
        return ['Report' => ['IsSuccess' => !$unwanted, 'ErrorList' => $errors]];
    }
}

$server = new SoapServer(__DIR__ . '/../../../wsdl/lienthong/1/documents.wsdl', ['cache_wsdl' => WSDL_CACHE_NONE]);
$server->setObject(new Documents($folder));
serve($port, $key, $certificate, $ca, function (string $content) use ($server, $hub): ?string {
    try {
        $server->handle(believed($content, file_get_contents($hub)));
    } catch (SoapFault $fault) {
        fault($fault->faultstring);
    }
    return null;
});
