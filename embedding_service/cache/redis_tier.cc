#include "embedding_service/cache/redis_tier.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "embedding_service/cache/redis_script.h"

namespace emotion::embedding {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// KEYS: deletion, session, value[, lane]
// ARGV: accepted_at, value, life of the value, life of the record, oldest frame to keep in it
//       [, entry, life of the lane, its length]
// 0: the session was deleted after the frame was accepted.
constexpr std::string_view kStore = R"(
local deleted = redis.call('GET', KEYS[1])
if deleted and tonumber(ARGV[1]) <= tonumber(deleted) then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[1], KEYS[3])
if KEYS[4] then
  redis.call('LPUSH', KEYS[4], ARGV[6])
  redis.call('LTRIM', KEYS[4], 0, ARGV[8] - 1)
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
  redis.call('ZADD', KEYS[2], ARGV[1], KEYS[4])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1
)";

// KEYS: deletion, session; ARGV: deleted_at, life of the record, most keys of one step
// Returns how many keys it dropped: as many as that, there may be more.
constexpr std::string_view kForget = R"(
local deleted = redis.call('GET', KEYS[1])
if not deleted or tonumber(deleted) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local keys = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[2], key)
end
return #keys
)";

constexpr int64_t kKeysPerStep = 500;  // some 2 ms of the server, which does nothing else meanwhile

std::string_view BytesOf(const ContentKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

std::string Name(char kind, std::string_view of) {
  std::string name = "{emotion}";
  name.push_back(kind);
  return name.append(of);
}

std::string Milliseconds(milliseconds time) { return std::to_string(time.count()); }

}  // namespace

RedisTier::RedisTier(Options options, const SharedSeal& seal, RedisClient& client, Metrics& metrics)
    : options_(std::move(options)),
      seal_(seal),
      client_(client),
      metrics_(metrics),
      descriptors_(options_.cache_secret) {}

void RedisTier::Lookup(const ContentKey& key, const NearLane& lane,
                       std::function<void(Finding)> done) {
  std::vector<RedisCommand> commands = {{"GET", Name('x', BytesOf(key))}};
  const bool near = !lane.empty() && shares_near();
  if (near) {
    commands.push_back(
        {"LRANGE", Name('n', seal_.LaneName(lane)), "0", std::to_string(kNearCandidates - 1)});
  }
  client_.Run(std::move(commands),
              [this, key, lane, near, done = std::move(done),
               asked = steady_clock::now()](absl::StatusOr<std::vector<RedisReply>> replies) {
                if (!replies.ok()) {
                  metrics_.CacheLookup(CacheTier::kRedis, LookupOutcome::kError);
                  done({});
                  return;
                }
                Finding finding{.exact = ReadValue(key, replies->front()), .near = nullptr};
                metrics_.CacheLookup(CacheTier::kRedis,
                                     finding.exact ? LookupOutcome::kExact : LookupOutcome::kMiss);
                if (near && !finding.exact) {
                  auto candidates = ReadLane(lane, replies->back());
                  if (candidates) candidates->round_trip = steady_clock::now() - asked;
                  finding.near = std::move(candidates);
                }
                done(std::move(finding));
              });
}

std::optional<OwnedEmbedding> RedisTier::ReadValue(const ContentKey& key,
                                                   const RedisReply& reply) const {
  if (reply.kind == RedisReply::Kind::kNil) return std::nullopt;
  std::optional<OwnedEmbedding> embedding;
  if (reply.kind == RedisReply::Kind::kString) {
    embedding = DecodeCached(key, identity_, seal_, reply.text);
  }
  if (!embedding) {
    metrics_.Incident(IncidentKind::kCacheValueRefused);
    return std::nullopt;
  }
  // Its time to live says so too; but who put it back could have set another.
  if (LifeLeft(embedding->value->encoded_at_us, options_.ttl).count() <= 0) return std::nullopt;
  return embedding;
}

std::shared_ptr<NearCandidates> RedisTier::ReadLane(const NearLane& lane,
                                                    const RedisReply& reply) const {
  if (reply.kind != RedisReply::Kind::kArray) {
    metrics_.Incident(IncidentKind::kCacheValueRefused);
    return nullptr;
  }
  const std::string lane_name = seal_.LaneName(lane);
  auto candidates = std::make_shared<NearCandidates>();
  for (const RedisReply& item : reply.items) {
    std::optional<SharedNearEntry> entry;
    if (item.kind == RedisReply::Kind::kString && candidates->entries.size() < kNearCandidates) {
      entry = DecodeNearEntry(seal_, lane_name, item.text);
    }
    if (entry) {
      candidates->entries.push_back(*std::move(entry));
    } else {
      metrics_.Incident(IncidentKind::kCacheValueRefused);
    }
  }
  if (candidates->entries.empty()) return nullptr;
  return candidates;
}

std::optional<NearMatch> RedisTier::Match(const NearQuestion& question,
                                          const NearCandidates& candidates) {
  std::optional<NearMatch> best;
  std::vector<ContentKey> fleeting;
  const std::string sealed = descriptors_.Seal(question.descriptor, question.lane);
  for (const SharedNearEntry& entry : candidates.entries) {
    if (LifeLeft(entry.encoded_at_us, kNearLifetime).count() <= 0) continue;
    const float similarity = descriptors_.Similarity(sealed, entry.sealed);
    if (similarity >= options_.near_threshold) {
      if (!best || similarity > best->similarity) best = NearMatch{entry.key, similarity};
    } else if (IsFleeting(entry.encoded_at_us, question.accepted_at_us)) {
      fleeting.push_back(entry.key);
    }
  }
  DropNear(question.lane, candidates, fleeting);
  return best;
}

