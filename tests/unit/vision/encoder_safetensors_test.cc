#include <cstring>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "fmt/format.h"
#include "tests/unit/vision/temporary_directory.h"
#include "vision/encoder/safetensors.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;

std::string File(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + std::string(header) + std::string(data_bytes, '\x01');
}

std::string Entry(std::string_view name, std::string_view dtype, std::string_view shape, int begin,
                  int end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

absl::StatusOr<std::map<std::string, TensorView>> Parse(std::string_view file) {
  return ParseSafetensors(std::as_bytes(std::span(file)), "f.safetensors");
}

// The message of a file that must be refused; empty when it was taken.
std::string Refusal(std::string_view file) {
  const auto parsed = Parse(file);
  if (parsed.ok()) return {};
  CHECK(parsed.status().code() == absl::StatusCode::kInvalidArgument);
  const std::string message(parsed.status().message());
  CHECK_THAT(message, Contains("f.safetensors"));
  return message;
}

std::string RefusalOfHeader(std::string_view header, size_t data_bytes = 8) {
  return Refusal(File(header, data_bytes));
}

}  // namespace

TEST_CASE("a sound file gives each tensor its bytes, whatever the order of the header") {
  const std::string file =
      File("{" + Entry("b", "BF16", "[2]", 8, 12) + "," + Entry("a", "F32", "[1,2]", 0, 8) +
               R"(,"__metadata__":{"format":"pt"},)" + Entry("none", "I64", "[0,5]", 12, 12) + "," +
               Entry("scalar", "U8", "[]", 12, 13) + "}   ",
           13);
  const auto tensors = Parse(file);
  REQUIRE(tensors.ok());
  REQUIRE(tensors->size() == 4);
  CHECK(tensors->at("a").shape == Shape{1, 2});
  CHECK(tensors->at("a").dtype == DType::kF32);
  CHECK(tensors->at("b").bytes.size() == 4);
  CHECK(tensors->at("b").bytes.data() == tensors->at("a").bytes.data() + 8);
  CHECK(tensors->at("none").bytes.empty());
  CHECK(tensors->at("scalar").shape.empty());
}

TEST_CASE("a header that does not fit its file is refused before it is read") {
  CHECK_THAT(Refusal(""), Contains("has 0 bytes"));
  CHECK_THAT(Refusal("1234567"), Contains("has 7 bytes"));
  std::string file = File("{}", 0);
  CHECK(Parse(file).ok());
  file[0] = 3;
  CHECK_THAT(Refusal(file), Contains("the header's length, 3 bytes, is over the file's"));
  std::memset(file.data(), 0xff, 8);
  CHECK_THAT(Refusal(file), Contains("18446744073709551615"));
}

TEST_CASE("a header that is not the format's JSON is refused") {
  CHECK_THAT(RefusalOfHeader("", 0), Contains("begin with '{'"));
  CHECK_THAT(RefusalOfHeader(" {}", 0), Contains("begin with '{'"));
  CHECK_THAT(RefusalOfHeader("{", 0), Contains("not JSON"));
  CHECK_THAT(RefusalOfHeader("{}x", 0), Contains("not JSON"));
  CHECK_THAT(RefusalOfHeader(R"({"a":1})"), Contains("'a': a number where none belongs"));
  CHECK_THAT(RefusalOfHeader(R"({"a":"F32"})"), Contains("a string where none belongs"));
  CHECK_THAT(RefusalOfHeader(R"({"a":null})"), Contains("null"));
  CHECK_THAT(RefusalOfHeader(R"({"a":[]})"), Contains("a list where none belongs"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{}})"), Contains("must have dtype"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})"),
             Contains("member 'x' is not known"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"dtype":{"b":1}}})"), Contains("an object where none"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"shape":[[1]]}})"), Contains("a list where none"));
  CHECK_THAT(RefusalOfHeader(R"({"__metadata__":{"a":{"b":"c"}}})"), Contains("an object where"));
  CHECK_THAT(RefusalOfHeader(R"({"__metadata__":{"a":1}})"), Contains("a number where"));
  // A parser that recurses would run out of stack.
  CHECK_THAT(RefusalOfHeader(R"({"a":)" + std::string(1 << 20, '[')), Contains("a list where"));
}

TEST_CASE("names, members, dtypes and numbers that a header may not have are refused") {
  const auto entry = Entry("a", "F32", "[1]", 0, 4);
  CHECK_THAT(RefusalOfHeader("{" + entry + "," + entry + "}"), Contains("'a': is there twice"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"dtype":"F32","dtype":"F32"}})"),
             Contains("a member is there twice"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F31", "[1]", 0, 4) + "}"),
             Contains("dtype 'F31' is not known"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[-1]", 0, 4) + "}"), Contains("negative"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[1.5]", 0, 4) + "}"), Contains("fraction"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[18446744073709551615]", 0, 4) + "}"),
             Contains("63 bits"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) + "}"),
             Contains("more than 8 sizes"));
  CHECK_THAT(RefusalOfHeader("{" + Entry(std::string(513, 'n'), "F32", "[1]", 0, 4) + "}"),
             Contains("more than 512 bytes"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})"),
             Contains("two data_offsets"));
  CHECK_THAT(RefusalOfHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})"),
             Contains("two data_offsets"));
}

