// Mutual TLS between our services: who is let in, and who is believed.
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "common/rpc/channel.h"
#include "tests/fakes/certificates.h"
#include "tests/unit/common/rpc/echo_service.h"

namespace emotion {
namespace {

using grpc::StatusCode;
using testing::Authority;
using testing::EchoScript;
using testing::Eventually;

// What the service answers to whom it lets in: it has streams only.
constexpr StatusCode kLetIn = StatusCode::UNIMPLEMENTED;

struct TlsServer {
  explicit TlsServer(const TlsFiles& tls) : service(EchoScript()) {
    ServerHost::Options options;
    options.listen = "127.0.0.1:0";
    options.services = {&service};
    options.tls = tls;
    auto started = ServerHost::Start(options);
    REQUIRE(started.ok());
    host = *std::move(started);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(host->port()); }

  testing::ScriptedService service;
  std::unique_ptr<ServerHost> host;
};

StatusCode Call(const std::shared_ptr<grpc::Channel>& channel) {
  auto stub = v1::EmbeddingService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + testing::kPatience);
  v1::EmbedResponse response;
  return stub->Embed(&context, {}, &response).error_code();
}

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("with mutual TLS those are let in whose certificate our authority signed") {
  const Authority ours;
  const Authority stranger;
  const TlsServer server(ours.Issue("embedding"));
  const auto call = [&](const TlsFiles& tls) {
    return Call(MakeChannel(server.address(), tls, "embedding"));
  };
  CHECK(call(ours.Issue("classifier")) == kLetIn);
  SECTION("not without TLS") { CHECK(call({}) == StatusCode::UNAVAILABLE); }
  SECTION("not without a certificate") {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Content(ours.File("authority.pem"));
    grpc::ChannelArguments arguments = ClientChannelArguments();
    arguments.SetSslTargetNameOverride("embedding");
    CHECK(Call(grpc::CreateCustomChannel(server.address(), grpc::SslCredentials(options),
                                         arguments)) == StatusCode::UNAVAILABLE);
  }
  SECTION("not with one of another authority") {
    TlsFiles tls = stranger.Issue("classifier");
    tls.authority = ours.File("authority.pem");
    CHECK(call(tls) == StatusCode::UNAVAILABLE);
  }
  SECTION("not with one that is over") {
    CHECK(call(ours.Issue("classifier", -60)) == StatusCode::UNAVAILABLE);
  }
  CHECK(call(ours.Issue("classifier")) == kLetIn);
}

TEST_CASE("a server is believed that our authority signed under the name that was asked for") {
  const Authority ours;
  const Authority stranger;
  const TlsFiles client = ours.Issue("classifier");
  SECTION("of another authority it is not") {
    TlsFiles tls = stranger.Issue("embedding");
    tls.authority = ours.File("authority.pem");
    const TlsServer server(tls);
    CHECK(Call(MakeChannel(server.address(), client, "embedding")) == StatusCode::UNAVAILABLE);
  }
  SECTION("under another name it is not") {
    const TlsServer server(ours.Issue("embedding"));
    CHECK(Call(MakeChannel(server.address(), client, "classifier")) == StatusCode::UNAVAILABLE);
    CHECK(Call(MakeChannel(server.address(), client)) == StatusCode::UNAVAILABLE);
  }
  SECTION("without TLS it is not") {
    const TlsServer server(TlsFiles{});
    CHECK(Call(MakeChannel(server.address(), client, "embedding")) == StatusCode::UNAVAILABLE);
  }
}

TEST_CASE("a certificate that is replaced in its file counts without a restart") {
  const Authority ours;
  const TlsServer server(ours.Issue("embedding", -60));
  const TlsFiles client = ours.Issue("classifier");
  CHECK(Call(MakeChannel(server.address(), client, "embedding")) == StatusCode::UNAVAILABLE);
  ours.Issue("embedding");
  CHECK(Eventually([&] {  // files are looked at every 10 s
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return Call(MakeChannel(server.address(), client, "embedding")) == kLetIn;
  }));
}

TEST_CASE("a server whose certificate is none lets nobody in") {
  const Authority ours;
  TlsFiles tls = ours.Issue("embedding");
  std::ofstream(tls.certificate) << "no certificate";
  testing::ScriptedService service(EchoScript());
  ServerHost::Options options;
  options.listen = "127.0.0.1:0";
  options.services = {&service};
  options.tls = tls;
  const auto host = ServerHost::Start(options);
  if (!host.ok()) return;
  const std::string address = "127.0.0.1:" + std::to_string((*host)->port());
  CHECK(Call(MakeChannel(address, ours.Issue("classifier"), "embedding")) != kLetIn);
  CHECK(Call(MakeChannel(address)) != kLetIn);
}

}  // namespace
}  // namespace emotion
