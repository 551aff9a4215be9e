/* Signs what goes out and believes what one certificate signed, by gSOAP's plug-in wsse; and TLS with both sides' certificates. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "DocumentsSoap11.nsmap"
#include "soapH.h"
#include "wsseapi.h"

#define SOAP11 "http://schemas.xmlsoap.org/soap/envelope/"
#define SOAP12 "http://www.w3.org/2003/05/soap-envelope"
#define WSU "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"

static EVP_PKEY *own_key;
static X509 *own_certificate, *believed;

static void fail(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static FILE *opened(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file) fail(path);
    return file;
}

static X509 *certificate(const char *path) {
    FILE *file = opened(path, "r");
    X509 *found = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (!found) fail(path);
    return found;
}

/* Reads the keys and returns a context; key and certificate are PEM files, `other` is the certificate whose signatures count. */
static struct soap *context(const char *key, const char *own, const char *ca, const char *other) {
    FILE *file = opened(key, "r");
    own_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!own_key) fail(key);
    own_certificate = certificate(own);
    believed = certificate(other);
    soap_ssl_init();
    /* Without SOAP_XML_CANONICAL a signature names no canonical form. */
    struct soap *soap = soap_new1(SOAP_XML_CANONICAL | SOAP_C_UTFSTRING);
    if (soap_register_plugin(soap, soap_wsse)) fail("the plug-in wsse");
    soap->cafile = ca;
    soap->connect_timeout = soap->send_timeout = soap->recv_timeout = 30;
    return soap;
}

/* gSOAP wants key and certificate of TLS in one file: writes it and returns its name; to be removed once the context has read it. */
static char *in_one_file(const char *own) {
    static char name[] = "/tmp/lienthong-XXXXXX";
    int descriptor = mkstemp(name); /* readable by its owner alone */
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!file || !PEM_write_PrivateKey(file, own_key, NULL, NULL, 0, NULL, NULL) || !PEM_write_X509(file, own_certificate)) fail(own);
    fclose(file);
    return name;
}

/* Puts what is needed into the header, so that the next message is signed: Timestamp and Body. */
static int sign(struct soap *soap) {
    soap_wsse_delete_Security(soap);
    return soap_wsse_add_Timestamp(soap, "Time", 300)
        || soap_wsse_add_BinarySecurityTokenX509(soap, "X509Token", own_certificate)
        || soap_wsse_add_KeyInfo_SecurityTokenReferenceX509(soap, "#X509Token")
        || soap_wsse_sign_body(soap, SOAP_SMD_SIGN_RSA_SHA256, own_key, 0)
        || soap_wsse_sign_only(soap, "Time Body");
}

/* Says whether the message just read, whose digests and value the plug-in has verified, was signed by the one we believe. */
static int is_believed(struct soap *soap) {
    X509 *signer = soap_wsse_get_KeyInfo_SecurityTokenReferenceX509(soap);
    int theirs = signer && X509_cmp(signer, believed) == 0;
    X509_free(signer);
    return theirs && soap_wsse_verify_Timestamp(soap) == SOAP_OK && soap_wsse_verify_element(soap, WSU, "Timestamp") == 1
        && soap_wsse_verify_element(soap, SOAP11, "Body") + soap_wsse_verify_element(soap, SOAP12, "Body") == 1;
}
