// PNG files that differ as their numbers do, in memory: no decoder's idea of them matters.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <png.h>

namespace emotion::testing {

// `pixels` is RGB, row by row.
inline std::string WritePng(const std::vector<uint8_t>& pixels, int width, int height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string file(size, '\0');
  if (png_image_write_to_memory(&image, file.data(), &size, 0, pixels.data(), 0, nullptr) == 0) {
    throw std::runtime_error(image.message);
  }
  file.resize(size);
  return file;
}

// One grey all over.
inline std::string MakePlainPng(uint8_t level, int width = 64, int height = 64) {
  return WritePng(std::vector<uint8_t>(static_cast<size_t>(width * height) * 3, level), width,
                  height);
}

// An RGB picture of noise over a gradient, both following from `number`.
inline std::string MakePng(uint32_t number, int width = 64, int height = 64) {
  std::vector<uint8_t> pixels(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  uint32_t random = number * 2654435761U + 12345U;
  for (size_t i = 0; i < pixels.size(); ++i) {
    random = random * 1664525U + 1013904223U;
    pixels[i] = static_cast<uint8_t>((number * 37U + i / 97U + (random >> 26)) & 0xffU);
  }
  return WritePng(pixels, width, height);
}

}  // namespace emotion::testing
