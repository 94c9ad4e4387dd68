// The files of mutual TLS between our services, out of the settings.
#pragma once

#include "absl/status/statusor.h"
#include "common/config/settings.h"
#include "common/rpc/channel.h"

namespace emotion {

// All three settings, or none. gRPC takes whatever the files hold and then refuses every
// connection, so they are read here first: FIELD_INVALID names the setting, the file and what is
// wrong with it when one of the three is missing, is no regular file of at most 1 MiB, holds no
// certificate or no key in PEM, a key that is encrypted, belongs to another certificate or is too
// weak for TLS. A certificate that is over or not valid yet is a warning in the log, since files
// are read again when they change.
absl::StatusOr<TlsFiles> TlsFromSettings(const Settings& settings);

}  // namespace emotion
