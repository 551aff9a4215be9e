/* Posts calls that were signed beforehand, over kept or new connections, and tells what came back and when.
 *
 *   load port=N bodies=FILE [path=/soap/documents] [first=0] [count=all] [connections=64] [new=0] [fixed=0]
 *        [ca=FILE certificate=FILE key=FILE] [type=MEDIA] [answers=FILE] [every=50] [patience=60] [opening=0]
 *
 * FILE of bodies: a body is its length, four octets of this machine's order, and its octets.  Each is sent once, over the connection that is
 * free first; with fixed=1, number i goes over connection i modulo connections.  With ca=, TLS with a client certificate; a `%` in certificate= and
 * key= stands for the number of the connection.  Every so-manieth answer is kept in the file of answers: number of the body, HTTP status, length,
 * octets.  With opening=1 the first body of each connection only opens it: after them load says `opened` and waits for a line; what follows counts.
 * One process and one thread, so that the load costs as little as possible; standard output is one line of `name=value`.
 * Knows HTTP/1.1 as servers answer it (Content-Length, chunked, close); judges no answer beyond its status and the words of acceptance.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 1024, ACCEPTED_WITHIN = 4096, TRIES = 3 };
typedef enum { CLOSED, CONNECTING, SHAKING, SENDING, READING, OPEN } State;

typedef struct {
    State state;
    int fd, index, tries;
    SSL *ssl;
    SSL_CTX *context;
    long body; /* the number of the body under way; -1: none */
    char head[HEAD];
    size_t head_length, sent, got, room;
    char *answer;
    double begun;
    uint32_t waiting; /* what epoll was told */
} Connection;

static struct {
    const char *bodies, *path, *ca, *certificate, *key, *type, *answers;
    int port, connections, new, fixed, every, patience, opening;
    long first, count;
} option = {.path = "/soap/documents", .type = "text/xml; charset=utf-8", .connections = 64, .every = 50, .patience = 60, .count = -1};

static const unsigned char **body;
static uint32_t *body_length;
static long bodies, most, next_body, done, timed, accepted, refused, failed, connects, retried;
static double *took;
static FILE *kept;
static int queue;
static char first_refusal[400];

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void read_bodies(void) {
    int fd = open(option.bodies, O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about)) fail(option.bodies);
    const unsigned char *all = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (all == MAP_FAILED) fail("mmap");
    long number = 0, room = 0;
    for (off_t at = 0; at + 4 <= about.st_size;) {
        uint32_t length;
        memcpy(&length, all + at, 4);
        if (number++ >= option.first && (option.count < 0 || bodies < option.count)) {
            if (bodies == room) {
                room = room ? room * 2 : 1024;
                body = realloc(body, room * sizeof *body);
                body_length = realloc(body_length, room * sizeof *body_length);
            }
            body[bodies] = all + at + 4;
            body_length[bodies++] = length;
        }
        at += 4 + (off_t)length;
    }
    took = calloc(bodies ? bodies : 1, sizeof *took);
}

static void path_of(char *into, size_t room, const char *pattern, int index) {
    const char *mark = strchr(pattern, '%');
    if (mark) snprintf(into, room, "%.*s%d%s", (int)(mark - pattern), pattern, index, mark + 1);
    else snprintf(into, room, "%s", pattern);
}

static SSL_CTX *context_of(int index) {
    static SSL_CTX *shared;
    int many = strchr(option.certificate, '%') != NULL;
    if (shared && !many) return shared;
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    char certificate[4096], key[4096];
    path_of(certificate, sizeof certificate, option.certificate, index);
    path_of(key, sizeof key, option.key, index);
    if (!made || SSL_CTX_load_verify_locations(made, option.ca, NULL) != 1 ||
        SSL_CTX_use_certificate_file(made, certificate, SSL_FILETYPE_PEM) != 1 || SSL_CTX_use_PrivateKey_file(made, key, SSL_FILETYPE_PEM) != 1)
        fail("certificates");
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return shared = made;
}