void RedisTier::DropNear(const NearLane& lane, const NearCandidates& candidates,
                         const std::vector<ContentKey>& keys) {
  if (keys.empty()) return;
  std::vector<RedisCommand> commands;
  const std::string lane_name = seal_.LaneName(lane);
  for (const SharedNearEntry& entry : candidates.entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) continue;
    // A list drops by value; an entry is the same bytes whenever it is written.
    commands.push_back(
        {"LREM", Name('n', lane_name), "0", EncodeNearEntry(seal_, lane_name, entry)});
  }
  if (commands.empty()) return;
  client_.Run(std::move(commands), [](const absl::StatusOr<std::vector<RedisReply>>&) {});
}

void RedisTier::Fetch(const ContentKey& key,
                      std::function<void(std::optional<OwnedEmbedding>)> done) {
  client_.Run({{"GET", Name('x', BytesOf(key))}},
              [this, key, done = std::move(done)](absl::StatusOr<std::vector<RedisReply>> replies) {
                if (replies.ok()) {
                  done(ReadValue(key, replies->front()));
                } else {
                  done(std::nullopt);
                }
              });
}

void RedisTier::Store(const CacheStore& store) {
  const milliseconds life = LifeLeft(store.value->encoded_at_us, options_.ttl);
  if (life.count() <= 0) return;
  std::string value = EncodeCached(
      store.key, identity_, seal_,
      {.value = store.value, .session = store.session, .accepted_at_us = store.accepted_at_us});
  if (!store.session.empty()) {
    StoreOfSession(store, std::move(value), life);
    return;
  }
  client_.Run({{"SET", Name('x', BytesOf(store.key)), std::move(value), "PX", Milliseconds(life)}},
              [](const absl::StatusOr<std::vector<RedisReply>>&) {});
}

void RedisTier::StoreOfSession(const CacheStore& store, std::string value, milliseconds life) {
  const milliseconds ttl = options_.ttl;
  // Frames that were accepted two lifetimes ago have left nothing, whatever their clocks say.
  const int64_t forgotten_us = store.accepted_at_us - 2 * microseconds(ttl).count();
  std::vector<std::string> keys = {Name('d', store.session), Name('s', store.session),
                                   Name('x', BytesOf(store.key))};
  std::vector<std::string> arguments = {std::to_string(store.accepted_at_us), std::move(value),
                                        Milliseconds(life), Milliseconds(ttl),
                                        std::to_string(forgotten_us)};
  const milliseconds near_life =
      std::min(life, LifeLeft(store.value->encoded_at_us, kNearLifetime));
  if (store.descriptor && !store.lane.empty() && shares_near() && near_life.count() > 0) {
    const std::string lane_name = seal_.LaneName(store.lane);
    keys.push_back(Name('n', lane_name));
    arguments.push_back(EncodeNearEntry(seal_, lane_name,
                                        {.sealed = descriptors_.Seal(*store.descriptor, store.lane),
                                         .key = store.key,
                                         .encoded_at_us = store.value->encoded_at_us}));
    arguments.push_back(Milliseconds(near_life));
    arguments.push_back(std::to_string(kNearCandidates));
  }
  static const RedisScript script(kStore);
  script.Run(client_, std::move(keys), std::move(arguments),
             [this](const absl::StatusOr<RedisReply>& reply) {
               const bool refused =
                   reply.ok() && reply->kind == RedisReply::Kind::kInteger && reply->integer == 0;
               if (refused) metrics_.Incident(IncidentKind::kStoreAfterDelete);
             });
}

void RedisTier::Forget(const SessionKey& session, int64_t deleted_at_us,
                       std::function<void(absl::Status)> done) {
  static const RedisScript script(kForget);
  script.Run(
      client_, {Name('d', session), Name('s', session)},
      {std::to_string(deleted_at_us), Milliseconds(options_.ttl), std::to_string(kKeysPerStep)},
      [this, session, deleted_at_us, done = std::move(done)](absl::StatusOr<RedisReply> reply) {
        if (reply.ok() && reply->kind != RedisReply::Kind::kInteger) {
          reply = absl::DataLossError("no number");
        }
        if (!reply.ok()) {
          done(absl::UnavailableError("the shared cache could not be asked to forget the session"));
        } else if (reply->integer >= kKeysPerStep) {
          Forget(session, deleted_at_us, done);
        } else {
          done(absl::OkStatus());
        }
      });
}

int64_t RedisTier::NowUs() const {
  if (options_.unix_us) return options_.unix_us();
  return std::chrono::duration_cast<microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// At most `life`: clocks that differ must not lengthen it. Times that are none leave 0 or `life`.
milliseconds RedisTier::LifeLeft(int64_t encoded_at_us, milliseconds life) const {
  const int64_t now_us = NowUs();
  if (encoded_at_us >= now_us) return life;
  const int64_t oldest_us = now_us - microseconds(life).count();
  if (encoded_at_us <= oldest_us) return milliseconds(0);
  return std::chrono::duration_cast<milliseconds>(microseconds(encoded_at_us - oldest_us));
}

}  // namespace emotion::embedding
