/*
 * caller URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12: calls the documents service by what gSOAP made of its WSDL.
 *
 * What is asked and answered through standard input and output: ../toolkits.py.
 */
#include "security.h"

static char *url;

/* --- what came, octet by octet: for the receipt --- */

static char *heard;
static size_t length, room;
static size_t (*receive)(struct soap *, char *, size_t);

static size_t listen_in(struct soap *soap, char *where, size_t most) {
    size_t got = receive(soap, where, most);
    if (length + got + 1 > room) heard = realloc(heard, room = 2 * (length + got + 1));
    memcpy(heard + length, where, got);
    heard[length += got] = 0;
    return got;
}

/* --- what is said --- */

static void say(const char *name, const char *value) {
    printf("%s\t", name);
    for (const char *at = value ? value : ""; *at; at++) putchar(strchr("\t\r\n", *at) ? ' ' : *at);
    putchar('\n');
}

static void say_packet(struct soap *soap, struct xsd__base64Binary packet) {
    say("Packet", soap_s2base64(soap, packet.__ptr, NULL, packet.__size));
}

static void say_errors(struct ns1__ErrorList *errors) {
    for (int i = 0; errors && i < errors->__sizeError; i++) {
        say("Code", errors->Error[i].Code);
        say("Description", errors->Error[i].Description);
    }
}

static void say_report(struct ns1__Report *report) {
    say("IsSuccess", report->IsSuccess == xsd__boolean__true_ ? "true" : "false");
    say_errors(report->ErrorList);
}

static void say_receipt(struct soap *soap, struct _ns1__Receipt *receipt) {
    if (!receipt) return;
    say("DocumentId", receipt->DocumentId);
    say("MessageId", receipt->MessageId);
    say("Sha256", receipt->Sha256);
    say("Time", soap_dateTime2s(soap, receipt->Time));
}

static void say_optional(const char *name, const char *value) {
    if (value) say(name, value);
}

/* --- what is asked --- */

static char *field(char **fields, const char *name) {
    size_t most = strlen(name);
    for (; *fields; fields++)
        if (!strncmp(*fields, name, most) && (*fields)[most] == '=') return *fields + most + 1;
    return NULL;
}

static struct xsd__base64Binary packet(struct soap *soap, char **fields) {
    struct xsd__base64Binary made = {NULL, 0, NULL, NULL, NULL};
    FILE *file = opened(field(fields, "Packet"), "rb");
    fseek(file, 0, SEEK_END);
    made.__size = (int)ftell(file);
    rewind(file);
    made.__ptr = soap_malloc(soap, made.__size);
    if (fread(made.__ptr, 1, made.__size, file) != (size_t)made.__size) fail("Packet");
    fclose(file);
    return made;
}

static time_t *since(struct soap *soap, char **fields) {
    char *text = field(fields, "Since");
    time_t *made = text ? soap_malloc(soap, sizeof *made) : NULL;
    if (made && soap_s2dateTime(soap, text, made)) fail("Since");
    return made;
}

#define CALL(operation) soap_call___ns1__##operation(soap, url, NULL, &asked, &told)
#define IS(operation) (!strcmp(name, #operation))

