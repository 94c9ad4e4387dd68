// The files of mutual TLS between our services, out of the settings.
#pragma once

#include "common/config/settings.h"
#include "common/rpc/channel.h"

namespace emotion {

inline TlsFiles TlsFromSettings(const Settings& settings) {
  return {.certificate = std::string(settings.String("GRPC_TLS_CERT_FILE")),
          .key = std::string(settings.String("GRPC_TLS_KEY_FILE")),
          .authority = std::string(settings.String("GRPC_TLS_CA_FILE"))};
}

}  // namespace emotion
