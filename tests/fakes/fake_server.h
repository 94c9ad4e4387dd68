// A fake service that listens on a free port of this machine.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/rpc/server_host.h"

namespace emotion::testing {

// A server of one `Service`, made of the arguments, which plays the part of the service `Of`.
template <class Service, class Of>
class FakeServer {
 public:
  template <class... Arguments>
  explicit FakeServer(Arguments&&... arguments) : service_(std::forward<Arguments>(arguments)...) {
    auto host = ServerHost::Start(
        {.listen = "127.0.0.1:0", .services = {&service_}, .names = {Of::service_full_name()}});
    if (!host.ok()) throw std::runtime_error(host.status().ToString());
    host_ = *std::move(host);
    host_->SetServing(true);
  }
  ~FakeServer() { Stop(); }

  std::string target() const { return "127.0.0.1:" + std::to_string(host_->port()); }
  std::shared_ptr<grpc::Channel> InProcessChannel() { return host_->InProcessChannel(); }
  Service& service() { return service_; }
  void Stop() { host_->Shutdown(std::chrono::steady_clock::now()); }

 private:
  Service service_;
  std::unique_ptr<ServerHost> host_;
};

}  // namespace emotion::testing
