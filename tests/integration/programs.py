"""Our built programs as the tests of the whole system run them, and the pictures that they send.

Standard library only. The test's own arguments are BIN_DIR SOURCE_DIR [--OPTION...] [TEST...].
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ARGUMENTS = sys.argv[1:]
PATHS = [x for x in ARGUMENTS if not x.startswith("--")]
BIN = Path(PATHS[0] if PATHS else "build/release/bin").resolve()
SOURCE = Path(PATHS[1] if len(PATHS) > 1 else ".").resolve()
FACE = (SOURCE / "tests/data/images/astronaut_face.jpg").read_bytes()
PHOTO = (SOURCE / "tests/data/images/astronaut.jpg").read_bytes()


class Process:
    """A program of ours, ready; its first line on stdout says where it listens.

    It works in a folder of its own, with its log: below `folder` that outlives it, else gone when it stops.
    """

    def __init__(self, program, *arguments, folder=None, environment=None):
        self.owned = None if folder else tempfile.TemporaryDirectory(prefix=f"{program}-")
        self.folder = Path(self.owned.name if self.owned else tempfile.mkdtemp(prefix=f"{program}-", dir=folder))
        self.log_path = self.folder / "log"
        places = {"TMPDIR": str(self.folder), "HOME": str(self.folder)}
        with open(self.log_path, "wb") as log:
            self.child = subprocess.Popen([BIN / program, *arguments], stdout=subprocess.PIPE, stderr=log, text=True,
                                          env={**os.environ, **(environment or {}), **places}, cwd=self.folder)
        self.ready_line = self.child.stdout.readline()
        if not self.ready_line:
            self.child.wait(timeout=30)
            self.child.stdout.close()
            raise AssertionError(f"{program} did not start:\n{self.log_text()[-1000:]}")

    def url(self, name):
        """What stands after `name` in the ready line, such as http://127.0.0.1:8000 or 127.0.0.1:50051."""
        # The number, not the name: the smallest systems have no /etc/hosts.
        return re.search(name + r" ([^\s,)]+)", self.ready_line).group(1).replace("localhost", "127.0.0.1")

    def address(self, name):
        return self.url(name).removeprefix("http://")

    def log_text(self):
        return self.log_path.read_text()

    def maps(self):
        return Path(f"/proc/{self.child.pid}/maps").read_text()

    def stop(self):
        """Its exit code. SIGINT drains without the delay that load balancers need."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self):
        try:
            return self.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise
        finally:
            self.child.stdout.close()
            if self.owned:
                self.owned.cleanup()
