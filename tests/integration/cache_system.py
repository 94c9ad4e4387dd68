"""What the tests of the shared cache run: real processes, a real Redis, and requests to them.

Standard library only.
"""

import http.client
import json
import socket
import subprocess
import tempfile
import time

from programs import Process

SECRETS = {"EMOTION_SESSION_SECRET": "a session secret of tests", "EMOTION_CACHE_SECRET": "a cache secret of tests"}


def nuance(jpeg, number):
    """The same picture with one middle quantiser raised: other bytes, and pixels that hardly differ."""
    at = jpeg.index(b"\xff\xdb") + 5 + 20
    return jpeg[:at] + bytes([min(255, jpeg[at] + number)]) + jpeg[at + 1:]


class Redis:
    """A server of our own on a unix socket, without persistence."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="emotion-redis-")
        self.path = f"{self.folder.name}/redis.sock"
        self.start()

    def start(self):
        self.child = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "",
                                       "--appendonly", "no", "--dir", self.folder.name],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                return self.command("PING")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def command(self, *words):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return self.read(connection.makefile("rb"))

    def read(self, stream):
        line = stream.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"*":
            return [self.read(stream) for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        if kind == b"-":
            raise AssertionError(rest.decode())
        return int(rest) if kind == b":" else rest

    def keys(self):
        return self.command("KEYS", "*")

    def dump(self):
        """All that a reader of this Redis can see: names, values, members, and the serialised form."""
        content = []
        for key in self.keys():
            content.append(key)
            kind = self.command("TYPE", key)
            if kind == b"string":
                content.append(self.command("GET", key))
            elif kind == b"list":
                content += self.command("LRANGE", key, 0, -1)
            elif kind == b"zset":
                content += self.command("ZRANGE", key, 0, -1, "WITHSCORES")
            elif kind == b"hash":
                content += self.command("HGETALL", key)
            else:
                raise AssertionError(f"nobody looks into a {kind}")
        return content

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        self.kill()
        self.folder.cleanup()


def program(name, *arguments, folder):
    return Process(name, *arguments, folder=folder, environment=SECRETS)


def embedding_alone(folder, *arguments):
    return program("emotion-embedding", "--embedding-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", *arguments,
                   folder=folder)


def embedding(redis, folder, *arguments):
    return embedding_alone(folder, "--use-redis=true", f"--redis-host={redis.path}", *arguments)


class System:
    """A gateway and a classifier before the embedding services given."""

    def __init__(self, folder, *embeddings):
        self.embeddings = embeddings
        targets = ",".join(e.address("grpc") for e in embeddings)
        self.classifier = program("emotion-classifier", "--classifier-listen=127.0.0.1:0",
                                  "--metrics-listen=127.0.0.1:0", f"--embedding-targets={targets}", folder=folder)
        self.gateway = program("emotion-gateway", "--api-host=127.0.0.1", "--api-port=0",
                               "--classifier-targets=" + self.classifier.address("grpc"), folder=folder)
        self.host = self.gateway.address("open")

    def stop(self):
        return [process.stop() for process in (self.gateway, self.classifier)]


def request(host, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def predict(host, image, session=None, **headers):
    if session:
        headers["X_Session_Id"] = session
    status, body = request(host, "POST", "/v1/predict", image, Content_Type="image/jpeg", **headers)
    assert status == 200, body
    return json.loads(body)


def health(host):
    return json.loads(request(host, "GET", "/health")[1])


def eventually(what, wanted, patience=10):
    deadline = time.monotonic() + patience
    while (got := what()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{got!r} did not become {wanted!r}")
        time.sleep(0.05)
