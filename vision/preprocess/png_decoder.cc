#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <vector>

#include <png.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/format_decoders.h"

namespace emotion::vision {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{8} << 20;

// Owns libpng's memory. Lives in the frame that calls the functions with setjmp, so that a jump
// never skips its destructor.
class PngReader {
 public:
  explicit PngReader(std::string_view bytes) : rest_(bytes) {}
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  // `rows` has one pointer per row. False: the message says why. No object with a destructor may
  // live here: libpng jumps out.
  bool Decode(ImageSize size, png_bytepp rows) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, OnError, OnWarning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, OnRead);
    Restrict(size);
    png_read_info(png_, info_);
    ConvertToRgb();
    if (png_get_image_width(png_, info_) != static_cast<png_uint_32>(size.width) ||
        png_get_image_height(png_, info_) != static_cast<png_uint_32>(size.height) ||
        png_get_rowbytes(png_, info_) != static_cast<size_t>(size.width) * 3) {
      return false;
    }
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  std::string_view message() const {
    return message_[0] != 0 ? message_.data() : "its size changes while it is read";
  }

 private:
  [[noreturn]] static void OnError(png_structp png, png_const_charp message) {
    auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(reader->message_.data(), message, reader->message_.size() - 1);
    std::longjmp(png_jmpbuf(png), 1);
  }

  // libpng's warnings are about metadata; whatever costs pixels is an error of its own.
  static void OnWarning(png_structp, png_const_charp) {}

  static void OnRead(png_structp png, png_bytep out, size_t length) {
    auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
    if (reader->rest_.size() < length) png_error(png, "it ends early");
    std::memcpy(out, reader->rest_.data(), length);
    reader->rest_.remove_prefix(length);
  }

  // Nothing but IHDR, PLTE, IDAT and IEND is looked at: profiles and texts, which may inflate to
  // gigabytes, are skipped, and transparency is dropped as Pillow's convert("RGB") drops it.
  void Restrict(ImageSize size) {
    png_set_user_limits(png_, static_cast<png_uint_32>(size.width),
                        static_cast<png_uint_32>(size.height));
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    static constexpr png_byte kAlsoSkipped[] = "tRNS\0sBIT";  // four letters and a zero each
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kAlsoSkipped, 2);
  }

  void ConvertToRgb() {
    png_set_expand_gray_1_2_4_to_8(png_);
    png_set_palette_to_rgb(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  std::string_view rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::array<char, 128> message_{};
};

}  // namespace

absl::Status DecodePng(std::string_view bytes, RgbImage& image) {
  std::vector<png_bytep> rows(static_cast<size_t>(image.size.height));
  const size_t stride = static_cast<size_t>(image.size.width) * 3;
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * stride;
  PngReader reader(bytes);
  if (reader.Decode(image.size, rows.data())) return absl::OkStatus();
  return Error(Reason::kImageCorrupt, fmt::format("PNG is corrupt: {}", reader.message()));
}

}  // namespace emotion::vision
