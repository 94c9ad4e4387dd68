#include "tests/parity/golden_file.h"

#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "vision/encoder/random_weights.h"

namespace emotion::vision {
namespace {

using nlohmann::json;

std::vector<float> ReadFloats(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(path + " is not there");
  std::vector<float> values(static_cast<size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

Values Slice(const std::vector<float>& values, const json& where) {
  size_t count = 1;
  for (const json& size : where.at("shape")) count *= size.get<size_t>();
  return Values(values).subspan(where.at("offset").get<size_t>(), count);
}

GoldenCase ReadCase(const json& from, const std::vector<float>& values) {
  GoldenCase golden;
  golden.name = from.at("name").get<std::string>();
  for (const json& g : from.at("grids")) golden.grids.push_back({g[0], g[1], g[2]});
  if (const json checkpoint = from.value("checkpoint", json()); checkpoint.is_string()) {
    golden.checkpoint = checkpoint.get<std::string>();
  } else {
    golden.config = ParseModelConfig(from.at("sizes").dump(), golden.name).value().vision;
  }
  golden.pooled = Slice(values, from.at("pooled"));
  if (from.contains("picks")) {
    golden.picks = from.at("picks").get<std::vector<int64_t>>();
    for (const json& layer : from.at("sampled_layers")) {
      golden.layers.push_back(Slice(values, layer.at("values")));
      golden.rms.push_back(layer.at("rms").get<double>());
    }
  } else {
    for (const json& layer : from.at("layers")) golden.layers.push_back(Slice(values, layer));
    golden.tokens = Slice(values, from.at("tokens"));
  }
  return golden;
}

}  // namespace

GoldenFile::GoldenFile(const std::string& directory)
    : values_(ReadFloats(directory + "/goldens.bin")) {
  std::ifstream file(directory + "/goldens.json");
  const json root = json::parse(file);
  for (const json& golden : root.at("cases")) cases_.push_back(ReadCase(golden, values_));
}

const GoldenCase& GoldenFile::Find(const std::string& name) const {
  for (const GoldenCase& golden : cases_) {
    if (golden.name == name) return golden;
  }
  throw std::runtime_error("no golden case is called " + name);
}

std::vector<Patches> MakeInput(const GoldenCase& golden, const VisionConfig& config) {
  std::vector<Patches> images;
  int64_t first = 0;
  for (const Grid& grid : golden.grids) {
    const int64_t count = int64_t{grid.patches()} * config.patch_values();
    Patches& image = images.emplace_back(Patches{grid, std::vector<float>(count)});
    FillRandomWeights("input." + golden.name, {count, 1}, 0, first, image.rows);
    first += count;
  }
  return images;
}

}  // namespace emotion::vision
