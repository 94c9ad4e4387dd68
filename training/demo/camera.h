// What light and a cheap camera do to a picture: colour cast, blur, grain, JPEG.
#pragma once

#include <string>

#include <opencv2/core/mat.hpp>

#include "training/demo/face_parameters.h"
#include "vision/preprocess/image.h"

namespace emotion::training {

// Light, then blur, then grain of `scene`, in place. `picture` is 8-bit RGB.
void ApplyCamera(cv::Mat& picture, const Scene& scene);

// A baseline JPEG (4:2:0) of the image. REQUIRES: a side of 1 to 65500 pixels and quality 1 to 100.
std::string EncodeJpeg(const vision::RgbImage& image, int quality);

}  // namespace emotion::training
