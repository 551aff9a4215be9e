/* The least that the checks of a signed call cost: libxml2 and OpenSSL, one core, nothing kept, no network.
 *
 *   limit bodies=FILE ca=FILE documents=XSD packets=XSD [key=FILE] [count=all] [passes=1]
 *
 * Of each call in FILE (the form of load.c): parse it, without a DTD; find the parts by their place; let its certificate lead to ca= (once
 * for each certificate: later calls find its key by its octets); verify the signature of SignedInfo, of Body and Timestamp, by exclusive C14N
 * and SHA-256; judge the Timestamp; validate the child of Body; decode the packet, parse and validate it; see that the MessageId is new.  With
 * key= two signatures are made too, as many as the hub owes: of the receipt and of the answer.  Standard output is one line of `name=value`.
 */
#include <errno.h>
#include <fcntl.h>
#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define DS "http://www.w3.org/2000/09/xmldsig#"
#define OASIS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define WSU OASIS "wssecurity-utility-1.0.xsd"
#define WSSE OASIS "wssecurity-secext-1.0.xsd"
#define SOAP "http://schemas.xmlsoap.org/soap/envelope/"
#define OURS "urn:lienthong:documents:1"
enum { CERTIFICATES = 4096 };

static X509_STORE *anchors;
static EVP_PKEY *own;
static xmlSchemaValidCtxtPtr documents, packets;
static struct { unsigned char *token; size_t length; EVP_PKEY *key; } known[CERTIFICATES];
static char **ids;
static size_t id_room;

