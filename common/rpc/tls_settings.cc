#include "common/rpc/tls_settings.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/error/error.h"
#include "common/log/log.h"
#include "fmt/format.h"

namespace emotion {
namespace {

constexpr const char* kCertificate = "GRPC_TLS_CERT_FILE";
constexpr const char* kKey = "GRPC_TLS_KEY_FILE";
constexpr const char* kAuthority = "GRPC_TLS_CA_FILE";
constexpr uintmax_t kMaxFileBytes = 1 << 20;  // every root that browsers trust is 220 KB

using File = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

// What OpenSSL says of the call that just failed; its queue is empty afterwards.
std::string Why() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "OpenSSL gives no reason";
}

absl::StatusOr<File> Open(const char* setting, const std::string& path) {
  std::error_code error;
  // A device or a pipe might never end.
  const bool regular = std::filesystem::is_regular_file(path, error);
  if (error) return FieldError(setting, fmt::format("{}: {}", path, error.message()));
  if (!regular) return FieldError(setting, fmt::format("{} is not a regular file", path));
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kMaxFileBytes) {
    return FieldError(setting, fmt::format("{} is larger than {} bytes", path, kMaxFileBytes));
  }
  File file(BIO_new_file(path.c_str(), "r"), BIO_free);
  if (file == nullptr) {
    return FieldError(setting, fmt::format("{} cannot be read: {}", path, Why()));
  }
  return file;
}

// At least one. The first is read with its trust settings, as gRPC reads it.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(const char* setting,
                                                          const std::string& path) {
  auto file = Open(setting, path);
  if (!file.ok()) return file.status();
  std::vector<Certificate> found;
  ERR_clear_error();
  while (X509* next = found.empty() ? PEM_read_bio_X509_AUX(file->get(), nullptr, nullptr, nullptr)
                                    : PEM_read_bio_X509(file->get(), nullptr, nullptr, nullptr)) {
    found.emplace_back(next, X509_free);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (found.empty() && at_end) {
    ERR_clear_error();
    return FieldError(setting, fmt::format("{} holds no certificate in PEM", path));
  }
  if (!at_end) {
    return FieldError(setting, fmt::format("certificate {} of {} cannot be read: {}",
                                           found.size() + 1, path, Why()));
  }
  ERR_clear_error();
  return found;
}

// OpenSSL would ask at the terminal.
int RefusePassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<Key> ReadKey(const std::string& path) {
  auto file = Open(kKey, path);
  if (!file.ok()) return file.status();
  bool encrypted = false;
  Key key(PEM_read_bio_PrivateKey(file->get(), nullptr, RefusePassphrase, &encrypted),
          EVP_PKEY_free);
  if (key != nullptr) return key;
  const std::string why = Why();
  if (encrypted) {
    return FieldError(kKey,
                      fmt::format("{} is encrypted; it must open without a passphrase", path));
  }
  return FieldError(kKey, fmt::format("{} holds no private key in PEM: {}", path, why));
}

// As the handshake will take them: TLS also refuses what it thinks too weak.
absl::Status CheckPair(const TlsFiles& files, X509* certificate, EVP_PKEY* key) {
  const TlsContext context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (context == nullptr) return Error(Reason::kInternal, "no TLS context: " + Why());
  if (SSL_CTX_use_certificate(context.get(), certificate) != 1) {
    return FieldError(kCertificate,
                      fmt::format("{} cannot be used for TLS: {}", files.certificate, Why()));
  }
  if (X509_check_private_key(certificate, key) != 1) {
    ERR_clear_error();
    return FieldError(kKey, fmt::format("{} is not the key of the certificate in {} ({})",
                                        files.key, files.certificate, kCertificate));
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key) != 1) {
    return FieldError(kKey, fmt::format("{} cannot be used for TLS: {}", files.key, Why()));
  }
  return absl::OkStatus();
}

void WarnOfDates(const char* setting, const std::string& path, const X509* certificate) {
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    LogWarning("certificate is over", {{"setting", setting}, {"file", path}});
  } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    LogWarning("certificate is not valid yet", {{"setting", setting}, {"file", path}});
  }
}

absl::Status Check(const TlsFiles& files) {
  const auto certificates = ReadCertificates(kCertificate, files.certificate);
  if (!certificates.ok()) return certificates.status();
  const auto key = ReadKey(files.key);
  if (!key.ok()) return key.status();
  X509* const own = certificates->front().get();
  if (absl::Status status = CheckPair(files, own, key->get()); !status.ok()) return status;
  const auto authorities = ReadCertificates(kAuthority, files.authority);
  if (!authorities.ok()) return authorities.status();
  WarnOfDates(kCertificate, files.certificate, own);
  for (const Certificate& authority : *authorities) {
    WarnOfDates(kAuthority, files.authority, authority.get());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsFiles> TlsFromSettings(const Settings& settings) {
  const TlsFiles files{.certificate = std::string(settings.String(kCertificate)),
                       .key = std::string(settings.String(kKey)),
                       .authority = std::string(settings.String(kAuthority))};
  if (files.certificate.empty() && files.key.empty() && files.authority.empty()) return files;
  for (const auto& [name, file] :
       {std::pair{kCertificate, files.certificate}, std::pair{kKey, files.key},
        std::pair{kAuthority, files.authority}}) {
    if (file.empty()) return FieldError(name, "is needed too: mutual TLS takes all three files");
  }
  if (absl::Status status = Check(files); !status.ok()) return status;
  return files;
}

}  // namespace emotion
