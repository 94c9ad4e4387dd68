#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "common/error/error.h"
#include "gateway/http/address.h"
#include "gateway/http/message.h"
#include "gateway/http/problem.h"
#include "gateway/http/router.h"
#include "gateway/http/static_files.h"
#include "gateway/http/target.h"
#include "nlohmann/json.hpp"

namespace emotion::gateway {
namespace {

namespace fs = std::filesystem;

TEST_CASE("targets are split and decoded") {
  const auto target = ParseTarget("/a%20b/c?x=1&y=%26+z&flag&&=e#f");
  REQUIRE(target.has_value());
  CHECK(target->path == "/a b/c");
  CHECK(target->query == std::vector<std::pair<std::string, std::string>>{
                             {"x", "1"}, {"y", "& z"}, {"flag", ""}, {"", "e"}});
  CHECK(ParseTarget("http://host:80/p?q=1")->path == "/p");
  CHECK(ParseTarget("https://host")->path == "/");
}

TEST_CASE("targets that cannot be decoded safely are refused") {
  for (const char* text : {"", "*", "a", "/%", "/%4", "/%zz", "/%00", "/%0a", "/%0D", "/%7f",
                           "/a\\b", "/%5c", "/?a=%", "/?a=%00", "/?%0a=1", "ftp://x/", "/%+1"}) {
    INFO(text);
    CHECK_FALSE(ParseTarget(text).has_value());
  }
}

TEST_CASE("header fields are found without case and split at commas") {
  Headers headers;
  headers.Add("Accept-Encoding", "br;q=1.0, GZIP ;q=0.5");
  headers.Add("accept-encoding", "deflate");
  CHECK(headers.Find("ACCEPT-ENCODING") == "br;q=1.0, GZIP ;q=0.5");
  CHECK(headers.HasToken("accept-encoding", "gzip"));
  CHECK(headers.HasToken("accept-encoding", "deflate"));
  CHECK_FALSE(headers.HasToken("accept-encoding", "zip"));
  CHECK(headers.Count("Accept-encoding") == 2);
  headers.Set("Accept-Encoding", "x");
  CHECK(headers.Count("Accept-encoding") == 1);
}

Router SomeRouter() {
  const auto nothing = [](const std::shared_ptr<Exchange>&) {};
  return Router({{"GET", "/a", nothing, {}},
                 {"POST", "/a", nothing, {}},
                 {"DELETE", "/s/{id}", nothing, {}},
                 {"GET", "/s/{id}/x", nothing, {}}});
}

TEST_CASE("the router finds routes by path and method") {
  const Router router = SomeRouter();
  CHECK(router.Match("GET", "/a").route->method == "GET");
  CHECK(router.Match("HEAD", "/a").route->method == "GET");
  CHECK(router.Match("POST", "/a").route->method == "POST");
  CHECK(router.Match("DELETE", "/s/42").parameter == "42");
  CHECK(router.Match("GET", "/s/42/x").parameter == "42");
}

TEST_CASE("a known path with another method says which are allowed") {
  const Router router = SomeRouter();
  CHECK(router.Match("PUT", "/a").route == nullptr);
  CHECK(router.Match("PUT", "/a").allow == "GET, HEAD, POST, OPTIONS");
  CHECK(router.Match("GET", "/s/1").allow == "DELETE, OPTIONS");
  CHECK(router.Match("get", "/a").route == nullptr);
}

TEST_CASE("paths that only resemble a route are unknown") {
  const Router router = SomeRouter();
  for (const char* path :
       {"", "/", "/a/", "/A", "//a", "/s", "/s/", "/s//x", "/s/1/2", "/s/1/x/"}) {
    INFO(path);
    CHECK(router.Match("GET", path).allow.empty());
  }
}

TEST_CASE("an exchange is answered once, and tells of a client that left") {
  int answers = 0;
  int cancels = 0;
  {
    Exchange exchange({}, [&](const Response&) { ++answers; });
    exchange.OnGone([&] { ++cancels; });
    exchange.NotifyGone();
    exchange.NotifyGone();
    exchange.Respond({});
    exchange.Respond({});
  }
  CHECK(answers == 1);
  CHECK(cancels == 1);
  Exchange gone({}, [](const Response&) {});
  gone.NotifyGone();
  gone.OnGone([&] { ++cancels; });
  CHECK(cancels == 2);
  gone.Respond({});
  gone.OnGone([&] { ++cancels; });
  CHECK(cancels == 2);
}

TEST_CASE("reason, then code, decide the status") {
  const std::vector<std::pair<Reason, int>> reasons = {
      {Reason::kImageTooLarge, 413},    {Reason::kBodyTooLarge, 413},
      {Reason::kImageUnsupported, 415}, {Reason::kImageCorrupt, 400},
      {Reason::kImageDimensions, 400},  {Reason::kFieldInvalid, 400},
      {Reason::kRateLimited, 429},      {Reason::kQueueFull, 429},
      {Reason::kSuperseded, 409},       {Reason::kDeadline, 504},
      {Reason::kDraining, 503},         {Reason::kNoReplica, 503},
      {Reason::kModelMismatch, 503},    {Reason::kTokenInvalid, 401},
      {Reason::kTokenExpired, 401},     {Reason::kScopeMissing, 403},
      {Reason::kLoading, 503},          {Reason::kFrameRefused, 503},
      {Reason::kCancelled, 499},        {Reason::kInternal, 500}};
  for (const auto& [reason, status] : reasons) {
    INFO(ReasonName(reason));
    CHECK(HttpStatusOf(Error(reason, "x")) == status);
  }
  const std::vector<std::pair<absl::StatusCode, int>> codes = {
      {absl::StatusCode::kOk, 200},
      {absl::StatusCode::kInvalidArgument, 400},
      {absl::StatusCode::kFailedPrecondition, 400},
      {absl::StatusCode::kOutOfRange, 400},
      {absl::StatusCode::kUnauthenticated, 401},
      {absl::StatusCode::kPermissionDenied, 403},
      {absl::StatusCode::kNotFound, 404},
      {absl::StatusCode::kAborted, 409},
      {absl::StatusCode::kAlreadyExists, 409},
      {absl::StatusCode::kResourceExhausted, 429},
      {absl::StatusCode::kCancelled, 499},
      {absl::StatusCode::kUnknown, 500},
      {absl::StatusCode::kInternal, 500},
      {absl::StatusCode::kDataLoss, 500},
      {absl::StatusCode::kUnimplemented, 501},
      {absl::StatusCode::kUnavailable, 503},
      {absl::StatusCode::kDeadlineExceeded, 504},
      {static_cast<absl::StatusCode>(77), 500}};
  for (const auto& [code, status] : codes) {
    CHECK(HttpStatusOf(absl::Status(code, "x")) == status);
  }
}

TEST_CASE("a problem document says everything about an error of the caller") {
  const Response response =
      Problem(WithViolation(FieldError("images/3", "is empty"), {"/face_id", "must be 0"}), "id-1");
  const auto json = nlohmann::json::parse(response.body);
  CHECK(json["status"] == 400);
  CHECK(json["title"] == "Bad Request");
  CHECK(json["detail"] == "images/3: is empty");
  CHECK(json["code"] == "INVALID_ARGUMENT");
  CHECK(json["reason"] == "FIELD_INVALID");
  CHECK(json["request_id"] == "id-1");
  CHECK(json["errors"][0]["pointer"] == "/images/3");
  CHECK(json["errors"][0]["detail"] == "is empty");
  CHECK(json["errors"][1]["pointer"] == "/face_id");
  CHECK(response.headers.Find("Content-Type") == "application/problem+json");
}

TEST_CASE("nothing internal is told in an answer of 500 and above") {
  for (const absl::Status& status :
       {absl::UnavailableError("ipv4:10.1.2.3:50052 refused"), absl::InternalError("/etc/secret"),
        absl::UnknownError("10.1.2.3"), absl::DataLossError("10.1.2.3"),
        absl::DeadlineExceededError("10.1.2.3"), absl::UnimplementedError("10.1.2.3"),
        WithViolation(Error(Reason::kNoReplica, "10.1.2.3"), {"10.1.2.3", "secret"})}) {
    const std::string body = Problem(status, "").body;
    INFO(body);
    CHECK(body.find("10.1.2.3") == std::string::npos);
    CHECK(body.find("secret") == std::string::npos);
    CHECK_NOTHROW(nlohmann::json::parse(body));
  }
}

TEST_CASE("Retry-After is whole seconds, rounded up, on 429 and 503") {
  const auto retry = [](const absl::Status& status) {
    const Response response = Problem(status, "");
    return std::string(response.headers.Find("Retry-After").value_or("-"));
  };
  const absl::Status full = Error(Reason::kQueueFull, "x");
  CHECK(retry(WithRetry(full, std::chrono::milliseconds(2001))) == "3");
  CHECK(retry(WithRetry(full, std::chrono::milliseconds(1))) == "1");
  CHECK(retry(full) == "1");
  CHECK(retry(Error(Reason::kLoading, "x")) == "1");
  CHECK(retry(Error(Reason::kDeadline, "x")) == "-");
}

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("emotion_static_" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  void Put(const std::string& name, std::string_view content) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

Request Get(std::string path) {
  Request request;
  request.method = "GET";
  request.path = std::move(path);
  return request;
}

TEST_CASE("files have their types, an ETag, and 304 when it matches") {
  const Folder folder;
  folder.Put("index.html", "<p>");
  folder.Put("js/a.mjs", "1");
  folder.Put("empty.css", "");
  const StaticFiles files = StaticFiles::Load(folder.path()).value();
  CHECK(files.count() == 3);
  const Response page = files.Serve(Get("/"));
  CHECK(page.content() == "<p>");
  CHECK(page.headers.Find("Content-Type") == "text/html; charset=utf-8");
  CHECK(page.headers.Find("Cache-Control") == "no-cache");
  CHECK(page.headers.Find("Content-Security-Policy")->find("'wasm-unsafe-eval'") !=
        std::string_view::npos);
  CHECK(files.Serve(Get("/js/a.mjs")).headers.Find("Content-Type") ==
        "text/javascript; charset=utf-8");
  CHECK(files.Serve(Get("/empty.css")).content().empty());

  Request again = Get("/");
  again.headers.Add("If-None-Match", "\"other\", W/" + std::string(*page.headers.Find("ETag")));
  CHECK(files.Serve(again).status == 304);
  Request other = Get("/");
  other.headers.Add("If-None-Match", "\"other\"");
  CHECK(files.Serve(other).status == 200);
}

TEST_CASE("the media types that the page needs are known") {
  CHECK(MediaTypeOf("/v/x.wasm") == "application/wasm");
  CHECK(MediaTypeOf("/v/x.tflite") == "application/octet-stream");
  CHECK(MediaTypeOf("/x.svg") == "image/svg+xml");
  CHECK(MediaTypeOf("/x.js") == "text/javascript; charset=utf-8");
  CHECK(MediaTypeOf("/x.json") == "application/json");
  CHECK(MediaTypeOf("/x.png") == "image/png");
  CHECK(MediaTypeOf("/x.exe").empty());
}

TEST_CASE("compressed twins are for clients that accept gzip; versioned folders are immutable") {
  const Folder folder;
  folder.Put("vendor/lib-1.2.3/a.wasm", "plain");
  folder.Put("vendor/lib-1.2.3/a.wasm.gz", "squeezed");
  folder.Put("vendor/lib/a.js", "x");
  folder.Put("orphan.js.gz", "x");
  const StaticFiles files = StaticFiles::Load(folder.path()).value();
  CHECK(files.count() == 2);
  Request request = Get("/vendor/lib-1.2.3/a.wasm");
  const Response plain = files.Serve(request);
  CHECK(plain.content() == "plain");
  CHECK(plain.headers.Find("Vary") == "Accept-Encoding");
  CHECK(plain.headers.Find("Cache-Control")->find("immutable") != std::string_view::npos);
  request.headers.Add("Accept-Encoding", "gzip, deflate");
  const Response squeezed = files.Serve(request);
  CHECK(squeezed.content() == "squeezed");
  CHECK(squeezed.headers.Find("Content-Encoding") == "gzip");
  CHECK(squeezed.headers.Find("Content-Type") == "application/wasm");
  CHECK(squeezed.headers.Find("ETag") != plain.headers.Find("ETag"));
  CHECK(files.Serve(Get("/vendor/lib/a.js")).headers.Find("Cache-Control") == "no-cache");
}

TEST_CASE("nothing outside the folder and nothing hidden is served") {
  const Folder folder;
  folder.Put("a.js", "x");
  folder.Put(".git/config.json", "secret");
  folder.Put("node_modules/x/index.js", "x");
  folder.Put("package.json", "{}");
  folder.Put("notes.exe", "x");
  fs::create_symlink("/etc/hostname", fs::path(folder.path()) / "link.txt");
  const StaticFiles files = StaticFiles::Load(folder.path()).value();
  CHECK(files.count() == 1);
  for (const char* path : {"/../a.js", "/./a.js", "//a.js", "/a.js/", "/link.txt", "/package.json",
                           "/.git/config.json", "/../../etc/passwd", "", "a.js"}) {
    CHECK_FALSE(files.Has(path));
  }
  CHECK_FALSE(StaticFiles::Load(folder.path() + "/missing").ok());
}

TEST_CASE("IPv6 addresses count by their /64") {
  CHECK(AddressGroup("192.0.2.7") == "192.0.2.7");
  CHECK(AddressGroup("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(AddressGroup("2001:db8:1:2::9") == "2001:db8:1:2::/64");
  CHECK(AddressGroup("::1") == "::/64");
  CHECK(AddressGroup("fe80::1%eth0") == "fe80::/64");
  CHECK(AddressGroup("nonsense") == "nonsense");
}

}  // namespace
}  // namespace emotion::gateway
