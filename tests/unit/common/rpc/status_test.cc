#include "common/rpc/status.h"

#include <string>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "google/rpc/error_details.pb.h"

namespace emotion {

TEST_CASE("every code goes to gRPC and back") {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    const grpc::Status wire = ToGrpcStatus(status);
    CHECK(wire.error_code() == code);
    CHECK(FromGrpcStatus(wire).code() == status.code());
  }
}

TEST_CASE("every reason goes over the wire and back, with violations and retry delay") {
  for (int i = 1; i <= static_cast<int>(Reason::kInternal); ++i) {
    const auto reason = static_cast<Reason>(i);
    absl::Status status = WithViolation(Error(reason, "why"), {"field", "is wrong"});
    status = WithRetry(status, std::chrono::milliseconds(1500));
    const absl::Status back = FromGrpcStatus(ToGrpcStatus(status));
    INFO(ReasonName(reason));
    CHECK(back.code() == status.code());
    CHECK(ReasonOf(back) == reason);
    REQUIRE(ViolationsOf(back).size() == 1);
    CHECK(ViolationsOf(back)[0].field == "field");
    CHECK(ViolationsOf(back)[0].description == "is wrong");
    CHECK(RetryDelayOf(back) == std::chrono::milliseconds(1500));
  }
}

TEST_CASE("insides of INTERNAL and UNKNOWN stay inside, other messages travel") {
  CHECK(ToGrpcStatus(absl::InternalError("/etc/secret")).error_message() == "internal error");
  CHECK(ToGrpcStatus(absl::UnknownError("0x7f00")).error_message() == "internal error");
  CHECK(ToGrpcStatus(absl::NotFoundError("route")).error_message() == "route");
}

TEST_CASE("long and broken messages are cut and cleaned, and the whole fits into trailers") {
  absl::Status status = Error(Reason::kFieldInvalid, std::string(5000, '%'));
  for (int i = 0; i < 50; ++i) {
    status = WithViolation(std::move(status), {std::string(500, 'f'), std::string(5000, 'd')});
  }
  const grpc::Status wire = ToGrpcStatus(status);
  CHECK(wire.error_message().size() == 1024);
  // Percent-encoded message and base64 details.
  CHECK(3 * wire.error_message().size() + 4 * wire.error_details().size() / 3 < 8000);
  CHECK(ToGrpcStatus(absl::NotFoundError("\xff")).error_message() == "\xEF\xBF\xBD");
}

TEST_CASE("hostile statuses are bounded") {
  google::rpc::Status proto;
  proto.set_code(99);
  CHECK(FromProtoStatus(proto).code() == absl::StatusCode::kUnknown);
  proto.set_code(-1);
  CHECK(FromProtoStatus(proto).code() == absl::StatusCode::kUnknown);

  proto.set_code(3);
  proto.set_message(std::string(100'000, 'x'));
  google::rpc::BadRequest request;
  for (int i = 0; i < 20; ++i) {
    auto* violation = request.add_field_violations();
    violation->set_field("a\x1f\x1e");
    violation->set_description("b\x1e");
  }
  proto.add_details()->PackFrom(request);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(INT64_MAX);
  retry.mutable_retry_delay()->set_nanos(-5);
  proto.add_details()->PackFrom(retry);
  google::rpc::ErrorInfo info;
  info.set_reason("QUEUE_FULL");  // of another code
  info.set_domain("emotion-api");
  proto.add_details()->PackFrom(info);
  for (int i = 0; i < 1000; ++i) proto.add_details()->set_type_url("x/google.rpc.BadRequest");

  const absl::Status status = FromProtoStatus(proto);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(status.message().size() == 1024);
  CHECK(ReasonOf(status) == Reason::kUnspecified);
  REQUIRE(ViolationsOf(status).size() == 6);
  CHECK(ViolationsOf(status)[0].field == "a  ");
  CHECK(RetryDelayOf(status) == std::chrono::hours(1));
}

TEST_CASE("details that are garbage, or of another domain, are ignored") {
  const grpc::Status garbage(grpc::StatusCode::UNAVAILABLE, "why", "\xff\xff\xff");
  CHECK(FromGrpcStatus(garbage).code() == absl::StatusCode::kUnavailable);
  google::rpc::Status proto;
  proto.set_code(14);
  google::rpc::ErrorInfo info;
  info.set_reason("DRAINING");
  info.set_domain("example.com");
  proto.add_details()->PackFrom(info);
  CHECK(ReasonOf(FromProtoStatus(proto)) == Reason::kUnspecified);
}

TEST_CASE("OK has nothing with it") {
  google::rpc::Status proto;
  proto.set_message("left over");
  ToProtoStatus(absl::OkStatus(), &proto);
  CHECK(proto.ByteSizeLong() == 0);
  CHECK(FromProtoStatus(proto).ok());
}

}  // namespace emotion
