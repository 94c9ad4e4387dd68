#!/usr/bin/env python3
"""An independent WebSocket client (the package `websockets`) against `emotion serve`'s /v1/stream.

Usage: websockets_client.py EMOTION_BINARY
"""

import json
import re
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

FACE = (Path(__file__).resolve().parent.parent / "data/images/astronaut_face.jpg").read_bytes()
# What differs between two answers about the same image.
OF_THE_ANSWER = ("processing_time_ms", "request_id", "cached", "cache", "similarity", "next_frame_after_ms")


def variant(number):
    """The same picture as other bytes: what stands behind a JPEG's end is not looked at."""
    return FACE + number.to_bytes(4, "big")


class Stream(unittest.TestCase):
    binary = None

    def setUp(self):
        self.serve = subprocess.Popen(
            [self.binary, "serve", "--api-host=127.0.0.1", "--api-port=0", "--embedding-listen=127.0.0.1:0",
             "--classifier-listen=127.0.0.1:0", "--drain-delay-ms=1500"], stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"http://localhost:(\d+)", self.serve.stdout.readline()).group(1))
        self.wait_until_it_answers()

    def tearDown(self):
        if self.serve.poll() is None:
            self.serve.send_signal(signal.SIGINT)
        self.assertEqual(self.serve.wait(timeout=40), 0)
        self.serve.stdout.close()

    def wait_until_it_answers(self):
        """The services of the process meet within a moment of its start."""
        for _ in range(100):
            with self.connect() as socket:
                known = "demo" in self.start(socket)
                socket.send(variant(0))
                if known and json.loads(socket.recv(timeout=30))["type"] == "prediction":
                    return
            time.sleep(0.05)
        self.fail("no prediction")

    def connect(self, **options):
        return connect(f"ws://127.0.0.1:{self.port}/v1/stream", subprotocols=["emotion.v1"], **options)

    def post(self, image):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/predict", data=image, method="POST",
                                         headers={"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    @staticmethod
    def start(socket, **members):
        socket.send(json.dumps({"type": "start"} | members))
        return json.loads(socket.recv(timeout=30))

    @staticmethod
    def frame(socket, number, image, face_id=0):
        socket.send(json.dumps({"type": "frame", "id": number, "face_id": face_id}))
        socket.send(image)

    def test_a_prediction_equals_that_of_a_post(self):
        posted = self.post(FACE)
        with self.connect() as socket:
            self.assertEqual(socket.subprotocol, "emotion.v1")
            ready = self.start(socket, session_id="user123")
            self.assertEqual((ready["type"], ready["session_id"], ready["demo"]), ("ready", "user123", True))
            self.assertEqual(ready["model"], posted["model"])
            self.frame(socket, 5, FACE, face_id=2)
            live = json.loads(socket.recv(timeout=30))
        self.assertEqual((live.pop("type"), live.pop("id"), live.pop("face_id")), ("prediction", 5, 2))
        self.assertEqual(set(live) - {"similarity"}, set(posted) - {"similarity"})
        for name in OF_THE_ANSWER:
            live.pop(name, None), posted.pop(name, None)
        self.assertEqual(live, posted)

    def test_a_burst_is_answered_once_each_with_the_newest_frame_predicted(self):
        burst = 40
        with self.connect() as socket:
            self.start(socket)
            for number in range(burst):
                self.frame(socket, number, variant(number))
            answers = [json.loads(socket.recv(timeout=30)) for _ in range(burst)]
        self.assertEqual(sorted(answer["id"] for answer in answers), list(range(burst)))
        kinds = {answer["id"]: answer["type"] for answer in answers}
        self.assertEqual(kinds[burst - 1], "prediction", answers[-1])
        self.assertIn("superseded", kinds.values())
        self.assertLessEqual(set(kinds.values()), {"prediction", "superseded"})

    def test_two_faces_do_not_supersede_each_other(self):
        with self.connect() as socket:
            self.start(socket)
            self.frame(socket, 1, variant(1), face_id=0)
            self.frame(socket, 2, variant(2), face_id=1)
            answers = [json.loads(socket.recv(timeout=30)) for _ in range(2)]
        self.assertEqual({(answer["type"], answer["id"], answer["face_id"]) for answer in answers},
                         {("prediction", 1, 0), ("prediction", 2, 1)})

    def test_a_lone_image_and_a_bad_one(self):
        with self.connect(compression=None) as socket:
            socket.send(FACE)
            self.assertEqual(json.loads(socket.recv(timeout=30))["type"], "ready")
            self.assertEqual(json.loads(socket.recv(timeout=30))["id"], 1)
            socket.send(b"no image")
            error = json.loads(socket.recv(timeout=30))
        self.assertEqual((error["type"], error["id"]), ("error", 2))
        self.assertEqual(error["problem"]["reason"], "IMAGE_UNSUPPORTED")

    def test_a_foreign_page_may_not_connect(self):
        with self.assertRaises(InvalidStatus) as refused:
            self.connect(origin="https://evil.example").close()
        self.assertEqual(refused.exception.response.status_code, 403)

    def test_text_that_is_no_json_closes(self):
        with self.connect() as socket:
            socket.send("hello")
            with self.assertRaises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
        self.assertEqual(closed.exception.rcvd.code, 1003)

    def test_a_drain_is_told_served_and_closed(self):
        with self.connect() as socket:
            self.start(socket)
            self.serve.send_signal(signal.SIGTERM)
            draining = json.loads(socket.recv(timeout=30))
            self.assertEqual(draining["type"], "draining")
            self.assertGreater(draining["reconnect_after_ms"], 0)
            self.frame(socket, 1, FACE)
            answer = json.loads(socket.recv(timeout=30))
            self.assertEqual(answer["type"], "prediction", answer)
            with self.assertRaises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
        self.assertEqual(closed.exception.rcvd.code, 1012)


if __name__ == "__main__":
    Stream.binary = sys.argv.pop(1)
    unittest.main(verbosity=2)
