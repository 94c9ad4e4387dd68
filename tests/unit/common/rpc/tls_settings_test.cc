// gRPC takes any files as certificates and then lets nobody in: what is wrong with them has to be
// said when the process starts.
#include "common/rpc/tls_settings.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "common/log/log.h"
#include "tests/fakes/certificates.h"

namespace emotion {
namespace {

using Catch::Contains;
using testing::Authority;

absl::StatusOr<TlsFiles> Start(const TlsFiles& files) {
  const std::vector<std::string> args = {"--grpc-tls-cert-file=" + files.certificate,
                                         "--grpc-tls-key-file=" + files.key,
                                         "--grpc-tls-ca-file=" + files.authority};
  const auto settings = Settings::Parse(args, {}, kEmbeddingRole);
  REQUIRE(settings.ok());
  return TlsFromSettings(*settings);
}

// That the start ends with an error which names `setting`, `file` and says `what`.
void CheckRefused(const TlsFiles& files, const std::string& setting, const std::string& file,
                  const std::string& what) {
  const auto started = Start(files);
  REQUIRE_FALSE(started.ok());
  CHECK(ReasonOf(started.status()) == Reason::kFieldInvalid);
  const std::string message(started.status().message());
  CHECK_THAT(message, Contains(setting) && Contains(file) && Contains(what));
}

void Overwrite(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Encrypt(const std::string& path) {
  FILE* file = fopen(path.c_str(), "r+");
  REQUIRE(file != nullptr);
  EVP_PKEY* key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  rewind(file);
  CHECK(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr) ==
        1);
  EVP_PKEY_free(key);
  fclose(file);
}

// What is warned of while `files` are taken.
std::string WarningsOf(const TlsFiles& files) {
  std::string lines;
  SetLogSinkForTesting([&](std::string_view line) { lines += std::string(line) + "\n"; });
  CHECK(Start(files).ok());
  SetLogSinkForTesting(nullptr);
  return lines;
}

TEST_CASE("files of mutual TLS that belong together are taken without a word") {
  const Authority ours;
  TlsFiles files = ours.Issue("embedding");
  CHECK(WarningsOf(files).empty());
  SECTION("a chain and more than one authority, too") {
    std::ofstream(files.certificate, std::ios::app) << Content(files.authority);
    files.authority = ours.File("two.pem");
    Overwrite(files.authority, Content(ours.File("authority.pem")) + Content(files.certificate));
    CHECK(WarningsOf(files).empty());
  }
}

TEST_CASE("without TLS nothing is asked for, and with a part of it the rest is") {
  CHECK_FALSE(Start({})->enabled());
  const Authority ours;
  TlsFiles files = ours.Issue("embedding");
  files.authority.clear();
  CheckRefused(files, "GRPC_TLS_CA_FILE", "", "needed too");
}

TEST_CASE("a certificate that is none ends the start") {
  const Authority ours;
  const TlsFiles files = ours.Issue("embedding");
  const auto refused = [&](const std::string& what) {
    CheckRefused(files, "GRPC_TLS_CERT_FILE", files.certificate, what);
  };
  SECTION("text") {
    Overwrite(files.certificate, "no certificate");
    refused("holds no certificate in PEM");
  }
  SECTION("nothing") {
    Overwrite(files.certificate, "");
    refused("holds no certificate in PEM");
  }
  SECTION("a key") {
    Overwrite(files.certificate, Content(files.key));
    refused("holds no certificate in PEM");
  }
  SECTION("half of one") {
    Overwrite(files.certificate, Content(files.certificate).substr(0, 200));
    refused("certificate 1 of");
  }
  SECTION("garbage between its lines") {
    Overwrite(files.certificate, "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
    refused("certificate 1 of");
  }
  SECTION("one whose chain is broken") {
    const std::string own = Content(files.certificate);
    Overwrite(files.certificate, own + own.substr(0, 200));
    refused("certificate 2 of");
  }
  SECTION("a folder") {
    std::filesystem::remove(files.certificate);
    std::filesystem::create_directory(files.certificate);
    refused("is not a regular file");
  }
  SECTION("a file too large to be one") {
    std::filesystem::resize_file(files.certificate, (1 << 20) + 1);
    refused("is larger than 1048576 bytes");
  }
  SECTION("no file at all") {
    std::filesystem::remove(files.certificate);
    refused("No such file");
  }
}

TEST_CASE("a key that is none, or none of the certificate, ends the start") {
  const Authority ours;
  TlsFiles files = ours.Issue("embedding");
  const auto refused = [&](const std::string& what) {
    CheckRefused(files, "GRPC_TLS_KEY_FILE", files.key, what);
  };
  SECTION("text") {
    Overwrite(files.key, "no key");
    refused("holds no private key in PEM");
  }
  SECTION("a certificate") {
    Overwrite(files.key, Content(files.certificate));
    refused("holds no private key in PEM");
  }
  SECTION("an encrypted one, which nobody is asked the passphrase of") {
    Encrypt(files.key);
    refused("is encrypted");
  }
  SECTION("another's") {
    files.key = ours.Issue("classifier").key;
    refused("is not the key of the certificate in " + files.certificate);
  }
}

TEST_CASE("a file of authorities that holds none, or a broken one, ends the start") {
  const Authority ours;
  const TlsFiles files = ours.Issue("embedding");
  const auto refused = [&](const std::string& what) {
    CheckRefused(files, "GRPC_TLS_CA_FILE", files.authority, what);
  };
  SECTION("text") {
    Overwrite(files.authority, "trust me");
    refused("holds no certificate in PEM");
  }
  SECTION("the second is cut off") {
    const std::string first = Content(files.authority);
    Overwrite(files.authority, first + first.substr(0, 100));
    refused("certificate 2 of");
  }
}

TEST_CASE("a certificate that is over is warned of: it may be replaced while the process runs") {
  const Authority ours;
  const std::string warnings = WarningsOf(ours.Issue("embedding", -60));
  CHECK_THAT(warnings, Contains("certificate is over") && Contains("GRPC_TLS_CERT_FILE") &&
                           Contains(ours.File("embedding.pem")));
}

}  // namespace
}  // namespace emotion
