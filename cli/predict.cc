// emotion predict [--server ADDRESS] IMAGE...: one JSON line per image, fields as REST.
//
// HOST:PORT is a classifier service (gRPC), http(s)://... a gateway; both answer the same.
#include <chrono>
#include <optional>

#include <fmt/format.h>
#include <grpcpp/client_context.h>

#include "cli/command_line.h"
#include "cli/http_client.h"
#include "cli/read_file.h"
#include "cli/verbs.h"
#include "common/observe/trace.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "emotion/v1/classifier.grpc.pb.h"
#include "gateway/json_codec/answers.h"

namespace emotion::cli {
namespace {

constexpr size_t kMaxImageBytes = size_t{7} << 20;  // what fits into a gRPC message
constexpr std::chrono::seconds kTimeout{60};

absl::StatusOr<std::string> PredictByGrpc(v1::ClassifierService::Stub& stub, std::string image) {
  const auto start = std::chrono::steady_clock::now();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  v1::PredictRequest request;
  request.mutable_frame()->set_encoded_image(std::move(image));
  request.mutable_frame()->set_request_id(MakeRequestId());
  v1::PredictResponse response;
  const grpc::Status status = stub.Predict(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return gateway::PredictionJson(response.result(), std::chrono::steady_clock::now() - start,
                                 request.frame().request_id());
}

absl::StatusOr<std::string> PredictByHttp(const std::string& server, std::string image) {
  const std::string type = image.starts_with("\x89PNG") ? "image/png"
                           : image.starts_with("RIFF")  ? "image/webp"
                                                        : "image/jpeg";
  auto answer = Fetch({.url = server + "/v1/predict",
                       .headers = {"Content-Type: " + type},
                       .body = std::move(image),
                       .timeout = kTimeout});
  if (!answer.ok()) return answer.status();
  if (answer->status != 200) {
    return absl::UnknownError(fmt::format("HTTP {}: {}", answer->status, answer->body));
  }
  return std::move(answer->body);
}

// `stub` is null where `server` is a gateway.
absl::StatusOr<std::string> PredictFile(const std::string& file, const std::string& server,
                                        v1::ClassifierService::Stub* stub) {
  auto image = ReadFile(file, kMaxImageBytes);
  if (!image.ok()) return image.status();
  if (image->empty()) return absl::InvalidArgumentError(file + ": the file is empty");
  auto line = stub != nullptr ? PredictByGrpc(*stub, *std::move(image))
                              : PredictByHttp(server, *std::move(image));
  if (absl::IsUnavailable(line.status())) {
    return absl::UnavailableError(
        fmt::format("{}; is the system running? `emotion serve` starts it",
                    std::string(line.status().message())));
  }
  if (!line.ok()) {
    return absl::UnknownError(fmt::format("{}: {}", file, std::string(line.status().message())));
  }
  return line;
}

int Predict(const std::string& server, const std::vector<std::string>& files) {
  std::unique_ptr<v1::ClassifierService::Stub> stub;
  if (!IsHttpUrl(server)) stub = v1::ClassifierService::NewStub(MakeChannel(server));
  int code = kExitDone;
  for (const std::string& file : files) {
    const auto line = PredictFile(file, server, stub.get());
    if (line.ok()) {
      fmt::print("{}\n", *line);
    } else {
      code = Fail(std::string(line.status().message()));
    }
  }
  return code;
}

}  // namespace

int RunPredict(Arguments arguments) {
  std::string server = "localhost:50052";
  std::vector<std::string> files;
  CLI::App app("Scores images: one line of JSON for each, as POST /v1/predict answers.",
               "emotion predict");
  app.add_option("--server", server,
                 "host:port of a classifier service, or http(s)://host:port of a gateway")
      ->capture_default_str();
  app.add_option("images", files, "JPEG, PNG or WebP files")->required();
  app.footer("Start a server with `emotion serve`. Example: emotion predict face.jpg");
  return ParseAndRun(app, arguments, [&] { return Predict(server, files); });
}

}  // namespace emotion::cli
