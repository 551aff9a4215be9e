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
    errno.EDQUOT: phrase("Disk quota exceeded"),
    errno.EEXIST: phrase("File exists"),
    errno.EINVAL: phrase("Invalid argument"),
    errno.EIO: phrase("Input/output error"),
    errno.EISDIR: phrase("Is a directory"),
    errno.ELOOP: phrase("Too many levels of symbolic links"),
    errno.EMFILE: phrase("Too many open files"),
    errno.ENAMETOOLONG: phrase("File name too long"),
    errno.ENOENT: phrase("No such file or directory"),
    errno.ENOSPC: phrase("No space left on device"),
    errno.ENOTDIR: phrase("Not a directory"),
    errno.ENOTEMPTY: phrase("Directory not empty"),
    errno.EPERM: phrase("Operation not permitted"),
    errno.EROFS: phrase("Read-only file system"),
}


def name_system_error(error: Exception) -> Phrase:
    """Return what the operating system said of *error*; what Python says of it if it did not come from there."""
    number = getattr(error, "errno", None)
    found = KNOWN_ERRORS.get(number) if number is not None else None
    return found or verbatim(getattr(error, "strerror", None) or str(error) or type(error).__name__)
