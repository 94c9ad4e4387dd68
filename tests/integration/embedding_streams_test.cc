// Many streams at once: every frame is answered exactly once, with what belongs to its own bytes,
// and nothing is held when they are gone. Also run under the thread sanitizer.
#include <atomic>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/integration/embedding_fixture.h"

namespace emotion::embedding {
namespace {

void ManyStreams(Way way) {
  Server server({.queue_limit = 512}, way);
  constexpr uint32_t kStreams = 8;
  constexpr uint32_t kFrames = 40;
  std::vector<std::string> images;
  std::vector<std::string> expected;
  for (uint32_t i = 0; i < 64; ++i) {
    images.push_back(MakePng(i, 32, 32));
    expected.push_back(Expected(images.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (uint32_t s = 0; s < kStreams; ++s) {
    clients.emplace_back([&, s] {
      Stream stream(server);
      for (uint32_t i = 0; i < kFrames; ++i) stream.Send(Frame(i, images[(s * 7 + i) % 64]));
      stream.HalfClose();
      for (uint32_t i = 0; i < kFrames; ++i) {
        const v1::EmbedResult result = stream.Get(i);
        if (result.status().code() != 0 ||
            result.embedding().data() != expected[(s * 7 + i) % 64]) {
          ++wrong;
        }
      }
      if (!stream.Closed().ok() || stream.AnsweredTwice()) ++wrong;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  server.AwaitNothingHeld();
}

TEST_CASE("many streams at once get each the vectors of their own images, over a socket") {
  ManyStreams(Way::kSocket);
}

TEST_CASE("many streams at once get each the vectors of their own images, in process") {
  ManyStreams(Way::kInProcess);
}

// Images, and what the heads must see of them.
struct Album {
  explicit Album(uint32_t size) {
    for (uint32_t i = 0; i < size; ++i) {
      images.push_back(MakePng(i, 32, 32));
      expected.push_back(Expected(images.back()));
    }
  }
  std::vector<std::string> images;
  std::vector<std::string> expected;
};

void CheckNothingLeft(Server& server) {
  server.AwaitNothingHeld();
  const auto says = [&](const std::string& line) {
    return server.metrics.Text().find("\n" + line + "\n") != std::string::npos;
  };
  const auto until = Soon();
  while (!says("emotion_streams 0") && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  CHECK(says("emotion_streams 0"));
  CHECK(says("emotion_queue_frames 0"));
}

// May frame `id` have been answered so? `live`: it may be superseded; `abandoned`: it was
// cancelled, or its time was short.
bool Sound(const v1::EmbedResult& result, const std::string& expected, bool live, bool abandoned) {
  switch (ReasonIn(result)) {
    case Reason::kUnspecified:
      return result.status().code() == 0 && result.embedding().data() == expected;
    case Reason::kSuperseded:
      return live;
    case Reason::kCancelled:
    case Reason::kDeadline:
    case Reason::kQueueFull:  // no time for it
      return abandoned;
    default:
      return false;
  }
}

TEST_CASE("64 streams of live and plain frames: each frame is answered once, with its own vector") {
  Server server({.batch_size = 8, .queue_limit = 4096});
  const Album album(48);
  constexpr uint32_t kStreams = 64;
  constexpr uint32_t kFrames = 24;
  std::atomic<int> wrong{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (uint32_t s = 0; s < kStreams; ++s) {
    clients.emplace_back([&, s] {
      Stream stream(server);
      const auto which = [&](uint64_t id) { return (s * 7 + id) % album.images.size(); };
      const auto live = [](uint64_t id) { return id % 3 != 0; };
      for (uint64_t id = 0; id < kFrames; ++id) {
        v1::Frame frame = Frame(id, album.images[which(id)]);
        frame.set_session_key(std::string(15, 's') + static_cast<char>('0' + s));
        frame.set_cache_mode(id % 2 == 0 ? v1::CACHE_MODE_NO_STORE : v1::CACHE_MODE_USE);
        frame.set_face_id(static_cast<uint32_t>(id % 2));
        if (live(id)) frame.set_sequence(id);
        stream.Send(std::move(frame));
      }
      stream.HalfClose();
      for (uint64_t id = 0; id < kFrames; ++id) {
        const v1::EmbedResult result = stream.Get(id);
        ++answered;
        if (!Sound(result, album.expected[which(id)], live(id), false)) ++wrong;
      }
      if (!stream.Closed().ok() || stream.AnsweredTwice()) ++wrong;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  CHECK(answered == kStreams * kFrames);
  CheckNothingLeft(server);
}

TEST_CASE("after 1,000 random cancels, disconnects and timeouts nothing is held any more") {
  Server server({.batch_size = 4, .queue_limit = 1024});
  const Album album(32);
  std::atomic<int> left{1000};  // of such events
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      std::minstd_rand random(c + 1);
      uint64_t sequence = 0;
      while (left > 0) {
        Stream stream(server);
        constexpr uint64_t kFrames = 30;
        std::vector<bool> live(kFrames);
        std::vector<bool> abandoned(kFrames);
        const auto which = [&](uint64_t id) { return (id + c) % album.images.size(); };
        for (uint64_t id = 0; id < kFrames; ++id) {
          v1::Frame frame = Frame(id, album.images[which(id)]);
          frame.set_session_key(std::string(15, 's') + static_cast<char>('0' + c));
          if (random() % 3 == 0) frame.set_cache_mode(v1::CACHE_MODE_NO_STORE);
          if (random() % 2 == 0) frame.set_sequence(++sequence);
          live[id] = frame.sequence() != 0;
          if (random() % 5 == 0) {
            frame.set_timeout_ms(1 + random() % 3);
            abandoned[id] = true;
            --left;
          }
          stream.Send(std::move(frame));
          if (random() % 4 == 0) {
            const uint64_t cancelled = random() % (id + 1);
            stream.Cancel(cancelled);
            abandoned[cancelled] = true;
            --left;
          }
        }
        if (random() % 3 == 0) {
          stream.Leave();
          --left;
          continue;
        }
        stream.HalfClose();
        if (!stream.Closed().ok() || stream.Answers() != kFrames || stream.AnsweredTwice()) ++wrong;
        for (uint64_t id = 0; id < kFrames; ++id) {
          if (!Sound(stream.Get(id), album.expected[which(id)], live[id], abandoned[id])) ++wrong;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  CheckNothingLeft(server);
}

TEST_CASE("after random cancels, disconnects and faults nothing is held any more") {
  Server server({.batch_size = 4, .queue_limit = 64});
  std::vector<std::string> images;
  for (uint32_t i = 0; i < 16; ++i) images.push_back(MakePng(i, 32, 32));
  std::vector<std::string> expected;
  for (const std::string& image : images) expected.push_back(Expected(image));
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      std::minstd_rand random(c + 1);
      for (int round = 0; round < 10; ++round) {
        Stream stream(server);
        for (uint64_t id = 0; id < 30; ++id) {
          v1::Frame frame = Frame(id, images[(id + c) % images.size()]);
          if (random() % 3 == 0) frame.set_cache_mode(v1::CACHE_MODE_NO_STORE);
          if (random() % 5 == 0) frame.set_timeout_ms(1 + random() % 3);
          stream.Send(frame);
          if (random() % 4 == 0) stream.Cancel(random() % 30);
          if (random() % 100 == 0) server.control.failures = 1;
        }
        if (random() % 2 == 0) {
          stream.Leave();
          continue;
        }
        stream.HalfClose();
        if (!stream.Closed().ok() || stream.Answers() != 30 || stream.AnsweredTwice()) ++wrong;
        for (uint64_t id = 0; id < 30; ++id) {
          const v1::EmbedResult result = stream.Get(id);
          if (result.status().code() == 0 &&
              result.embedding().data() != expected[(id + c) % images.size()]) {
            ++wrong;
          }
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  CheckNothingLeft(server);
}

TEST_CASE("newest wins among the frames of several streams, and is told on the older one's") {
  Server server({.batch_size = 1});
  Stream first(server);
  Stream second(server);
  server.Occupy();
  first.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  const auto live = [](uint64_t id, uint64_t sequence) {
    v1::Frame frame = Frame(id, MakePng(static_cast<uint32_t>(sequence) + 10));
    frame.set_session_key(std::string(16, 'a'));
    frame.set_sequence(sequence);
    return frame;
  };
  first.Send(live(2, 100));
  first.Send(live(3, 101));
  CHECK(ReasonIn(first.Get(2)) == Reason::kSuperseded);
  second.Send(live(1, 102));
  CHECK(ReasonIn(first.Get(3)) == Reason::kSuperseded);
  first.Send(live(4, 101));
  CHECK(ReasonIn(first.Get(4)) == Reason::kSuperseded);
  server.control.gate.Open();
  CHECK(first.Get(1).status().code() == 0);
  CHECK(second.Get(1).embedding().data() == Expected(MakePng(112)));
}

TEST_CASE("a stream is told the load once it was welcomed, and again when it changed") {
  Server server({.batch_size = 1});
  {
    Stream idle(server);
    CHECK(idle.AwaitLoad([](const v1::Load& load) { return load.window_frames() > 0; }));
  }
  server.control.encode_ms = 40;
  Stream stream(server);
  for (uint64_t id = 0; id < 40; ++id) {
    v1::Frame frame = Frame(id, MakePng(static_cast<uint32_t>(id)));
    // Many subjects: before one of many frames another would have its turn soon.
    frame.set_fairness_key(std::string(16, static_cast<char>('0' + id)));
    stream.Send(std::move(frame));
  }
  CHECK(stream.AwaitLoad([](const v1::Load& load) {
    return load.queue_wait_ms() > 100 && load.next_frame_after_ms() > load.queue_wait_ms();
  }));
  for (uint64_t id = 0; id < 40; ++id) CHECK(stream.Get(id).status().code() == 0);
  CHECK(stream.AwaitLoad([](const v1::Load& load) { return load.queue_wait_ms() < 100; }));
}

}  // namespace
}  // namespace emotion::embedding
