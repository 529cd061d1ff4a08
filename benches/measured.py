"""Runs a command; its output goes to standard output, and what it took, as JSON, to standard error.

A process inherits the peak memory of the one that starts it, so that one is small: `python -I -S measured.py COMMAND`,
and imports nothing that is not built in. That peak, about 9 MB, is the least that it can report.
"""

import posix
import sys
import time

start = time.monotonic()
quiet = [(posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0)]
child = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ, file_actions=quiet)
_, status, usage = posix.wait4(child, 0)
wall = time.monotonic() - start
sys.stderr.write(
    f'{{"status": {posix.waitstatus_to_exitcode(status)}, "cpu": {usage.ru_utime + usage.ru_stime}, '
    f'"wall": {wall}, "megabytes": {usage.ru_maxrss / 1000}}}')
