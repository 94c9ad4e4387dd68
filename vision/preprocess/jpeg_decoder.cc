// jpeglib.h needs size_t and FILE from before it.
#include <csetjmp>
#include <cstdio>

// After those two.
#include <array>

#include <jerror.h>
#include <jpeglib.h>

#include "common/error/error.h"
#include "fmt/format.h"
#include "vision/preprocess/format_decoders.h"

namespace emotion::vision {
namespace {

// Far above the walk's limit: a second lock on the same door.
constexpr int kMaxScans = 1000;

struct ErrorManager {
  jpeg_error_mgr base;  // first, so that libjpeg's pointer is ours
  std::jmp_buf jump;
  std::array<char, JMSG_LENGTH_MAX> message{};
};

[[noreturn]] void OnError(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->message.data());
  std::longjmp(manager->jump, 1);
}

// Warnings that leave every pixel intact. Stray bytes before a marker are what many webcams write.
bool IsHarmless(int code) {
  return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM ||
         code == JWRN_NOT_SEQUENTIAL;
}

// libjpeg warns (level -1) where it goes on with invented pixels; for us that is an error.
void OnMessage(j_common_ptr info, int level) {
  if (level < 0 && !IsHarmless(info->err->msg_code)) OnError(info);
}

void OnProgress(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number > kMaxScans) {
    info->err->msg_code = JERR_BAD_PROGRESSION;
    OnError(info);
  }
}

// Owns libjpeg's memory. Lives in the frame that calls the functions with setjmp, so that a jump
// never skips its destructor.
class Decompressor {
 public:
  Decompressor() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = OnError;
    errors_.base.emit_message = OnMessage;
    errors_.base.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = OnProgress;
  }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor() { jpeg_destroy_decompress(&info_); }

  // False: the message says why. No object with a destructor may live here: libjpeg jumps out.
  bool Decode(std::string_view bytes, ImageSize size, uint8_t* pixels) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&info_, TRUE);
    Configure(size);
    jpeg_start_decompress(&info_);
    if (ImageSize{static_cast<int>(info_.output_width), static_cast<int>(info_.output_height)} !=
            size ||
        info_.output_components != 3) {
      return false;
    }
    const size_t stride = size_t{info_.output_width} * 3;
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    // Reads up to the end marker, so that a missing one is noticed.
    jpeg_finish_decompress(&info_);
    return true;
  }

  std::string_view message() const {
    return errors_.message[0] != 0 ? errors_.message.data() : "its size changes while it is read";
  }

 private:
  // Pillow's settings; they are libjpeg's defaults, stated because parity hangs on them.
  void Configure(ImageSize size) {
    info_.out_color_space = JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    info_.do_fancy_upsampling = TRUE;
    info_.do_block_smoothing = TRUE;
    // Coefficients of a progressive image, whose sides may be padded to 4 blocks, and 8 MiB more.
    const auto padded = [](int side) { return static_cast<long>(side) + 64; };
    info_.mem->max_memory_to_use = padded(size.width) * padded(size.height) * 3 * 2 + (8L << 20);
  }

  jpeg_decompress_struct info_{};
  ErrorManager errors_{};
  jpeg_progress_mgr progress_{};
};

}  // namespace

absl::Status DecodeJpeg(std::string_view bytes, RgbImage& image) {
  Decompressor decompressor;
  if (decompressor.Decode(bytes, image.size, image.pixels.data())) return absl::OkStatus();
  return Error(Reason::kImageCorrupt, fmt::format("JPEG is corrupt: {}", decompressor.message()));
}

}  // namespace emotion::vision
