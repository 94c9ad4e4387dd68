#include "gateway/options.h"

#include "common/error/error.h"
#include "common/install/shared_files.h"
#include "common/rpc/tls_settings.h"
#include "fmt/format.h"

namespace emotion::gateway {
namespace {

// Named in the table of settings, not built yet.
constexpr const char* kNotYet[] = {"TLS_CERT_FILE", "TLS_KEY_FILE", "JWT_KEYS_FILE", "JWT_JWKS_URL",
                                   "JWT_ISSUER",    "JWT_AUDIENCE", "API_KEYS_FILE"};

absl::Status CheckHonoured(const Settings& settings) {
  for (const char* name : kNotYet) {
    if (!settings.String(name).empty()) {
      return FieldError(name, "this release cannot do that; put a proxy that can in front");
    }
  }
  if (settings.Int("RATE_LIMIT_IMAGES_PER_MINUTE") != 0) {
    return FieldError("RATE_LIMIT_IMAGES_PER_MINUTE", "this release has no rate limit; must be 0");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GatewayOptions> GatewayOptions::FromSettings(const Settings& settings) {
  if (absl::Status status = CheckHonoured(settings); !status.ok()) return status;
  const absl::StatusOr<CacheScope> scope = ParseCacheScope(settings.String("CACHE_SCOPE"));
  if (!scope.ok()) return scope.status();
  absl::StatusOr<std::string> secret = settings.Secret("SESSION_SECRET");
  if (!secret.ok()) return secret.status();

  GatewayOptions options;
  options.host = settings.String("API_HOST");
  options.port = static_cast<uint16_t>(settings.Int("API_PORT"));
  options.classifier_targets = settings.List("CLASSIFIER_TARGETS");
  auto tls = TlsFromSettings(settings);
  if (!tls.ok()) return tls.status();
  options.grpc_tls = *std::move(tls);
  options.cors_origins = settings.List("CORS_ORIGINS");
  options.cache_scope = *scope;
  options.session_secret = *std::move(secret);
  options.web_directory = FindSharedFiles(ThisProgram(), "web").value_or("").string();
  options.input = {
      .max_image_bytes = static_cast<size_t>(settings.Int("MAX_IMAGE_BYTES")),
      .max_batch_images = static_cast<size_t>(settings.Int("MAX_BATCH_IMAGES")),
      .max_timeout = settings.Milliseconds("REQUEST_TIMEOUT_MS"),
  };
  options.max_body_bytes = static_cast<size_t>(settings.Int("MAX_BODY_BYTES"));
  return options;
}

}  // namespace emotion::gateway
