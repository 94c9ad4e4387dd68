"""A program that encodes once for each line of its input: `emotion bench encoder --step`, or a peer that does likewise."""

import subprocess
import sys


class Stepper:
    def __init__(self, *command):
        command = [*map(str, command)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"did not start: {' '.join(command)}")

    def seconds(self):
        """Of one encode."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
