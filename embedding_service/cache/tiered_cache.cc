#include "embedding_service/cache/tiered_cache.h"

#include <utility>

#include "common/log/log.h"

namespace emotion::embedding {
namespace {

// Embeddings that wait to be sealed and sent: 4 MiB at most. More are not shared.
constexpr size_t kStoresWaiting = 256;

// A server that took longer for the first question of a frame is asked no second one, so that a
// slow one costs a frame its time limit once.
constexpr std::chrono::milliseconds kQuick{4};

}  // namespace

TieredCache::TieredCache(CacheOptions options, Metrics& metrics)
    : local_(options.local, metrics), seal_(options.redis ? options.secret : "") {
  if (!options.redis) return;
  client_ = RedisClient::Create(*std::move(options.redis), metrics);
  redis_ =
      std::make_unique<RedisTier>(RedisTier::Options{.cache_secret = options.secret,
                                                     .ttl = options.local.ttl,
                                                     .near_threshold = options.local.near_threshold,
                                                     .unix_us = options.local.unix_us},
                                  seal_, *client_, metrics);
  retrier_ = std::make_unique<DeletionRetrier>(
      DeletionRetrier::Options{.keep = options.local.ttl},
      [this](const std::string& session, int64_t deleted_at_us, Forgotten done) {
        redis_->Forget(session, deleted_at_us, std::move(done));
      });
  senders_ = std::make_unique<WorkerPool>(1, kStoresWaiting);
  // The client's threads are older than the rest of this. Callers come through gRPC, whose locks
  // the thread sanitizer cannot see; through this one it sees that all is there before they come.
  (void)local_.MayServe(SessionKey(16, '\0'), 0);
}

TieredCache::~TieredCache() { Stop(); }

void TieredCache::ServeModel(const CodecIdentity& identity) {
  if (redis_) redis_->ServeModel(identity);
}

void TieredCache::Lookup(CacheQuestion question, Found found) {
  question.key = seal_.KeyOf(question.key);
  CacheFinding local;
  local_.Lookup(question, [&](CacheFinding finding) { local = std::move(finding); });
  if (local.exact || !redis_) {
    found(std::move(local));
    return;
  }
  redis_->Lookup(question.key, question.lane,
                 [this, key = question.key, found = std::move(found)](RedisTier::Finding shared) {
                   found({.exact = Accept(key, std::move(shared.exact)),
                          .shared_near = std::move(shared.near)});
                 });
}

// What Redis brought becomes ours, unless it is of a session that was deleted.
std::shared_ptr<const CachedEmbedding> TieredCache::Accept(
    const ContentKey& key, std::optional<OwnedEmbedding> embedding) {
  if (!embedding || !local_.MayServe(embedding->session, embedding->accepted_at_us)) {
    return nullptr;
  }
  local_.Store({.key = key,
                .session = std::move(embedding->session),
                .accepted_at_us = embedding->accepted_at_us,
                .value = embedding->value});
  return std::move(embedding->value);
}

void TieredCache::LookupNear(NearQuestion question, FoundNear found) {
  NearFinding local;
  const auto shared_near = std::move(question.shared_near);
  local_.LookupNear(question, [&](NearFinding finding) { local = std::move(finding); });
  if (redis_ && shared_near) redis_->DropNear(question.lane, *shared_near, local.fleeting);
  if (local.value || !redis_ || !shared_near) {
    found(std::move(local));
    return;
  }
  const auto match = redis_->Match(question, *shared_near);
  if (!match) {
    found({});
    return;
  }
  const auto answer = [this, similarity = match->similarity,
                       found = std::move(found)](std::shared_ptr<const CachedEmbedding> value) {
    if (!value) {
      found({});
      return;
    }
    redis_->CountNear();
    found({.value = std::move(value), .similarity = similarity});
  };
  if (auto value = local_.Peek(match->key); value || shared_near->round_trip > kQuick) {
    answer(std::move(value));
    return;
  }
  redis_->Fetch(match->key,
                [this, key = match->key, answer](std::optional<OwnedEmbedding> fetched) {
                  answer(Accept(key, std::move(fetched)));
                });
}

void TieredCache::Store(CacheStore store) {
  store.key = seal_.KeyOf(store.key);
  local_.Store(store);
  if (!redis_ || !local_.MayServe(store.session, store.accepted_at_us)) return;
  // Sealing on a thread of its own: this one is the encoder's.
  const bool taken = senders_->Submit([this, store = std::move(store)] { redis_->Store(store); });
  if (!taken) LogWarning("embeddings are made faster than they can be shared: some are not");
}

void TieredCache::Forget(const SessionKey& session, int64_t deleted_at_us, Forgotten forgotten) {
  local_.Forget(session, deleted_at_us, [](const absl::Status&) {});
  if (!redis_) {
    forgotten(absl::OkStatus());
    return;
  }
  redis_->Forget(
      session, deleted_at_us,
      [this, session, deleted_at_us, forgotten = std::move(forgotten)](const absl::Status& status) {
        if (!status.ok() && !retrier_->Add(session, deleted_at_us)) {
          LogWarning("too many deletions wait for the shared cache: some are not kept");
        }
        forgotten(status);
      });
}

SharedCacheState TieredCache::shared_state() const {
  if (!client_) return SharedCacheState::kOff;
  return client_->up() ? SharedCacheState::kUp : SharedCacheState::kDown;
}

void TieredCache::AwaitFirstState() const {
  if (client_) (void)client_->AwaitFirstAttempt();
}

void TieredCache::Stop() {
  if (!client_) return;
  retrier_->Stop();
  client_->Stop();
}

}  // namespace emotion::embedding
