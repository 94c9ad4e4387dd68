#include "embedding_service/cache/redis_script.h"

#include <array>
#include <iterator>
#include <memory>
#include <utility>

#include <openssl/evp.h>

#include "common/hash/sha256.h"

namespace emotion::embedding {
namespace {

std::string Sha1Hex(std::string_view text) {
  std::array<uint8_t, 20> digest{};
  unsigned size = digest.size();
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return Hex(digest);
}

RedisCommand Call(std::string command, std::string script, const std::vector<std::string>& keys,
                  const std::vector<std::string>& arguments) {
  RedisCommand call = {std::move(command), std::move(script), std::to_string(keys.size())};
  call.insert(call.end(), keys.begin(), keys.end());
  call.insert(call.end(), arguments.begin(), arguments.end());
  return call;
}

absl::StatusOr<RedisReply> Result(absl::StatusOr<std::vector<RedisReply>> replies) {
  if (!replies.ok()) return replies.status();
  RedisReply& reply = replies->front();
  if (reply.kind == RedisReply::Kind::kError) return absl::InternalError(reply.text);
  return std::move(reply);
}

}  // namespace

RedisScript::RedisScript(std::string_view text) : text_(text), sha1_(Sha1Hex(text)) {}

void RedisScript::Run(RedisClient& client, std::vector<std::string> keys,
                      std::vector<std::string> arguments, Done done) const {
  std::vector<RedisCommand> by_hash = {Call("EVALSHA", sha1_, keys, arguments)};
  client.Run(std::move(by_hash),
             [this, &client, keys = std::move(keys), arguments = std::move(arguments),
              done = std::move(done)](absl::StatusOr<std::vector<RedisReply>> replies) {
               if (!replies.ok() || ErrorWord(replies->front()) != "NOSCRIPT") {
                 done(Result(std::move(replies)));
                 return;
               }
               client.Run({Call("EVAL", text_, keys, arguments)},
                          [done](absl::StatusOr<std::vector<RedisReply>> again) {
                            done(Result(std::move(again)));
                          });
             });
}

}  // namespace emotion::embedding
