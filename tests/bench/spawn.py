"""Runs a command and tells what it cost: `spawn.py OUTPUT ERRORS COMMAND...`, as one line of JSON.

A process of its own and a small one: the kernel counts the memory of whoever starts a program as the program's first.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(output: str, errors: str, command: list[str]) -> None:
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, create, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, errors, create, 0o600),
    ]
    begun = time.monotonic()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=files)
    _, status, usage = os.wait4(process, 0)
    wall = time.monotonic() - begun
    # The usage is that of the process and of all that it started and waited for.
    cost = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}
    print(json.dumps({**cost, "status": os.waitstatus_to_exitcode(status)}))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
