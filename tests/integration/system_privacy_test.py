#!/usr/bin/env python3
"""After a run with known images no image, nothing that can be viewed and no session id stands in
Redis, in logs or on disk; also behind a real nginx. Standard library only.

Usage: system_privacy_test.py BIN_DIR SOURCE_DIR [--with-nginx] [TEST...]
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import zlib
from pathlib import Path

from cache_system import Redis, System, embedding, eventually, nuance, predict, request
from programs import ARGUMENTS, FACE, PATHS, PHOTO

# Administrators' programs are not on everybody's PATH.
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") if "--with-nginx" in ARGUMENTS else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
