#!/usr/bin/env python3
"""peak_memory.py FILE COMMAND...: runs the command, and writes to FILE the most bytes that it had in
memory at once (its maximum resident set), or what this program has, some 14 MB, if that is more.
Exits as the command did."""
import resource
import subprocess
import sys

code = subprocess.run(sys.argv[2:], check=False).returncode
with open(sys.argv[1], "w", encoding="ascii") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
