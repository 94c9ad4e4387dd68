// How all our gRPC connections are made: message sizes, keepalive, reconnection, mutual TLS.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace emotion {

// gRPC's largest message, both ways: a 4 MiB image and room around it.
inline constexpr int kMaxMessageBytes = 8 << 20;

// PEM files of mutual TLS, re-read when they change. All empty: no TLS.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string authority;

  bool enabled() const { return !certificate.empty(); }
};

// gRPC runs callbacks on a few threads that it starts with the first user of them and joins with
// the last. That last user (a channel, held by a stub, held by a callback) may well be released on
// one of these threads, which then would join itself: a crash. After this call, which
// ServerHost::Start and MakeChannel make, the threads stay until the process ends.
void KeepCallbackThreads();

// Retry buffer as large as a message (retries of larger calls are silently off otherwise), a ping
// after 20 s of silence that must be answered within 5 s, reconnection from 100 ms to 5 s.
grpc::ChannelArguments ClientChannelArguments();

// A channel to one address, "host:port". `server_name` is what the peer's certificate must name;
// empty: the host of `address`.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const TlsFiles& tls = {},
                                           const std::string& server_name = "");

// Plain, or requiring a client certificate signed by `tls.authority`.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& tls);

}  // namespace emotion
