#include "classifier_service/model_card.h"

#include <utility>

#include "common/affect/affect.h"

namespace emotion::classifier {
namespace {

constexpr const char* kIntendedUse =
    "Shows a consenting person an estimate of their own state while they learn. Inferring emotions "
    "of people in education or at work is prohibited in the European Union (Regulation (EU) "
    "2024/1689, Article 5(1)(f)) except for medical or safety reasons.";
constexpr const char* kDemoUse =
    "A demonstration on drawn faces: its levels are no measurement of anyone. ";

v1::Head HeadMessage(const heads::HeadInfo& info, const std::optional<Digest>& bound) {
  v1::Head head;
  head.set_state(static_cast<v1::AffectiveState>(static_cast<int>(info.state) + 1));
  head.set_file(info.file);
  if (info.val_f1) head.set_val_f1(*info.val_f1);
  head.set_input_dim(static_cast<uint32_t>(info.input_dim));
  head.set_input_width(static_cast<uint32_t>(info.input_width));
  head.set_input_height(static_cast<uint32_t>(info.input_height));
  if (info.encoder_fingerprint) {
    head.set_encoder_fingerprint(info.encoder_fingerprint->data(),
                                 info.encoder_fingerprint->size());
    head.set_verified(info.encoder_fingerprint == bound);
  }
  if (info.temperature) head.set_temperature(*info.temperature);
  head.set_calibration_method(info.calibration_method);
  head.set_calibration_prior(info.calibration_prior);
  head.mutable_calibration_bias()->Add(info.calibration_bias.begin(), info.calibration_bias.end());
  head.set_crop(info.crop);
  return head;
}

}  // namespace

v1::GetModelResponse ModelCard::With(v1::GetEmbeddingModelResponse encoder) const {
  v1::GetModelResponse card;
  card.set_model(binding_.model());
  *card.mutable_encoder() = std::move(encoder);
  for (const heads::HeadInfo& info : bank_.infos()) {
    *card.add_heads() = HeadMessage(info, binding_.bound());
  }
  for (size_t level = 0; level < kLevelCount; ++level) {
    card.add_level_names(std::string(LevelName(level)));
  }
  const bool demo = bank_.demo() || card.encoder().demo();
  card.set_demo(demo);
  card.set_server_version(EMOTION_VERSION);
  card.set_heads_licence(bank_.infos().front().licence);
  card.set_intended_use(demo ? std::string(kDemoUse) + kIntendedUse : kIntendedUse);
  return card;
}

}  // namespace emotion::classifier
