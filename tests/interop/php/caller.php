<?php
// caller.php URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12: calls the documents service with PHP's SoapClient, envelopes unsigned.
//
// What is asked and answered through standard input and output: ../toolkits.py.  HUB_CERTIFICATE is not used: SoapClient does not
// verify answers.
declare(strict_types=1);

[, $url, $key, $certificate, $ca, , $version] = $argv;

// One stream context for the WSDL and the calls: it shows our certificate, and believes the hub's CA alone.
$tls = ['local_cert' => $certificate, 'local_pk' => $key, 'cafile' => $ca, 'verify_peer' => true, 'verify_peer_name' => true];
$client = new SoapClient("$url?wsdl", [
    'soap_version' => $version === '12' ? SOAP_1_2 : SOAP_1_1,
    'stream_context' => stream_context_create(['ssl' => $tls]),
    'cache_wsdl' => WSDL_CACHE_NONE,
    'features' => SOAP_SINGLE_ELEMENT_ARRAYS, // one Error is a list of one, too
    'trace' => true,
]);

function say(string $name, string $value): void
{
    echo $name, "\t", preg_replace('/\s+/', ' ', $value), "\n";
}

function leaves(string $name, mixed $value): void
{
    if (is_object($value) || is_array($value)) {
        foreach ($value as $inner => $each) {
            if ($inner !== 'any') { // the receipt's signature, as text
                leaves(is_int($inner) ? $name : $inner, $each);
            }
        }
    } elseif ($name === 'Packet') {
        say($name, base64_encode($value)); // SoapClient has decoded it
    } else {
        say($name, is_bool($value) ? var_export($value, true) : (string) $value);
    }
}

while (($line = fgets(STDIN)) !== false) {
    $words = explode("\t", rtrim($line, "\n"));
    $operation = array_shift($words);
    $fields = [];
    foreach ($words as $word) {
        [$name, $value] = explode('=', $word, 2);
        $fields[$name] = $name === 'Packet' ? file_get_contents($value) : $value; // SoapClient encodes it
    }
    try {
        leaves('', $client->__soapCall($operation, [$fields]));
        say('Raw', base64_encode($client->__getLastResponse()));
    } catch (SoapFault $fault) {
        if (isset($fault->detail)) {
            say('Fault', $fault->faultcode);
            say('Text', $fault->faultstring);
            leaves('', $fault->detail);
        } else {
            say('Error', "$fault->faultcode: $fault->faultstring"); // SoapClient's own, or a stranger's
        }
    }
    echo ".\n";
}
