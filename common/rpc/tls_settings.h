// The files of mutual TLS between our services, out of the settings.
#pragma once

#include <string>

#include <unistd.h>

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/error/error.h"
#include "common/rpc/channel.h"
#include "fmt/format.h"

namespace emotion {

// All three settings, or none. FIELD_INVALID names one that is missing or cannot be read: security
// that was asked for must not be left out in silence.
inline absl::StatusOr<TlsFiles> TlsFromSettings(const Settings& settings) {
  const TlsFiles files{.certificate = std::string(settings.String("GRPC_TLS_CERT_FILE")),
                       .key = std::string(settings.String("GRPC_TLS_KEY_FILE")),
                       .authority = std::string(settings.String("GRPC_TLS_CA_FILE"))};
  if (files.certificate.empty() && files.key.empty() && files.authority.empty()) return files;
  for (const auto& [name, file] : {std::pair{"GRPC_TLS_CERT_FILE", files.certificate},
                                   std::pair{"GRPC_TLS_KEY_FILE", files.key},
                                   std::pair{"GRPC_TLS_CA_FILE", files.authority}}) {
    if (file.empty()) return FieldError(name, "is needed too: mutual TLS takes all three files");
    if (access(file.c_str(), R_OK) != 0)
      return FieldError(name, fmt::format("{} cannot be read", file));
  }
  return files;
}

}  // namespace emotion
