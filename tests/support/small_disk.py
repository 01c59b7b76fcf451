"""A file system of a few megabytes that a test may fill to its last byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.services import ServiceUnavailable

_BALLAST = "ballast"


class SmallDisk:
    """A mounted file system; see `mounted`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fill(self, leave_bytes: int = 0) -> None:
        """Takes all the room that there is but for so much."""
        if leave_bytes:
            with (self.directory / _BALLAST).open("ab") as ballast:
                ballast.write(bytes(max(0, self.free_bytes() - leave_bytes)))
            return
        with (self.directory / _BALLAST).open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(1 << 16))
        with (self.directory / _BALLAST).open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(b"x")

    def make_room(self) -> None:
        """Undoes `fill`."""
        (self.directory / _BALLAST).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize


@contextmanager
def mounted(directory: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A file system of that size at `directory`, in memory; it is gone afterwards.

    Raises:
        ServiceUnavailable: this user may not mount.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServiceUnavailable(f"a small file system needs the right to mount (root): {done.stderr.strip()}")
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
