#include "training/demo/camera.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>
#include <opencv2/imgproc.hpp>

#include "training/demo/random.h"

namespace emotion::training {
namespace {

// Roughly normal with deviation 1: the sum of four 16-bit uniforms, all from one draw. A true
// normal for each of 37,632 values would cost more than drawing the face.
float Grain(Random& random) {
  const uint64_t bits = random.Next();
  const uint64_t sum =
      (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
  constexpr float kDeviation = 37837.23f;  // sqrt(4 / 12) * 65536
  return (static_cast<float>(sum) - 131070.0f) / kDeviation;
}

std::array<float, 3> ChannelGains(const Scene& scene) {
  const float warmth = static_cast<float>(scene.warmth);
  return {1 + 0.14f * warmth, 1 + 0.02f * warmth, 1 - 0.18f * warmth};
}

void ApplyLight(cv::Mat& picture, const Scene& scene) {
  const std::array<float, 3> gains = ChannelGains(scene);
  const double towards_x = std::cos(scene.light_angle);
  const double towards_y = std::sin(scene.light_angle);
  for (int y = 0; y < picture.rows; ++y) {
    uint8_t* row = picture.ptr<uint8_t>(y);
    const double from_middle_y = 2.0 * y / picture.rows - 1;
    for (int x = 0; x < picture.cols; ++x) {
      const double along = (2.0 * x / picture.cols - 1) * towards_x + from_middle_y * towards_y;
      const float light = static_cast<float>(scene.exposure * (1 + scene.light_slope * along));
      for (int channel = 0; channel < 3; ++channel, ++row) {
        *row = cv::saturate_cast<uint8_t>(static_cast<float>(*row) * light *
                                          gains[static_cast<size_t>(channel)]);
      }
    }
  }
}

void AddGrain(cv::Mat& picture, const Scene& scene) {
  Random random(scene.noise_seed);
  const float deviation = static_cast<float>(scene.noise);
  for (int y = 0; y < picture.rows; ++y) {
    uint8_t* row = picture.ptr<uint8_t>(y);
    for (int value = 0; value < picture.cols * 3; ++value) {
      row[value] =
          cv::saturate_cast<uint8_t>(static_cast<float>(row[value]) + deviation * Grain(random));
    }
  }
}

[[noreturn]] void JpegFailed(j_common_ptr context) {
  context->err->output_message(context);
  std::abort();  // only out of memory leads here: the input is ours and was checked
}

}  // namespace

void ApplyCamera(cv::Mat& picture, const Scene& scene) {
  ApplyLight(picture, scene);
  if (scene.blur > 0) cv::GaussianBlur(picture, picture, cv::Size(0, 0), scene.blur);
  if (scene.noise > 0) AddGrain(picture, scene);
}

std::string EncodeJpeg(const vision::RgbImage& image, int quality) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = JpegFailed;
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.size.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.size.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  const size_t stride = static_cast<size_t>(image.size.width) * 3;
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data() + jpeg.next_scanline * stride);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string result(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return result;
}

}  // namespace emotion::training
