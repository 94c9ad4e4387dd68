#include "bench/near/truth.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/numeric/half.h"
#include "vision/encoder/factory/create_encoder.h"

namespace emotion::bench {
namespace {

constexpr size_t kEncodedTogether = 16;

}  // namespace

Teller::Teller(std::unique_ptr<vision::VisionEncoder> encoder,
               std::unique_ptr<heads::HeadBank> heads, const vision::PreprocessorConfig& config)
    : encoder_(std::move(encoder)),
      heads_(std::move(heads)),
      preparer_({.config = config, .limits = {}}) {
  prepare_.heads_input = {heads_->infos()[0].input_width, heads_->infos()[0].input_height};
}

absl::StatusOr<std::unique_ptr<Teller>> Teller::Create(const Options& options) {
  auto encoder = vision::CreateEncoder({.directory = (options.models / "encoder").string(),
                                        .precision = options.precision,
                                        .device = options.device});
  if (!encoder.ok()) return encoder.status();
  auto heads = heads::HeadBank::Load(options.models / "classifiers");
  if (!heads.ok()) return heads.status();
  auto config = vision::ReadPreprocessorConfig(options.models / "encoder");
  if (!config.ok()) return config.status();
  if ((*encoder)->info().dim != (*heads)->input_dim()) {
    return absl::FailedPreconditionError(
        fmt::format("the encoder gives {} values, the heads take {}", (*encoder)->info().dim,
                    (*heads)->input_dim()));
  }
  return std::unique_ptr<Teller>(new Teller(*std::move(encoder), *std::move(heads), *config));
}

std::string Teller::Description() const {
  const vision::EncoderInfo& info = encoder_->info();
  return fmt::format("{}, {}, {}", info.name, vision::PrecisionName(info.precision), info.device);
}

Telling Teller::TellingOf(std::span<const float> embedding) const {
  // As the service hands it on, and as it is cached: in half precision.
  const auto predictions = heads_->Classify(DecodeHalf(EncodeHalf(embedding)));
  Telling telling;
  for (size_t state = 0; state < kStateCount; ++state) {
    telling.levels[state] = predictions[state].level;
    telling.probabilities[state] = predictions[state].probabilities;
  }
  return telling;
}

absl::StatusOr<std::vector<ToldFrame>> Teller::Tell(std::span<const std::string> jpegs) {
  std::vector<ToldFrame> told;
  for (size_t first = 0; first < jpegs.size(); first += kEncodedTogether) {
    std::vector<vision::PreparedImage> prepared;
    for (const std::string& jpeg :
         jpegs.subspan(first, std::min(kEncodedTogether, jpegs.size() - first))) {
      auto image = preparer_.Prepare(std::string_view(jpeg), prepare_);
      if (!image.ok()) return image.status();
      prepared.push_back(*std::move(image));
    }
    std::vector<const vision::Patches*> patches;
    for (const vision::PreparedImage& image : prepared) patches.push_back(&image.patches);
    const auto embeddings = encoder_->Encode(patches);
    if (!embeddings.ok()) return embeddings.status();
    for (size_t i = 0; i < prepared.size(); ++i) {
      told.push_back({.image = std::move(prepared[i].image),
                      .telling = TellingOf((*embeddings)[i]),
                      .embedding = {(*embeddings)[i].begin(), (*embeddings)[i].end()}});
    }
  }
  return told;
}

}  // namespace emotion::bench
