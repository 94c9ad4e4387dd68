#include <string>

#include <catch2/catch.hpp>

#include "common/observe/metrics.h"
#include "common/observe/trace.h"

namespace emotion {
namespace {

bool Has(const Metrics& metrics, const std::string& line) {
  const std::string text = std::string("\n").append(metrics.Text());
  return text.find(std::string("\n").append(line).append("\n")) != std::string::npos;
}

}  // namespace

TEST_CASE("metrics have the documented names, labels and values") {
  Metrics metrics({"1.2.3", "abc"});
  metrics.Request("gateway", "predict", "OK", std::chrono::milliseconds(30));
  metrics.Request("gateway", "predict", "OK", std::chrono::milliseconds(30));
  metrics.StageTime(Stage::kEncode, std::chrono::milliseconds(40));
  metrics.Refused(Reason::kRateLimited);
  metrics.SetQueueFrames(7);
  metrics.SetQueueWait(std::chrono::milliseconds(250));
  metrics.Batch(4);
  metrics.FrameDropped(Reason::kSuperseded);
  metrics.CacheLookup(CacheTier::kRedis, LookupOutcome::kNear);
  metrics.SetLocalCacheBytes(1024);
  metrics.SetReplicas("embedding", "ready", 3);
  metrics.AddStreams(2);
  metrics.AddStreams(-1);
  metrics.Prediction(State::kConfusion, 2);
  metrics.QualityWarning("too_dark");
  metrics.Incident(IncidentKind::kWatchdog);

  CHECK(Has(metrics, R"(emotion_build_info{commit="abc",version="1.2.3"} 1)"));
  CHECK(Has(metrics, R"(emotion_requests_total{code="OK",method="predict",service="gateway"} 2)"));
  CHECK(Has(metrics, R"(emotion_request_duration_seconds_bucket{method="predict",)"
                     R"(service="gateway",le="0.05"} 2)"));
  CHECK(Has(metrics, R"(emotion_stage_duration_seconds_count{stage="encode"} 1)"));
  CHECK(Has(metrics, R"(emotion_stage_duration_seconds_count{stage="decode"} 0)"));
  CHECK(Has(metrics, R"(emotion_requests_refused_total{reason="RATE_LIMITED"} 1)"));
  CHECK(Has(metrics, "emotion_queue_frames 7"));
  CHECK(Has(metrics, "emotion_queue_wait_seconds 0.25"));
  CHECK(Has(metrics, R"(emotion_batch_frames_bucket{le="4"} 1)"));
  CHECK(Has(metrics, R"(emotion_frames_dropped_total{reason="SUPERSEDED"} 1)"));
  CHECK(Has(metrics, R"(emotion_cache_lookups_total{outcome="near",tier="redis"} 1)"));
  CHECK(Has(metrics, R"(emotion_cache_bytes{tier="local"} 1024)"));
  CHECK(Has(metrics, R"(emotion_replicas{service="embedding",state="ready"} 3)"));
  CHECK(Has(metrics, "emotion_streams 1"));
  CHECK(Has(metrics, R"(emotion_predictions_total{level="2",state="Confusion"} 1)"));
  CHECK(Has(metrics, R"(emotion_quality_warnings_total{warning="too_dark"} 1)"));
  CHECK(Has(metrics, R"(emotion_incidents_total{kind="watchdog"} 1)"));
  CHECK(Has(metrics, R"(emotion_incidents_total{kind="resend"} 0)"));
}

TEST_CASE("only the model in use is told about") {
  Metrics metrics({"1", ""});
  metrics.SetModel("aa", "fp32", true);
  metrics.SetModel("aa", "fp32", true);
  metrics.SetModel("bb", "bf16", false);
  CHECK(Has(metrics, R"(emotion_model_info{demo="false",fingerprint="bb",precision="bf16"} 1)"));
  CHECK(metrics.Text().find("\"aa\"") == std::string::npos);
}

TEST_CASE("traceparent is parsed as W3C says") {
  const std::string valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto context = ParseTraceparent(valid);
  REQUIRE(context);
  CHECK(context->trace_id == "0af7651916cd43dd8448eb211c80319c");
  CHECK(context->span_id == "b7ad6b7169203331");
  CHECK(context->sampled);
  CHECK(FormatTraceparent(*context) == valid);

  CHECK(ParseTraceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-new"));
  for (const char* wrong : {"", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
                            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00new",
                            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"}) {
    INFO(wrong);
    CHECK_FALSE(ParseTraceparent(wrong));
  }
}

TEST_CASE("a hop keeps the trace and has a span of its own") {
  const std::string incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto child = ParseTraceparent(ChildTraceparent(incoming));
  REQUIRE(child);
  CHECK(child->trace_id == "0af7651916cd43dd8448eb211c80319c");
  CHECK(child->span_id != "b7ad6b7169203331");
  CHECK(child->sampled);
  const auto fresh = ParseTraceparent(ChildTraceparent("nonsense"));
  REQUIRE(fresh);
  CHECK(fresh->trace_id != child->trace_id);
}

TEST_CASE("request ids are short and plain") {
  CHECK(ValidRequestId(MakeRequestId()));
  CHECK(MakeRequestId() != MakeRequestId());
  CHECK(ValidRequestId("a.B_9-"));
  CHECK(ValidRequestId(std::string(64, 'a')));
  CHECK_FALSE(ValidRequestId(std::string(65, 'a')));
  CHECK_FALSE(ValidRequestId(""));
  CHECK_FALSE(ValidRequestId("a b"));
  CHECK_FALSE(ValidRequestId("a\n"));
}

}  // namespace emotion
