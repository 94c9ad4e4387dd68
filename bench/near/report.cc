#include "bench/near/report.h"

#include <fmt/format.h>

#include "bench/near/evaluation.h"
#include "embedding_service/cache/near_duplicate.h"

namespace emotion::bench {
namespace {

constexpr size_t kOurs = 0;

NearPolicy OurPolicy() {
  return {.threshold = 0.95F,
          .lifetime_s = std::chrono::duration<double>(embedding::kNearLifetime).count(),
          .candidates = embedding::kNearCandidates,
          .fleeting_s = std::chrono::duration<double>(embedding::kNearFleeting).count()};
}

std::string Head(std::string_view first) {
  return fmt::format(
      "| {} | hits | labels that flip | of sure labels | hits with a flip | right: cached / anew | "
      "events seen | slept through | largest change |\n|---|---|---|---|---|---|---|---|---|\n",
      first);
}

std::string Percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string Row(std::string_view name, const Score& score) {
  const std::string right =
      score.judged_levels == 0
          ? "-"
          : fmt::format("{:.1f} / {:.1f} %", 100 * score.share_right_as_answered(),
                        100 * score.share_right_anew());
  const bool events = score.events != std::array<size_t, kEventKinds>{};
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} |\n", name,
                     Percent(score.hit_rate()), Percent(score.flips.flip_rate()),
                     Percent(score.flips.sure_flip_rate()), Percent(score.flip_rate()), right,
                     events ? Percent(score.seen_share()) : "-",
                     events ? Percent(score.slept_share()) : "-", score.largest_change);
}

std::string Rivals(const Evaluation& all, std::span<const NearRule> rules) {
  const Score ours = all.Near(kOurs, OurPolicy());
  std::string text = Head("at our hit rate") + Row(rules[kOurs].name + " at 0.95", ours);
  for (size_t rule = kOurs + 1; rule < rules.size(); ++rule) {
    text += Row(rules[rule].name, all.NearAtHitRate(rule, OurPolicy(), ours.hit_rate()));
  }
  return text + Row("hold the last answer", all.Hold(ours.hit_rate())) + "\n";
}

// What is left to be won: the flips of rules that know more than any picture tells.
std::string Limit(const Evaluation& all, std::span<const NearRule> rules, size_t first_oracle) {
  std::string text = "| labels that flip, at hits of | " + rules[kOurs].name;
  for (const NearRule& oracle : rules.subspan(first_oracle)) text += " | " + oracle.name;
  text += " | hold the last answer |\n|";
  for (size_t column = 0; column < rules.size() - first_oracle + 3; ++column) text += "---|";
  text += "\n";
  for (const double hits : {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}) {
    text += fmt::format("| {:.0f} %", 100 * hits);
    const auto add = [&](const Score& score) { text += " | " + Percent(score.flips.flip_rate()); };
    add(all.NearAtHitRate(kOurs, OurPolicy(), hits));
    for (size_t rule = first_oracle; rule < rules.size(); ++rule) {
      add(all.NearAtHitRate(rule, OurPolicy(), hits));
    }
    add(all.Hold(hits));
    text += " |\n";
  }
  return text + "\n";
}

// Whose doubt a flip is.
std::string Sureness(const Evaluation& all) {
  const FlipsBySureness near = all.Near(kOurs, OurPolicy()).flips;
  const FlipsBySureness noise = all.NoiseFlips();
  std::string text =
      "| an encode gives its label | so many labels | flip over near hits | flip when the same "
      "moment is photographed again |\n|---|---|---|---|\n";
  for (size_t part = 0; part < FlipsBySureness::kFrom.size(); ++part) {
    const bool last = part + 1 == FlipsBySureness::kFrom.size();
    text += fmt::format("| {:g} to {:g} | {} | {} | {} |\n", FlipsBySureness::kFrom[part],
                        last ? 1 : FlipsBySureness::kFrom[part + 1], Percent(near.share(part)),
                        Percent(near.flip_rate(part)), Percent(noise.flip_rate(part)));
  }
  return text + "\n";
}

std::string Curve(const Evaluation& all) {
  std::string text = Head("threshold");
  for (float threshold : {0.80F, 0.90F, 0.93F, 0.95F, 0.96F, 0.97F, 0.98F, 0.99F, 0.995F}) {
    NearPolicy policy = OurPolicy();
    policy.threshold = threshold;
    text += Row(fmt::format("{:g}", threshold), all.Near(kOurs, policy));
  }
  return text + "\n";
}

std::string Memory(const Evaluation& all) {
  std::string text = Head("an encode answers for, of the last");
  for (double lifetime_s : {10.0, 20.0, 40.0, 600.0}) {
    for (size_t candidates : {1, 2, 4}) {
      NearPolicy policy = OurPolicy();
      policy.lifetime_s = lifetime_s;
      policy.candidates = candidates;
      text += Row(fmt::format("{:g} s, {}", lifetime_s, candidates), all.Near(kOurs, policy));
    }
  }
  NearPolicy policy = OurPolicy();
  policy.fleeting_s = 0;
  return text + Row("20 s, 2, fleeting ones too", all.Near(kOurs, policy)) + "\n";
}

std::string Parts(const Occasion& occasion, std::span<const NearRule> rules) {
  std::string text = Head("at 0.95");
  const std::span<const Recording> drawn(occasion.drawn);
  for (const auto& [name, recordings] :
       {std::pair("calm heads", drawn.first(occasion.calm)),
        std::pair("restless heads", drawn.subspan(occasion.calm)),
        std::pair("the photo", std::span<const Recording>(occasion.photo))}) {
    text += Row(name, Evaluation(rules, recordings).Near(kOurs, OurPolicy()));
  }
  return text + "\n";
}

std::string Events(const Evaluation& all) {
  const Score ours = all.Near(kOurs, OurPolicy());
  std::string text = "| event of two frames or more | seen |\n|---|---|\n";
  for (size_t kind = 0; kind < kEventKinds; ++kind) {
    if (ours.events[kind] == 0) continue;
    text += fmt::format("| {} | {} of {} |\n", EventName(static_cast<EventKind>(kind)),
                        ours.seen[kind], ours.events[kind]);
  }
  return text + "\n";
}

}  // namespace

std::string ReportOn(const Occasion& occasion, std::span<const NearRule> rules,
                     size_t first_oracle) {
  const Evaluation all(rules, occasion.drawn);
  const auto floor = [&](std::span<const Recording> recordings) {
    return Percent(Evaluation(rules, recordings).NoiseFlips().flip_rate());
  };
  return fmt::format(
             "### {}\n\nFloor: of one moment photographed twice, {} of the labels differ (the "
             "photo: {}).\n\n",
             occasion.name, floor(occasion.drawn), floor(occasion.photo)) +
         Rivals(all, rules) + Limit(all, rules, first_oracle) + Sureness(all) + Curve(all) +
         Parts(occasion, rules) + Events(all) + Memory(all);
}

}  // namespace emotion::bench
