#include "common/rpc/session_core.h"

#include <catch2/catch.hpp>

namespace emotion {
namespace {

using Core = SessionCore<int>;

Core OpenCore(SessionLimits limits = {}, SessionSide side = SessionSide::kServer) {
  Core core(limits, side);
  core.Open();
  return core;
}

}  // namespace

TEST_CASE("one write is outstanding at a time, in the order of the messages") {
  Core core = OpenCore();
  CHECK(core.Push(1));
  CHECK(core.Next().write);
  CHECK(core.current() == 1);
  CHECK(core.Push(2));
  CHECK(core.Push(3));
  CHECK_FALSE(core.Next().write);
  core.WriteDone(true);
  CHECK(core.Next().write);
  CHECK(core.current() == 2);
  CHECK_FALSE(core.Next().write);
  core.WriteDone(true);
  CHECK(core.Next().write);
  CHECK(core.current() == 3);
  core.WriteDone(true);
  CHECK_FALSE(core.Next().write);
}

TEST_CASE("reads start when the shell is ready, one at a time") {
  Core core({}, SessionSide::kServer);
  CHECK_FALSE(core.Next().read);
  core.Open();
  CHECK(core.Next().read);
  CHECK_FALSE(core.Next().read);
  core.ReadDone(true);
  CHECK(core.Next().read);
}

TEST_CASE("reads are held while the peer does not take its answers, and go on when it does") {
  Core core = OpenCore({.hold_reads_above = 2});
  CHECK(core.Next().read);
  for (int i = 0; i < 4; ++i) core.Push(i);
  core.Next();  // 0 is being written, 3 wait
  core.ReadDone(true);
  CHECK_FALSE(core.Next().read);
  core.WriteDone(true);
  const SessionSteps steps = core.Next();  // 2 wait
  CHECK(steps.write);
  CHECK(steps.read);
}

TEST_CASE(
    "a client reads on however much waits to be sent, so that two sides never block each other") {
  Core core = OpenCore({.hold_reads_above = 2}, SessionSide::kClient);
  for (int i = 0; i < 9; ++i) core.Push(i);
  CHECK(core.Next().read);
  core.ReadDone(true);
  CHECK(core.Next().read);
}

TEST_CASE("the close waits for the queue and comes once") {
  Core core = OpenCore();
  core.Push(1);
  core.Push(2);
  core.Next();
  CHECK(core.Close());
  CHECK_FALSE(core.Close());
  CHECK_FALSE(core.Push(3));
  CHECK_FALSE(core.Next().close);
  core.WriteDone(true);
  SessionSteps steps = core.Next();
  CHECK(steps.write);
  CHECK_FALSE(steps.close);
  core.WriteDone(true);
  steps = core.Next();
  CHECK(steps.close);
  CHECK_FALSE(steps.write);
  CHECK_FALSE(core.Next().close);
}

TEST_CASE("half-close ends reading, not writing") {
  Core core = OpenCore();
  CHECK(core.Next().read);
  core.ReadDone(false);
  CHECK_FALSE(core.Next().read);
  CHECK(core.Push(1));
  CHECK(core.Next().write);
}

TEST_CASE("a broken stream drops what waits and closes after the outstanding write") {
  Core core = OpenCore();
  core.Push(1);
  core.Push(2);
  core.Next();
  core.Break();
  CHECK_FALSE(core.Push(3));
  CHECK_FALSE(core.Next().close);
  core.WriteDone(false);
  const SessionSteps steps = core.Next();
  CHECK(steps.close);
  CHECK_FALSE(steps.write);
  CHECK_FALSE(core.Close());
}

TEST_CASE("a failed write breaks the stream") {
  Core core = OpenCore();
  core.Push(1);
  core.Next();
  core.WriteDone(false);
  CHECK(core.broken());
  CHECK(core.Next().close);
}

TEST_CASE("a pin keeps the close away") {
  Core core = OpenCore();
  core.Pin();
  core.Break();
  CHECK_FALSE(core.Next().close);
  core.Unpin();
  CHECK(core.Next().close);
}

TEST_CASE("a server stops reading at its close, a client reads on until the end") {
  Core server = OpenCore({}, SessionSide::kServer);
  server.Next();
  server.Close();
  CHECK(server.Next().close);
  server.ReadDone(true);
  CHECK_FALSE(server.Next().read);

  Core client = OpenCore({}, SessionSide::kClient);
  client.Next();
  client.Close();
  CHECK(client.Next().close);
  client.ReadDone(true);
  CHECK(client.Next().read);
  client.ReadDone(false);
  CHECK_FALSE(client.Next().read);
}

TEST_CASE("more messages than the limit are refused and said to overflow") {
  Core core = OpenCore({.hold_reads_above = 1, .cut_off_above = 3});
  for (int i = 0; i < 3; ++i) CHECK(core.Push(i));
  CHECK_FALSE(core.overflowing());
  CHECK_FALSE(core.Push(3));
  CHECK(core.overflowing());
}

}  // namespace emotion
