#!/usr/bin/env python3
"""An independent gRPC client (grpcio) that learns the protocol by reflection and calls every service.

Usage: grpcio_client.py EMBEDDING_ADDRESS CLASSIFIER_ADDRESS IMAGE
"""

import struct
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Service:
    """Calls the methods of one service by name, with messages found through reflection."""

    def __init__(self, address, name):
        self.channel = grpc.insecure_channel(address)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        assert name in database.get_services(), database.get_services()
        self.pool = DescriptorPool(database)
        self.descriptor = self.pool.FindServiceByName(name)

    def message(self, name, **fields):
        return GetMessageClass(self.pool.FindMessageTypeByName("emotion.v1." + name))(**fields)

    def method(self, name):
        method = self.descriptor.methods_by_name[name]
        path = f"/{self.descriptor.full_name}/{name}"
        kind = ("stream_stream" if method.client_streaming else "unary_unary")
        return getattr(self.channel, kind)(
            path, request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString)


def check_predict(classifier, image):
    frame = classifier.message("Frame", frame_id=1, encoded_image=image, request_id="interop-1", timeout_ms=20000)
    answer = classifier.method("Predict")(classifier.message("PredictRequest", frame=frame), timeout=30)
    states = [prediction.state for prediction in answer.result.predictions]
    assert states == [1, 2, 3, 4], states
    for prediction in answer.result.predictions:
        assert abs(sum(prediction.probabilities) - 1) < 1e-5
        assert prediction.level == max(range(4), key=lambda k: prediction.probabilities[k])
    print("Predict: four states, probabilities that sum to 1")


def check_error_details(classifier):
    frame = classifier.message("Frame", frame_id=1, encoded_image=b"not an image")
    try:
        classifier.method("Predict")(classifier.message("PredictRequest", frame=frame), timeout=30)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert b"IMAGE_UNSUPPORTED" in details and b"emotion-api" in details
        print("Predict: a bad image is INVALID_ARGUMENT with ErrorInfo")
        return
    raise AssertionError("a bad image was answered")


def check_embed_stream(embedding, image):
    images = [image, b"not an image", image + b"another"]

    def requests():
        yield embedding.message("EmbedStreamRequest", hello=embedding.message("Hello", protocol=1, client="interop"))
        for number, data in enumerate(images):
            frame = embedding.message("Frame", frame_id=number + 1, encoded_image=data, timeout_ms=20000)
            yield embedding.message("EmbedStreamRequest", frame=frame)

    results, dim = {}, 0
    for response in embedding.method("EmbedStream")(requests(), timeout=60):
        kind = response.WhichOneof("message")
        if kind == "welcome":
            dim = response.welcome.dim
            assert response.welcome.protocol == 1 and len(response.welcome.model_fingerprint) == 32
        elif kind == "result":
            assert response.result.frame_id not in results, "answered twice"
            results[response.result.frame_id] = response.result
    assert sorted(results) == [1, 2, 3], sorted(results)
    assert results[2].status.code == 3, results[2].status
    first, third = (struct.unpack(f"<{dim}e", results[n].embedding.data) for n in (1, 3))
    assert first == third and any(first), "the same pixels gave other numbers"
    print(f"EmbedStream: three frames, three answers, {dim} values each, half-close ended with OK")


def check_health(address, service):
    """grpc.health.v1, whose messages gRPC C++ keeps out of reflection: one string in, one enum out."""
    name = service.encode()
    check = grpc.insecure_channel(address).unary_unary("/grpc.health.v1.Health/Check")
    answer = check(b"\x0a" + bytes([len(name)]) + name, timeout=10)
    assert answer == b"\x08\x01", answer
    print("Health: SERVING for", service)


def main():
    embedding_address, classifier_address, path = sys.argv[1:]
    with open(path, "rb") as file:
        image = file.read()
    embedding = Service(embedding_address, "emotion.v1.EmbeddingService")
    classifier = Service(classifier_address, "emotion.v1.ClassifierService")
    check_predict(classifier, image)
    check_error_details(classifier)
    check_embed_stream(embedding, image)
    check_health(embedding_address, "emotion.v1.EmbeddingService")
    check_health(classifier_address, "emotion.v1.ClassifierService")
    model = classifier.method("GetModel")(classifier.message("GetModelRequest"), timeout=10)
    assert len(model.heads) == 4 and model.encoder.dim == model.heads[0].input_dim
    print("GetModel: the card of", model.encoder.name)


if __name__ == "__main__":
    main()
