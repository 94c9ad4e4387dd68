#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <stdlib.h>
#include <unistd.h>

#include "common/config/env_file.h"
#include "common/config/near_miss.h"
#include "common/config/settings.h"
#include "common/config/value_parser.h"

namespace emotion {
namespace {

using Strings = std::vector<std::string>;

std::string ErrorOf(const Strings& args, const Strings& environment, unsigned roles = kAllRoles) {
  const auto settings = Settings::Parse(args, environment, roles);
  if (settings.ok()) return "";
  CHECK(settings.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(settings.status().message());
}

Settings Parsed(const Strings& args, const Strings& environment = {}, unsigned roles = kAllRoles) {
  auto settings = Settings::Parse(args, environment, roles);
  INFO(settings.status().ToString());
  REQUIRE(settings.ok());
  return *std::move(settings);
}

// A file of this process alone, removed at the end.
struct TempFile {
  explicit TempFile(const std::string& text) {
    char name[] = "/tmp/emotion-config-XXXXXX";
    const int fd = mkstemp(name);
    REQUIRE(fd >= 0);
    close(fd);
    path = name;
    std::ofstream(path) << text;
  }
  ~TempFile() { unlink(path.c_str()); }
  std::string path;
};

}  // namespace

TEST_CASE("every default of the table is a value of its setting, and every name stands once") {
  std::vector<std::string_view> names;
  for (const SettingRow& row : SettingTable()) {
    INFO(row.name);
    if (!row.fallback.empty()) CHECK(CheckValue(row, row.name, row.fallback).ok());
    CHECK(std::count(names.begin(), names.end(), row.name) == 0);
    CHECK(row.help.ends_with("."));
    CHECK(row.roles != 0);
    names.push_back(row.name);
  }
  CHECK(FindSetting("BATCH_SIZE") != nullptr);
  CHECK(FindSetting("batch_size") == nullptr);
}

TEST_CASE("flag beats EMOTION_X beats X beats file beats default") {
  TempFile file("BATCH_SIZE=2\nEMOTION_QUEUE_LIMIT=11\nQUEUE_LIMIT=12\n");
  const std::string config = "--config=" + file.path;
  CHECK(Parsed({}).Int("BATCH_SIZE") == 0);
  CHECK(Parsed({config}).Int("BATCH_SIZE") == 2);
  CHECK(Parsed({config}).Int("QUEUE_LIMIT") == 11);
  CHECK(Parsed({config}, {"BATCH_SIZE=3"}).Int("BATCH_SIZE") == 3);
  CHECK(Parsed({config}, {"EMOTION_BATCH_SIZE=4", "BATCH_SIZE=3"}).Int("BATCH_SIZE") == 4);
  CHECK(Parsed({config}, {"BATCH_SIZE=3", "EMOTION_BATCH_SIZE=4"}).Int("BATCH_SIZE") == 4);
  const Strings environment = {"EMOTION_BATCH_SIZE=4", "BATCH_SIZE=3"};
  CHECK(Parsed({config, "--batch-size", "5"}, environment).Int("BATCH_SIZE") == 5);
  CHECK(Parsed({}, {"EMOTION_CONFIG=" + file.path}).Int("BATCH_SIZE") == 2);
}

TEST_CASE("flags are spelled in every usual way") {
  CHECK(Parsed({"--batch-size=4"}).Int("BATCH_SIZE") == 4);
  CHECK(Parsed({"--batch_size", "4"}).Int("BATCH_SIZE") == 4);
  CHECK(Parsed({"--use-redis"}).Bool("USE_REDIS"));
  CHECK_FALSE(Parsed({"--no-use-fp16"}).Bool("USE_FP16"));
  CHECK_FALSE(Parsed({"--use-redis=false"}).Bool("USE_REDIS"));
  CHECK(Parsed({"--use-redis=True"}).Bool("USE_REDIS"));
  const Settings settings = Parsed({"a.jpg", "--use-redis", "b.jpg", "--", "--c.jpg"});
  CHECK(Strings(settings.positionals().begin(), settings.positionals().end()) ==
        Strings{"a.jpg", "b.jpg", "--c.jpg"});
  CHECK(Parsed({"--help"}).help());
  CHECK(Parsed({"-h"}).help());
  CHECK(Parsed({"--version"}).version());
}

TEST_CASE("values are read in the guide's forms") {
  const Settings settings =
      Parsed({}, {"USE_REDIS=True", "CACHE_SIMILARITY_THRESHOLD=0.9", "CACHE_BYTES=64MiB",
                  "CORS_ORIGINS=[\"http://a\", 'https://b']", "CACHE_TTL_S=30"});
  CHECK(settings.Bool("USE_REDIS"));
  CHECK(settings.Double("CACHE_SIMILARITY_THRESHOLD") == 0.9);
  CHECK(settings.Int("CACHE_BYTES") == int64_t{64} << 20);
  CHECK(settings.List("CORS_ORIGINS") == Strings{"http://a", "https://b"});
  CHECK(settings.Milliseconds("CACHE_TTL_S") == std::chrono::seconds(30));
  CHECK(settings.Milliseconds("DRAIN_DELAY_MS") == std::chrono::milliseconds(5000));
  CHECK(Parsed({}, {"CORS_ORIGINS= http://a , ,http://b"}).List("CORS_ORIGINS") ==
        Strings{"http://a", "http://b"});
  CHECK(Parsed({"--cors-origins="}).List("CORS_ORIGINS").empty());
}

TEST_CASE("wrong values are refused with name, value and limit") {
  CHECK(ErrorOf({"--batch-size=0"}, {}) ==
        "--batch-size: must be auto or an integer from 1 to 256; was '0'");
  CHECK(ErrorOf({}, {"EMOTION_USE_REDIS=maybe"}) ==
        "EMOTION_USE_REDIS: must be true or false; was 'maybe'");
  CHECK(ErrorOf({"--log-level=loud"}, {}).find("debug, info, warning, error") != std::string::npos);
  for (const char* wrong : {"4x", " 4", "4.0", "-1", "99999999999999999999", "nan"}) {
    CHECK_FALSE(ErrorOf({"--batch-size", wrong}, {}).empty());
  }
  for (const char* wrong : {"nan", "inf", "1.01", "-0.1", "0,95", ""}) {
    CHECK_FALSE(ErrorOf({std::string("--cache-similarity-threshold=") + wrong}, {}).empty());
  }
  for (const char* wrong : {"5 MB", "9223372036854775807GiB", "-1", "1e6", "MiB"}) {
    CHECK_FALSE(ErrorOf({std::string("--cache-bytes=") + wrong}, {}).empty());
  }
  for (const char* wrong : {"[http://a]", "[\"a\" \"b\"]", "[\"a\"", "[\"a]"}) {
    CHECK_FALSE(ErrorOf({std::string("--cors-origins=") + wrong}, {}).empty());
  }
}

TEST_CASE("unknown names are refused, with the one that was meant") {
  CHECK(ErrorOf({"--batch-sise=4"}, {}) ==
        "--batch-sise: is no setting; did you mean --batch-size?");
  CHECK(ErrorOf({"--frobnicate"}, {}) == "--frobnicate: is no setting; --help lists them");
  CHECK(ErrorOf({}, {"EMOTION_BATCHSIZE=4"}) ==
        "EMOTION_BATCHSIZE: is no setting; did you mean EMOTION_BATCH_SIZE?");
  CHECK(ErrorOf({}, {"PATH=/bin", "BATCHSIZE=4"}).empty());  // somebody else's
  CHECK(ErrorOf({"--no-batch-size"}, {}).find("is no setting") != std::string::npos);
  CHECK(ErrorOf({"-x"}, {}).find("flags start with --") != std::string::npos);
  CHECK(ErrorOf({"--batch-size"}, {}) == "--batch-size: needs a value");
  CHECK(ErrorOf({"--no-use-redis=1"}, {}) == "--no-use-redis: takes no value");
}

TEST_CASE("settings of other services are refused as flags and accepted elsewhere") {
  CHECK(ErrorOf({"--api-port=1"}, {}, kEmbeddingRole) ==
        "--api-port: is a setting of another service");
  CHECK(ErrorOf({}, {"EMOTION_API_PORT=1"}, kEmbeddingRole).empty());
}

TEST_CASE("what Kubernetes injects is explained or ignored") {
  CHECK(ErrorOf({}, {"REDIS_PORT=tcp://10.0.0.1:6379"}).find("Kubernetes injects") !=
        std::string::npos);
  CHECK(ErrorOf({}, {"EMOTION_WEB_SERVICE_HOST=10.0.0.1", "EMOTION_WEB_PORT=tcp://10.0.0.1:80",
                     "EMOTION_WEB_PORT_80_TCP_ADDR=10.0.0.1", "EMOTION_WEB_SERVICE_PORT=80"})
            .empty());
  CHECK_FALSE(ErrorOf({}, {"EMOTION_WEB_PORT=80"}).empty());
}

TEST_CASE("empty variables count as not set") {
  CHECK(Parsed({}, {"BATCH_SIZE=", "EMOTION_BATCH_SIZE="}).Int("BATCH_SIZE") == 0);
  CHECK_FALSE(Parsed({}, {"BATCH_SIZE="}).IsSet("BATCH_SIZE"));
}

TEST_CASE("a configuration file is checked line by line") {
  TempFile good(
      "# comment\n; too\n\nexport BATCH_SIZE=4 # four\nREDIS_HOST=\"a \\\"b\\\"\"\n"
      "REDIS_PASSWORD='p#w d'\r\nOMP_NUM_THREADS=2\n");
  const Settings settings = Parsed({"--config", good.path});
  CHECK(settings.Int("BATCH_SIZE") == 4);
  CHECK(settings.String("REDIS_HOST") == "a \"b\"");
  CHECK(*settings.Secret("REDIS_PASSWORD") == "p#w d");

  TempFile typo("BATCH_SISE=4\n");
  CHECK(ErrorOf({"--config", typo.path}, {}).find("did you mean BATCH_SIZE?") != std::string::npos);
  TempFile wrong("\nBATCH_SIZE=x\n");
  CHECK(ErrorOf({"--config", wrong.path}, {}).find(wrong.path + ":2: BATCH_SIZE") !=
        std::string::npos);
  CHECK(ErrorOf({"--config", "/nonexistent"}, {}).find("/nonexistent") != std::string::npos);
}

TEST_CASE("lines that are none are errors that name them") {
  for (const char* text : {"A", "=1", "1A=2", "A B=1", "A=\"x", "A='x", "A=\"x\" y"}) {
    INFO(text);
    const auto lines = ParseEnvFile(std::string("OK=1\n") + text);
    REQUIRE_FALSE(lines.ok());
    CHECK(lines.status().ToString().find("line 2") != std::string::npos);
  }
  CHECK(ParseEnvFile("")->empty());
  CHECK(ParseEnvFile("A=a#b\n")->at(0).value == "a#b");
  CHECK(ParseEnvFile("A=\n")->at(0).value.empty());
}

TEST_CASE("secrets come from files, are re-read, and are masked") {
  TempFile file("0123456789abcdef\n");
  const Settings settings = Parsed({}, {"SESSION_SECRET_FILE=" + file.path});
  CHECK(*settings.Secret("SESSION_SECRET") == "0123456789abcdef");
  std::ofstream(file.path) << "fedcba9876543210";
  CHECK(*settings.Secret("SESSION_SECRET") == "fedcba9876543210");
  for (const EffectiveSetting& setting : settings.Effective()) {
    CHECK(setting.value.find("fedc") == std::string::npos);
    if (setting.name == "SESSION_SECRET") {
      CHECK(setting.value == "****");
      CHECK(setting.source == "SESSION_SECRET_FILE");
    }
  }
  CHECK(Parsed({}).Secret("SESSION_SECRET")->empty());
}

TEST_CASE("a secret that is short, given twice or unreadable ends the start, without being shown") {
  const std::string error = ErrorOf({}, {"SESSION_SECRET=short-one"});
  CHECK(error.find("at least 16") != std::string::npos);
  CHECK(error.find("short-one") == std::string::npos);
  TempFile file("0123456789abcdef");
  CHECK_FALSE(
      ErrorOf({}, {"CACHE_SECRET=0123456789abcdef", "CACHE_SECRET_FILE=" + file.path}).empty());
  CHECK_FALSE(ErrorOf({}, {"CACHE_SECRET_FILE=/nonexistent"}).empty());
  TempFile empty("\n");
  CHECK_FALSE(ErrorOf({}, {"CACHE_SECRET_FILE=" + empty.path}).empty());
}

TEST_CASE("the effective settings are those of the process' roles, with their sources") {
  const Settings settings = Parsed({"--batch-size=4"}, {"LOG_LEVEL=debug"}, kEmbeddingRole);
  std::map<std::string, EffectiveSetting> by_name;
  for (const EffectiveSetting& setting : settings.Effective()) by_name[setting.name] = setting;
  CHECK(by_name.at("BATCH_SIZE").source == "--batch-size");
  CHECK(by_name.at("LOG_LEVEL").source == "LOG_LEVEL");
  CHECK(by_name.at("QUEUE_LIMIT").source == "default");
  CHECK(by_name.at("METRICS_LISTEN").value == "127.0.0.1:9101");
  CHECK_FALSE(by_name.contains("API_PORT"));
}

TEST_CASE("a command's own flags are flags only") {
  static constexpr SettingRow extra[] = {{.name = "OUTPUT",
                                          .type = SettingType::kText,
                                          .fallback = "out.npy",
                                          .help = "Where to.",
                                          .flag_only = true}};
  const Strings args = {"--output", "x.npy"};
  const Strings environment = {"OUTPUT=env.npy"};
  CHECK(Settings::Parse(args, environment, kAllRoles, extra)->String("OUTPUT") == "x.npy");
  CHECK(Settings::Parse({}, environment, kAllRoles, extra)->String("OUTPUT") == "out.npy");
}

TEST_CASE("help names every setting of the process and no other") {
  const std::string help = HelpText(kGatewayRole);
  CHECK(help.find("--api-port=0..65535   [8000]") != std::string::npos);
  CHECK(help.find("--batch-size") != help.find("--batch-size=auto|"));
  CHECK(help.find("--redis-host") == std::string::npos);
  for (const SettingRow& row : SettingTable()) {
    if (row.name == "DEVICE") CHECK(HelpText(row.roles).find("--device") != std::string::npos);
  }
}

TEST_CASE("the nearest name is found within two edits") {
  const std::vector<std::string_view> known = {"DEVICE", "BATCH_SIZE", "DEMO"};
  CHECK(NearMiss("DEVISE", known) == "DEVICE");
  CHECK(NearMiss("BATCHSIZE", known) == "BATCH_SIZE");
  CHECK(NearMiss("DOME", known).empty());
  CHECK(NearMiss("", known).empty());
}

}  // namespace emotion