static void await(Connection *c, uint32_t events) {
    if (c->waiting == events) return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(queue, c->waiting ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
    c->waiting = events;
}

static void drop(Connection *c) {
    if (c->ssl) {
        if (c->state == READING || c->state == SENDING) SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    if (c->fd >= 0) close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    c->waiting = 0;
    c->state = CLOSED;
}

static void dial(Connection *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connects++;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
    c->state = CONNECTING;
    await(c, EPOLLOUT);
}

/* Take the next body, if there is one. */
static int take(Connection *c) {
    if (option.fixed) {
        long number = c->body < 0 ? c->index : c->body + option.connections;
        if (number >= most) return 0;
        c->body = number;
    } else {
        if (next_body >= most) return 0;
        c->body = next_body++;
    }
    c->tries = 0;
    c->head_length = snprintf(c->head, HEAD,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: %s\r\nSOAPAction: \"urn:lienthong:documents:1/SendDocument\"\r\n"
        "Content-Length: %u\r\nConnection: %s\r\n\r\n",
        option.path, option.port, option.type, body_length[c->body], option.new ? "close" : "keep-alive");
    return 1;
}

static void begin(Connection *c) {
    c->sent = c->got = 0;
    if (c->tries++ == 0) c->begun = now();
    if (c->state == CLOSED) dial(c);
    else c->state = SENDING;
}

/* The connection broke: send the same body again, over a new one. */
static void again(Connection *c, const char *why) {
    drop(c);
    if (c->tries < TRIES) {
        retried++;
        begin(c);
        return;
    }
    failed++;
    done++;
    if (!first_refusal[0]) snprintf(first_refusal, sizeof first_refusal, "%s", why);
    if (take(c)) begin(c);
}

static const char *field(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *at = head; at < end; at++) {
        if (at[0] == '\n' && !strncasecmp(at + 1, name, length) && at[1 + length] == ':') {
            at += 2 + length;
            while (*at == ' ') at++;
            return at;
        }
    }
    return NULL;
}

/* Return the length of a whole answer, 0 if there is more to come; tell where its content begins. */
static size_t whole(Connection *c, size_t *content, int *closing) {
    c->answer[c->got] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return 0;
    *content = end + 4 - c->answer;
    const char *said = field(c->answer, end, "connection");
    *closing = said ? !strncasecmp(said, "close", 5) : !strncmp(c->answer, "HTTP/1.0", 8);
    const char *length = field(c->answer, end, "content-length"), *coding = field(c->answer, end, "transfer-encoding");
    if (coding && !strncasecmp(coding, "chunked", 7))
        return c->got >= *content + 5 && !memcmp(c->answer + c->got - 5, "0\r\n\r\n", 5) ? c->got : 0;
    if (!length) return 0; /* it ends with the connection */
    size_t need = *content + strtoul(length, NULL, 10);
    return c->got >= need ? need : 0;
}

static void finish(Connection *c, size_t length, size_t content, int closing) {
    int status = atoi(c->answer + 9);
    took[timed++] = now() - c->begun;
    done++;
    if (status == 200 && memmem(c->answer + content, length - content, "IsSuccess>true", 14)) accepted++;
    else {
        refused++;
        if (!first_refusal[0]) snprintf(first_refusal, sizeof first_refusal, "%.390s", c->answer);
    }
    if (kept && c->body % option.every == 0) {
        uint32_t about[3] = {(uint32_t)c->body, (uint32_t)status, (uint32_t)(length - content)};
        fwrite(about, sizeof about, 1, kept);
        fwrite(c->answer + content, 1, length - content, kept);
    }
    if (closing || option.new) drop(c);
    if (take(c)) begin(c);
    else if (c->state != CLOSED) {
        if (most < bodies) c->state = OPEN;
        else drop(c);
    }
}

/* Do what can be done without waiting, then tell epoll what to wait for. */
static void go_on(Connection *c) {
    for (;;) {
        if (c->state == CONNECTING) {
            int error = 0;
            socklen_t size = sizeof error;
            if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
                again(c, "connection refused");
                return;
            }
            c->state = SENDING;
            if (option.ca) {
                c->ssl = SSL_new(c->context);
                SSL_set_fd(c->ssl, c->fd);
                SSL_set_connect_state(c->ssl);
                c->state = SHAKING;
            }
        } else if (c->state == SHAKING) {
            int said = SSL_do_handshake(c->ssl);
            if (said == 1) c->state = SENDING;
            else {
                int why = SSL_get_error(c->ssl, said);
                if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                    await(c, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
                    return;
                }
                ERR_print_errors_fp(stderr);
                again(c, "TLS handshake failed");
                return;
            }
        } else if (c->state == SENDING) {
            size_t total = c->head_length + body_length[c->body];
            char joined[16384];
            while (c->sent < total) {
                const void *from;
                size_t length;
                if (c->sent < c->head_length) { /* head and the beginning of the body in one segment */
                    size_t more = total - c->head_length, fits = sizeof joined - c->head_length;
                    if (more > fits) more = fits;
                    memcpy(joined, c->head, c->head_length);
                    memcpy(joined + c->head_length, body[c->body], more);
                    from = joined + c->sent;
                    length = c->head_length + more - c->sent;
                } else {
                    from = body[c->body] + (c->sent - c->head_length);
                    length = total - c->sent;
                    if (length > 1 << 20) length = 1 << 20;
                }
                ssize_t said;
                if (c->ssl) {
                    ERR_clear_error();
                    said = SSL_write(c->ssl, from, (int)length);
                    if (said <= 0) {
                        int why = SSL_get_error(c->ssl, (int)said);
                        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                            await(c, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
                            return;
                        }
                        again(c, "broken while sending");
                        return;
                    }
                } else {
                    said = send(c->fd, from, length, MSG_NOSIGNAL);
                    if (said < 0) {
                        if (errno == EAGAIN) {
                            await(c, EPOLLOUT);
                            return;
                        }
                        again(c, "broken while sending");
                        return;
                    }
                }
                c->sent += said;
            }
            c->state = READING;
            await(c, EPOLLIN);
            return; /* no server answers at once */
        } else if (c->state == READING) {
            if (c->room < c->got + 16385) c->answer = realloc(c->answer, (c->room = c->room * 2 + 32768) + 1);
            ssize_t said;
            if (c->ssl) {
                ERR_clear_error();
                said = SSL_read(c->ssl, c->answer + c->got, (int)(c->room - c->got));
                if (said <= 0) {
                    int why = SSL_get_error(c->ssl, (int)said);
                    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                        await(c, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
                        return;
                    }
                    said = 0;
                }
            } else {
                said = recv(c->fd, c->answer + c->got, c->room - c->got, 0);
                if (said < 0 && errno == EAGAIN) {
                    await(c, EPOLLIN);
                    return;
                }
            }
            size_t content = 0, length;
            int closing = 0;
            if (said <= 0) {
                c->answer[c->got] = 0;
                char *end = strstr(c->answer, "\r\n\r\n");
                if (end && !field(c->answer, end, "content-length")) finish(c, c->got, end + 4 - c->answer, 1);
                else again(c, "closed before its answer");
                return;
            }
            c->got += said;
            if (!(length = whole(c, &content, &closing))) continue;
            finish(c, length, content, closing);
            if (c->state != SENDING) return;
        } else
            return;
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(long many, double part) { return many ? took[(long)((many - 1) * part + 0.5)] * 1e3 : 0; }

static double seconds_of(const struct rusage *used) {
    return used->ru_utime.tv_sec + used->ru_stime.tv_sec + (used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
}

/* Go on until as many bodies as may be sent now are answered. */
static void run(void) {
    struct epoll_event ready[256];
    while (done < most) {
        int many = epoll_wait(queue, ready, 256, option.patience * 1000);
        if (many < 0 && errno != EINTR) fail("epoll_wait");
        if (many == 0) {
            errno = ETIMEDOUT;
            fail("no answer");
        }
        for (int i = 0; i < many; i++) go_on(ready[i].data.ptr);
    }
}

int main(int words, char **word) {
    for (int i = 1; i < words; i++) {
        char *value = strchr(word[i], '=');
        if (!value) fail(word[i]);
        *value++ = 0;
#define TEXT(name) else if (!strcmp(word[i], #name)) option.name = value
#define NUMBER(name) else if (!strcmp(word[i], #name)) option.name = atol(value)
        if (0) {}
        TEXT(bodies); TEXT(path); TEXT(ca); TEXT(certificate); TEXT(key); TEXT(type); TEXT(answers);
        NUMBER(port); NUMBER(connections); NUMBER(new); NUMBER(fixed); NUMBER(every); NUMBER(patience); NUMBER(opening); NUMBER(first); NUMBER(count);
        else fail(word[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    read_bodies();
    if (option.answers && !(kept = fopen(option.answers, "wb"))) fail(option.answers);
    if ((queue = epoll_create1(EPOLL_CLOEXEC)) < 0) fail("epoll");
    Connection *all = calloc(option.connections, sizeof *all);
    for (int i = 0; i < option.connections; i++) {
        all[i].index = i;
        all[i].fd = -1;
        all[i].body = -1;
        if (option.ca) all[i].context = context_of(i);
    }
    long opened = 0;
    most = option.opening && option.connections < bodies ? option.connections : bodies;
    for (int i = 0; i < option.connections; i++)
        if (take(&all[i])) begin(&all[i]);
    if (most < bodies) {
        run();
        puts("opened");
        fflush(stdout);
        if (getchar() == EOF) return 1;
        opened = accepted;
        accepted = timed = 0;
        most = bodies;
    }
    struct rusage before, used;
    getrusage(RUSAGE_SELF, &before);
    double begun = now();
    if (opened)
        for (int i = 0; i < option.connections; i++)
            if (take(&all[i])) {
                begin(&all[i]);
                go_on(&all[i]);
            }
    run();
    double seconds = now() - begun;
    if (kept) fclose(kept);
    getrusage(RUSAGE_SELF, &used);
    double cpu = seconds_of(&used) - seconds_of(&before);
    long many = timed;
    qsort(took, many, sizeof *took, compare);
    printf("seconds=%.6f opened=%ld accepted=%ld refused=%ld failed=%ld connects=%ld retried=%ld p50_ms=%.3f p99_ms=%.3f most_ms=%.3f cpu=%.6f\n", seconds, opened,
        accepted, refused, failed, connects, retried, quantile(many, 0.5), quantile(many, 0.99), quantile(many, 1), cpu);
    if (first_refusal[0]) fprintf(stderr, "%s\n", first_refusal);
    return 0;
}