TEST_CASE("offsets must be in the file, fit the shape, and leave neither overlap nor hole") {
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[3]", 0, 12) + "}"),
             Contains("not inside the 8 bytes"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[2]", 8, 0) + "}"),
             Contains("not inside the 8 bytes"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[3]", 0, 8) + "}"),
             Contains("has 8 bytes; F32 [3] needs 12"));
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[4294967296,4294967296]", 0, 8) + "}"),
             Contains("overflows"));
  // The product wraps to 8 bytes in 64 bits.
  CHECK_THAT(RefusalOfHeader("{" + Entry("a", "F32", "[4611686018427387906]", 0, 8) + "}"),
             Contains("overflows"));
  const auto first = Entry("a", "F32", "[1]", 0, 4);
  CHECK_THAT(RefusalOfHeader("{" + first + "," + Entry("b", "F32", "[1]", 0, 4) + "}"),
             Contains("'b': begins at byte 0, overlapping"));
  CHECK_THAT(RefusalOfHeader("{" + first + "," + Entry("b", "F16", "[3]", 2, 8) + "}"),
             Contains("overlapping"));
  CHECK_THAT(RefusalOfHeader("{" + first + "," + Entry("b", "F16", "[1]", 6, 8) + "}"),
             Contains("hole"));
  CHECK_THAT(RefusalOfHeader("{" + first + "}"), Contains("4 bytes after the last tensor"));
}

TEST_CASE("every single-byte change and every truncation of a file is survived") {
  const std::string sound =
      File("{" + Entry("a", "F32", "[1]", 0, 4) + "," + Entry("b", "BF16", "[2]", 4, 8) + "}", 8);
  REQUIRE(Parse(sound).ok());
  for (size_t length = 0; length < sound.size(); ++length) {
    CHECK_FALSE(Parse(std::string_view(sound).substr(0, length)).ok());
  }
  for (size_t at = 0; at < sound.size() - 8; ++at) {
    for (const int change : {1, 0x20, 0x80, 0xff}) {
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const auto parsed = Parse(damaged);
      if (!parsed.ok()) continue;
      for (const auto& [name, view] : *parsed) {
        CHECK(view.bytes.data() + view.bytes.size() <=
              std::as_bytes(std::span(damaged)).data() + damaged.size());
      }
    }
  }
}

TEST_CASE("what the writer writes, the reader reads, and half a file never appears") {
  const TemporaryDirectory directory;
  const std::string path = directory / "model.safetensors";
  const std::vector<TensorSpec> specs = {{"z", DType::kF32, {2}}, {"a", DType::kBF16, {2, 3}}};
  const std::string bytes = "0123456789abcdefghij";
  {
    auto writer = SafetensorsWriter::Create(path, specs);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->Append(std::as_bytes(std::span(bytes).first(5))).ok());
    CHECK_FALSE((*writer)->Finish().ok());
  }
  CHECK(std::filesystem::is_empty(directory.path()));

  auto writer = SafetensorsWriter::Create(path, specs);
  REQUIRE(writer.ok());
  REQUIRE((*writer)->Append(std::as_bytes(std::span(bytes).first(5))).ok());
  REQUIRE((*writer)->Append(std::as_bytes(std::span(bytes).subspan(5))).ok());
  CHECK_FALSE((*writer)->Append(std::as_bytes(std::span(bytes).first(1))).ok());
  REQUIRE((*writer)->Finish().ok());

  const auto file = SafetensorsFile::Open(path);
  REQUIRE(file.ok());
  const auto& tensors = (*file)->tensors();
  REQUIRE(tensors.size() == 2);
  CHECK(std::memcmp(tensors.at("z").bytes.data(), "01234567", 8) == 0);
  CHECK(std::memcmp(tensors.at("a").bytes.data(), "89abcdefghij", 12) == 0);
  CHECK(tensors.at("a").shape == Shape{2, 3});
  (*file)->Release(tensors.at("z"));
  CHECK(std::memcmp(tensors.at("z").bytes.data(), "01234567", 8) == 0);
}

TEST_CASE("the writer refuses repeated and unprintable names and impossible shapes") {
  const TemporaryDirectory directory;
  const auto create = [&](std::vector<TensorSpec> specs) {
    return SafetensorsWriter::Create(directory / "m.safetensors", specs).status().code();
  };
  CHECK(create({{"a", DType::kF32, {1}}, {"a", DType::kF32, {1}}}) ==
        absl::StatusCode::kInvalidArgument);
  CHECK(create({{"a\"", DType::kF32, {1}}}) == absl::StatusCode::kInvalidArgument);
  CHECK(create({{"a", DType::kF32, {INT64_MAX}}}) == absl::StatusCode::kInvalidArgument);
  CHECK(SafetensorsWriter::Create(directory / "no/such/folder", {}).status().code() ==
        absl::StatusCode::kInternal);
}

TEST_CASE("a folder, a device or nothing is not a safetensors file") {
  const TemporaryDirectory directory;
  CHECK(SafetensorsFile::Open(directory / "none").status().code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(SafetensorsFile::Open(directory.path()).ok());
  CHECK_FALSE(SafetensorsFile::Open("/dev/zero").ok());
  directory.Write("empty", "");
  CHECK_FALSE(SafetensorsFile::Open(directory / "empty").ok());
}

}  // namespace emotion::vision
