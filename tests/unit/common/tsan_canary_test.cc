// Races on purpose. Run in the tsan preset only, where the thread sanitizer must report it in spite
// of all suppressions: a sanitizer that sees nothing would pass every other test.
#include <cstdio>
#include <thread>

int main() {
  int shared = 0;
  std::thread other([&] { shared = 1; });
  shared = 2;
  other.join();
  std::printf("%d\n", shared);
}
