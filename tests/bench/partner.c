/* A partner that is pushed to and never the slowest: takes any POST over mutual TLS and answers the same octets at once.
 *
 *   partner port=N ca=FILE certificate=FILE key=FILE answer=FILE
 *
 * Connections are kept.  Counts nothing: the journal says what was delivered.  One process and one thread; ends by SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROOM = 65536 };

typedef struct {
    int fd;
    SSL *ssl;
    size_t got;       /* octets of the head so far */
    size_t rest;      /* octets of the body still to come, once the head is whole */
    size_t said;      /* octets of the answer sent */
    int answering;
    char head[ROOM + 1];
} Caller;

static char *answer;
static size_t answer_length;

static void fail(const char *what) {
    fprintf(stderr, "partner: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void drop(Caller *caller) {
    SSL_free(caller->ssl);
    close(caller->fd);
    free(caller);
}

static void go_on(Caller *caller) {
    static char sink[ROOM];
    for (;;) {
        int said;
        ERR_clear_error();
        if (caller->answering) {
            said = SSL_write(caller->ssl, answer + caller->said, (int)(answer_length - caller->said));
            if (said > 0 && (caller->said += said) == answer_length) caller->answering = 0, caller->got = caller->said = 0;
        } else if (caller->rest) {
            said = SSL_read(caller->ssl, sink, (int)(caller->rest < ROOM ? caller->rest : ROOM));
            if (said > 0 && !(caller->rest -= said)) caller->answering = 1;
        } else {
            said = SSL_read(caller->ssl, caller->head + caller->got, (int)(ROOM - caller->got));
            if (said > 0) {
                caller->head[caller->got += said] = 0;
                char *end = strstr(caller->head, "\r\n\r\n"), *length = strcasestr(caller->head, "\r\nContent-Length:");
                if (end && length) {
                    size_t here = caller->got - (end + 4 - caller->head), all = strtoul(length + 17, NULL, 10);
                    caller->rest = all - here;
                    caller->answering = !caller->rest;
                } else if (caller->got == ROOM) {
                    drop(caller);
                    return;
                }
            }
        }
        if (said > 0) continue;
        int why = SSL_get_error(caller->ssl, said);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) drop(caller);
        return;
    }
}

int main(int words, char **word) {
    const char *port = "", *ca = "", *certificate = "", *key = "", *path = "";
    for (int i = 1; i < words; i++) {
        char *value = strchr(word[i], '=');
        if (!value) fail(word[i]);
        *value++ = 0;
        if (!strcmp(word[i], "port")) port = value;
        else if (!strcmp(word[i], "ca")) ca = value;
        else if (!strcmp(word[i], "certificate")) certificate = value;
        else if (!strcmp(word[i], "key")) key = value;
        else if (!strcmp(word[i], "answer")) path = value;
        else fail(word[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    FILE *file = fopen(path, "rb");
    static char content[ROOM];
    if (!file) fail(path);
    size_t length = fread(content, 1, ROOM, file);
    fclose(file);
    answer = malloc(length + 200);
    answer_length = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %zu\r\n\r\n", length);
    memcpy(answer + answer_length, content, length);
    answer_length += length;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1 || SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        fail("certificates");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"partner", 7);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1, queue = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) fail("bind");
    struct epoll_event event = {.events = EPOLLIN}, ready[64];
    epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int many = epoll_wait(queue, ready, 64, -1);
        for (int i = 0; i < many; i++) {
            Caller *caller = ready[i].data.ptr;
            if (caller) {
                go_on(caller);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            caller = calloc(1, sizeof *caller);
            caller->fd = fd;
            caller->ssl = SSL_new(context);
            SSL_set_fd(caller->ssl, fd);
            SSL_set_accept_state(caller->ssl);
            /* Edges: go_on reads and writes until it would block. */
            struct epoll_event both = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = caller};
            epoll_ctl(queue, EPOLL_CTL_ADD, fd, &both);
        }
    }
}
