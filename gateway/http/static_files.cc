#include "gateway/http/static_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>

#include "common/hash/sha256.h"
#include "fmt/format.h"

namespace emotion::gateway {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTotalBytes = size_t{128} << 20;

struct TypeRow {
  std::string_view extension;
  std::string_view media_type;
};

constexpr std::array kTypes = {
    TypeRow{".html", "text/html; charset=utf-8"},
    TypeRow{".js", "text/javascript; charset=utf-8"},
    TypeRow{".mjs", "text/javascript; charset=utf-8"},
    TypeRow{".css", "text/css; charset=utf-8"},
    TypeRow{".json", "application/json"},
    TypeRow{".webmanifest", "application/manifest+json"},
    TypeRow{".wasm", "application/wasm"},
    TypeRow{".tflite", "application/octet-stream"},
    TypeRow{".png", "image/png"},
    TypeRow{".jpg", "image/jpeg"},
    TypeRow{".webp", "image/webp"},
    TypeRow{".svg", "image/svg+xml"},
    TypeRow{".ico", "image/x-icon"},
    TypeRow{".woff2", "font/woff2"},
    TypeRow{".txt", "text/plain; charset=utf-8"},
};

// As the page was tested with: no foreign host, no inline script, WebAssembly allowed.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob: mediastream:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
constexpr std::string_view kPermissionsPolicy = "camera=(self), microphone=(), geolocation=()";

absl::Status LoadError(const std::string& directory, std::string_view why) {
  const std::string message = fmt::format("{}: {}", directory, why);
  return absl::FailedPreconditionError(message);
}

bool IsServed(const fs::path& relative) {
  for (const fs::path& element : relative) {
    const std::string name = element.string();
    if (name.starts_with('.') || name == "node_modules") return false;
  }
  const std::string name = relative.filename().string();
  return name != "package.json" && name != "package-lock.json" && name != "tsconfig.json";
}

// "vendor/uplot-1.6.32/uPlot.css": the second element ends in a version.
bool IsVersioned(const fs::path& relative) {
  auto element = relative.begin();
  if (element == relative.end() || *element++ != "vendor" || element == relative.end()) {
    return false;
  }
  const std::string name = element->string();
  const size_t dash = name.rfind('-');
  return dash != std::string::npos && dash + 1 < name.size() &&
         std::isdigit(static_cast<unsigned char>(name[dash + 1])) != 0;
}

std::string HashHex(std::string_view content) {
  const Digest digest = Sha256().Update(content).Finish();
  return Hex(std::span(digest).first(16));
}

std::optional<std::string> ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  if (!in || !(content << in.rdbuf() || fs::file_size(path) == 0)) return std::nullopt;
  return std::move(content).str();
}

// If-None-Match: a list of tags, or '*'; weak tags match too (RFC 9110 section 13.1.2).
bool Matches(std::string_view field, std::string_view etag) {
  while (!field.empty()) {
    std::string_view tag = TrimSpace(field.substr(0, field.find(',')));
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == etag) return true;
    const size_t comma = field.find(',');
    if (comma == std::string_view::npos) return false;
    field.remove_prefix(comma + 1);
  }
  return false;
}

// Whether gzip is accepted; "gzip;q=0" is the one way to say no that clients use.
bool AcceptsGzip(const Headers& headers) {
  const auto field = headers.Find("Accept-Encoding");
  return field && headers.HasToken("Accept-Encoding", "gzip") &&
         field->find("gzip;q=0") == std::string_view::npos;
}

}  // namespace

std::string_view MediaTypeOf(std::string_view path) {
  for (const TypeRow& row : kTypes) {
    if (path.ends_with(row.extension)) return row.media_type;
  }
  return "";
}

absl::StatusOr<StaticFiles> StaticFiles::Load(const std::string& directory) {
  StaticFiles files;
  size_t total = 0;
  std::error_code error;
  fs::recursive_directory_iterator walk(directory, error);
  if (error) return LoadError(directory, error.message());
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    const fs::path relative = walk->path().lexically_relative(directory);
    if (!IsServed(relative)) {
      walk.disable_recursion_pending();
      continue;
    }
    if (walk->is_symlink(error) || !walk->is_regular_file(error)) continue;
    std::string path = fmt::format("/{}", relative.generic_string());
    const bool gzip = path.ends_with(".gz");
    if (gzip) path.resize(path.size() - 3);
    if (MediaTypeOf(path).empty()) continue;
    total += walk->file_size(error);
    if (total > kMaxTotalBytes) return LoadError(directory, "holds more than 128 MiB");
    std::optional<std::string> content = ReadFile(walk->path());
    if (!content) return LoadError(walk->path().string(), "cannot be read");
    const std::string hash = HashHex(*content);
    File& file = files.files_[path];
    file.media_type = MediaTypeOf(path);
    file.immutable = IsVersioned(relative);
    (gzip ? file.gzip : file.plain) = {std::make_shared<const std::string>(*std::move(content)),
                                       fmt::format("\"{}\"", hash)};
  }
  if (error) return LoadError(directory, error.message());
  std::erase_if(files.files_, [](const auto& entry) { return !entry.second.plain.content; });
  return files;
}

const StaticFiles::File* StaticFiles::Find(std::string_view path) const {
  const auto found = files_.find(path == "/" ? std::string_view("/index.html") : path);
  return found == files_.end() ? nullptr : &found->second;
}

Response StaticFiles::Serve(const Request& request) const {
  const File& file = *Find(request.path);
  const bool gzip = file.gzip.content != nullptr && AcceptsGzip(request.headers);
  const Variant& variant = gzip ? file.gzip : file.plain;
  Response response;
  response.headers.Add("ETag", variant.etag);
  response.headers.Add("Cache-Control",
                       file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (file.gzip.content) response.headers.Add("Vary", "Accept-Encoding");
  response.headers.Add("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.Add("Permissions-Policy", kPermissionsPolicy);
  const auto condition = request.headers.Find("If-None-Match");
  if (condition && Matches(*condition, variant.etag)) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", file.media_type);
  if (gzip) response.headers.Add("Content-Encoding", "gzip");
  response.shared_body = variant.content;
  return response;
}

}  // namespace emotion::gateway
