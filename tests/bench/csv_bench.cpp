// csv_bench [MEGABYTES]: how fast tables are read, in MB of text a second: numbers only, and
// numbers with categories and quotes. Prints one JSON record. A plain count of line ends over the
// same bytes is the bound that memory sets.
#include "core/train/table.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace mlp;

namespace {

std::string numeric_text(std::size_t bytes) {
  std::string text = "a,b,c,d,e,f,g,h\n";
  std::uint32_t state = 1;
  const auto next = [&state] { return state = state * 1664525U + 1013904223U; };
  char line[256];
  while (text.size() < bytes) {
    const int size = std::snprintf(line, sizeof line, "%u,%.2f,%.4f,%u,%.1f,-%.3f,%u,%.2f\n",
                                   next() % 1000, next() / 1e6, next() / 1e8, next() % 10,
                                   next() / 1e7, next() / 1e7, next() % 100000, next() / 1e5);
    text.append(line, static_cast<std::size_t>(size));
  }
  return text;
}

std::string mixed_text(std::size_t bytes) {
  std::string text = "age,work,city,hours,income\n";
  const char* const work[] = {"Private", "State-gov", "?", "Self-emp"};
  const char* const city[] = {"\"Basel, BS\"", "Bern", "\"Biel \"\"Bienne\"\"\"", "Genf"};
  for (std::uint32_t i = 0; text.size() < bytes; ++i)
    text += std::to_string(17 + i * 7 % 60) + ", " + work[i * 5 % 4] + ", " + city[i * 3 % 4] +
            ", " + std::to_string(i % 99) + (i % 3 == 0 ? ", >50K\n" : ", <=50K\n");
  return text;
}

double rate(const std::string& text) {
  double best = 0.0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const auto table =
        train::read_table([&] { return train::memory_source(text, "bench.csv"); }, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (table.rows() == 0) std::abort();
    best = std::max(best, static_cast<double>(text.size()) / 1e6 / seconds.count());
  }
  return best;
}

double count_rate(const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  const auto lines = std::count(text.begin(), text.end(), '\n');
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (lines == 0) std::abort();
  return static_cast<double>(text.size()) / 1e6 / seconds.count();
}

} // namespace

int main(int count, char** arguments) {
  const auto bytes = static_cast<std::size_t>(count > 1 ? std::atoi(arguments[1]) : 100) * 1000000;
  const std::string numbers = numeric_text(bytes), mixed = mixed_text(bytes);
  std::printf("{\"bench\":\"csv\",\"megabytes\":%zu,\"numeric_mb_s\":%.0f,\"mixed_mb_s\":%.0f,"
              "\"line_count_mb_s\":%.0f}\n",
              bytes / 1000000, rate(numbers), rate(mixed), count_rate(numbers));
  return 0;
}
