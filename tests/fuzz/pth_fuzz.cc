// libFuzzer: any bytes as a head checkpoint.
//
// Two ways in: the bytes as a whole file, and the bytes as data.pkl in an archive of ours, so that
// the fuzzer need not learn zip's checksums to reach the pickle machine and the tensors.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "heads/head_checkpoint.h"
#include "heads/mlp_head.h"
#include "heads/pth/stored_zip.h"

namespace emotion::heads {
namespace {

// What a reader lets through must be a head that computes.
void Check(std::vector<uint8_t> bytes) {
  const auto checkpoint = ParseHeadCheckpoint(std::move(bytes));
  if (!checkpoint.ok()) return;
  if (!CheckNetwork(checkpoint->network).ok()) std::abort();
  const auto head = MlpHead::Create(checkpoint->network);
  if (head.ok()) head->Forward(std::vector<float>(head->input_dim(), 0.5F));
}

std::vector<uint8_t> Wrapped(std::string_view pickle) {
  pth::StoredZip zip;
  zip.Add("x/data.pkl", pickle);
  for (int key = 0; key < 8; ++key) {
    zip.Add("x/data/" + std::to_string(key), std::string(512, '\x3c'));
  }
  const std::string archive = zip.Finish();
  return {archive.begin(), archive.end()};
}

}  // namespace
}  // namespace emotion::heads

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace emotion::heads;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(text.starts_with("PK") ? std::vector<uint8_t>(data, data + size) : Wrapped(text));
  return 0;
}
