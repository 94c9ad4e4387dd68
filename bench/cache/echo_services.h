// The floor under a cache hit: the embedding and the classifier service with nothing in them.
//
// Frames make the same hops over the same streams as in the product and are answered at once, with
// an answer of the same size: no hash, no cache, no heads. What hits per second lose against this
// is the price of looking an answer up; the rest is the price of the road.
#pragma once

#include <memory>
#include <string>

#include "common/rpc/frame_backend.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/frame_server.h"
#include "emotion/v1/classifier.grpc.pb.h"
#include "emotion/v1/embedding.grpc.pb.h"

namespace emotion::bench {

class EchoEmbedding final : public v1::EmbeddingService::CallbackService,
                            public FrameBackend<v1::EmbedResult> {
 public:
  explicit EchoEmbedding(uint32_t dim);  // values of an answer

  grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>* EmbedStream(
      grpc::CallbackServerContext* context) override;

  // For a client in this process.
  LocalStreamMaker<EmbedHop> LocalStreams() {
    return [this] { return streams_.NewStream(); };
  }

  uint64_t Submit(v1::Frame frame, Done done) override;
  void Cancel(uint64_t) override {}
  v1::Welcome MakeWelcome() override;
  v1::Load MakeLoad() override { return {}; }

 private:
  v1::EmbedResult answer_;
  FrameServer<EmbedHop> streams_;
};

class EchoClassifier final : public v1::ClassifierService::CallbackService,
                             public FrameBackend<v1::PredictResult> {
 public:
  // `local`: as of FramePool.
  explicit EchoClassifier(FramePoolOptions embedding, LocalStreamMaker<EmbedHop> local = nullptr);

  grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>* PredictStream(
      grpc::CallbackServerContext* context) override;

  // For a client in this process.
  LocalStreamMaker<PredictHop> LocalStreams() {
    return [this] { return streams_.NewStream(); };
  }

  uint64_t Submit(v1::Frame frame, Done done) override;
  void Cancel(uint64_t ticket) override { pool_.Cancel(ticket); }
  v1::Welcome MakeWelcome() override;
  v1::Load MakeLoad() override { return {}; }

  void Close() { pool_.Close(); }  // before the embedding service stops

 private:
  v1::PredictResult answer_;
  FrameServer<PredictHop> streams_;
  FramePool<EmbedHop> pool_;
};

}  // namespace emotion::bench