/* Makes the call and says the leaves of a believable answer; returns whether there was one. */
static int call(struct soap *soap, const char *name, char **fields) {
    if IS(SendDocument) {
        struct _ns1__SendDocument asked = {field(fields, "MessageId"), packet(soap, fields)};
        struct _ns1__SendDocumentResponse told;
        if (CALL(SendDocument) || !is_believed(soap)) return 0;
        say_report(told.Report);
        say_optional("DocumentId", told.DocumentId);
        say_receipt(soap, told.Receipt);
    } else if IS(UpdateTraces) {
        struct _ns1__UpdateTraces asked = {field(fields, "MessageId"), packet(soap, fields)};
        struct _ns1__UpdateTracesResponse told;
        if (CALL(UpdateTraces) || !is_believed(soap)) return 0;
        say_report(told.Report);
        say_optional("DocumentId", told.DocumentId);
        say_receipt(soap, told.Receipt);
    } else if IS(GetPendingDocumentIds) {
        int limit = atoi(field(fields, "Limit") ? field(fields, "Limit") : "0");
        struct _ns1__GetPendingDocumentIds asked = {field(fields, "OrganId"), limit ? &limit : NULL};
        struct _ns1__GetPendingDocumentIdsResponse told;
        if (CALL(GetPendingDocumentIds) || !is_believed(soap)) return 0;
        for (int i = 0; i < told.DocumentIds->__sizeDocumentId; i++) say("DocumentId", told.DocumentIds->DocumentId[i]);
    } else if IS(GetDocument) {
        struct _ns1__GetDocument asked = {field(fields, "DocumentId")};
        struct _ns1__GetDocumentResponse told;
        if (CALL(GetDocument) || !is_believed(soap)) return 0;
        say("DocumentId", told.DocumentId);
        say("MessageId", told.MessageId);
        say_packet(soap, told.Packet);
    } else if IS(ConfirmReceived) {
        struct _ns1__ConfirmReceived asked = {field(fields, "DocumentId"), field(fields, "OrganId")};
        struct _ns1__ConfirmReceivedResponse told;
        if (CALL(ConfirmReceived) || !is_believed(soap)) return 0;
        say_report(told.Report);
    } else if IS(GetTraces) {
        struct _ns1__GetTraces asked = {field(fields, "OrganId"), field(fields, "DocumentId"), since(soap, fields)};
        struct _ns1__GetTracesResponse told;
        if (CALL(GetTraces) || !is_believed(soap)) return 0;
        for (int i = 0; i < told.Traces->__sizeTrace; i++) {
            say_optional("DocumentId", told.Traces->Trace[i].DocumentId);
            say_packet(soap, told.Traces->Trace[i].Packet);
        }
    } else if IS(GetOrganizations) {
        struct _ns1__GetOrganizations asked = {since(soap, fields)};
        struct _ns1__GetOrganizationsResponse told;
        if (CALL(GetOrganizations) || !is_believed(soap)) return 0;
        for (int i = 0; i < told.Organizations->__sizeOrganization; i++) {
            struct ns1__Organization *each = told.Organizations->Organization + i;
            say("OrganId", each->OrganId);
            say("OrganName", each->OrganName);
            say_optional("Parent", each->Parent);
            say_optional("From", each->From);
            say_optional("Until", each->Until);
        }
    } else if IS(CheckPermission) {
        struct _ns1__CheckPermission asked = {field(fields, "OrganId")};
        struct _ns1__CheckPermissionResponse told;
        if (CALL(CheckPermission) || !is_believed(soap)) return 0;
        say_report(told.Report);
    } else {
        fail(name);
    }
    return 1;
}

/* The typed detail of a fault that was read and can be believed; NULL for anything else. */
static struct _ns1__FaultDetail *detail(struct soap *soap) {
    struct SOAP_ENV__Fault *fault = soap->error == SOAP_FAULT ? soap->fault : NULL;
    struct SOAP_ENV__Detail *found = fault ? (fault->detail ? fault->detail : fault->SOAP_ENV__Detail) : NULL;
    return found ? found->ns1__FaultDetail : NULL;
}

int main(int count, char **given) {
    if (count != 7) fail("caller URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12");
    static char line[1 << 16];
    url = given[1];
    if (strcmp(given[6], "12")) namespaces[0].ns = SOAP11; /* what is written; both are read */
    struct soap *soap = context(given[2], given[3], given[4], given[5]);
    char *tls = in_one_file(given[3]);
    if (soap_ssl_client_context(soap, SOAP_SSL_REQUIRE_SERVER_AUTHENTICATION | SOAP_SSL_NO_DEFAULT_CA_PATH, tls, "", given[4], NULL, NULL))
        fail("TLS");
    unlink(tls);
    receive = soap->frecv;
    soap->frecv = listen_in;
    while (fgets(line, sizeof line, stdin)) {
        char *fields[16] = {NULL};
        int many = 0;
        line[strcspn(line, "\n")] = 0;
        char *name = strtok(line, "\t");
        while (many < 15 && (fields[many] = strtok(NULL, "\t"))) many++;
        length = 0;
        if (sign(soap) || soap_wsse_verify_auto(soap, SOAP_SMD_NONE, NULL, 0)) fail("signing");
        if (call(soap, name, fields)) {
            say("Verified", "Body Timestamp");
            char *body = heard ? strstr(heard, "\r\n\r\n") + 4 : "";
            say("Raw", soap_s2base64(soap, (unsigned char *)body, NULL, (int)strlen(body)));
        } else {
            struct _ns1__FaultDetail *typed = detail(soap);
            char *code = soap->fault ? soap_strdup(soap, *soap_faultcode(soap)) : "";
            const char *text = soap->fault ? soap_strdup(soap, soap_fault_string(soap)) : "";
            if (typed && is_believed(soap)) {
                say("Verified", "Body Timestamp");
                say("Fault", code);
                say("Text", text);
                say("Code", typed->Code);
                say("Description", typed->Description);
                say("Tracking", typed->Tracking);
                say_errors(typed->ErrorList);
            } else {
                say("Error", soap->error ? text : "the answer is not signed by the hub");
                soap_print_fault(soap, stderr);
            }
        }
        puts(".");
        fflush(stdout);
        soap_destroy(soap);
        soap_end(soap);
    }
    return 0;
}
