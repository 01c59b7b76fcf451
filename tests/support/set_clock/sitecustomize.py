"""Python imports this first in a process that has this directory in PYTHONPATH: its wall clock is off by what a file says.

The file holds nanoseconds, as eight bytes, and may change at any moment. Monotonic clocks are left alone, as they are
when a machine's clock is set.
"""

import mmap
import os
import time

with open(os.environ["TEST_CLOCK_OFFSET"], "rb") as file:
    _offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

_real_ns = time.time_ns


def _time_ns() -> int:
    return _real_ns() + int.from_bytes(_offset[:8], "little", signed=True)


def _time() -> float:
    return _time_ns() / 1e9


time.time_ns = _time_ns
time.time = _time
