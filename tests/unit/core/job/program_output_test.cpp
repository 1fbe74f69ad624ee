// What programs write comes into the logs line by line, named and masked.
#include "core/base/text.hpp"
#include "core/job/program_output.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <algorithm>

using namespace mlp;
using job::ProgramOutput;

namespace {

void write_text(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    REQUIRE(n > 0);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

} // namespace

TEST_CASE("lines of several programs keep their names, however they were written") {
  const TemporaryDirectory folder;
  const secret::MaskedValues none({});
  ProgramOutput output(none, {job::line_prefix("rank 0"), job::line_prefix("rank 1")},
                       File::create(folder.path() / "out"), File::create(folder.path() / "err"));
  write_text(output.standard_output(0), "one\ntw");
  write_text(output.standard_output(1), "other\n\n");
  write_text(output.standard_output(0), "o\nno end");
  write_text(output.standard_error(1), std::string(200'000, 'x') + "\nafter\n");
  output.close_program_ends();
  output.finish();
  CHECK(output.lost() == 0);

  std::vector<std::string> lines = split(read_file(folder.path() / "out"), '\n');
  std::stable_sort(lines.begin(), lines.end(), [](const std::string& a, const std::string& b) {
    return a.substr(0, 8) < b.substr(0, 8);
  });
  CHECK(lines == std::vector<std::string>{"", "[rank 0] one", "[rank 0] two", "[rank 0] no end",
                                          "[rank 1] other", "[rank 1] "});
  // A line without end is cut into parts, none of it is lost.
  std::size_t x = 0;
  for (const std::string& line : split(read_file(folder.path() / "err"), '\n')) {
    if (line.empty()) continue;
    CHECK(line.starts_with("[rank 1] "));
    CHECK(line.size() <= (64u << 10) + 9);
    x += static_cast<std::size_t>(std::count(line.begin(), line.end(), 'x'));
  }
  CHECK(x == 200'000);
}

TEST_CASE("without a name a program's bytes stay as they are, but for the secrets") {
  const TemporaryDirectory folder;
  const std::vector<std::string> secrets = {"hunter22"};
  const secret::MaskedValues values(secrets);
  ProgramOutput output(values, {""}, File::create(folder.path() / "out"),
                       File::create(folder.path() / "err"));
  write_text(output.standard_output(0), "a hun");
  write_text(output.standard_output(0), "ter22 b\r");
  output.finish();
  CHECK(read_file(folder.path() / "out") == "a *** b\r");
}
