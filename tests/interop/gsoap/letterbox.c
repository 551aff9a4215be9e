/* letterbox PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER: takes the hub's pushes with gSOAP's own stand-alone server. */
#include "security.h"

static const char *folder;

int __ns1__SendDocument(struct soap *soap, struct _ns1__SendDocument *asked, struct _ns1__SendDocumentResponse *told) {
    static struct ns1__Error unwanted = {"unwanted", "Không nhận."};
    static struct ns1__ErrorList errors;
    static struct ns1__Report report;
    char path[4096];
    if (!is_believed(soap)) return soap_wsse_delete_Security(soap), soap_sender_fault(soap, "not signed by the hub", NULL);
    if (!asked->MessageId || strchr(asked->MessageId, '/')) return soap_sender_fault(soap, "no MessageId", NULL);
    snprintf(path, sizeof path, "%s/%s", folder, asked->MessageId);
    FILE *file = opened(path, "wb");
    fwrite(asked->Packet.__ptr, 1, asked->Packet.__size, file);
    fclose(file);
    int refused = memmem(asked->Packet.__ptr, asked->Packet.__size, "D-unwanted", 10) != NULL;
    errors = (struct ns1__ErrorList){refused, &unwanted};
    report = (struct ns1__Report){refused ? xsd__boolean__false_ : xsd__boolean__true_, &errors};
    *told = (struct _ns1__SendDocumentResponse){&report, NULL, NULL};
    return sign(soap);
}

/* The rest of the contract is the hub's. */
#define NOT_HERE(operation) \
    int __ns1__##operation(struct soap *soap, struct _ns1__##operation *asked, struct _ns1__##operation##Response *told) { \
        return SOAP_NO_METHOD; \
    } \
    int __ns1__##operation##_(struct soap *soap, struct _ns1__##operation *asked, struct _ns1__##operation##Response *told) { \
        return SOAP_NO_METHOD; \
    }
NOT_HERE(GetPendingDocumentIds)
NOT_HERE(GetDocument)
NOT_HERE(ConfirmReceived)
NOT_HERE(UpdateTraces)
NOT_HERE(GetTraces)
NOT_HERE(GetOrganizations)
NOT_HERE(CheckPermission)
int __ns1__SendDocument_(struct soap *soap, struct _ns1__SendDocument *asked, struct _ns1__SendDocumentResponse *told) {
    return __ns1__SendDocument(soap, asked, told);
}

int main(int count, char **given) {
    if (count != 7) fail("letterbox PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER");
    folder = given[6];
    struct soap *soap = context(given[2], given[3], given[4], given[5]);
    char *tls = in_one_file(given[3]);
    if (soap_ssl_server_context(soap, SOAP_SSL_REQUIRE_CLIENT_AUTHENTICATION | SOAP_SSL_NO_DEFAULT_CA_PATH, tls, "", given[4], NULL, NULL, NULL, NULL))
        fail("TLS");
    unlink(tls);
    soap->bind_flags = SO_REUSEADDR;
    if (!soap_valid_socket(soap_bind(soap, "127.0.0.1", atoi(given[1]), 100))) fail("the port");
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (!soap_valid_socket(soap_accept(soap))) fail("accept");
        if (soap_ssl_accept(soap) == SOAP_OK) {
            soap_wsse_verify_auto(soap, SOAP_SMD_NONE, NULL, 0);
            if (soap_serve(soap)) soap_print_fault(soap, stderr);
        } else {
            soap_print_fault(soap, stderr);
        }
        soap_wsse_delete_Security(soap);
        soap_closesock(soap);
        soap_destroy(soap);
        soap_end(soap);
    }
}
