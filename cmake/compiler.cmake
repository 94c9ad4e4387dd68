# Language, warnings, sanitizers, ccache. Everything hangs on the interface target emotion_options;
# nothing is set directory-wide but the language standard.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # The sloppiness lets ccache work with precompiled headers; base_dir lets checkouts share results.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()

add_library(emotion_options INTERFACE)
target_compile_options(emotion_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
  $<$<BOOL:${EMOTION_WERROR}>:-Werror>)
target_include_directories(emotion_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(emotion_options INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_compile_options(emotion_options INTERFACE -fstack-protector-strong)

if(EMOTION_SANITIZER STREQUAL "address")
  set(_sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(EMOTION_SANITIZER STREQUAL "thread")
  set(_sanitize -fsanitize=thread -fno-omit-frame-pointer)
elseif(EMOTION_SANITIZER)
  message(FATAL_ERROR "EMOTION_SANITIZER must be address, thread or empty; was '${EMOTION_SANITIZER}'")
endif()
if(EMOTION_SANITIZER)
  target_compile_options(emotion_options INTERFACE ${_sanitize} -U_FORTIFY_SOURCE)
  target_link_options(emotion_options INTERFACE ${_sanitize})
endif()

if(EMOTION_FUZZ)
  # Coverage feedback in our libraries; the fuzzers themselves link libFuzzer's main.
  target_compile_options(emotion_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
