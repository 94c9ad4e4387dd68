// The web page: every file of one directory, read into memory at the start.
//
// A request looks a path up in a table of what was read, so no path can leave the directory and no
// request touches the disk. Files of known types only; hidden files, symbolic links, node_modules
// and the manifests of npm are left out. A file `x.gz` beside `x` is served for `x` to clients that
// accept gzip. What lies below vendor/NAME-1.2.3/ never changes and is cached for ever; everything
// else is revalidated by its ETag, the hash of its content.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gateway/http/message.h"

namespace emotion::gateway {

class StaticFiles {
 public:
  // No files: every path is unknown.
  StaticFiles() = default;

  // FAILED_PRECONDITION when `directory` cannot be read or holds over 128 MiB.
  static absl::StatusOr<StaticFiles> Load(const std::string& directory);

  // `path` as in Request::path; "/" is index.html. False: no such file.
  bool Has(std::string_view path) const { return Find(path) != nullptr; }

  // 200 or 304. REQUIRES: Has(request.path).
  Response Serve(const Request& request) const;

  size_t count() const { return files_.size(); }

 private:
  struct Variant {
    std::shared_ptr<const std::string> content;
    std::string etag;  // strong, with its quotes
  };
  struct File {
    std::string_view media_type;
    bool immutable = false;
    Variant plain;
    Variant gzip;  // no content: there is none
  };

  const File* Find(std::string_view path) const;

  std::map<std::string, File, std::less<>> files_;  // by path, "/js/main.js"
};

// "text/javascript; charset=utf-8" for "a.mjs"; "" for types that are not served.
std::string_view MediaTypeOf(std::string_view path);

}  // namespace emotion::gateway
