/* A disk that fails: while the file FSYNC_FAILS is there, a sync of a file whose path holds "hub.db" gives EIO; while
   READ_FAILS is, a read.  Preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *kind, int file)
{
    const char *mark = getenv(kind);
    char link[64], path[4096];
    ssize_t length;

    if (mark == NULL || access(mark, F_OK) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "hub.db") != NULL;
}

#define FAILING(kind, type, name, parameters, arguments)                 \
    type name parameters                                                 \
    {                                                                    \
        static type(*real) parameters;                                   \
        if (fails(kind, file)) {                                         \
            errno = EIO;                                                 \
            return -1;                                                   \
        }                                                                \
        if (real == NULL)                                                \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);          \
        return real arguments;                                           \
    }

FAILING("READ_FAILS", ssize_t, read, (int file, void *into, size_t size), (file, into, size))
FAILING("READ_FAILS", ssize_t, pread, (int file, void *into, size_t size, off_t at), (file, into, size, at))
FAILING("READ_FAILS", ssize_t, pread64, (int file, void *into, size_t size, off64_t at), (file, into, size, at))
FAILING("FSYNC_FAILS", int, fsync, (int file), (file))
FAILING("FSYNC_FAILS", int, fdatasync, (int file), (file))
