// The rules under load, in virtual time: senders that arrive at random, an encoder that takes 20 ms
// for a batch of up to eight. What the promises of the service rest on.
#include <algorithm>
#include <cmath>
#include <map>
#include <queue>

#include "embedding_service/batching/batch_queue.h"
#include "tests/unit/embedding_service/batching/queue_words.h"

namespace emotion::embedding {
namespace {

using std::chrono::microseconds;
using testing::kFace;
using testing::milliseconds;
using testing::Random;

constexpr microseconds kEncode{20'000};
constexpr double kCapacity = 8 / 0.020;  // frames a second

struct Sender {
  std::string subject;
  double per_second = 0;
  milliseconds timeout{1000};
  double until_s = 1e9;  // then it is silent
};

struct Answered {
  int64_t arrived_us = 0;
  int64_t took_us = 0;
};

struct Outcome {
  std::map<std::string, std::vector<Answered>> answered;
  std::map<std::string, int> refused;
  std::map<std::string, int> died;
  int late = 0;  // answered, after their deadline

  size_t Count() const {
    size_t count = 0;
    for (const auto& [subject, each] : answered) count += each.size();
    return count;
  }
  // Over all subjects but `except`.
  double P99Ms(const std::string& except) const {
    std::vector<int64_t> times;
    for (const auto& [subject, each] : answered) {
      if (subject == except) continue;
      for (const Answered& one : each) times.push_back(one.took_us);
    }
    const size_t at = times.size() * 99 / 100;
    std::nth_element(times.begin(), times.begin() + static_cast<ptrdiff_t>(at), times.end());
    return static_cast<double>(times[at]) / 1000;
  }
};

class Simulation {
 public:
  Simulation(const std::vector<Sender>& senders, size_t encoders, microseconds length)
      : senders_(senders), queue_({.max_frames = 8}, encoders), busy_(encoders), length_(length) {
    std::vector<MeasuredEncode> measured;
    for (const int64_t faces : {1, 2, 4, 8}) measured.push_back({faces * kFace, kEncode});
    queue_.Learn(measured);
    for (size_t i = 0; i < senders_.size(); ++i) ScheduleNext(i, 0);
  }

  Outcome Run() {
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_us_ = event.at_us;
      for (const Ticket dead : queue_.TakeDead(Now())) ++outcome_.died[Drop(dead).subject];
      if (event.encoder) {
        Finish(*event.encoder);
      } else {
        Arrive(event.sender);
      }
      for (size_t i = 0; i < busy_.size(); ++i) StartIfFree(i);
    }
    return outcome_;
  }

 private:
  struct Event {
    int64_t at_us = 0;
    std::optional<size_t> encoder = {};  // it is through; else a frame of the sender arrives
    size_t sender = 0;
    bool operator<(const Event& other) const { return at_us > other.at_us; }
  };
  struct Frame {
    std::string subject;
    int64_t arrived_us = 0;
    TimePoint deadline;
  };

  TimePoint Now() const { return TimePoint{} + std::chrono::hours(1) + microseconds(now_us_); }
  void ScheduleNext(size_t sender, int64_t after_us) {
    const double uniform = (static_cast<double>(random_.Below(1'000'000)) + 1) / 1'000'001;
    const double gap_s = -std::log(uniform) / senders_[sender].per_second;
    const int64_t at_us = after_us + static_cast<int64_t>(gap_s * 1e6);
    const double end_s =
        std::min(senders_[sender].until_s, static_cast<double>(length_.count()) / 1e6);
    if (static_cast<double>(at_us) / 1e6 < end_s) {
      events_.push({.at_us = at_us, .sender = sender});
    }
  }
  Frame Drop(Ticket ticket) {
    auto node = frames_.extract(ticket);
    return node.mapped();
  }

  void Arrive(size_t index) {
    ScheduleNext(index, now_us_);
    const Sender& sender = senders_[index];
    const TimePoint deadline = Now() + sender.timeout;
    auto reserved =
        queue_.Reserve({.patches = kFace, .deadline = deadline, .subject = sender.subject}, Now());
    if (!reserved.ok()) {
      ++outcome_.refused[sender.subject];
      return;
    }
    if (reserved->evicted) ++outcome_.refused[Drop(*reserved->evicted).subject];
    queue_.Push({.ticket = next_, .patches = kFace, .deadline = deadline},
                std::move(reserved->place), Now());
    frames_[next_++] = {sender.subject, now_us_, deadline};
  }

  void StartIfFree(size_t encoder) {
    if (!busy_[encoder].empty()) return;
    busy_[encoder] = queue_.Take(encoder, Now());
    if (!busy_[encoder].empty()) {
      events_.push({.at_us = now_us_ + kEncode.count(), .encoder = encoder});
    }
  }
  void Finish(size_t encoder) {
    queue_.Encoded(encoder, Now(), true);
    for (const Ticket ticket : busy_[encoder]) {
      const Frame frame = Drop(ticket);
      outcome_.late += frame.deadline < Now();
      outcome_.answered[frame.subject].push_back({frame.arrived_us, now_us_ - frame.arrived_us});
    }
    busy_[encoder].clear();
  }

  const std::vector<Sender> senders_;
  BatchQueue queue_;
  std::vector<testing::Tickets> busy_;  // by encoder
  const microseconds length_;
  Random random_{11};
  std::priority_queue<Event> events_;
  std::map<Ticket, Frame> frames_;
  Outcome outcome_;
  int64_t now_us_ = 0;
  Ticket next_ = 1;
};

// Eight that keep to `load` of their ninth of the capacity, and one that sends `times` its own.
std::vector<Sender> EightAndOne(double load, double times) {
  std::vector<Sender> senders;
  const double share = kCapacity / 9;
  for (int i = 0; i < 8; ++i) senders.push_back({std::to_string(i), share * load});
  senders.push_back({"heavy", share * times});
  return senders;
}

TEST_CASE("one subject at ten times its share raises the p99 of the others by a fifth at most") {
  for (const double load : {0.3, 0.6, 0.8}) {
    const Outcome fair = Simulation(EightAndOne(load, 1), 1, std::chrono::seconds(200)).Run();
    const Outcome greedy = Simulation(EightAndOne(load, 10), 1, std::chrono::seconds(200)).Run();
    INFO("load " << load << ": p99 " << fair.P99Ms("heavy") << " and " << greedy.P99Ms("heavy"));
    CHECK(greedy.P99Ms("heavy") <= 1.2 * fair.P99Ms("heavy"));
    for (int i = 0; i < 8; ++i) {
      CHECK(!greedy.refused.contains(std::to_string(i)));
      CHECK(!greedy.died.contains(std::to_string(i)));
    }
    CHECK(static_cast<double>(greedy.Count()) > 0.95 * 200 * kCapacity);  // nothing is left idle
  }
}

TEST_CASE(
    "at twice the capacity no encode is wasted and the rest is refused, hardly a frame dies") {
  std::vector<Sender> senders;
  for (int i = 0; i < 40; ++i) {
    senders.push_back({std::to_string(i), kCapacity / 20, milliseconds(300)});
  }
  const Outcome outcome = Simulation(senders, 1, std::chrono::seconds(60)).Run();
  CHECK(static_cast<double>(outcome.Count()) > 0.95 * 60 * kCapacity);
  int died = 0;
  for (const auto& [subject, count] : outcome.died) died += count;
  INFO("died " << died << ", late " << outcome.late << ", answered " << outcome.Count() << ", p99 "
               << outcome.P99Ms(""));
  CHECK(died < static_cast<int>(outcome.Count()) / 25);
  CHECK(outcome.late == 0);
  size_t least = SIZE_MAX;
  for (const Sender& sender : senders) {
    least = std::min(least, outcome.answered.at(sender.subject).size());
  }
  CHECK(static_cast<double>(least) > 0.9 * static_cast<double>(outcome.Count()) / 40);
}

TEST_CASE("after an overload the wait is short again as soon as the queue has been worked off") {
  std::vector<Sender> senders = {{.subject = "steady", .per_second = kCapacity / 10},
                                 {.subject = "storm",
                                  .per_second = 5 * kCapacity,
                                  .timeout = milliseconds(1000),
                                  .until_s = 5}};
  const Outcome outcome = Simulation(senders, 1, std::chrono::seconds(10)).Run();
  for (const Answered& one : outcome.answered.at("steady")) {
    CHECK(one.took_us <= (one.arrived_us > 6'000'000 ? 41'000 : 100'000));
  }
}

TEST_CASE("two encoders give twice as much, and no one waits longer") {
  std::vector<Sender> senders;
  for (int i = 0; i < 20; ++i) {
    senders.push_back({std::to_string(i), 2 * kCapacity / 10, milliseconds(300)});
  }
  const Outcome outcome = Simulation(senders, 2, std::chrono::seconds(30)).Run();
  CHECK(static_cast<double>(outcome.Count()) > 0.95 * 30 * 2 * kCapacity);
  CHECK(outcome.late == 0);
}

}  // namespace
}  // namespace emotion::embedding
