#include "gateway/http/message.h"

#include <algorithm>

namespace emotion::gateway {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, Lower, Lower);
}

std::string_view TrimSpace(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

void Headers::Set(std::string_view name, std::string_view value) {
  std::erase_if(fields_, [&](const auto& field) { return EqualsIgnoringCase(field.first, name); });
  Add(name, value);
}

std::optional<std::string_view> Headers::Find(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return std::nullopt;
}

size_t Headers::Count(std::string_view name) const {
  return std::ranges::count_if(
      fields_, [&](const auto& field) { return EqualsIgnoringCase(field.first, name); });
}

bool Headers::HasToken(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : fields_) {
    if (!EqualsIgnoringCase(key, name)) continue;
    std::string_view rest = value;
    while (true) {
      const size_t comma = rest.find(',');
      const std::string_view item = rest.substr(0, comma);
      if (EqualsIgnoringCase(TrimSpace(item.substr(0, item.find(';'))), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

void Exchange::Respond(Response response) {
  std::function<void(Response)> deliver;
  std::function<void()> cancel;  // destroyed outside the lock: it may own what owns this exchange
  {
    MutexLock lock(mutex_);
    deliver.swap(deliver_);
    cancel.swap(cancel_);
  }
  if (deliver) deliver(std::move(response));
}

void Exchange::OnGone(std::function<void()> cancel) {
  {
    MutexLock lock(mutex_);
    if (!deliver_) return;
    if (!gone_) {
      cancel_ = std::move(cancel);
      return;
    }
  }
  cancel();
}

void Exchange::NotifyGone() {
  std::function<void()> cancel;
  {
    MutexLock lock(mutex_);
    gone_ = true;
    cancel.swap(cancel_);
  }
  if (cancel) cancel();
}

}  // namespace emotion::gateway
