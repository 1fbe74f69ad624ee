// Runs a fuzz target over the files named, and those in the folders named, where libFuzzer is not
// at hand. Ends with 0 if all of them pass.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

bool run(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    std::fprintf(stderr, "cannot read '%s'\n", path.c_str());
    return false;
  }
  // Said first, so that a crash shows which input it was.
  std::printf("%s (%zu bytes)\n", path.c_str(), text.size());
  std::fflush(stdout);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  return true;
}

} // namespace

int main(int argc, char** argv) {
  bool good = argc > 1;
  if (!good) std::fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      good = run(argv[i]) && good;
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
      if (entry.is_regular_file()) good = run(entry.path()) && good;
  }
  return good ? 0 : 1;
}
