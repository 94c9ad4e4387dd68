// The restricted reader against programs that nobody's torch.save would write.
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "heads/pth/pickle_reader.h"
#include "heads/pth/pth_file.h"
#include "heads/pth/stored_zip.h"
#include "heads/pth/tensor.h"

namespace emotion::heads::pth {
namespace {

using namespace std::string_literals;

std::string RefusalOf(const std::string& program, const PickleLimits& limits = {}) {
  const auto document = ReadPickle(program, limits);
  REQUIRE_FALSE(document.ok());
  CHECK(document.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(document.status().message());
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string Text(const std::string& text) { return Little('X', 1) + Little(text.size(), 4) + text; }
std::string Long(int64_t value) { return "\x8a\x08" + Little(static_cast<uint64_t>(value), 8); }

// A tensor of storage '0' as torch.save writes it, with whatever sizes.
std::string TensorProgram(const std::string& storage_class, int64_t offset,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& stride) {
  std::string program =
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\n((" +
      Text("storage") + "ctorch\n" + storage_class + "\n" + Text("0") + Text("cpu") + Long(8) +
      "tQ" + Long(offset) + "(";
  for (int64_t size : shape) program += Long(size);
  program += "t(";
  for (int64_t step : stride) program += Long(step);
  return program +
         "t\x89"
         "ccollections\nOrderedDict\n)RtR.";
}

std::vector<uint8_t> Archive(const std::string& program, const std::string& storage,
                             const std::string& byte_order = "little") {
  StoredZip zip;
  zip.Add("x/data.pkl", program);
  zip.Add("x/byteorder", byte_order);
  zip.Add("x/data/0", storage);
  const std::string bytes = zip.Finish();
  return {bytes.begin(), bytes.end()};
}

absl::StatusOr<Tensor> ReadRoot(const std::string& program, const std::string& storage,
                                const std::string& byte_order = "little") {
  auto file = PthFile::Parse(Archive(program, storage, byte_order));
  REQUIRE(file.ok());
  return ReadTensor(**file, (*file)->document().root());
}

const std::string kEightFloats = [] {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    const auto value = static_cast<float>(i);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}();

}  // namespace

TEST_CASE("code is named and refused, however it is spelled") {
  CHECK(Contains(RefusalOf("\x80\x02"
                           "cposix\nsystem\n" +
                           Text("id") + "\x85R."),
                 "'posix system'"));
  CHECK(
      Contains(RefusalOf("\x80\x04" + Text("os") + Text("system") + "\x93" + Text("id") + "\x85R."),
               "'os system'"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "c__builtin__\neval\n."),
                 "'__builtin__ eval'"));
  CHECK(Contains(RefusalOf("cos\nsystem\n(S'id'\ntR."), "'os system'"));
  CHECK(Contains(RefusalOf("(ios\nsystem\n."), "opcode 0x69"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ccollections\nOrderedDict\n)\x81."),
                 "makes a Python object"));
  CHECK(Contains(RefusalOf("\x80\x02\x82\x01."), "opcode 0x82"));
}

TEST_CASE("only functions on the list are called, and only with what they take") {
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ctorch\nFloatStorage\n)R."),
                 "calls 'torch FloatStorage'"));
  CHECK(Contains(RefusalOf("\x80\x02}"
                           ")R."),
                 "no function"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ctorch._utils\n_rebuild_tensor_v2\n)R."),
                 "lacks its storage"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR."s),
                 "has no storage"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ctorch._utils\n_rebuild_parameter\n(}tR."),
                 "holds no tensor"));
  CHECK(Contains(RefusalOf("\x80\x02(" + Text("storage") + "tQ."), "storage reference"));
  CHECK(Contains(RefusalOf("\x80\x02K\x01}b."), "sets the state of an integer"));
  CHECK(Contains(RefusalOf("\x80\x02"
                           "ccollections\nOrderedDict\n(" +
                           std::string(17, 'N') + "tR."),
                 "too many arguments"));
}

