#!/usr/bin/env python3
"""The binary holds the kernels for every architecture that was asked for, machine code and PTX.

gpu_code_test.py BINARY ARCHITECTURE...   ("80-real", "90-virtual", "90": both)

Reads the fat binaries that nvcc embeds (section .nv_fatbin), so that it needs no CUDA Toolkit: a
header (magic, version, size of the header, bytes that follow), then entries, each with its kind (1:
PTX, 2: machine code), the size of its header, the bytes that follow, and at byte 28 the
architecture. As cuobjdump --list-elf --list-ptx tells it.
"""
import re
import struct
import subprocess
import sys

SKIP = 77
MAGIC = 0xBA55ED50
KINDS = {1: "virtual", 2: "real"}


def section(path, name):
    """The bytes of a section; none where there is no such section."""
    listing = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout
    found = re.search(rf"\]\s+{re.escape(name)}\s+PROGBITS\s+\S+\s+(\S+)\s+(\S+)", listing)
    if not found:
        return b""
    with open(path, "rb") as file:
        file.seek(int(found[1], 16))
        return file.read(int(found[2], 16))


def fat_binaries(data):
    """Of each fat binary, the architectures that it has code for."""
    at = 0
    while at + 16 <= len(data):
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != MAGIC:
            at += 8  # padding between them
            continue
        end = at + header + size
        entry = at + header
        held = set()
        while entry + 32 <= end:
            kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", data, entry)
            (architecture,) = struct.unpack_from("<I", data, entry + 28)
            held.add(f"{architecture}-{KINDS.get(kind, kind)}")
            entry += entry_header + entry_size
        yield held
        at = end


def main(binary, *wanted):
    if not wanted:
        print("SKIP: this build has no CUDA device")
        return SKIP
    expected = set()
    for name in wanted:
        number, _, kind = name.partition("-")
        if not number.isdigit():
            print(f"SKIP: which code '{name}' makes depends on the machine")
            return SKIP
        expected |= {f"{number}-{kind}"} if kind else {f"{number}-real", f"{number}-virtual"}
    held = [entry for entry in fat_binaries(section(binary, ".nv_fatbin")) if entry]
    if not held:
        print(f"FAIL: no GPU code in '{binary}'")
        return 1
    wrong = [entry for entry in held if entry != expected]
    for entry in wrong[:5]:
        print(f"FAIL: kernels for {' '.join(sorted(entry))}, not for {' '.join(sorted(expected))}")
    print(f"{len(held)} fat binaries, {len(wrong)} of them wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
