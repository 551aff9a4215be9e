"""Says an error of the operating system in the reader's language. Knows the errors that operators meet, by their number.

The English sentences are those of errno(3) in glibc, so that they can be searched for; any other error keeps its own.
"""

import errno

from hub.language.phrases import Phrase, phrase, verbatim

#: number -> what the system says
KNOWN_ERRORS = {
    errno.EACCES: phrase("Permission denied"),
    errno.EADDRINUSE: phrase("Address already in use"),
    errno.EADDRNOTAVAIL: phrase("Cannot assign requested address"),
    errno.EBUSY: phrase("Device or resource busy"),
    errno.ECONNREFUSED: phrase("Connection refused"),
    errno.ECONNRESET: phrase("Connection reset by peer"),
    errno.EDQUOT: phrase("Disk quota exceeded"),
    errno.EEXIST: phrase("File exists"),
    errno.EFBIG: phrase("File too large"),
    errno.EHOSTUNREACH: phrase("No route to host"),
    errno.EINVAL: phrase("Invalid argument"),
    errno.EIO: phrase("Input/output error"),
    errno.EISDIR: phrase("Is a directory"),
    errno.ELOOP: phrase("Too many levels of symbolic links"),
    errno.EMFILE: phrase("Too many open files"),
    errno.ENAMETOOLONG: phrase("File name too long"),
    errno.ENETUNREACH: phrase("Network is unreachable"),
    errno.ENFILE: phrase("Too many open files in system"),
    errno.ENOENT: phrase("No such file or directory"),
    errno.ENOMEM: phrase("Cannot allocate memory"),
    errno.ENOSPC: phrase("No space left on device"),
    errno.ENOTDIR: phrase("Not a directory"),
    errno.ENOTEMPTY: phrase("Directory not empty"),
    errno.EPERM: phrase("Operation not permitted"),
    errno.EPIPE: phrase("Broken pipe"),
    errno.EROFS: phrase("Read-only file system"),
    errno.ESTALE: phrase("Stale file handle"),
    errno.ETIMEDOUT: phrase("Connection timed out"),
}


def describe_error(error: Exception) -> Phrase:
    """Return what *error* says, for a sentence of its own: with the file, if the system said it of one."""
    file, named = getattr(error, "filename", None), name_system_error(error)
    return named if file is None else phrase("{file}: {reason}", file=file, reason=named)


def name_system_error(error: Exception) -> Phrase:
    """Return what the operating system said of *error*.

    If it did not come from there, return its own sentence (`said`), else what Python says of it.
    """
    number, said = getattr(error, "errno", None), getattr(error, "said", None)
    if isinstance(said, Phrase):
        return said
    # an error of the module ssl has numbers of OpenSSL's
    found = None if number is None or type(error).__module__ == "ssl" else KNOWN_ERRORS.get(number)
    return found or verbatim(getattr(error, "strerror", None) or str(error) or type(error).__name__)
