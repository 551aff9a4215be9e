"""Measures the machine itself: signatures and digests a second of one core, so that a slow machine is seen as one."""

import hashlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256


@attrs.frozen(kw_only=True)
class Calibration:
    """What one core does."""

    rsa_sign: float  #: microseconds of a signature with RSA-2048
    ec_sign: float  #: microseconds of a signature with ECDSA, P-256
    sha256: float  #: microseconds to digest a MiB
    sync: float  #: milliseconds of an fdatasync after 4 KiB
    load: float  #: processes that ran or waited, in the last minute

    def describe(self) -> str:
        """Return it in a few words."""
        return f"RSA {self.rsa_sign:.0f} µs, ECDSA {self.ec_sign:.0f} µs, fdatasync {self.sync:.2f} ms, load {self.load:.1f}"


def _time_one(do: Callable[[], object], times: int) -> float:
    """Return the median microseconds of CPU of five runs of *do*, each so many times."""
    took = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(times):
            do()
        took.append((time.process_time() - begun) / times * 1e6)
    return statistics.median(took)


def _time_syncs(path: Path) -> float:
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1e3)
    path.unlink()
    return statistics.median(took)


def calibrate(place: Path) -> Calibration:
    """Measure for about half a second; the disk is that of *place*."""
    rsa_key, ec_key, octets = (
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        bytes(2**20),
    )
    return Calibration(
        rsa_sign=_time_one(lambda: rsa_key.sign(b"x", PKCS1v15(), SHA256()), 100),
        ec_sign=_time_one(lambda: ec_key.sign(b"x", ec.ECDSA(SHA256())), 300),
        sha256=_time_one(lambda: hashlib.sha256(octets).digest(), 20),
        sync=_time_syncs(place / "sync"),
        load=os.getloadavg()[0],
    )


def describe_machine() -> str:
    """Return the processor, its cores, memory, and Python's version."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in about.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}"