static void fail(const char *what) {
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double cpu(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static xmlNodePtr next(xmlNodePtr node) {
    while (node && node->type != XML_ELEMENT_NODE) node = node->next;
    return node;
}

static int is(xmlNodePtr node, const char *space, const char *name) {
    return node && node->ns && !strcmp((const char *)node->name, name) && !strcmp((const char *)node->ns->href, space);
}

/* Return the only child of that name. */
static xmlNodePtr child(xmlNodePtr parent, const char *space, const char *name) {
    xmlNodePtr found = NULL;
    for (xmlNodePtr each = parent ? next(parent->children) : NULL; each; each = next(each->next))
        if (is(each, space, name)) {
            if (found) return NULL;
            found = each;
        }
    return found;
}

static const char *text(xmlNodePtr node) {
    return node && node->children && node->children->type == XML_TEXT_NODE && !node->children->next ? (const char *)node->children->content : "";
}

static unsigned char *decode(const char *text, size_t *length) {
    static signed char value[256];
    if (!value['B']) {
        memset(value, -1, sizeof value);
        for (int i = 0; i < 64; i++) value[(int)"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i]] = (signed char)i;
    }
    size_t given = strlen(text), made = 0;
    if (given % 4) return NULL;
    while (given && text[given - 1] == '=') given--;
    unsigned char *octets = malloc(given + 4);
    uint32_t bits = 0;
    int held = 0, wrong = 0;
    for (size_t i = 0; i < given; i++) {
        int digit = value[(unsigned char)text[i]];
        wrong |= digit;
        bits = bits << 6 | (uint32_t)(digit & 63);
        if ((held += 6) >= 8) octets[made++] = (unsigned char)(bits >> (held -= 8));
    }
    if (wrong < 0) {
        free(octets);
        return NULL;
    }
    *length = made;
    return octets;
}

/* Canonicalise an element as the root of a document of its own: only its own nodes are visited. */
static int canonical(xmlNodePtr node, xmlChar **octets) {
    static xmlDocPtr shell;
    if (!shell) shell = xmlNewDoc(BAD_CAST "1.0");
    xmlNodePtr parent = node->parent, before = node->prev, after = node->next;
    node->parent = (xmlNodePtr)shell;
    node->prev = node->next = NULL;
    shell->children = shell->last = node;
    xmlOutputBufferPtr out = xmlAllocOutputBuffer(NULL);
    int said = xmlC14NExecute(shell, NULL, NULL, XML_C14N_EXCLUSIVE_1_0, NULL, 0, out), length = 0;
    node->parent = parent;
    node->prev = before;
    node->next = after;
    shell->children = shell->last = NULL;
    if (said >= 0) {
        length = (int)xmlOutputBufferGetSize(out);
        *octets = xmlMalloc(length + 1);
        memcpy(*octets, xmlOutputBufferGetContent(out), length);
    }
    xmlOutputBufferClose(out);
    return length;
}

static EVP_PKEY *signer(const char *token) {
    size_t length;
    unsigned char *octets = decode(token, &length);
    if (!octets) return NULL;
    size_t at = 0;
    for (size_t i = length > 64 ? length - 64 : 0; i < length; i++) at = at * 31 + octets[i];
    at %= CERTIFICATES;
    while (known[at].token) {
        if (known[at].length == length && !memcmp(known[at].token, octets, length)) {
            free(octets);
            return known[at].key;
        }
        at = (at + 1) % CERTIFICATES;
    }
    const unsigned char *from = octets;
    X509 *certificate = d2i_X509(NULL, &from, (long)length);
    X509_STORE_CTX *chain = X509_STORE_CTX_new();
    EVP_PKEY *key = NULL;
    if (certificate && X509_STORE_CTX_init(chain, anchors, certificate, NULL) == 1 && X509_verify_cert(chain) == 1)
        key = X509_get_pubkey(certificate);
    X509_STORE_CTX_free(chain);
    X509_free(certificate);
    if (!key) {
        free(octets);
        return NULL;
    }
    known[at].token = octets;
    known[at].length = length;
    known[at].key = key;
    return key;
}

static int signature_holds(xmlNodePtr signed_info, const char *value, EVP_PKEY *key) {
    size_t length;
    unsigned char *given = decode(value, &length), *der = given;
    xmlChar *octets = NULL;
    if (!given) return 0;
    if (EVP_PKEY_base_id(key) == EVP_PKEY_EC) { /* r and s, as XML Signature writes them */
        ECDSA_SIG *pair = ECDSA_SIG_new();
        ECDSA_SIG_set0(pair, BN_bin2bn(given, (int)length / 2, NULL), BN_bin2bn(given + length / 2, (int)length / 2, NULL));
        der = NULL;
        length = (size_t)i2d_ECDSA_SIG(pair, &der);
        ECDSA_SIG_free(pair);
    }
    int many = canonical(signed_info, &octets);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int holds = EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestVerify(digest, der, length, octets, (size_t)many) == 1;
    EVP_MD_CTX_free(digest);
    xmlFree(octets);
    if (der != given) OPENSSL_free(der);
    free(given);
    return holds;
}

static int digest_holds(xmlNodePtr reference, xmlNodePtr part) {
    unsigned char made[32];
    size_t length;
    xmlChar *octets = NULL;
    int many = canonical(part, &octets);
    EVP_Digest(octets, (size_t)many, made, NULL, EVP_sha256(), NULL);
    xmlFree(octets);
    unsigned char *given = decode(text(child(reference, DS, "DigestValue")), &length);
    int holds = given && length == 32 && !memcmp(made, given, 32);
    free(given);
    return holds;
}

static int names(xmlNodePtr reference, xmlNodePtr part) {
    xmlChar *uri = xmlGetNoNsProp(reference, BAD_CAST "URI"), *id = xmlGetNsProp(part, BAD_CAST "Id", BAD_CAST WSU);
    int same = uri && id && uri[0] == '#' && !strcmp((char *)uri + 1, (char *)id);
    xmlFree(uri);
    xmlFree(id);
    return same;
}

static time_t instant(xmlNodePtr node) {
    struct tm at = {0};
    return strptime(text(node), "%Y-%m-%dT%H:%M:%S", &at) ? timegm(&at) : 0;
}

static int is_new(const char *id) {
    size_t at = 5381;
    for (const char *each = id; *each; each++) at = at * 33 + (unsigned char)*each;
    for (at %= id_room; ids[at]; at = (at + 1) % id_room)
        if (!strcmp(ids[at], id)) return 0;
    ids[at] = strdup(id);
    return 1;
}

static xmlDocPtr parse(const unsigned char *octets, size_t length) {
    xmlDocPtr found = xmlReadMemory((const char *)octets, (int)length, NULL, NULL, XML_PARSE_NONET | XML_PARSE_HUGE | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (found && found->intSubset) {
        xmlFreeDoc(found);
        return NULL;
    }
    return found;
}

static void owe(const unsigned char *octets, size_t length) {
    unsigned char made[1024];
    for (int i = 0; i < 2; i++) {
        size_t room = sizeof made;
        EVP_MD_CTX *digest = EVP_MD_CTX_new();
        if (EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, own) != 1 || EVP_DigestSign(digest, made, &room, octets, length < 900 ? length : 900) != 1)
            fail("sign");
        EVP_MD_CTX_free(digest);
    }
}

static int judge_tree(xmlDocPtr call) {
    xmlNodePtr envelope = xmlDocGetRootElement(call);
    if (!is(envelope, SOAP, "Envelope")) return 0;
    xmlNodePtr security = child(child(envelope, SOAP, "Header"), WSSE, "Security"), content = child(envelope, SOAP, "Body");
    xmlNodePtr timestamp = child(security, WSU, "Timestamp"), signature = child(security, DS, "Signature"), asked = content ? next(content->children) : NULL;
    xmlNodePtr signed_info = child(signature, DS, "SignedInfo");
    if (!timestamp || !signed_info || !asked) return 0;
    EVP_PKEY *key = signer(text(child(security, WSSE, "BinarySecurityToken")));
    if (!key || !signature_holds(signed_info, text(child(signature, DS, "SignatureValue")), key)) return 0;
    int covered = 0;
    for (xmlNodePtr each = next(signed_info->children); each; each = next(each->next)) {
        if (!is(each, DS, "Reference")) continue;
        xmlNodePtr part = names(each, content) ? content : names(each, timestamp) ? timestamp : NULL;
        if (!part || !digest_holds(each, part)) return 0;
        covered |= part == content ? 1 : 2;
    }
    time_t now = time(NULL);
    if (covered != 3 || instant(child(timestamp, WSU, "Created")) > now + 60 || instant(child(timestamp, WSU, "Expires")) < now - 60) return 0;
    if (xmlSchemaValidateOneElement(documents, asked)) return 0;
    size_t length;
    unsigned char *octets = decode(text(child(asked, OURS, "Packet")), &length);
    if (!octets) return 0;
    xmlDocPtr packet = parse(octets, length);
    int good = packet && !xmlSchemaValidateDoc(packets, packet) && is_new(text(child(asked, OURS, "MessageId")));
    if (packet) xmlFreeDoc(packet);
    if (good && own) owe(octets, length);
    free(octets);
    return good;
}

static int judge(const unsigned char *octets, size_t length) {
    xmlDocPtr call = parse(octets, length);
    if (!call) return 0;
    int good = judge_tree(call);
    xmlFreeDoc(call);
    return good;
}

static void quiet(void *context, const char *message, ...) {
    (void)context;
    (void)message;
}

static xmlSchemaValidCtxtPtr schema(const char *path) {
    xmlSchemaParserCtxtPtr parser = xmlSchemaNewParserCtxt(path);
    xmlSchemaPtr read = xmlSchemaParse(parser);
    if (!read) fail(path);
    xmlSchemaValidCtxtPtr made = xmlSchemaNewValidCtxt(read);
    xmlSchemaSetValidErrors(made, quiet, quiet, NULL);
    return made;
}

int main(int words, char **word) {
    const char *bodies = NULL, *ca = NULL, *documents_xsd = NULL, *packets_xsd = NULL, *key = NULL;
    long most = -1, passes = 1, judged = 0, accepted = 0;
    for (int i = 1; i < words; i++) {
        char *value = strchr(word[i], '=');
        if (!value) fail(word[i]);
        *value++ = 0;
        if (!strcmp(word[i], "bodies")) bodies = value;
        else if (!strcmp(word[i], "ca")) ca = value;
        else if (!strcmp(word[i], "documents")) documents_xsd = value;
        else if (!strcmp(word[i], "packets")) packets_xsd = value;
        else if (!strcmp(word[i], "key")) key = value;
        else if (!strcmp(word[i], "count")) most = atol(value);
        else if (!strcmp(word[i], "passes")) passes = atol(value);
        else fail(word[i]);
    }
    if (!bodies || !ca || !documents_xsd || !packets_xsd) fail("bodies=, ca=, documents= and packets= are needed");
    documents = schema(documents_xsd);
    packets = schema(packets_xsd);
    anchors = X509_STORE_new();
    if (X509_STORE_load_locations(anchors, ca, NULL) != 1) fail(ca);
    if (key) {
        FILE *file = fopen(key, "r");
        if (!file || !(own = PEM_read_PrivateKey(file, NULL, NULL, NULL))) fail(key);
        fclose(file);
    }
    int fd = open(bodies, O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about)) fail(bodies);
    const unsigned char *all = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (all == MAP_FAILED) fail("mmap");
    id_room = 1 << 20;
    ids = calloc(id_room, sizeof *ids);
    double used = 0;
    for (long pass = 0; pass < passes; pass++) {
        double begun = cpu();
        long number = 0;
        for (off_t at = 0; at + 4 <= about.st_size && (most < 0 || number < most); number++) {
            uint32_t length;
            memcpy(&length, all + at, 4);
            accepted += judge(all + at + 4, length);
            judged++;
            at += 4 + (off_t)length;
        }
        used += cpu() - begun;
        for (size_t i = 0; i < id_room; i++) {
            free(ids[i]);
            ids[i] = NULL;
        }
    }
    struct rusage peak;
    getrusage(RUSAGE_SELF, &peak);
    printf("judged=%ld accepted=%ld refused=%ld cpu=%.6f peak_mib=%.1f\n", judged, accepted, judged - accepted, used, peak.ru_maxrss / 1024.0);
    return 0;
}
