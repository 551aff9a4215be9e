"""Writes the checksums of a release and signs them with the releaser's key, by `openssl`. Does not know what is released."""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

SUMS, SIGNATURE, PUBLIC = "SHA256SUMS", "SHA256SUMS.sig", "release.pub"


def write_checksums(files: Iterable[Path], to: Path) -> Path:
    """Write the SHA-256 of each of *files*, all in the folder *to*, as `sha256sum -c` reads them."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(to)}\n" for file in sorted(files)]
    sums = to / SUMS
    sums.write_text("".join(lines), "utf-8")
    return sums


def sign_checksums(sums: Path, key: Path) -> None:
    """Sign *sums* with the private key in the file *key* (PEM, RSA or ECDSA), and write its public key beside it.

    Verified by `openssl dgst -sha256 -verify release.pub -signature SHA256SUMS.sig SHA256SUMS`. Raises
    `CalledProcessError` for a key that cannot sign so.
    """
    signature, public = sums.with_name(SIGNATURE), sums.with_name(PUBLIC)
    _openssl("dgst", "-sha256", "-sign", key, "-out", signature, sums)
    _openssl("pkey", "-in", key, "-pubout", "-out", public)
    _openssl("dgst", "-sha256", "-verify", public, "-signature", signature, sums)


def _openssl(*words: str | Path) -> None:
    command = ["openssl", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
