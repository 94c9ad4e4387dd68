// Empty: CMake precompiles headers for a target only when it has a source that may use them, and
// catch_main.cc may not.
