"""Processor: its name and the instruction sets that decide which arithmetic is fast here."""

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# Linux's flags, and the word that people know them by
INSTRUCTION_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "bf16": "NEON BF16",
}
VNNI = frozenset({"avx_vnni", "avx512_vnni"})
X86 = ("x86_64", "amd64", "i686", "i386")


@dataclass(frozen=True)
class Processor:
    """A processor as the operating system describes it.

    Attributes:
        name: The maker's name, such as ``AMD EPYC``.
        architecture: Such as ``x86_64``.
        flags: Those of :data:`INSTRUCTION_SETS` that it has, in Linux's words; empty where the system does not say.
        cores: Logical processors that this process may use.
    """

    name: str
    architecture: str
    flags: frozenset[str]
    cores: int

    @property
    def instruction_sets(self) -> list[str]:
        """Words for the flags, from the oldest set to the newest."""
        return [word for flag, word in INSTRUCTION_SETS.items() if flag in self.flags]

    @property
    def has_vnni(self) -> bool:
        """Whether it adds products of 8-bit numbers in 32 bits; False where the system does not say."""
        return bool(self.flags & VNNI)

    @property
    def adds_exactly(self) -> bool:
        """Whether the fast 8-bit kernels are exact: only x86 without VNNI adds pairs of products in 16 bits."""
        return self.has_vnni or self.architecture.lower() not in X86


@cache
def read_processor(cpuinfo: Path = CPUINFO) -> Processor:
    """Read what the operating system says of the processor, once per process.

    Args:
        cpuinfo: Linux's description; a missing file gives a processor without flags.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        text = ""
    first = text.split("\n\n", 1)[0]
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    words = set(fields.get("flags", fields.get("Features", "")).split())
    name = fields.get("model name") or platform.processor() or "unknown"
    return Processor(name, platform.machine(), frozenset(words & INSTRUCTION_SETS.keys()), count_cores())


def count_cores() -> int:
    """Count the logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
