#include "common/redis/redis_client.h"

#include <utility>

#include "common/redis/redis_dispatch.h"
#include "common/redis/redis_worker.h"

namespace emotion {

std::unique_ptr<RedisClient> RedisClient::Create(RedisOptions options, Metrics& metrics) {
  return std::unique_ptr<RedisClient>(new RedisClient(std::move(options), metrics));
}

RedisClient::RedisClient(RedisOptions options, Metrics& metrics)
    : options_(std::move(options)), dispatch_(std::make_unique<RedisDispatch>(options_, metrics)) {
  for (size_t i = 0; i < options_.connections; ++i) {
    threads_.emplace_back([this, i] { RedisWorker(i, options_, *dispatch_).Run(); });
  }
}

RedisClient::~RedisClient() { Stop(); }

void RedisClient::Run(std::vector<RedisCommand> commands, Done done) {
  if (commands.empty()) return done(std::vector<RedisReply>());
  RedisCall call;
  call.deadline = std::chrono::steady_clock::now() + options_.limit;
  for (const RedisCommand& command : commands) {
    for (const std::string& argument : command) call.bytes += argument.size();
  }
  call.commands = std::move(commands);
  call.done = std::move(done);
  dispatch_->Submit(std::move(call));
}

bool RedisClient::up() const { return dispatch_->up(); }

bool RedisClient::AwaitFirstAttempt() const {
  dispatch_->AwaitFirstAttempt(std::chrono::steady_clock::now() + options_.connect_limit +
                               options_.limit);
  return up();
}

void RedisClient::Stop() {
  dispatch_->Stop();
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace emotion
