#!/usr/bin/env python3
"""Starts `emotion serve` and lets the independent client loose on its gRPC ports.

Usage: run_grpcio_client.py EMOTION_BINARY
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FACE = HERE.parent / "data/images/astronaut_face.jpg"


def main():
    serve = subprocess.Popen([sys.argv[1], "serve", "--api-host=127.0.0.1", "--api-port=0",
                              "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0"],
                             stdout=subprocess.PIPE, text=True)
    try:
        ready = serve.stdout.readline()
        embedding, classifier = (re.search(name + r" ([^\s,)]+)", ready).group(1) for name in ("embedding", "classifier"))
        subprocess.run([sys.executable, HERE / "grpcio_client.py", embedding, classifier, FACE], check=True, timeout=120)
    finally:
        serve.send_signal(signal.SIGINT)
        code = serve.wait(timeout=40)
    assert code == 0, f"emotion serve ended with {code}"


if __name__ == "__main__":
    main()
