#include "common/redis/reply_reader.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "hiredis/read.h"

namespace emotion {
namespace {

using Kind = RedisReply::Kind;

// How many elements the reply that is being read may still have; the reader's privdata.
struct Budget {
  size_t elements = 0;
};

// Where a value goes: the root of a reply, which the reader owns until it is whole, or its place
// in the array around it, which was made large enough before.
RedisReply* Place(const redisReadTask* task) {
  if (task->parent == nullptr) return new RedisReply;
  return &static_cast<RedisReply*>(task->parent->obj)->items[static_cast<size_t>(task->idx)];
}

Kind TextKind(int type) {
  if (type == REDIS_REPLY_ERROR) return Kind::kError;
  return type == REDIS_REPLY_STATUS ? Kind::kStatus : Kind::kString;
}

// C calls these, hence noexcept.
void* MakeText(const redisReadTask* task, char* text, size_t size) noexcept {
  RedisReply* reply = Place(task);
  reply->kind = TextKind(task->type);
  reply->text.assign(text, size);
  return reply;
}

void* MakeArray(const redisReadTask* task, int elements) noexcept {
  auto* budget = static_cast<Budget*>(task->privdata);
  const auto wanted = static_cast<size_t>(std::max(elements, 0));
  if (wanted > budget->elements) return nullptr;  // before anything is allocated
  budget->elements -= wanted;
  RedisReply* reply = Place(task);
  reply->kind = Kind::kArray;
  reply->items.resize(wanted);
  return reply;
}

void* MakeInteger(const redisReadTask* task, long long value) noexcept {
  RedisReply* reply = Place(task);
  reply->kind = Kind::kInteger;
  reply->integer = value;
  return reply;
}

void* MakeNil(const redisReadTask* task) noexcept { return Place(task); }

void Free(void* root) noexcept { delete static_cast<RedisReply*>(root); }

redisReplyObjectFunctions kFunctions = {MakeText, MakeArray, MakeInteger, MakeNil, Free};

}  // namespace

struct ReplyReader::Reader {
  Budget budget;
  redisReader* reader = nullptr;
};

ReplyReader::ReplyReader(ReplyLimits limits)
    : limits_(limits), reader_(std::make_unique<Reader>()) {
  reader_->reader = redisReaderCreateWithFunctions(&kFunctions);
  if (reader_->reader == nullptr) throw std::bad_alloc();
  reader_->reader->privdata = &reader_->budget;
  reader_->budget.elements = limits_.max_elements;
}

ReplyReader::~ReplyReader() { redisReaderFree(reader_->reader); }

void ReplyReader::Feed(std::string_view bytes) {
  if (!broken_.ok()) return;
  fed_bytes_ += bytes.size();
  redisReaderFeed(reader_->reader, bytes.data(), bytes.size());
}

size_t ReplyReader::Unread() const { return reader_->reader->len - reader_->reader->pos; }

bool ReplyReader::HasRest() const {
  const redisReader& reader = *reader_->reader;
  // The first byte of a reply, its type, is taken even where it is all there is.
  return Unread() > 0 || (reader.ridx >= 0 && reader.rstack[0].type >= 0);
}

absl::StatusOr<std::optional<RedisReply>> ReplyReader::Next() {
  if (!broken_.ok()) return broken_;
  void* root = nullptr;
  if (redisReaderGetReply(reader_->reader, &root) != REDIS_OK) {
    broken_ =
        absl::DataLossError(fmt::format("not a reply of Redis, or one of more than {} elements: {}",
                                        limits_.max_elements, reader_->reader->errstr));
    return broken_;
  }
  const size_t reply_bytes = root == nullptr ? fed_bytes_ : fed_bytes_ - Unread();
  std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(root));
  if (reply_bytes > limits_.max_bytes) {
    broken_ = absl::DataLossError(fmt::format("a reply of more than {} bytes", limits_.max_bytes));
    return broken_;
  }
  if (reply == nullptr) return std::nullopt;
  fed_bytes_ = Unread();
  reader_->budget.elements = limits_.max_elements;
  return std::optional<RedisReply>(std::move(*reply));
}

}  // namespace emotion
