#include "classifier_service/answer_memory.h"

#include <string>

#include <catch2/catch.hpp>

namespace emotion::classifier {
namespace {

using std::chrono::seconds;

v1::Embedding Embedding(const std::string& data, v1::DType dtype = v1::D_TYPE_F16) {
  v1::Embedding embedding;
  embedding.set_data(data);
  embedding.set_dtype(dtype);
  return embedding;
}

Digest Key(int number) { return AnswerMemory::KeyOf(Embedding(std::to_string(number))); }

heads::HeadPredictions Level(int level) {
  heads::HeadPredictions answer;
  for (heads::HeadPrediction& prediction : answer) prediction.level = level;
  return answer;
}

const AnswerMemory::TimePoint kNow{seconds(1000)};

}  // namespace

TEST_CASE("an answer is found under its own embedding and no other") {
  AnswerMemory memory(10);
  memory.Remember(Key(1), Level(1), kNow);
  memory.Remember(Key(2), Level(2), kNow);
  REQUIRE(memory.Find(Key(1), kNow));
  CHECK(memory.Find(Key(1), kNow)->front().level == 1);
  CHECK(memory.Find(Key(2), kNow)->back().level == 2);
  CHECK_FALSE(memory.Find(Key(3), kNow));
}

TEST_CASE("the same bytes of another type are another embedding") {
  CHECK(AnswerMemory::KeyOf(Embedding("abcd")) == AnswerMemory::KeyOf(Embedding("abcd")));
  CHECK(AnswerMemory::KeyOf(Embedding("abcd")) !=
        AnswerMemory::KeyOf(Embedding("abcd", v1::D_TYPE_F32)));
}

TEST_CASE("an answer is forgotten when its time is over, asked for or not") {
  AnswerMemory memory(10);
  memory.Remember(Key(1), Level(1), kNow);
  memory.Remember(Key(1), Level(1), kNow + seconds(30));  // does not begin anew
  memory.Remember(Key(2), Level(2), kNow + seconds(30));
  const auto almost = kNow + AnswerMemory::kKept - seconds(1);
  CHECK(memory.Find(Key(1), almost));
  CHECK_FALSE(memory.Find(Key(1), almost + seconds(1)));
  CHECK(memory.Find(Key(2), almost + seconds(1)));
  CHECK(memory.entries() == 1);
}

TEST_CASE("with too many answers the oldest goes") {
  AnswerMemory memory(3);
  for (int number = 0; number < 5; ++number) memory.Remember(Key(number), Level(1), kNow);
  CHECK(memory.entries() == 3);
  CHECK_FALSE(memory.Find(Key(1), kNow));
  CHECK(memory.Find(Key(2), kNow));
  CHECK(memory.Find(Key(4), kNow));
}

}  // namespace emotion::classifier