TEST_CASE("a broken program stops at the byte where it breaks") {
  CHECK(RefusalOf("") == "data.pkl at byte 0: ends in the middle of a value");
  CHECK(RefusalOf("\x80\x02}") == "data.pkl at byte 3: ends in the middle of a value");
  CHECK(Contains(RefusalOf("\x80\x02."), "empty stack"));
  CHECK(Contains(RefusalOf("\x80\x02(."), "empty stack"));
  CHECK(Contains(RefusalOf("\x80\x02N(0."), "opcode 0x30"));
  CHECK(Contains(RefusalOf("\x80\x02t."), "was not opened"));
  CHECK(Contains(RefusalOf("\x80\x02}K\x01"
                           "a."),
                 "adds items to a dict"));
  CHECK(Contains(RefusalOf("\x80\x02}(K\x01u."), "a key without a value"));
  CHECK(Contains(RefusalOf("\x80\x02h\x05."), "never had"));
  CHECK(Contains(RefusalOf("\x80\x09}."), "protocol 9"));
  CHECK(Contains(RefusalOf("X\xff\xff\xff\xff"
                           "abc"),
                 "middle of a value"));
  CHECK(Contains(RefusalOf("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                           "abc"),
                 "middle of a value"));
  CHECK(Contains(RefusalOf("c" + std::string(1000, 'a')), "name without an end"));
  // A value below the mark must not be taken from above it.
  CHECK(Contains(RefusalOf("\x80\x02]K\x01(a."), "empty stack"));
}

TEST_CASE("objects, stack, marks and text are bounded") {
  CHECK(Contains(RefusalOf(std::string(100, ']'), {.objects = 50}), "too many objects"));
  CHECK(Contains(RefusalOf("]q\x00h\x00h\x00h\x00."s, {.stack = 3}), "too deep a stack"));
  CHECK(Contains(RefusalOf(std::string(2000, '(')), "nested too deeply"));
  CHECK(Contains(RefusalOf(Text(std::string(100, 'a')), {.text_bytes = 99}), "too much text"));
  // One long text, encoded again and again: copies count as well.
  std::string copies = Text(std::string(1000, 'a')) + "q\x00"s + "c_codecs\nencode\nq\x01(";
  for (int i = 0; i < 1000; ++i) copies += "h\x01h\x00\x85R"s;
  CHECK(Contains(RefusalOf(copies, {.text_bytes = 100000}), "too much text"));
}

TEST_CASE("structures that hold themselves cost nothing") {
  const auto list = ReadPickle(
      "\x80\x02]q\x00h\x00"
      "ah\x00"
      "a."s);
  REQUIRE(list.ok());
  REQUIRE(list->root().items.size() == 2);
  CHECK(&list->at(list->root().items[0]) == &list->root());
  const auto dict = ReadPickle("\x80\x02}q\x00"s + Text("model_state_dict") + "h\x00s."s);
  REQUIRE(dict.ok());
  CHECK(dict->Find(dict->root(), "model_state_dict") == &dict->root());
}

TEST_CASE("a program of a million shared references is read in a moment") {
  std::string program = "\x80\x02]q\x00(("s;
  for (int i = 0; i < 400000; ++i) program += "h\x00"s;
  program += "tq\x01"s;
  // The same long tuple as the arguments of many calls.
  for (int i = 0; i < 1000; ++i) program += "c__builtin__\nset\nh\x01R"s;
  program += "t.";
  const auto start = std::chrono::steady_clock::now();
  CHECK(ReadPickle(program).ok());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("numbers of every opcode have Python's values") {
  const auto value = [](const std::string& program) {
    const auto document = ReadPickle(program + ".");
    REQUIRE(document.ok());
    return document->root().kind == NodeKind::kFloat
               ? document->root().real
               : static_cast<double>(document->root().integer);
  };
  CHECK(value("K\xff") == 255);
  CHECK(value("M\x01\x02") == 513);
  CHECK(value("J\xff\xff\xff\xff") == -1);
  CHECK(value("\x8a\x01\x80") == -128);
  CHECK(value("\x8a\x02\x80\x00"s) == 128);
  CHECK(value("\x8a\x00"s) == 0);
  CHECK(value("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s) == -9223372036854775808.0);
  CHECK(value("G\x3f\xf8\x00\x00\x00\x00\x00\x00"s) == 1.5);
  CHECK(value("\x88") == 1);
}

TEST_CASE("views are read along their strides") {
  const auto transposed = ReadRoot(TensorProgram("FloatStorage", 1, {3, 2}, {1, 3}), kEightFloats);
  REQUIRE(transposed.ok());
  CHECK(transposed->shape == std::vector<int64_t>{3, 2});
  CHECK(transposed->values == std::vector<float>{1, 4, 2, 5, 3, 6});
  const auto expanded = ReadRoot(TensorProgram("FloatStorage", 7, {2, 2}, {0, 0}), kEightFloats);
  REQUIRE(expanded.ok());
  CHECK(expanded->values == std::vector<float>{7, 7, 7, 7});
  const auto last = ReadRoot(TensorProgram("FloatStorage", 7, {}, {}), kEightFloats);
  REQUIRE(last.ok());
  CHECK(last->values == std::vector<float>{7});
  const auto nothing = ReadRoot(TensorProgram("FloatStorage", 99, {0, 5}, {5, 1}), kEightFloats);
  REQUIRE(nothing.ok());
  CHECK(nothing->values.empty());
}

TEST_CASE("a tensor that reaches beyond its storage is refused, whatever its numbers") {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const std::vector<std::string> programs = {
      TensorProgram("FloatStorage", 0, {9}, {1}),
      TensorProgram("FloatStorage", 1, {8}, {1}),
      TensorProgram("FloatStorage", 8, {}, {}),
      TensorProgram("FloatStorage", kHuge, {1}, {1}),
      TensorProgram("FloatStorage", 0, {2, 2}, {kHuge, kHuge}),
      TensorProgram("FloatStorage", 0, {kHuge, kHuge}, {1, 1}),
      TensorProgram("FloatStorage", 0, {1LL << 32, 1LL << 32}, {0, 0}),
      TensorProgram("DoubleStorage", 0, {8}, {1}),
  };
  for (const std::string& program : programs) CHECK_FALSE(ReadRoot(program, kEightFloats).ok());
  CHECK(Contains(RefusalOf(TensorProgram("FloatStorage", -1, {1}, {1})), "offset"));
  CHECK(Contains(RefusalOf(TensorProgram("FloatStorage", 0, {2}, {-1})), "non-negative"));
  CHECK(Contains(RefusalOf(TensorProgram("FloatStorage", 0, {2}, {})), "equally many"));
  const std::vector<int64_t> nine(9, 1);
  CHECK(Contains(RefusalOf(TensorProgram("FloatStorage", 0, nine, nine)), "at most 8"));
}

TEST_CASE("every dtype is read, in both byte orders") {
  const auto one = [](const std::string& storage_class, const std::string& bytes,
                      const std::string& order = "little") {
    const auto tensor = ReadRoot(TensorProgram(storage_class, 0, {1}, {1}), bytes, order);
    REQUIRE(tensor.ok());
    return tensor->values[0];
  };
  CHECK(one("FloatStorage", "\x00\x00\xc0\x3f"s) == 1.5F);
  CHECK(one("FloatStorage", "\x3f\xc0\x00\x00"s, "big") == 1.5F);
  CHECK(one("DoubleStorage", "\x00\x00\x00\x00\x00\x00\xf8\x3f"s) == 1.5F);
  CHECK(one("HalfStorage", "\x00\x3e"s) == 1.5F);
  CHECK(one("HalfStorage", "\x01\x80"s) == -std::ldexp(1.0F, -24));
  CHECK(one("HalfStorage", "\xff\x7b"s) == 65504.0F);
  CHECK(std::isinf(one("HalfStorage", "\x00\x7c"s)));
  CHECK(std::isnan(one("HalfStorage", "\x01\x7c"s)));
  CHECK(one("BFloat16Storage", "\xc0\x3f"s) == 1.5F);
  CHECK(one("BFloat16Storage", "\x3f\xc0"s, "big") == 1.5F);
  CHECK(one("LongStorage", "\xfe\xff\xff\xff\xff\xff\xff\xff"s) == -2.0F);
  CHECK(one("IntStorage", "\xfe\xff\xff\xff"s) == -2.0F);
  CHECK(one("ShortStorage", "\xfe\xff"s) == -2.0F);
  CHECK(one("CharStorage", "\xfe"s) == -2.0F);
  CHECK(one("ByteStorage", "\xfe"s) == 254.0F);
  CHECK(one("BoolStorage", "\x01"s) == 1.0F);
  CHECK_FALSE(ReadRoot(TensorProgram("ComplexFloatStorage", 0, {1}, {1}), kEightFloats).ok());
}

TEST_CASE("an archive is refused for what its directory says or lacks") {
  const auto refusal = [](StoredZip zip) {
    const std::string bytes = zip.Finish();
    const auto file = PthFile::Parse({bytes.begin(), bytes.end()});
    REQUIRE_FALSE(file.ok());
    return std::string(file.status().message());
  };
  StoredZip without;
  without.Add("x/readme", "hello");
  CHECK(Contains(refusal(without), "without data.pkl"));
  StoredZip twice;
  twice.Add("x/data.pkl", "}.");
  twice.Add("x/data.pkl", "].");
  CHECK(Contains(refusal(twice), "two records 'x/data.pkl'"));
  StoredZip order;
  order.Add("x/data.pkl", "}.");
  order.Add("x/byteorder", "middle\x1b[31m");
  CHECK(Contains(refusal(order), "byte order 'middle?[31m'"));
  StoredZip many;
  for (int i = 0; i < 5000; ++i) many.Add(std::to_string(i), "");
  CHECK(Contains(refusal(many), "5000 records; the limit is 4096"));
}

TEST_CASE("a record whose bytes changed is found by its checksum") {
  std::vector<uint8_t> bytes = Archive(TensorProgram("FloatStorage", 0, {8}, {1}), kEightFloats);
  const size_t at = std::string(bytes.begin(), bytes.end()).find(kEightFloats);
  REQUIRE(at != std::string::npos);
  bytes[at + 6] ^= 1;
  auto file = PthFile::Parse(bytes);
  REQUIRE(file.ok());
  const auto tensor = ReadTensor(**file, (*file)->document().root());
  REQUIRE_FALSE(tensor.ok());
  CHECK(tensor.status().message() == "record 'x/data/0' is truncated or damaged");
}

TEST_CASE("a storage that the archive lacks is named") {
  StoredZip zip;
  zip.Add("x/data.pkl", TensorProgram("FloatStorage", 0, {1}, {1}));
  const std::string bytes = zip.Finish();
  auto file = PthFile::Parse({bytes.begin(), bytes.end()});
  REQUIRE(file.ok());
  const auto tensor = ReadTensor(**file, (*file)->document().root());
  CHECK(tensor.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(tensor.status().message() == "has no record 'x/data/0'");
}

}  // namespace emotion::heads::pth
