#!/usr/bin/env python3
"""The built programs as a user runs them: one process and three, over HTTP, on a real photograph.

Standard library only. Usage: system_test.py BIN_DIR SOURCE_DIR
"""

import base64
import http.client
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from programs import BIN, FACE, PHOTO, Process, SOURCE

STATES = ["Boredom", "Engagement", "Confusion", "Frustration"]


def call(url, body=None, **headers):
    request = urllib.request.Request(url, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def png(width, height, depth=8, colour=0, extra=b""):
    """A black PNG of any size; `extra` are chunks before the pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = bytes(1 + (width * depth * (3 if colour == 2 else 1) + 7) // 8)
    packer, pixels = zlib.compressobj(9), b""
    for _ in range(height):
        pixels += packer.compress(row)
    pixels += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    extra = b"".join(chunk(kind, data) for kind, data in extra or [])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_with_scans(jpeg, scans):
    start = jpeg.index(b"\xff\xda")
    return jpeg[:start] + jpeg[start:-2] * scans + jpeg[-2:]


def predict(base, image, **headers):
    status, _, body = call(f"{base}/v1/predict", image, Content_Type="image/jpeg", **headers)
    assert status == 200, body
    return body


def raw_predictions(body):
    """The bytes of the member `predictions`, untouched by any parser."""
    text = body.decode()
    start = text.index('"predictions":')
    end = text.index('"processing_time_ms"')
    return text[start:end]


class OneProcess(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0",
                            "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0")
        cls.base = cls.serve.url("open")

    @classmethod
    def tearDownClass(cls):
        assert cls.serve.stop() == 0

    def test_a_photograph_gives_four_states(self):
        answer = json.loads(predict(self.base, PHOTO))
        self.assertEqual(list(answer["predictions"]), STATES)
        for state in STATES:
            prediction = answer["predictions"][state]
            self.assertEqual(prediction["category"], state)
            self.assertEqual(len(prediction["probabilities"]), 4)
            self.assertAlmostEqual(sum(prediction["probabilities"]), 1, places=5)
            self.assertEqual(prediction["confidence"], max(prediction["probabilities"]))
            self.assertEqual(prediction["probabilities"][prediction["level"]], prediction["confidence"])
        self.assertIs(answer["demo"], True)

    def test_the_guides_request_works_as_it_was_written(self):
        body = json.dumps({"image": base64.b64encode(FACE).decode(), "session_id": "user123"}).encode()
        status, headers, answer = call(f"{self.base}/predict", body, Content_Type="application/json")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(list(json.loads(answer)["predictions"]), STATES)

    def test_the_same_bytes_are_answered_from_the_cache_with_the_same_numbers(self):
        image = FACE + b"a tail that no other test sends"
        first, second = (json.loads(predict(self.base, image, X_Session_Id="cache-test")) for _ in range(2))
        self.assertEqual((first["cache"], first["cached"]), ("miss", False))
        self.assertEqual((second["cache"], second["cached"]), ("exact", True))
        self.assertEqual(first["predictions"], second["predictions"])

    def test_a_batch_answers_each_image_and_a_bad_one_fails_alone(self):
        images = [base64.b64encode(x).decode() for x in (FACE, b"not an image", PHOTO)]
        status, _, body = call(f"{self.base}/predict/batch", json.dumps({"images": images}).encode(),
                               Content_Type="application/json")
        self.assertEqual(status, 200)
        answer = json.loads(body)
        self.assertEqual(answer["failed"], 1)
        self.assertEqual([x["index"] for x in answer["results"]], [0, 1, 2])
        self.assertEqual(answer["results"][1]["error"]["reason"], "IMAGE_UNSUPPORTED")
        self.assertEqual(list(answer["results"][2]["predictions"]), STATES)

    def test_hostile_images_are_refused_at_the_door_with_status_and_reason(self):
        animation = [(b"acTL", struct.pack(">II", 2, 0))]
        for what, image, status, reason in (
                ("not an image", b"plain text", 415, "IMAGE_UNSUPPORTED"),
                ("a GIF", b"GIF89a" + bytes(100), 415, "IMAGE_UNSUPPORTED"),
                ("a truncated JPEG", FACE[:len(FACE) // 2], 400, "IMAGE_CORRUPT"),
                ("a truncated PNG", png(64, 64)[:60], 400, "IMAGE_CORRUPT"),
                ("20000x20000 in 48 KB", png(20000, 20000, depth=1), 400, "IMAGE_DIMENSIONS"),
                ("a side of 4097", png(4097, 300), 400, "IMAGE_DIMENSIONS"),
                ("thinner than 1:20", png(2100, 100), 400, "IMAGE_DIMENSIONS"),
                ("16 bits a channel", png(64, 64, depth=16), 415, "IMAGE_UNSUPPORTED"),
                ("an animation", png(64, 64, extra=animation), 415, "IMAGE_UNSUPPORTED"),
                ("300 scans", jpeg_with_scans(FACE, 300), 415, "IMAGE_UNSUPPORTED"),
                ("over 4 MiB", FACE + bytes(4 << 20), 413, "IMAGE_TOO_LARGE")):
            with self.subTest(what):
                start = time.monotonic()
                got, _, body = call(f"{self.base}/v1/predict", image, Content_Type="image/jpeg")
                self.assertEqual((got, json.loads(body)["reason"]), (status, reason))
                self.assertLess(time.monotonic() - start, 5, "a refusal costs next to nothing")
        self.assertEqual(call(f"{self.base}/health/ready")[0], 200)

    def test_the_largest_legal_picture_costs_one_face(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.jpg"
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=4096x4096", "-frames:v", "1", path],
                           check=True)
            answer = json.loads(predict(self.base, path.read_bytes()))
        self.assertEqual(list(answer["predictions"]), STATES)

    def test_errors_are_problem_documents(self):
        status, headers, body = call(f"{self.base}/v1/predict", b"GIF89a not an image", Content_Type="image/jpeg")
        problem = json.loads(body)
        self.assertEqual(status, 415)
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        self.assertEqual((problem["status"], problem["reason"]), (415, "IMAGE_UNSUPPORTED"))
        self.assertTrue(problem["request_id"])

    def test_health_model_metrics_page_and_description_answer(self):
        health = json.loads(call(f"{self.base}/health")[2])
        self.assertEqual((health["status"], health["demo"]), ("ok", True))
        self.assertEqual(call(f"{self.base}/health/ready")[0], 200)
        card = json.loads(call(f"{self.base}/v1/model")[2])
        self.assertIs(card["demo"], True)
        metrics = call(f"{self.base}/metrics")[2].decode()
        for name in ("emotion_requests_total", "emotion_queue_frames", "emotion_cache_lookups_total"):
            self.assertIn(name, metrics)
        self.assertIn(b"<html", call(f"{self.base}/")[2])
        self.assertEqual(json.loads(call(f"{self.base}/openapi.json")[2])["openapi"][:3], "3.1")

    def test_a_session_is_forgotten(self):
        image = FACE + b"a tail of the deletion test"
        predict(self.base, image, X_Session_Id="to-forget")
        request = urllib.request.Request(f"{self.base}/v1/sessions/to-forget", method="DELETE")
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertEqual(answer.status, 204)
        again = json.loads(predict(self.base, image, X_Session_Id="to-forget"))
        self.assertEqual(again["cache"], "miss")

    def test_the_command_line_predicts_through_both_doors(self):
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            file.write(FACE)
            file.flush()
            grpc = self.serve.address("classifier")
            answers = [json.loads(subprocess.run([BIN / "emotion", "predict", "--server", server, file.name],
                                                 check=True, capture_output=True, text=True).stdout)
                       for server in (self.base, grpc)]
        self.assertEqual(answers[0]["predictions"], answers[1]["predictions"])
        health = subprocess.run([BIN / "emotion", "health", "--server", self.base], capture_output=True, text=True)
        self.assertEqual(health.returncode, 0, health.stderr)

    def test_the_guides_start_up_lines_are_in_the_log(self):
        log = self.serve.log_text()
        for line in ("Starting up - loading models...", "Loading Qwen2.5-VL model...",
                     "Vision model loaded with dtype:", "Loaded classifier for Boredom (Val F1: 0.",
                     "Models loaded successfully"):
            self.assertIn(line, log)


class ThreeProcesses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.embedding = Process("emotion-embedding", "--precision=fp32", "--embedding-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0")
        cls.classifier = Process("emotion-classifier", "--classifier-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                                 "--embedding-targets=" + cls.embedding.address("grpc"))
        cls.gateway = Process("emotion-gateway", "--api-host=127.0.0.1", "--api-port=0",
                              "--classifier-targets=" + cls.classifier.address("grpc"))
        cls.base = cls.gateway.url("open")

    @classmethod
    def tearDownClass(cls):
        for process in (cls.gateway, cls.classifier, cls.embedding):
            assert process.stop() == 0

    def test_three_processes_answer_as_one_byte_for_byte(self):
        serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0", "--precision=fp32",
                        "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0")
        for image in (FACE, PHOTO):
            one = predict(serve.url("open"), image, Cache_Control="no-store")
            three = predict(self.base, image, Cache_Control="no-store")
            self.assertEqual(raw_predictions(one), raw_predictions(three))
            self.assertEqual(json.loads(one)["model"], json.loads(three)["model"])
        self.assertEqual(serve.stop(), 0)

    def test_only_the_encoders_process_maps_a_matrix_library_and_libtorch_only_when_asked(self):
        for process in (self.embedding, self.classifier, self.gateway):
            self.assertNotRegex(process.maps(), r"libtorch|libc10")
        self.assertIn("libdnnl", self.embedding.maps())
        for process in (self.classifier, self.gateway):
            self.assertNotIn("libdnnl", process.maps())

    def test_the_reference_comes_from_its_module_and_agrees(self):
        serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0", "--precision=fp32",
                        "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0",
                        "--device=torch-cpu")
        reference = json.loads(predict(serve.url("open"), FACE, Cache_Control="no-store"))
        self.assertIn("libtorch_cpu", serve.maps())
        ours = json.loads(predict(self.base, FACE, Cache_Control="no-store"))
        self.assertEqual(ours["model"], reference["model"])
        for state, prediction in ours["predictions"].items():
            expected = reference["predictions"][state]
            self.assertEqual(prediction["level"], expected["level"])
            for mine, theirs in zip(prediction["probabilities"], expected["probabilities"]):
                self.assertAlmostEqual(mine, theirs, places=3)
        self.assertEqual(serve.stop(), 0)

    def test_each_process_shows_its_own_metrics_and_readiness(self):
        for process in (self.embedding, self.classifier):
            base = "http://" + process.address("metrics")
            self.assertEqual(call(f"{base}/health/ready")[0], 200)
            self.assertIn(b"emotion_build_info", call(f"{base}/metrics")[2])

    def test_without_an_encoder_the_gateway_says_so_and_stays_up(self):
        classifier = Process("emotion-classifier", "--classifier-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                             "--embedding-targets=127.0.0.1:1")
        gateway = Process("emotion-gateway", "--api-host=127.0.0.1", "--api-port=0",
                          "--classifier-targets=" + classifier.address("grpc"))
        status, headers, body = call(f"{gateway.url('open')}/v1/predict", FACE, Content_Type="image/jpeg")
        self.assertEqual((status, json.loads(body)["reason"]), (503, "NO_REPLICA"))
        self.assertIn("Retry-After", headers)
        self.assertEqual(call(f"{gateway.url('open')}/health/ready")[0], 200)
        self.assertEqual(json.loads(call(f"{gateway.url('open')}/health")[2])["status"], "degraded")
        self.assertEqual(gateway.stop(), 0)
        self.assertEqual(classifier.stop(), 0)


class Stopping(unittest.TestCase):
    def test_after_sigterm_new_work_is_taken_for_the_delay_then_the_program_ends(self):
        serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0", "--drain-delay-ms=3000",
                        "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0")
        base = serve.url("open")
        predict(base, FACE)
        serve.child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 2
        while call(f"{base}/health/ready")[0] == 200:
            self.assertLess(time.monotonic(), deadline, "readiness did not turn")
        self.assertEqual(json.loads(predict(base, FACE, Cache_Control="no-store"))["cache"], "miss")
        self.assertEqual(serve.wait(), 0)

    def test_what_was_accepted_is_answered(self):
        serve = Process("emotion", "serve", "--api-host=127.0.0.1", "--api-port=0",
                        "--embedding-listen=127.0.0.1:0", "--classifier-listen=127.0.0.1:0")
        host = serve.address("open")
        posts = [http.client.HTTPConnection(host, timeout=20) for _ in range(24)]
        for number, post in enumerate(posts):
            post.request("POST", "/v1/predict", FACE + bytes([number]), {"Content-Type": "image/jpeg"})
        codes = {posts[0].getresponse().status}  # the others wait, are being encoded, or are answered
        self.assertEqual(serve.stop(), 0)
        codes |= {post.getresponse().status for post in posts[1:]}
        self.assertIn(200, codes)
        self.assertTrue(codes <= {200, 503}, codes)


class WrongStarts(unittest.TestCase):
    def fails(self, *arguments, **environment):
        done = subprocess.run([BIN / "emotion", *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **environment})
        return done.returncode, done.stderr

    def test_wrong_configuration_ends_the_start_and_is_named(self):
        for arguments, environment, named in (
                (["serve", "--no-such-flag=1"], {}, "no-such-flag"),
                (["serve"], {"EMOTION_BATCHSIZE": "4"}, "EMOTION_BATCHSIZE"),
                (["serve"], {"BATCH_SIZE": "many"}, "BATCH_SIZE"),
                (["serve"], {"REDIS_PORT": "tcp://10.0.0.1:6379"}, "REDIS_PORT"),
                (["serve", "--use-fp16", "false"], {}, "false"),
                (["serve", "--grpc-tls-key-file=/dev/null"], {}, "GRPC_TLS_CERT_FILE"),
                (["serve", "--jwt-keys-file=/dev/null"], {}, "JWT_KEYS_FILE"),
                (["nonsense"], {}, "nonsense"),
                (["predict", "--no-such-flag", "x.jpg"], {}, "no-such-flag")):
            code, errors = self.fails(*arguments, **environment)
            self.assertEqual(code, 2, errors)
            self.assertIn(named, errors)

    def test_certificates_that_are_none_end_the_start_of_each_process(self):
        with tempfile.TemporaryDirectory() as folder:
            garbage = Path(folder) / "garbage.pem"
            garbage.write_text("no certificate\n")
            for binary in ("emotion-embedding", "emotion-classifier", "emotion-gateway"):
                done = subprocess.run(
                    [BIN / binary, *(f"--grpc-tls-{part}-file={garbage}" for part in ("cert", "key", "ca"))],
                    capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"GRPC_TLS_CERT_FILE: {garbage} holds no certificate", done.stderr)

    def test_missing_models_end_the_start_with_what_to_do(self):
        with tempfile.TemporaryDirectory() as empty:
            code, errors = self.fails("serve", "--api-port=0", f"--models-dir={empty}")
        self.assertEqual(code, 2)
        self.assertIn("MODELS_DIR", errors)

    def test_a_missing_encoder_alone_ends_the_start_too(self):
        with tempfile.TemporaryDirectory() as models:
            (Path(models) / "classifiers").symlink_to(SOURCE / "models/demo/classifiers")
            code, errors = self.fails("serve", "--api-port=0", "--embedding-listen=127.0.0.1:0",
                                      "--classifier-listen=127.0.0.1:0", f"--models-dir={models}")
        self.assertEqual(code, 2)
        self.assertIn("encoder", errors)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
