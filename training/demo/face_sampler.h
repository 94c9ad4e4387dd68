// Faces at random, with the levels that the rule gives them.
//
// Levels are even: for each face four levels are chosen first, each of the four as likely, and
// then an expression is looked for that has them and lies outside the rule's dead zone. (A few
// combinations exist in no face, such as eyes shut and attentive; they are chosen anew.)
// The same seed gives the same face.
#pragma once

#include <cstdint>

#include "training/demo/face_parameters.h"
#include "training/demo/level_rule.h"
#include "training/demo/random.h"

namespace emotion::training {

struct SampledFace {
  FaceParameters parameters;
  Scores scores{};
  Levels levels{};
};

SampledFace SampleFace(Random& random);
SampledFace SampleFace(uint64_t seed);

}  // namespace emotion::training
