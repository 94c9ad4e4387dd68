#include "bench/load/runner.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "bench/load/frame_images.h"
#include "bench/load/grpc_link.h"
#include "bench/load/rest_link.h"
#include "bench/load/session.h"
#include "bench/load/websocket_link.h"

namespace emotion::bench {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStep{10};  // of connecting, and of waiting for the end
constexpr std::chrono::seconds kConnectPatience{30};

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

absl::StatusOr<FrameImages> LoadImages(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(fmt::format("{} cannot be read", path));
  return FrameImages::FromJpeg({std::istreambuf_iterator<char>(file), {}});
}

LinkFactory Links(asio::io_context& io, const LoadOptions& options) {
  switch (options.transport) {
    case Transport::kWebSocket:
      return WebSocketLinks(io, options);
    case Transport::kGrpc:
      return GrpcLinks(io, options);
    case Transport::kRest:
      break;
  }
  return RestLinks(io, options);
}

class Run {
 public:
  Run(const LoadOptions& options, const FrameImages& images, const PhasePlan& plan, Tally& tally)
      : options_(options),
        plan_(plan),
        world_{.io = io_,
               .options = options,
               .plan = plan,
               .images = images,
               .tally = tally,
               .make_link = Links(io_, options),
               .first_picture = std::random_device()() * uint64_t{1'000'003}},
        step_(io_),
        second_(io_) {
    for (size_t i = 0; i < options.all_sessions(); ++i) AddSession(i);
  }

  ~Run() {
    sessions_.clear();
    world_.make_link = nullptr;  // gRPC's threads are done with io_ after it
  }

  absl::StatusOr<RunFacts> Go() {
    facts_.label = options_.label;
    connecting_since_ = steady_clock::now();
    begin_ = connecting_since_;
    TakeSample();
    ConnectSome();
    io_.run();
    if (!error_.ok()) return error_;
    return facts_;
  }

 private:
  // The heavy ones come first and share subject 0.
  void AddSession(size_t index) {
    const bool heavy = index < options_.heavy_sessions;
    LinkIdentity identity{.session = index};
    double fps = options_.fps;
    if (heavy) {
      fps *= options_.heavy_factor / static_cast<double>(options_.heavy_sessions);
    } else {
      const size_t other = index - options_.heavy_sessions;
      const size_t address = options_.addresses == 0 ? other : other % options_.addresses;
      identity.subject = static_cast<uint32_t>(1 + address);
    }
    sessions_.push_back(std::make_unique<WebcamSession>(world_, identity, fps));
  }

  void After(std::chrono::nanoseconds wait, asio::steady_timer& timer, void (Run::*next)()) {
    timer.expires_after(wait);
    timer.async_wait([this, next](boost::system::error_code cancelled) {
      if (!cancelled) (this->*next)();
    });
  }

  // So many as the rate allows by now; all at once would overflow the listen queue.
  void ConnectSome() {
    const std::chrono::duration<double> passed = steady_clock::now() - connecting_since_;
    const auto due = static_cast<size_t>(1 + passed.count() * options_.connect_rate);
    while (opened_ < std::min(due, sessions_.size())) sessions_[opened_++]->Connect();
    const auto connected = static_cast<size_t>(
        std::count_if(sessions_.begin(), sessions_.end(),
                      [](const auto& session) { return session->connected(); }));
    facts_.connected = connected;
    if (connected == sessions_.size()) {
      Begin();
    } else if (passed > kConnectPatience) {
      error_ = absl::UnavailableError(fmt::format("only {} of {} sessions could connect to {}:{}",
                                                  connected, sessions_.size(), options_.host,
                                                  options_.port));
      EndSessions();
    } else {
      After(kStep, step_, &Run::ConnectSome);
    }
  }

  void Begin() {
    world_.cut_off = 0;
    begin_ = steady_clock::now();
    facts_.samples.front().time = Offset(-1);  // before connecting
    for (const auto& session : sessions_) session->Begin(begin_);
    EachSecond();
    After(plan_.total(), step_, &Run::AwaitAnswers);
  }

  void EachSecond() {
    TakeSample();
    ++seconds_;
    second_.expires_at(begin_ + std::chrono::seconds(seconds_));
    second_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled && !over_) EachSecond();  // cancelling comes too late for one that is due
    });
  }

  void AwaitAnswers() {
    const bool done = std::all_of(sessions_.begin(), sessions_.end(), [](const auto& session) {
      return session->finished() && session->unanswered() == 0;
    });
    if (done || Now() > plan_.total() + options_.linger) {
      facts_.end = std::max(Now(), plan_.total());
      TakeSample();
      EndSessions();
    } else {
      After(kStep, step_, &Run::AwaitAnswers);
    }
  }

  void EndSessions() {
    facts_.cut_off = world_.cut_off;
    over_ = true;
    second_.cancel();
    for (const auto& session : sessions_) session->End();
  }

  Offset Now() const { return steady_clock::now() - begin_; }

  void TakeSample() {
    UsageSample sample{.time = Now(), .client = UsageOf(0).value_or(ProcessUsage()), .server = {}};
    if (options_.server_pid != 0) sample.server = UsageOf(options_.server_pid);
    facts_.samples.push_back(sample);
  }

  const LoadOptions& options_;
  const PhasePlan& plan_;
  asio::io_context io_{1};
  WebcamSession::World world_;
  asio::steady_timer step_;
  asio::steady_timer second_;
  std::vector<std::unique_ptr<WebcamSession>> sessions_;
  size_t opened_ = 0;
  int seconds_ = 0;
  bool over_ = false;
  steady_clock::time_point connecting_since_;
  steady_clock::time_point begin_;
  RunFacts facts_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<RunOutcome> RunLoad(const LoadOptions& options) {
  RaiseFileLimit();
  const absl::StatusOr<FrameImages> images = LoadImages(options.image_file);
  if (!images.ok()) return images.status();
  RunOutcome outcome;
  outcome.plan = std::make_unique<PhasePlan>(options.phases);
  outcome.tally = std::make_unique<Tally>(*outcome.plan, options.all_sessions(),
                                          options.heavy_sessions, options.deadline);
  Run run(options, *images, *outcome.plan, *outcome.tally);
  absl::StatusOr<RunFacts> facts = run.Go();
  if (!facts.ok()) return facts.status();
  outcome.facts = *std::move(facts);
  return outcome;
}

}  // namespace emotion::bench
