// One simulated webcam: sends its frames when they are due, drops and restores its connection,
// withdraws frames, follows the server's pace where asked to, and reports all of it to the tally.
//
// One thread: the io_context's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bench/load/frame_clock.h"
#include "bench/load/frame_images.h"
#include "bench/load/link.h"
#include "bench/load/options.h"
#include "bench/load/tally.h"

namespace emotion::bench {

class WebcamSession final : public LinkEvents {
 public:
  // Borrowed by all sessions; outlives them.
  struct World {
    boost::asio::io_context& io;
    const LoadOptions& options;
    const PhasePlan& plan;
    const FrameImages& images;
    Tally& tally;
    LinkFactory make_link;
    uint64_t first_picture = 0;  // at random: a cache may remember the last run
    uint64_t cut_off = 0;        // connections lost against our will
  };

  WebcamSession(World& world, const LinkIdentity& identity, double fps);
  ~WebcamSession() override;
  WebcamSession(const WebcamSession&) = delete;
  WebcamSession& operator=(const WebcamSession&) = delete;

  void Connect();
  bool connected() const { return ready_; }

  // From now on frames are sent; offset 0 of the plan is at `begin`.
  void Begin(std::chrono::steady_clock::time_point begin);

  size_t unanswered() const { return unanswered_.size(); }
  bool finished() const { return finished_; }  // no frame is left to send

  // Closes; what is unanswered is counted so.
  void End();

  void OnReady() override { ready_ = true; }
  void OnAnswer(uint64_t id, const Answer& answer) override;
  void OnLost() override;

 private:
  Offset Now() const { return std::chrono::steady_clock::now() - begin_; }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  bool Happens(double share) { return share > 0 && Uniform() < share; }

  void ScheduleNext();
  void Tick();
  void SendFrame(const FrameRecord& frame);
  std::string NextImage();
  std::chrono::milliseconds TimeLeft(const FrameRecord& frame);
  void WithdrawSoon(uint64_t id);
  void Withdraw(uint64_t id);
  void Disconnect();
  void ReconnectSoon();
  void FailUnanswered(const char* reason);

  World& world_;
  const LinkIdentity identity_;
  FrameClock clock_;
  std::minstd_rand random_;
  boost::asio::steady_timer due_;
  boost::asio::steady_timer reconnect_;
  std::chrono::steady_clock::time_point begin_;

  std::shared_ptr<Link> link_;
  uint64_t last_id_ = 0;  // on this link
  std::unordered_map<uint64_t, FrameRecord> unanswered_;
  bool ready_ = false;
  bool left_ = false;  // we dropped the connection, and the camera with it
  bool finished_ = false;
  FrameTime next_;
  Offset pace_until_{0};
  uint64_t pictures_ = 0;
  uint64_t picture_ = 0;
  uint32_t nuance_ = 0;
  // Timers of withdrawals may outlive the session.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace emotion::bench
