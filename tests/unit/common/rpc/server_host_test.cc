#include "common/rpc/server_host.h"

#include <catch2/catch.hpp>
#include <grpcpp/create_channel.h>

#include "tests/unit/common/rpc/echo_service.h"

namespace emotion {

using testing::EchoScript;
using testing::TestServer;

TEST_CASE("a port that is taken is an error that names it") {
  TestServer first(EchoScript());
  testing::ScriptedService service(EchoScript());
  ServerHost::Options options;
  options.listen = first.address();
  options.services = {&service};
  const auto second = ServerHost::Start(options);
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().code() == absl::StatusCode::kUnavailable);
  CHECK(second.status().ToString().find(first.address()) != std::string::npos);
}

TEST_CASE("an address that is none is an error") {
  testing::ScriptedService service(EchoScript());
  ServerHost::Options options;
  options.listen = "no port here";
  options.services = {&service};
  CHECK_FALSE(ServerHost::Start(options).ok());
}

TEST_CASE("a call that is not implemented is answered, in process and over TCP") {
  TestServer server(EchoScript());
  for (const auto& channel : {server.host->InProcessChannel(), MakeChannel(server.address())}) {
    auto stub = emotion::v1::EmbeddingService::NewStub(channel);
    grpc::ClientContext context;
    emotion::v1::EmbedResponse response;
    const grpc::Status status = stub->Embed(&context, {}, &response);
    CHECK(status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
  }
}

TEST_CASE("a message above 8 MiB is refused and the server goes on") {
  TestServer server(EchoScript());
  auto stub = emotion::v1::EmbeddingService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  const auto call = [&](size_t bytes) {
    grpc::ClientContext context;
    emotion::v1::EmbedRequest request;
    request.mutable_frame()->set_encoded_image(std::string(bytes, 'x'));
    emotion::v1::EmbedResponse response;
    return stub->Embed(&context, request, &response).error_code();
  };
  CHECK(call(kMaxMessageBytes - 100) == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(call(kMaxMessageBytes + 1) == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(call(0) == grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("shutdown may be called twice and returns at once when nothing runs") {
  TestServer server(EchoScript());
  server.host->Shutdown(std::chrono::steady_clock::now() + testing::kPatience);
  server.host->Shutdown(std::chrono::steady_clock::now());
  SUCCEED();
}

}  // namespace emotion
