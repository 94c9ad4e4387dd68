#!/usr/bin/env python3
"""What one replica that hangs costs a system of two: a real process, stopped in the middle of its work.

The kernel still takes connections and bytes for it, so nothing fails: it only says nothing any more.
Standard library only.

Usage: system_faults_test.py BIN_DIR SOURCE_DIR [TEST...]
"""

import signal
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from cache_system import System, embedding_alone, eventually, health, request
from programs import FACE, PATHS


class AHungReplica(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.hung, self.well = (embedding_alone(self.folder.name) for _ in range(2))
        self.system = System(self.folder.name, self.hung, self.well)
        eventually(self.ready, 2)

    def tearDown(self):
        self.go_on(self.hung)
        self.assertEqual(self.system.stop() + [self.hung.stop(), self.well.stop()], [0, 0, 0, 0])

    def hang(self, process):
        process.child.send_signal(signal.SIGSTOP)

    def go_on(self, process):
        process.child.send_signal(signal.SIGCONT)

    def ready(self):
        return health(self.system.host)["components"]["embedding"]["replicas_ready"]

    def post(self, number, timeout_ms):
        """The status for a picture that no cache knows."""
        return request(self.system.host, "POST", "/v1/predict", FACE + number.to_bytes(4, "big"),
                       Content_Type="image/jpeg", X_Request_Timeout_Ms=str(timeout_ms))[0]

    def test_it_is_ejected_for_the_frames_that_it_leaves_unanswered(self):
        with ThreadPoolExecutor(24) as clients:
            self.hang(self.hung)
            self.hang(self.well)  # for a moment, so that each has half of the frames
            posts = [clients.submit(self.post, number, 6000) for number in range(24)]
            time.sleep(0.5)
            self.go_on(self.well)
            self.assertEqual(sorted(post.result() for post in posts), [200] * 12 + [504] * 12)
            eventually(lambda: "replica ejected" in self.system.classifier.log_text(), True)
            self.assertEqual(self.ready(), 2)  # still connected
            posts = [clients.submit(self.post, number, 8000) for number in range(24, 48)]
            self.assertEqual({post.result() for post in posts}, {200})

    def test_its_stream_is_given_up_after_unanswered_pings_and_comes_back_with_it(self):
        self.hang(self.hung)
        eventually(self.ready, 1, patience=40)  # a ping after 20 s of silence, 5 s for its answer
        self.assertIn("keepalive watchdog timeout", self.system.classifier.log_text())
        self.assertEqual({self.post(number, 8000) for number in range(10)}, {200})
        self.go_on(self.hung)
        eventually(self.ready, 2)
        self.assertEqual({self.post(number, 8000) for number in range(10, 20)}, {200})


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *PATHS[2:], "-v"])
