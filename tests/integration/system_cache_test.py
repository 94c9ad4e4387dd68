#!/usr/bin/env python3
"""The shared cache as users and operators meet it: real processes, a real Redis, real photographs.

What is found exactly and nearly, in which process and in how many; what no-cache and no-store do;
what a deletion reaches; that Redis may die; and that no image, nothing that can be viewed and no
session id stands in Redis, in logs or on disk afterwards. Standard library only.

Usage: system_cache_test.py BIN_DIR SOURCE_DIR [--with-nginx] [TEST...]
"""

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import zlib
from pathlib import Path

ARGUMENTS = sys.argv[1:]
# Administrators' programs are not on everybody's PATH.
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") if "--with-nginx" in ARGUMENTS else None
PATHS = [x for x in ARGUMENTS if not x.startswith("--")]
BIN = Path(PATHS[0] if PATHS else "build/release/bin").resolve()
SOURCE = Path(PATHS[1] if len(PATHS) > 1 else ".").resolve()
FACE = (SOURCE / "tests/data/images/astronaut_face.jpg").read_bytes()
PHOTO = (SOURCE / "tests/data/images/astronaut.jpg").read_bytes()
SECRETS = {"EMOTION_SESSION_SECRET": "a session secret of tests", "EMOTION_CACHE_SECRET": "a cache secret of tests"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


class Process:
    """A program of ours with a log and a folder for temporary files that outlive it."""

    def __init__(self, program, *arguments, folder):
        self.folder = Path(tempfile.mkdtemp(prefix=f"{program}-", dir=folder))
        self.log_path = self.folder / "log"
        environment = {**os.environ, **SECRETS, "TMPDIR": str(self.folder), "HOME": str(self.folder)}
        self.log = open(self.log_path, "wb")
        self.child = subprocess.Popen([BIN / program, *arguments], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                      env=environment, cwd=self.folder)
        self.ready_line = self.child.stdout.readline()
        if not self.ready_line:
            raise AssertionError(f"{program} did not start:\n{self.log_path.read_text()[-500:]}")

    def address(self, name):
        words = self.ready_line.replace("(", " ").replace(")", " ").replace(",", " ").split()
        return words[words.index(name) + 1].removeprefix("http://").replace("localhost", "127.0.0.1")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        try:
            code = self.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise
        self.child.stdout.close()
        self.log.close()
        return code


def embedding(redis, folder, *arguments):
    return Process("emotion-embedding", "--embedding-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                   "--use-redis=true", f"--redis-host={redis.path}", *arguments, folder=folder)


class System:
    """A gateway and a classifier before the embedding services given."""

    def __init__(self, folder, *embeddings):
        self.embeddings = embeddings
        targets = ",".join(e.address("grpc") for e in embeddings)
        self.classifier = Process("emotion-classifier", "--classifier-listen=127.0.0.1:0",
                                  "--metrics-listen=127.0.0.1:0", f"--embedding-targets={targets}", folder=folder)
        self.gateway = Process("emotion-gateway", "--api-host=127.0.0.1", "--api-port=0",
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


class OneProcess(unittest.TestCase):
    """`emotion serve` as it comes: no Redis."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0",
                            "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0",
                            folder=cls.folder.name)
        cls.host = cls.serve.address("open")

    @classmethod
    def tearDownClass(cls):
        assert cls.serve.stop() == 0
        cls.folder.cleanup()

    def test_a_frame_that_hardly_differs_is_answered_by_the_one_before(self):
        first = predict(self.host, FACE, "near")
        self.assertEqual((first["cache"], first["cached"]), ("miss", False))
        self.assertNotIn("similarity", first)
        second = predict(self.host, nuance(FACE, 3), "near")
        self.assertEqual((second["cache"], second["cached"]), ("near", True))
        self.assertTrue(0.95 <= second["similarity"] <= 1)
        self.assertEqual(second["predictions"], first["predictions"])

    def test_another_face_another_session_and_no_session_are_not_near(self):
        predict(self.host, FACE, "anna", X_Face_Id="0")
        self.assertEqual(predict(self.host, nuance(FACE, 4), "anna", X_Face_Id="1")["cache"], "miss")
        self.assertEqual(predict(self.host, nuance(FACE, 4), "bert")["cache"], "miss")
        self.assertEqual(predict(self.host, nuance(FACE, 5))["cache"], "miss")

    def test_no_cache_encodes_anew_and_no_store_leaves_nothing(self):
        image = FACE + b"of the no-cache test"
        self.assertEqual(predict(self.host, image, "fresh", Cache_Control="no-store")["cache"], "miss")
        self.assertEqual(predict(self.host, image, "fresh")["cache"], "miss")
        self.assertEqual(predict(self.host, image, "fresh", Cache_Control="no-cache")["cache"], "miss")
        self.assertEqual(predict(self.host, image, "fresh")["cache"], "exact")
        self.assertEqual(predict(self.host, image, "fresh", Cache_Control="no-store")["cache"], "miss")

    def test_images_of_a_batch_are_never_near_each_other_unless_each_has_a_face_of_its_own(self):
        images = [base64.b64encode(nuance(FACE, i)).decode() for i in (0, 1, 2)]

        def batch(session, **more):
            status, body = request(self.host, "POST", "/v1/predict/batch",
                                   json.dumps({"images": images, "session_id": session, **more}),
                                   Content_Type="application/json")
            self.assertEqual(status, 200, body)
            return [x["cache"] for x in json.loads(body)["results"]]

        self.assertEqual(batch("class"), ["miss"] * 3)
        self.assertEqual(batch("pairs", face_ids=[0, 1, 0]), ["miss"] * 3)
        self.assertEqual(batch("class"), ["exact"] * 3)

    def test_health_and_the_model_card_say_how_it_caches(self):
        eventually(lambda: health(self.host)["components"]["shared_cache"]["status"], "off")  # once it is connected
        card = json.loads(request(self.host, "GET", "/v1/model")[1])
        self.assertRegex(card["encoder"]["near_rule"], r"^near-\d+$")

    def test_a_deletion_forgets_near_frames_too(self):
        image = FACE + b"of the deletion test"
        predict(self.host, image, "forget")
        self.assertEqual(request(self.host, "DELETE", "/v1/sessions/forget")[0], 204)
        self.assertEqual(predict(self.host, nuance(image, 2), "forget")["cache"], "miss")


class Shared(unittest.TestCase):
    """Two embedding services, each with a gateway of its own, one Redis."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.redis = Redis()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.redis.stop)
        self.embeddings = [embedding(self.redis, self.folder.name) for _ in range(2)]
        self.systems = [System(self.folder.name, e) for e in self.embeddings]
        self.a, self.b = (system.host for system in self.systems)
        self.running = [*self.systems, *self.embeddings]
        self.addCleanup(lambda: [x.stop() for x in self.running])
        for host in (self.a, self.b):
            eventually(lambda h=host: health(h)["components"]["shared_cache"]["status"], "up")

    def test_what_one_encoded_the_other_finds_exactly_and_nearly(self):
        # On a starved machine Redis may miss its 20 ms, which costs a hit: once more, as another session.
        for attempt in range(5):
            session = f"shared{attempt}"
            first = predict(self.a, FACE, session)
            self.assertEqual(first["cache"], "miss")
            exact = predict(self.b, FACE, session)
            near = predict(self.b, nuance(FACE, 3), session)
            if (exact["cache"], near["cache"]) == ("exact", "near"):
                break
        else:
            self.fail("what one encoded the other did not find")
        self.assertEqual(exact["predictions"], first["predictions"])
        self.assertEqual(near["predictions"], first["predictions"])
        self.assertTrue(0.95 <= near["similarity"] <= 1)
        self.assertEqual(predict(self.b, nuance(FACE, 3), "another")["cache"], "miss")

    def test_a_deletion_reaches_redis_and_every_replica_but_only_through_its_own_door(self):
        both = System(self.folder.name, *self.embeddings)
        self.addCleanup(both.stop)
        for host in (self.a, self.b):
            predict(host, FACE, "gone")  # in both processes and in Redis
        predict(self.a, FACE, "stays")
        self.assertEqual(request(both.host, "DELETE", "/v1/sessions/gone")[0], 204)
        for host in (self.a, self.b):
            self.assertEqual(predict(host, nuance(FACE, 6), "gone", Cache_Control="no-store")["cache"], "miss")
        self.assertEqual(predict(self.b, FACE, "gone")["cache"], "miss")
        self.assertEqual(predict(self.b, FACE, "stays")["cache"], "exact")

    def test_a_deletion_that_did_not_reach_all_says_so_and_works_when_it_is_repeated(self):
        both = System(self.folder.name, *self.embeddings)
        self.addCleanup(both.stop)
        predict(both.host, FACE, "gone")
        self.embeddings[1].child.send_signal(signal.SIGSTOP)
        status, body = request(both.host, "DELETE", "/v1/sessions/gone")
        self.embeddings[1].child.send_signal(signal.SIGCONT)
        self.assertEqual(status, 503, body)
        eventually(lambda: request(both.host, "DELETE", "/v1/sessions/gone")[0], 204)

        predict(both.host, FACE, "gone")
        self.redis.kill()
        self.assertEqual(request(both.host, "DELETE", "/v1/sessions/gone")[0], 503)
        self.redis.start()
        eventually(lambda: request(both.host, "DELETE", "/v1/sessions/gone")[0], 204)
        self.assertEqual(predict(both.host, FACE, "gone")["cache"], "miss")

    def test_a_redis_that_dies_costs_hits_and_nothing_else_and_health_says_so(self):
        first = predict(self.a, FACE, "life")
        self.redis.kill()
        for number in range(8):
            answer = predict(self.b, FACE + bytes([number]), "life", Cache_Control="no-cache")
            self.assertEqual(answer["cache"], "miss")
        self.assertEqual(predict(self.b, nuance(FACE, 1), "others")["cache"], "miss")
        eventually(lambda: health(self.b)["status"], "degraded")
        self.assertEqual(health(self.b)["components"]["shared_cache"]["status"], "down")
        self.assertEqual(request(self.b, "GET", "/health/ready")[0], 200)
        self.redis.start()
        eventually(lambda: health(self.b)["components"]["shared_cache"]["status"], "up")
        eventually(lambda: health(self.a)["components"]["shared_cache"]["status"], "up")
        self.assertEqual(predict(self.a, FACE, "life")["predictions"], first["predictions"])


def jpeg_of(kilobytes):
    """A large body: a photograph with comment segments full of noise behind its first marker."""
    filler = zlib.compress(os.urandom(60_000), 0)[:60_000]
    segment = b"\xff\xfe" + (len(filler) + 2).to_bytes(2, "big") + filler
    body = PHOTO[:2] + segment * max(1, (kilobytes * 1024 - len(PHOTO)) // len(segment) + 1) + PHOTO[2:]
    return body


class Nginx:
    """A real one before a gateway, told not to spool, with its temporary files where we look."""

    def __init__(self, folder, upstream, buffering="off"):
        self.folder = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        (self.folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/error.log info;
            events {{}}
            http {{
              access_log {self.folder}/access.log;
              client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
              fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
              server {{
                listen {self.host};
                client_max_body_size 16m;
                location / {{
                  proxy_pass http://{upstream};
                  proxy_http_version 1.1;
                  proxy_request_buffering {buffering};
                  proxy_buffering off;
                }}
              }}
            }}""")
        self.child = subprocess.Popen([NGINX, "-c", f"{self.folder}/nginx.conf", "-p", f"{self.folder}"],
                                      stderr=subprocess.DEVNULL)
        eventually(self.answers, True)

    def answers(self):
        try:
            return request(self.host, "GET", "/health/live")[0] == 200
        except OSError:
            return False

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=10)


class WrittenFiles:
    """What stands in files below a folder, and in those that a process holds open, deleted ones too."""

    def __init__(self, folder):
        self.folder, self.pids, self.seen = folder, [], []

    def look(self):
        paths = [Path(root) / name for root, _, names in os.walk(self.folder) for name in names]
        for pid in self.pids:
            paths += [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if self.is_of_interest(fd)]
        for path in paths:
            try:
                name = os.readlink(path) if path.is_symlink() else path.name
                self.seen.append((name, path.read_bytes()))
            except OSError:
                continue  # gone meanwhile
        return self.seen

    def is_of_interest(self, fd):
        try:
            target = os.readlink(fd)
            return fd.is_file() and (target.endswith("(deleted)") or target.startswith(str(self.folder)))
        except OSError:
            return False


class Privacy(unittest.TestCase):
    """After a run with known images: nothing of them, and no session id, is left where it should not be."""

    SESSION = "learner-4711@example.org"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.redis = Redis()
        self.addCleanup(self.redis.stop)

    def test_no_image_no_descriptor_and_no_session_id_in_redis_logs_or_files(self):
        service = embedding(self.redis, self.folder.name, "--log-level=debug")
        system = System(self.folder.name, service)
        processes = [service, system.classifier, system.gateway]
        self.addCleanup(lambda: [process.stop() for process in reversed(processes)])
        doors = [system.host]
        nginx = None
        if NGINX:
            nginx = Nginx(self.folder.name, system.host)
            self.addCleanup(nginx.stop)
            doors.append(nginx.host)
        images = [FACE, nuance(FACE, 3), PHOTO, jpeg_of(200)]
        written = WrittenFiles(self.folder.name)
        written.pids = [p.child.pid for p in processes] + ([nginx.child.pid] if nginx else [])
        outcomes = set()
        for door, host in enumerate(doors):
            for number, image in enumerate(images):
                outcomes.add(predict(host, image + bytes([door, number]), self.SESSION)["cache"])
                written.look()
        self.assertEqual(outcomes, {"miss", "near"})
        self.upload_slowly(doors[-1], images[3], written)
        request(system.host, "POST", "/v1/predict", FACE[:900], Content_Type="image/jpeg", X_Session_Id=self.SESSION)
        eventually(lambda: any(b"}n" in key for key in self.redis.keys()), True)
        dump = self.redis.dump()
        written.look()
        written.pids = []
        if nginx:
            nginx.stop()
        system.stop()
        service.stop()
        files = written.look()

        self.assertTrue(any(name == "log" and content for name, content in files))
        self.assertTrue(self.finds(FACE, [b"before" + FACE[1000:1100] + b"after"]), "the scan itself works")
        for image in images:
            self.assertFalse(self.finds(image, dump), "image bytes in Redis")
            for name, content in files:
                self.assertFalse(self.finds(image, [content]), f"image bytes in {name}")
        identity = [self.SESSION.encode(), b"4711@example", self.SESSION.encode().hex().encode()]
        for part in dump + [content for _, content in files]:
            for secret in identity:
                self.assertNotIn(secret, part)
        self.assertEqual([name for name, _ in files if name.startswith("core")], [])
        self.redis_says_nothing(dump)

    @unittest.skipUnless(NGINX, "without nginx")
    def test_the_scan_finds_a_body_that_nginx_spools(self):
        service = embedding(self.redis, self.folder.name)
        self.addCleanup(service.stop)
        system = System(self.folder.name, service)
        self.addCleanup(system.stop)
        nginx = Nginx(self.folder.name, system.host, buffering="on")
        self.addCleanup(nginx.stop)
        written, image = WrittenFiles(self.folder.name), jpeg_of(200)
        written.pids = [nginx.child.pid]
        self.upload_slowly(nginx.host, image, written)
        self.assertTrue(any(self.finds(image, [content]) for _, content in written.seen))

    def upload_slowly(self, host, image, written):
        """Half of a large body stands still while we look for it on disk."""
        name, port = host.split(":")
        with socket.create_connection((name, int(port)), timeout=20) as connection:
            head = (f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
                    f"X-Session-Id: {self.SESSION}\r\nContent-Length: {len(image)}\r\nConnection: close\r\n\r\n")
            connection.sendall(head.encode() + image[:len(image) // 2])
            time.sleep(0.3)
            written.look()
            connection.sendall(image[len(image) // 2:])
            self.assertTrue(connection.makefile("rb").readline().startswith(b"HTTP/1.1 200"))

    @staticmethod
    def finds(image, parts):
        """Whether any 24 bytes of the image, taken every 16, stand somewhere."""
        pieces = {image[at:at + 24] for at in range(200, len(image) - 24, max(16, len(image) // 400))}
        pieces = {p for p in pieces if len(set(p)) > 12}
        return any(piece in part for part in parts for piece in pieces)

    def redis_says_nothing(self, dump):
        """Stored bytes look like noise, as enciphered ones do, but for embeddings, which are numbers; a
        thumbnail or a map of contrasts would neither be incompressible nor as large as what is allowed."""
        lanes = [key for key in self.redis.keys() if b"}n" in key]
        self.assertTrue(lanes)
        for key in lanes:
            for entry in self.redis.command("LRANGE", key, 0, -1):
                self.assertGreater(len(zlib.compress(entry, 9)), 0.98 * len(entry), "a descriptor can be read")
        self.assertFalse(any(b"\xff\xd8\xff" in part or b"\x89PNG" in part or b"WEBP" in part for part in dump))


if __name__ == "__main__":
    if "--with-nginx" in ARGUMENTS and not NGINX:
        print("nginx is not installed: what stands behind it is left out")
    unittest.main(argv=[sys.argv[0], *PATHS[2:]], verbosity=2)
