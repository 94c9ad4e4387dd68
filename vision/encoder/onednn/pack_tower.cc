#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include <omp.h>

#include "common/numeric/half.h"
#include "common/sync/mutex.h"
#include "fmt/format.h"
#include "vision/encoder/onednn/tower.h"

namespace emotion::vision {
namespace {

// One thing to do with the checkpoint: a vector to copy, or weight and bias to pack.
struct Job {
  std::string name;
  std::vector<float>* vector = nullptr;  // where a vector goes
  PackedLinear* linear = nullptr;        // where a packed matrix goes
  LinearSpec spec = {};
  bool bias = true;
};

Job VectorJob(std::string name, std::vector<float>* to) {
  return {.name = std::move(name), .vector = to};
}

Job LinearJob(std::string name, PackedLinear* to, const LinearSpec& spec, bool bias = true) {
  return {.name = std::move(name), .linear = to, .spec = spec, .bias = bias};
}

void AddBlock(const VisionConfig& config, Element element, int index, PackedBlock& block,
              std::vector<Job>& jobs) {
  const int64_t hidden = config.hidden_size;
  const int64_t wide = config.intermediate_size;
  const std::string at = fmt::format("blocks.{}.", index);
  const auto linear = [&](const char* name, PackedLinear* to, LinearSpec spec) {
    spec.element = element;
    jobs.push_back(LinearJob(at + name, to, spec));
  };
  jobs.push_back(VectorJob(at + "norm1.weight", &block.norm1));
  jobs.push_back(VectorJob(at + "norm2.weight", &block.norm2));
  linear("attn.qkv", &block.qkv, {.in = hidden, .out = 3 * hidden, .result = element});
  linear("attn.proj", &block.proj, {.in = hidden, .out = hidden, .epilogue = Epilogue::kAdd});
  linear("mlp.gate_proj", &block.gate,
         {.in = hidden, .out = wide, .result = element, .epilogue = Epilogue::kSilu});
  linear("mlp.up_proj", &block.up,
         {.in = hidden, .out = wide, .result = element, .epilogue = Epilogue::kMultiply});
  linear("mlp.down_proj", &block.down, {.in = wide, .out = hidden, .epilogue = Epilogue::kAdd});
}

// The largest first: the threads then end together.
std::vector<Job> ListJobs(const VisionConfig& config, Element element, PackedTower& tower) {
  const int64_t hidden = config.hidden_size;
  const int64_t merged = hidden * config.merge_unit();
  std::vector<Job> jobs;
  jobs.push_back(LinearJob("merger.mlp.0", &tower.merger_in,
                           {.in = merged,
                            .out = merged,
                            .element = element,
                            .result = element,
                            .epilogue = Epilogue::kGelu}));
  jobs.push_back(LinearJob("merger.mlp.2", &tower.merger_out,
                           {.in = merged, .out = config.out_hidden_size, .element = element}));
  jobs.push_back(VectorJob("merger.ln_q.weight", &tower.merger_norm));
  jobs.push_back(LinearJob("patch_embed.proj", &tower.patch_embed,
                           {.in = config.patch_values(), .out = hidden, .element = element},
                           /*bias=*/false));
  tower.blocks.resize(static_cast<size_t>(config.depth));
  for (int i = 0; i < config.depth; ++i) {
    AddBlock(config, element, i, tower.blocks[static_cast<size_t>(i)], jobs);
  }
  return jobs;
}

void ConvertToFloat(const TensorView& view, std::vector<float>* out) {
  out->resize(view.bytes.size() / static_cast<size_t>(DTypeBytes(view.dtype)));
  const std::byte* from = view.bytes.data();  // may be unaligned
  if (view.dtype == DType::kF32) {
    std::memcpy(out->data(), from, view.bytes.size());
    return;
  }
  for (size_t i = 0; i < out->size(); ++i) {
    uint16_t stored = 0;
    std::memcpy(&stored, from + 2 * i, 2);
    if (view.dtype == DType::kF16) {
      (*out)[i] = HalfToFloat(stored);
    } else {
      const uint32_t bits = uint32_t{stored} << 16;  // bf16
      std::memcpy(&(*out)[i], &bits, sizeof bits);
    }
  }
}

// What the threads of one packing share.
class Packing {
 public:
  Packing(const Checkpoint& checkpoint, const std::function<void(double)>& progress)
      : checkpoint_(checkpoint), progress_(progress) {
    for (const auto& [name, view] : checkpoint.tensors()) {
      total_ += view.bytes.size();
      digests_[name];  // made here, so that threads only fill them in
    }
  }

  // Runs jobs until none is left or one failed. On each of the threads.
  void Work(const std::vector<Job>& jobs) {
    omp_set_num_threads(1);  // there are as many of us as cores already
    std::vector<float> weight;
    std::vector<float> bias;
    for (size_t i = next_++; i < jobs.size() && !failed_; i = next_++) {
      const Job& job = jobs[i];
      if (job.vector != nullptr) {
        Read(job.name, job.vector);
        continue;
      }
      Read(job.name + ".weight", &weight);
      if (job.bias) Read(job.name + ".bias", &bias);
      auto packed = PackedLinear::Pack(job.spec, weight.data(), job.bias ? bias.data() : nullptr);
      if (packed.ok()) {
        *job.linear = *std::move(packed);
      } else {
        Fail(packed.status());
      }
    }
  }

  void Fail(const absl::Status& status) {
    failed_ = true;
    const MutexLock lock(mutex_);
    if (status_.ok()) status_ = status;
  }

  absl::Status status() {
    const MutexLock lock(mutex_);
    return status_;
  }
  TensorDigests TakeDigests() { return std::move(digests_); }

 private:
  void Read(const std::string& name, std::vector<float>* out) {
    const TensorView& view = checkpoint_.tensor(name);
    ConvertToFloat(view, out);
    digests_.at(name) = DigestOf(view);  // while its pages are at hand
    checkpoint_.Release(name);
    if (!progress_) return;
    const MutexLock lock(mutex_);
    done_ += view.bytes.size();
    progress_(static_cast<double>(done_) / static_cast<double>(total_));
  }

  const Checkpoint& checkpoint_;
  const std::function<void(double)>& progress_;
  TensorDigests digests_;  // each entry is one thread's
  size_t total_ = 0;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  Mutex mutex_;
  size_t done_ GUARDED_BY(mutex_) = 0;
  absl::Status status_ GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<PackedModel> PackTower(const VisionConfig& config, const Checkpoint& checkpoint,
                                      Element element, int threads,
                                      const std::function<void(double)>& progress) {
  PackedModel model;
  const std::vector<Job> jobs = ListJobs(config, element, model.tower);
  Packing packing(checkpoint, progress);
  const auto work = [&] {
    try {
      packing.Work(jobs);
    } catch (const std::bad_alloc&) {
      packing.Fail(absl::ResourceExhaustedError("out of memory for the encoder's weights"));
    }
  };
  {
    std::vector<std::jthread> helpers;
    helpers.reserve(static_cast<size_t>(threads));
    for (int i = 0; i < threads; ++i) helpers.emplace_back(work);
  }
  if (absl::Status status = packing.status(); !status.ok()) return status;
  model.digests = packing.TakeDigests();
  return model;
}

}  // namespace emotion::vision
