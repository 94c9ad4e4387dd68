#include <webp/decode.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/format_decoders.h"

namespace emotion::vision {
namespace {

std::string_view StatusText(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "it takes too much memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that is not supported";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "it ends early";
    default:
      return "its data is damaged";
  }
}

}  // namespace

absl::Status DecodeWebp(std::string_view bytes, RgbImage& image) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) {
    return Error(Reason::kInternal, "libwebp has another version than its headers");
  }
  // libwebp checks the size against this buffer and refuses what does not fit.
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {
      .rgba = image.pixels.data(), .stride = image.size.width * 3, .size = image.pixels.size()};
  const VP8StatusCode status =
      WebPDecode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &config);
  if (status == VP8_STATUS_OK && config.output.width == image.size.width &&
      config.output.height == image.size.height) {
    return absl::OkStatus();
  }
  return Error(Reason::kImageCorrupt, fmt::format("WebP is corrupt: {}", StatusText(status)));
}

}  // namespace emotion::vision
