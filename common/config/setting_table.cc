#include "common/config/setting_table.h"

#include <algorithm>
#include <array>

namespace emotion {
namespace {

using enum SettingType;

constexpr double kKi = 1024;
constexpr double kMi = 1024 * kKi;
constexpr double kGi = 1024 * kMi;
constexpr double kDayMs = 24 * 3600 * 1000;
constexpr unsigned kModelRoles = kClassifierRole | kEmbeddingRole;
constexpr unsigned kGrpcServers = kClassifierRole | kEmbeddingRole;

constexpr SettingRow Text(std::string_view name, std::string_view fallback, unsigned roles,
                          std::string_view help) {
  return {.name = name, .type = kText, .fallback = fallback, .help = help, .roles = roles};
}
constexpr SettingRow Flag(std::string_view name, std::string_view fallback, unsigned roles,
                          std::string_view help) {
  return {.name = name, .type = kBoolean, .fallback = fallback, .help = help, .roles = roles};
}
constexpr SettingRow List(std::string_view name, std::string_view fallback, unsigned roles,
                          std::string_view help) {
  return {.name = name, .type = kList, .fallback = fallback, .help = help, .roles = roles};
}
constexpr SettingRow Choice(std::string_view name, std::string_view fallback,
                            std::string_view choices, unsigned roles, std::string_view help) {
  return {.name = name,
          .type = kChoice,
          .fallback = fallback,
          .help = help,
          .roles = roles,
          .choices = choices};
}
constexpr SettingRow Ranged(SettingType type, std::string_view name, std::string_view fallback,
                            double min, double max, unsigned roles, std::string_view help) {
  return {.name = name,
          .type = type,
          .fallback = fallback,
          .help = help,
          .roles = roles,
          .min = min,
          .max = max};
}
// `min` is the least number of characters.
constexpr SettingRow Secret(std::string_view name, double min, unsigned roles,
                            std::string_view help) {
  return {.name = name,
          .type = kText,
          .fallback = "",
          .help = help,
          .roles = roles,
          .min = min,
          .secret = true};
}

// In the order of --help.
constexpr std::array kTable = {
    // Where to listen and whom to call.
    Text("API_HOST", "0.0.0.0", kGatewayRole, "Address the gateway listens on."),
    Ranged(kInteger, "API_PORT", "8000", 0, 65535, kGatewayRole,
           "Port of the gateway; 0 picks a free one."),
    Text("EMBEDDING_LISTEN", "127.0.0.1:50051", kEmbeddingRole,
         "host:port of the embedding service's gRPC server. Keep it on loopback or a private "
         "network: only our own services may reach it."),
    Text("CLASSIFIER_LISTEN", "127.0.0.1:50052", kClassifierRole,
         "host:port of the classifier service's gRPC server; as EMBEDDING_LISTEN."),
    Text("METRICS_LISTEN", "", kAllRoles,
         "host:port of /metrics and /health/{live,ready} of this process; off: nowhere. The "
         "gateway shows them on API_PORT too."),
    List("EMBEDDING_TARGETS", "localhost:50051", kClassifierRole,
         "Embedding services; a DNS name stands for all its addresses, which are looked up anew "
         "every few seconds."),
    List("CLASSIFIER_TARGETS", "localhost:50052", kGatewayRole,
         "Classifier services; as EMBEDDING_TARGETS."),
    List("CORS_ORIGINS", "http://localhost:3000", kGatewayRole,
         "Origins whose pages may call, exactly as browsers send them; same origin always may; * "
         "lets every page call."),
    // The model.
    Text("MODELS_DIR", "", kModelRoles,
         "Folder with encoder/ and classifiers/mlp_<State>_best.pth (below current/ where that "
         "exists); unset: the demo model."),
    Choice("DEMO", "auto", "auto|never|always", kAllRoles,
           "auto: the demo model only while MODELS_DIR is unset; never: refuse to start without "
           "real models."),
    Text("DEVICE", "auto", kEmbeddingRole,
         "auto, cpu, torch-cpu, cuda, cuda:N, or several of these as cuda:0,cuda:1: they serve one "
         "queue."),
    Flag("USE_FP16", "true", kEmbeddingRole,
         "Half precision where it is sound on this device; PRECISION wins over it."),
    Choice("PRECISION", "auto", "auto|fp32|bf16|fp16|int8|mixed_int8", kEmbeddingRole,
           "Number format of the encoder; one that the device cannot do ends the start. int8 and "
           "mixed_int8 are for CPUs: twice as fast as fp32, embeddings a little different."),
    Ranged(kIntegerOrAuto, "BATCH_SIZE", "auto", 1, 256, kEmbeddingRole,
           "Most faces in one encode: more gives throughput, fewer gives latency and memory; auto "
           "is 8 on CUDA and 4 on CPU."),
    Ranged(kInteger, "BATCH_WAIT_MS", "0", 0, 1000, kEmbeddingRole,
           "How long a batch that is not full waits for more frames: throughput for latency; 0: an "
           "encoder that is free takes what is there."),
    Ranged(kInteger, "MAX_PATCHES", "1024", 4, 65536, kEmbeddingRole,
           "Largest image of Embed at native size, in patches of 14x14 pixels."),
    // The cache.
    Ranged(kNumber, "CACHE_SIMILARITY_THRESHOLD", "0.95", 0, 1, kEmbeddingRole,
           "How alike a frame must be to an earlier one of its session to share its answer; 1 "
           "turns near matching off."),
    Ranged(kBytes, "CACHE_BYTES", "256MiB", 0, 1024 * kGi, kEmbeddingRole,
           "Bound of the in-process cache; 0 turns it off."),
    Ranged(kInteger, "CACHE_TTL_S", "600", 1, 7 * 24 * 3600, kModelRoles | kGatewayRole,
           "Seconds that an embedding lives; hits do not prolong it."),
    Choice("CACHE_SCOPE", "subject", "subject|session|global", kGatewayRole,
           "Who shares exact cache hits: the images of one subject, of one session, or all."),
    Flag("USE_REDIS", "false", kEmbeddingRole, "Share the cache between replicas through Redis."),
    Text("REDIS_HOST", "localhost", kEmbeddingRole,
         "Host of Redis; a path that starts with / is a unix socket."),
    Ranged(kInteger, "REDIS_PORT", "6379", 1, 65535, kEmbeddingRole, "Port of Redis."),
    Text("REDIS_USERNAME", "", kEmbeddingRole, "User of Redis' ACL; empty: the default user."),
    Secret("REDIS_PASSWORD", 0, kEmbeddingRole,
           "Password of Redis; empty: none. Its file is read anew at each connection."),
    // Limits.
    Ranged(kInteger, "QUEUE_LIMIT", "256", 1, 100000, kModelRoles,
           "Most frames that wait; a bound of memory, time is bounded by each frame's deadline."),
    Ranged(kInteger, "REQUEST_TIMEOUT_MS", "10000", 10, 600000, kAllRoles,
           "Deadline of calls that bring none, and the largest one that X-Request-Timeout-Ms may "
           "ask for."),
    Ranged(kBytes, "MAX_IMAGE_BYTES", "4MiB", kKi, 7 * kMi, kAllRoles,
           "Largest image; gRPC messages hold 8 MiB."),
    Ranged(kInteger, "MAX_BATCH_IMAGES", "32", 1, 256, kClassifierRole | kGatewayRole,
           "Most images of one batch request."),
    Ranged(kBytes, "MAX_BODY_BYTES", "16MiB", kKi, kGi, kGatewayRole, "Largest HTTP body."),
    Ranged(kInteger, "RATE_LIMIT_IMAGES_PER_MINUTE", "0", 0, 1e6, kGatewayRole,
           "Images a minute for each subject, API key or address; 0: no limit. Not in this "
           "release."),
    Ranged(kInteger, "RATE_LIMIT_BURST", "0", 0, 1e6, kGatewayRole,
           "Images that may come at once; 0: a tenth of the rate, at least 10. Not in this "
           "release."),
    // Stopping.
    Ranged(kInteger, "DRAIN_DELAY_MS", "5000", 0, kDayMs, kAllRoles,
           "After SIGTERM: how long new work is still taken while balancers look elsewhere."),
    Ranged(kInteger, "DRAIN_TIMEOUT_MS", "20000", 0, kDayMs, kAllRoles,
           "Then: how long accepted work may take to finish; 5 s later the process ends itself."),
    // Who may call.
    Text("TLS_CERT_FILE", "", kGatewayRole,
         "Certificate chain of the gateway (PEM): HTTPS. Not in this release."),
    Text("TLS_KEY_FILE", "", kGatewayRole,
         "Private key of TLS_CERT_FILE (PEM). Not in this release."),
    Text("GRPC_TLS_CERT_FILE", "", kAllRoles,
         "Certificate for mutual TLS between the services (PEM)."),
    Text("GRPC_TLS_KEY_FILE", "", kAllRoles, "Private key of GRPC_TLS_CERT_FILE (PEM)."),
    Text("GRPC_TLS_CA_FILE", "", kAllRoles, "Who signs the certificates of our services (PEM)."),
    Text("JWT_KEYS_FILE", "", kGatewayRole,
         "Keys that tokens are checked with: PEM or JWKS. Not in this release."),
    Text("JWT_JWKS_URL", "", kGatewayRole,
         "The same, fetched from an identity provider. Not in this release."),
    Text("JWT_ISSUER", "", kGatewayRole, "Issuer that tokens must name. Not in this release."),
    Text("JWT_AUDIENCE", "", kGatewayRole, "Audience that tokens must name. Not in this release."),
    Text("API_KEYS_FILE", "", kGatewayRole,
         "API keys of programs, one hash a line. Not in this release."),
    Secret("SESSION_SECRET", 16, kGatewayRole,
           "Key of session and cache keys, equal on all gateways; unset: random."),
    Secret("CACHE_SECRET", 16, kEmbeddingRole,
           "Key that seals shared cache values, equal on all embedding services; unset: near "
           "matching stays in process."),
    // Logs.
    Choice("LOG_FORMAT", "auto", "auto|text|json", kAllRoles,
           "auto: text on a terminal and under journald, else JSON."),
    Choice("LOG_LEVEL", "info", "debug|info|warning|error", kAllRoles, "Least level written."),
};

}  // namespace

std::span<const SettingRow> SettingTable() { return kTable; }

const SettingRow* FindSetting(std::string_view name) {
  const auto row = std::find_if(kTable.begin(), kTable.end(), [&](const SettingRow& candidate) {
    return candidate.name == name;
  });
  return row == kTable.end() ? nullptr : &*row;
}

std::string_view DefaultOf(const SettingRow& row, unsigned roles) {
  if (row.name != "METRICS_LISTEN") return row.fallback;
  if (roles == kEmbeddingRole) return "127.0.0.1:9101";
  if (roles == kClassifierRole) return "127.0.0.1:9102";
  return "off";
}

}  // namespace emotion
