#include "training/demo/face_sampler.h"

#include <algorithm>
#include <array>
#include <numbers>

namespace emotion::training {
namespace {

Levels ChooseLevels(Random& random) {
  Levels levels{};
  for (int& level : levels) level = random.Below(static_cast<int>(kLevelCount));
  return levels;
}

double Around(Random& random, double middle, double spread, double low = 0) {
  return std::clamp(random.Normal(middle, spread), low, 1.0);
}

double Sign(Random& random) { return random.Chance(0.5) ? 1 : -1; }

// Every cue of a state is drawn near the strength that the state asks for; cues that two states
// share lie between what the two ask. Whether the levels came out right is the caller's to check.
Expression Propose(const Levels& levels, Random& random) {
  std::array<double, kStateCount> want{};
  for (size_t state = 0; state < kStateCount; ++state) {
    want[state] = (levels[state] + random.Uniform()) / double{kLevelCount};
  }
  const auto [boredom, engagement, confusion, frustration] = want;
  Expression e;
  e.eye_openness = 1 - std::min(0.86, Around(random, boredom, 0.15));
  const double share = random.Uniform();
  const double away = Around(random, share * boredom + (1 - share) * (1 - engagement), 0.25);
  // Mostly to a side: under drooping lids a glance up or down is not to be seen.
  const double direction = random.Uniform(-0.25, 0.25) * std::numbers::pi;
  e.gaze_x = Sign(random) * away * std::cos(direction);
  e.gaze_y = away * std::sin(direction);
  e.head_yaw = Sign(random) * Around(random, 1 - engagement, 0.2);
  e.brow_asymmetry = Sign(random) * Around(random, confusion, 0.15);
  e.head_tilt = Sign(random) * 22 * Around(random, confusion, 0.2);
  e.brow_furrow = Around(random, (confusion + frustration) / 2, 0.25);
  const double down = random.Normal(frustration, 0.15);
  e.brow_height = down > 0.12 ? -std::min(down, 1.0) : random.Uniform(-0.1, 0.5);
  const double sad = random.Normal(frustration, 0.15);
  e.mouth_curve = sad > 0.12 ? -std::min(sad, 1.0) : random.Uniform(-0.1, 1);
  e.lip_press = Around(random, frustration, 0.25);
  if (e.lip_press < 0.3 && random.Chance(0.35)) e.mouth_openness = random.Uniform(0.1, 1);
  return e;
}

Expression SampleExpression(Random& random) {
  constexpr int kProposals = 400;
  for (;;) {
    const Levels levels = ChooseLevels(random);
    for (int proposal = 0; proposal < kProposals; ++proposal) {
      const Expression expression = Propose(levels, random);
      const Scores scores = ScoresOf(expression);
      if (LevelsOf(scores) == levels && !InDeadZone(scores)) return expression;
    }
  }
}

Colour AnyColour(Random& random, double low, double high) {
  return {static_cast<float>(random.Uniform(low, high)),
          static_cast<float>(random.Uniform(low, high)),
          static_cast<float>(random.Uniform(low, high))};
}

Colour SampleHairColour(Random& random, double melanin) {
  constexpr std::array<Colour, 7> kHairs = {{{0.06f, 0.05f, 0.05f},
                                             {0.16f, 0.1f, 0.07f},
                                             {0.3f, 0.18f, 0.1f},
                                             {0.45f, 0.28f, 0.14f},
                                             {0.72f, 0.56f, 0.32f},
                                             {0.55f, 0.24f, 0.1f},
                                             {0.68f, 0.67f, 0.66f}}};
  // Dark skin goes with dark hair mostly, and anyone goes grey or has it dyed.
  const int choices = melanin > 0.5 && random.Chance(0.85) ? 2 : static_cast<int>(kHairs.size());
  return kHairs[static_cast<size_t>(random.Below(choices))];
}

Appearance SampleAppearance(Random& random) {
  using Hair = Appearance::Hair;
  constexpr std::array<Colour, 5> kIrises = {{{0.22f, 0.13f, 0.08f},
                                              {0.12f, 0.07f, 0.05f},
                                              {0.3f, 0.42f, 0.55f},
                                              {0.3f, 0.4f, 0.28f},
                                              {0.4f, 0.3f, 0.16f}}};
  constexpr std::array<Hair, 6> kHairs = {Hair::kBald, Hair::kShort, Hair::kShort,
                                          Hair::kLong, Hair::kLong,  Hair::kBun};
  Appearance a;
  a.melanin = random.Uniform();
  a.undertone = random.Uniform(-1, 1);
  a.hair = kHairs[static_cast<size_t>(random.Below(kHairs.size()))];
  a.hair_colour = SampleHairColour(random, a.melanin);
  a.iris_colour = kIrises[static_cast<size_t>(random.Below(a.melanin > 0.5 ? 2 : 5))];
  a.face_width = random.Uniform(0.7, 0.84);
  a.jaw = random.Uniform(0.7, 1);
  a.eye_size = random.Uniform(0.9, 1.12);
  a.eye_distance = random.Uniform(0.94, 1.08);
  a.brow_thickness = random.Uniform(0.65, 1.5);
  a.nose_length = random.Uniform(0.85, 1.15);
  a.mouth_width = random.Uniform(0.88, 1.2);
  a.lip_fullness = random.Uniform(0.75, 1.35);
  if (a.hair != Hair::kBun && random.Chance(0.25)) a.beard = random.Uniform(0.2, 0.9);
  a.glasses = random.Chance(0.25);
  a.glasses_roundness = random.Uniform();
  a.glasses_colour = AnyColour(random, 0.02, random.Chance(0.8) ? 0.3 : 0.8);
  a.clothes_colour = AnyColour(random, 0.05, 0.95);
  return a;
}

Scene SampleScene(Random& random) {
  Scene s;
  s.centre_x = random.Uniform(-0.09, 0.09);
  s.centre_y = random.Uniform(-0.06, 0.1);
  s.scale = random.Uniform(0.68, 0.84);
  const Colour room = AnyColour(random, 0.1, 0.95);
  s.background_top = Mix(room, AnyColour(random, 0, 1), 0.3);
  s.background_bottom = Mix(room, AnyColour(random, 0, 1), 0.3);
  s.clutter_seed = random.Chance(0.8) ? static_cast<unsigned>(random.Next() >> 33) + 1 : 0;
  s.light_angle = random.Uniform(0, 2 * std::numbers::pi);
  s.light_slope = random.Uniform(0, 0.45);
  s.exposure = random.Uniform(0.68, 1.15);
  s.warmth = std::clamp(random.Normal(0.15, 0.5), -1.0, 1.0);
  s.blur = random.Chance(0.5) ? random.Uniform(0.3, 0.9) : 0;
  s.noise = random.Uniform(0, 5);
  s.noise_seed = static_cast<unsigned>(random.Next() >> 32);
  s.jpeg_quality = random.Chance(0.8) ? 60 + random.Below(36) : 0;
  return s;
}

}  // namespace

SampledFace SampleFace(Random& random) {
  SampledFace face;
  face.parameters.expression = SampleExpression(random);
  face.parameters.appearance = SampleAppearance(random);
  face.parameters.scene = SampleScene(random);
  face.scores = ScoresOf(face.parameters.expression);
  face.levels = LevelsOf(face.scores);
  return face;
}

SampledFace SampleFace(uint64_t seed) {
  Random random(seed);
  return SampleFace(random);
}

}  // namespace emotion::training
