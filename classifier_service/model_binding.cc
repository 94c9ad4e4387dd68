#include "classifier_service/model_binding.h"

#include <algorithm>

namespace emotion::classifier {

ModelBinding::ModelBinding(std::optional<Digest> stated, uint32_t dim, const Digest& heads_digest)
    : stated_(stated.has_value()), dim_(dim), heads_digest_(heads_digest) {
  MutexLock lock(mutex_);
  if (stated) Bind(*stated);
}

ModelBinding::Verdict ModelBinding::Judge(const Digest& fingerprint, uint32_t dim,
                                          bool bound_is_gone) {
  MutexLock lock(mutex_);
  if (dim != dim_) return Verdict::kMismatch;
  if (bound_ == fingerprint) return Verdict::kAccepted;
  if (stated_ || (bound_ && !bound_is_gone)) return Verdict::kMismatch;
  const bool moved = bound_.has_value();
  Bind(fingerprint);
  return moved ? Verdict::kMoved : Verdict::kAccepted;
}

std::optional<Digest> ModelBinding::bound() const {
  MutexLock lock(mutex_);
  return bound_;
}

std::string ModelBinding::model() const {
  MutexLock lock(mutex_);
  return model_;
}

void ModelBinding::Bind(const Digest& fingerprint) {
  constexpr size_t kDigits = 12;
  bound_ = fingerprint;
  model_ = Hex(Sha256().Update(fingerprint).Update(heads_digest_).Finish()).substr(0, kDigits);
}

std::optional<Digest> FingerprintFrom(const std::string& bytes) {
  Digest digest;
  if (bytes.size() != digest.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

}  // namespace emotion::classifier
