// Any messages and any answers, in any order, on one live session: every frame that reached the
// classifier is answered exactly once, what is said is always JSON of a known type, and a socket
// that ends leaves nothing behind.
//
// The input is a list of steps: a byte that says what happens, a byte with a number, and for a text
// that many bytes of it.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "common/error/error.h"
#include "common/log/log.h"
#include "gateway/live/live_hub.h"
#include "nlohmann/json.hpp"
#include "tests/fakes/fake_live.h"

namespace emotion::gateway {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

class Steps {
 public:
  explicit Steps(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string_view Text(size_t size) {
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(text.size());
    return text;
  }

 private:
  std::string_view rest_;
};

absl::Status StatusFor(uint8_t number) {
  switch (number % 4) {
    case 0:
      return absl::OkStatus();
    case 1:
      return Error(Reason::kSuperseded, "newer");
    case 2:
      return Error(Reason::kImageCorrupt, "corrupt");
    default:
      return Error(Reason::kInternal, "inside");
  }
}

struct Told {
  size_t predictions = 0;
  size_t superseded = 0;
  size_t errors_of_frames = 0;
};

Told Read(const std::vector<std::string>& sent) {
  Told told;
  for (const std::string& text : sent) {
    const nlohmann::json message = nlohmann::json::parse(text);
    const std::string type = message["type"];
    if (type == "prediction") ++told.predictions;
    if (type == "superseded") ++told.superseded;
    if (type == "error" && message.contains("id")) ++told.errors_of_frames;
    Require(type == "ready" || type == "prediction" || type == "superseded" || type == "error" ||
            type == "model" || type == "draining");
    if (type == "error") Require(message["problem"]["status"] >= 400);
  }
  return told;
}

void Live(std::string_view bytes) {
  testing::FakeLiveBackend backend;
  static Metrics metrics{BuildInfo{"fuzz", ""}};
  const Identity identity("secret", CacheScope::kSubject);
  LiveHub hub(backend, identity, metrics,
              {.input = {.max_image_bytes = 64, .max_batch_images = 1},
               .max_unanswered = 4,
               .now_us = [] { return uint64_t{1'700'000'000'000'000}; }});
  const auto socket = std::make_shared<testing::FakeWebSocket>();
  Request request;
  request.remote_address = "192.0.2.7";
  request.request_id = "fuzz";
  const std::shared_ptr<WebSocketHandler> session = hub.Open(request, socket);

  size_t answered = 0;
  Steps steps(bytes);
  while (!steps.done() && !socket->close_code) {
    const uint8_t step = steps.Byte();
    const uint8_t number = steps.Byte();
    switch (step % 8) {
      case 0:
      case 1:
        session->OnText(steps.Text(number));
        break;
      case 2:
        session->OnBinary(std::string(number, 'i'), nullptr);
        break;
      case 3:
        session->OnDropped(number % 2 == 0 ? WebSocketHandler::Dropped::kTooLarge
                                           : WebSocketHandler::Dropped::kNoRoom,
                           number);
        break;
      case 4:
      case 5:
        if (backend.waiting.contains(number)) ++answered;
        backend.Answer(number, StatusFor(step / 8));
        if (step % 8 == 4) socket->Run();
        break;
      case 6:
        backend.state.model = std::string(1, static_cast<char>('a' + number % 3));
        hub.ModelMayHaveChanged();
        break;
      default:
        number % 8 == 0 ? session->OnStop() : session->OnDrain();
    }
    Require(backend.waiting.size() <= 4);
  }
  if (!socket->close_code) {
    socket->Run();
    const Told told = Read(socket->sent);
    Require(told.predictions + told.superseded + told.errors_of_frames >= answered);
    Require(told.predictions + told.superseded <= answered);
  }
  uint64_t last = 0;
  for (const v1::Frame& frame : backend.frames) {
    Require(frame.sequence() > last && frame.face_id() < 64);
    Require(!frame.encoded_image().empty() && frame.encoded_image().size() <= 64);
    Require(frame.session_key().size() == 16);
    last = frame.sequence();
  }
  session->OnClosed({});
  socket->Run();
  Require(backend.waiting.empty());
  hub.Stop(std::chrono::steady_clock::now());
}

}  // namespace
}  // namespace emotion::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = [] {
    emotion::SetLogSinkForTesting([](std::string_view) {});
    return true;
  }();
  (void)quiet;
  emotion::gateway::Live({reinterpret_cast<const char*>(data), size});
  return 0;
}
