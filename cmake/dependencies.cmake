# Every package that the product is built with, all from Debian 12. LibTorch is found only in the
# folders that wrap it (vision/encoder/torch, training), through emotion_find_torch().
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)  # MODULE mode, and before gRPC: Debian ships no protobuf-config
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED)  # Beast and Asio: header-only
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)  # std::format is not in g++ 12
find_package(nlohmann_json CONFIG REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)  # these ship no CMake configuration
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)

set(EMOTION_LIBTORCH_DIR "" CACHE PATH
  "A LibTorch other than the system's, such as site-packages/torch of a PyPI wheel with CUDA")

# Gives the target emotion_torch: LibTorch as a system library, so that its headers warn nobody.
function(emotion_find_torch)
  if(TARGET emotion_torch)
    return()
  endif()
  if(EMOTION_LIBTORCH_DIR)
    _emotion_use_torch_of(${EMOTION_LIBTORCH_DIR})
    return()
  endif()
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # more than one folder links it
  find_package(Torch CONFIG REQUIRED)
  add_library(emotion_torch INTERFACE IMPORTED GLOBAL)
  target_link_libraries(emotion_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(emotion_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
endfunction()

# By its files: the TorchConfig.cmake of a CUDA build wants the CUDA toolkit, which linking does not.
function(_emotion_use_torch_of folder)
  add_library(emotion_torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(emotion_torch SYSTEM INTERFACE
    ${folder}/include ${folder}/include/torch/csrc/api/include)
  # It brings headers of another fmt, which its users then see instead of ours.
  target_compile_definitions(emotion_torch INTERFACE FMT_HEADER_ONLY)
  # The CUDA half registers itself when it is loaded.
  file(GLOB cuda ${folder}/lib/libtorch_cuda.so ${folder}/lib/libc10_cuda.so)
  if(cuda)
    _emotion_use_cuda_of(${folder})
  endif()
  target_link_libraries(emotion_torch INTERFACE -Wl,--push-state,--no-as-needed
    ${folder}/lib/libtorch_cpu.so ${cuda} ${folder}/lib/libc10.so -Wl,--pop-state)
endfunction()

# Gives the target emotion_torch_cuda: the headers and the runtime of CUDA, which what is written for
# streams and graphs needs. A PyPI wheel has both beside it: the runtime in a package of its own, all
# of the headers in triton's, which every CUDA wheel of torch depends on.
function(_emotion_use_cuda_of folder)
  file(GLOB near ${folder}/../triton/backends/nvidia/include ${folder}/../nvidia/cuda_runtime/lib)
  set(hints /usr/local/cuda ${near} ${folder}/lib)
  find_path(EMOTION_CUDA_INCLUDE crt/host_defines.h HINTS ${hints} PATH_SUFFIXES include)
  find_library(EMOTION_CUDA_RUNTIME NAMES cudart libcudart.so.12 libcudart.so.13 libcudart.so.11.0
               HINTS ${hints} PATH_SUFFIXES lib64)
  if(NOT EMOTION_CUDA_INCLUDE OR NOT EMOTION_CUDA_RUNTIME)
    message(FATAL_ERROR "The LibTorch at ${folder} is one for CUDA, but CUDA's runtime was not found: "
                        "set EMOTION_CUDA_INCLUDE (cuda_runtime_api.h) and EMOTION_CUDA_RUNTIME (libcudart)")
  endif()
  add_library(emotion_torch_cuda INTERFACE IMPORTED GLOBAL)
  target_include_directories(emotion_torch_cuda SYSTEM INTERFACE ${EMOTION_CUDA_INCLUDE})
  target_compile_definitions(emotion_torch_cuda INTERFACE EMOTION_TORCH_CUDA=1)
  target_link_libraries(emotion_torch_cuda INTERFACE ${EMOTION_CUDA_RUNTIME})
endfunction()

# Gives the target emotion_opencv (core and imgproc), which only training and analyze draw on. Its
# headers warn under C++20, hence a system library too.
function(emotion_find_opencv)
  if(TARGET emotion_opencv)
    return()
  endif()
  find_package(OpenCV REQUIRED COMPONENTS core imgproc)
  add_library(emotion_opencv INTERFACE IMPORTED GLOBAL)
  target_link_libraries(emotion_opencv INTERFACE opencv_core opencv_imgproc)
  target_include_directories(emotion_opencv SYSTEM INTERFACE ${OpenCV_INCLUDE_DIRS})
endfunction()
