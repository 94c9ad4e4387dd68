// Certificates for tests of TLS, made as they run, so that none of them ever expires in the
// repository.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/rpc/channel.h"

namespace emotion::testing {

// An own authority in a folder of its own, and what it signs.
class Authority {
 public:
  Authority() : key_(MakeKey()), certificate_(nullptr, X509_free) {
    std::string folder = (std::filesystem::temp_directory_path() / "emotion-tls-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = folder;
    certificate_ = Sign("authority", key_, "critical,CA:TRUE", "", kDay);
    Write(File("authority.pem"), certificate_.get());
  }
  ~Authority() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  std::string File(const std::string& name) const { return folder_ + "/" + name; }

  // A certificate of `host` (its DNS name) and its key, in files named after `host`. They trust
  // this authority. What was issued for `host` before is replaced, file by file.
  TlsFiles Issue(const std::string& host, long lives_for_s = kDay) const {
    const TlsFiles files{.certificate = File(host + ".pem"),
                         .key = File(host + ".key"),
                         .authority = File("authority.pem")};
    const Key key = MakeKey();
    const Certificate certificate =
        Sign(host, key, "critical,CA:FALSE", "DNS:" + host, lives_for_s);
    Write(files.key, key.get());
    Write(files.certificate, certificate.get());
    return files;
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  static constexpr long kDay = 86'400;

  static Key MakeKey() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

  Certificate Sign(const std::string& name, const Key& key, const char* basic,
                   const std::string& alternative, long lives_for_s) const {
    Certificate made(X509_new(), X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -2 * kDay);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), lives_for_s);
    X509_set_pubkey(made.get(), key.get());
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC, text, -1, -1,
                               0);
    X509* issuer = certificate_ ? certificate_.get() : made.get();
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
    Extend(made.get(), issuer, NID_basic_constraints, basic);
    if (!alternative.empty()) {
      Extend(made.get(), issuer, NID_subject_alt_name, alternative.c_str());
    }
    if (X509_sign(made.get(), key_.get(), EVP_sha256()) == 0) throw std::runtime_error("X509_sign");
    return made;
  }

  static void Extend(X509* made, X509* issuer, int extension, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, made, nullptr, nullptr, 0);
    X509_EXTENSION* added = X509V3_EXT_conf_nid(nullptr, &context, extension, value);
    if (added == nullptr) throw std::runtime_error("X509V3_EXT_conf_nid");
    X509_add_ext(made, added, -1);
    X509_EXTENSION_free(added);
  }

  static void Write(const std::string& path, X509* certificate) {
    WriteFile(path, [&](FILE* file) { return PEM_write_X509(file, certificate); });
  }
  static void Write(const std::string& path, EVP_PKEY* key) {
    WriteFile(path, [&](FILE* file) {
      return PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  // At once, for who watches it.
  template <class Function>
  static void WriteFile(const std::string& path, const Function& write) {
    FILE* file = fopen((path + ".new").c_str(), "w");
    if (file == nullptr || write(file) != 1 || fclose(file) != 0) throw std::runtime_error(path);
    std::filesystem::rename(path + ".new", path);
  }

  std::string folder_;
  mutable long serial_ = 0;
  Key key_;
  Certificate certificate_;  // null while it is made
};

}  // namespace emotion::testing
