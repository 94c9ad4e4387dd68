#include "embedding_service/options.h"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "embedding_service/model_loader.h"

namespace emotion::embedding {
namespace {

absl::StatusOr<EmbeddingOptions> Parse(std::vector<std::string> args) {
  args.push_back("--models-dir=" EMOTION_TEST_DATA);
  const auto settings = Settings::Parse(args, {}, kEmbeddingRole);
  REQUIRE(settings.ok());
  return EmbeddingOptions::FromSettings(*settings);
}

TEST_CASE("the settings arrive where they are used") {
  const auto options =
      Parse({"--embedding-listen=127.0.0.1:0", "--batch-size=6", "--max-patches=2048",
             "--cache-bytes=1MiB", "--cache-ttl-s=60", "--queue-limit=10",
             "--request-timeout-ms=500", "--max-image-bytes=2MiB", "--device=cuda:1,cuda:0",
             "--batch-wait-ms=7", "--precision=fp16", "--use-fp16=false"});
  REQUIRE(options.ok());
  CHECK(options->listen == "127.0.0.1:0");
  CHECK(options->batch_size == 6);
  CHECK(options->max_patches == 2048);
  CHECK(options->cache_bytes == 1 << 20);
  CHECK(options->cache_ttl == std::chrono::seconds(60));
  CHECK(options->queue_limit == 10);
  CHECK(options->default_timeout == std::chrono::milliseconds(500));
  CHECK(options->max_image_bytes == 2 << 20);
  CHECK(options->devices == std::vector<std::string>{"cuda:1", "cuda:0"});
  CHECK(options->batch_wait == std::chrono::milliseconds(7));
  CHECK(options->precision == vision::Precision::kFp16);
  CHECK_FALSE(options->use_fp16);
  CHECK(options->models.root == EMOTION_TEST_DATA);
}

TEST_CASE("the cache is shared where it is asked for") {
  const auto alone = Parse({"--redis-host=ignored"});
  REQUIRE(alone.ok());
  CHECK_FALSE(alone->redis);
  CHECK(alone->cache_similarity_threshold == 0.95F);
  CHECK(alone->cache_secret.empty());

  const auto shared =
      Parse({"--use-redis", "--redis-host=/run/redis.sock", "--redis-port=7000",
             "--redis-username=emotion", "--redis-password=open sesame",
             "--cache-secret=0123456789abcdef", "--cache-similarity-threshold=0.9"});
  REQUIRE(shared.ok());
  REQUIRE(shared->redis);
  CHECK(shared->redis->host == "/run/redis.sock");
  CHECK(shared->redis->port == 7000);
  CHECK(shared->redis->username == "emotion");
  CHECK(*shared->redis->password() == "open sesame");
  CHECK(shared->cache_secret == "0123456789abcdef");
  CHECK(shared->cache_similarity_threshold == 0.9F);
}

TEST_CASE("the password of Redis is read anew from its file") {
  const auto file = std::filesystem::temp_directory_path() / "emotion-redis-password-test";
  std::ofstream(file) << "first\n";
  const auto options = Parse({"--use-redis", "--redis-password-file=" + file.string()});
  REQUIRE(options.ok());
  CHECK(*options->redis->password() == "first");
  std::ofstream(file) << "second\n";
  CHECK(*options->redis->password() == "second");
  std::filesystem::remove(file);
  CHECK_FALSE(options->redis->password().ok());
}

TEST_CASE("a user of Redis without a password ends the start, named") {
  const auto options = Parse({"--use-redis", "--redis-username=emotion"});
  REQUIRE_FALSE(options.ok());
  CHECK(ViolationsOf(options.status()).front().field == "REDIS_USERNAME");
}

TEST_CASE("a device that does not exist ends the start, named") {
  for (const char* device : {"gpu", "cuda:", "cuda:x", "cpu,cuda", "cpu,cpu", "cuda:0,", ",",
                             "cuda:0,cuda:0", "cuda,cuda:1", "cuda:0,cuda:1,cpu"}) {
    const auto options = Parse({std::string("--device=") + device});
    REQUIRE_FALSE(options.ok());
    CHECK(ViolationsOf(options.status()).front().field == "DEVICE");
  }
}

TEST_CASE("a models folder that is not there ends the start") {
  const std::vector<std::string> args = {"--models-dir=/does/not/exist"};
  const auto settings = Settings::Parse(args, {}, kEmbeddingRole);
  REQUIRE(settings.ok());
  CHECK_FALSE(EmbeddingOptions::FromSettings(*settings).ok());
}

TEST_CASE("the batch size follows the device unless it is set") {
  EmbeddingOptions options;
  CHECK(BatchSizeOn(options, "cpu: LibTorch 1.13.0") == 4);
  CHECK(BatchSizeOn(options, "cuda:0 NVIDIA") == 8);
  options.batch_size = 3;
  CHECK(BatchSizeOn(options, "cuda:0 NVIDIA") == 3);
}

TEST_CASE("half precision is used where it is sound and allowed; what was asked for wins") {
  using enum vision::Precision;
  EmbeddingOptions options;
  CHECK(ChoosePrecision(options, kFp32) == kFp32);
  CHECK(ChoosePrecision(options, kBf16) == kBf16);
  CHECK(ChoosePrecision(options, kFp16) == kFp16);
  options.use_fp16 = false;
  CHECK(ChoosePrecision(options, kBf16) == kFp32);
  options.precision = kFp16;
  CHECK(ChoosePrecision(options, kFp32) == kFp16);
}

}  // namespace
}  // namespace emotion::embedding
