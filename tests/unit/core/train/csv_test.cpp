// RFC 4180 and the liberties that real files take, against small texts and odd buffer boundaries.
#include "core/base/error.hpp"
#include "core/train/csv.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace mlp::train {
namespace {

using Records = std::vector<std::vector<std::string>>;

Records read_all(std::string_view text, const CsvDialect& dialect = {}) {
  CsvReader reader(memory_source(text, "t.csv"), dialect);
  Records records;
  std::vector<std::string_view> fields;
  while (reader.next(fields))
    records.emplace_back(fields.begin(), fields.end());
  return records;
}

std::string error_of(std::string_view text, const CsvDialect& dialect = {}) {
  try {
    static_cast<void>(read_all(text, dialect));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.message();
  }
  return "no error";
}

// Gives `step` bytes at a time, so that fields and line ends fall on the seams.
class SlowSource final : public ByteSource {
 public:
  SlowSource(std::string text, std::size_t step) : text_(std::move(text)), step_(step) {}
  std::size_t read(std::span<char> data) override {
    const std::size_t n = std::min({data.size(), step_, text_.size() - at_});
    std::copy_n(text_.data() + at_, n, data.data());
    at_ += n;
    return n;
  }
  const std::string& name() const noexcept override { return name_; }

 private:
  std::string text_, name_ = "slow.csv";
  std::size_t step_, at_ = 0;
};

} // namespace

TEST_CASE("a CSV record ends at LF, CR LF or the end of the file") {
  const Records wanted = {{"a", "b"}, {"1", ""}, {"", "2"}};
  CHECK(read_all("a,b\n1,\n,2\n") == wanted);
  CHECK(read_all("a,b\r\n1,\r\n,2\r\n") == wanted);
  CHECK(read_all("a,b\n1,\n,2") == wanted);
}

TEST_CASE("a quoted CSV field may hold delimiters, line ends and doubled quotes") {
  CHECK(read_all("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\nx,y,z\n") ==
        Records{{"a,b", "say \"hi\"", "two\nlines"}, {"x", "y", "z"}});
  CHECK(read_all("\"\",\"\"\r\n") == Records{{"", ""}});
  CHECK(read_all("\"a\r\nb\",c\r\nd,e\r\n") == Records{{"a\r\nb", "c"}, {"d", "e"}});
  CHECK(read_all("\"only\"") == Records{{"only"}});
  CHECK(read_all("\"a\",") == Records{{"a", ""}});
}

TEST_CASE("spaces around CSV fields go, but not those inside quotes, and not if trim is off") {
  CHECK(read_all(" a ,\t b,c\t\n") == Records{{"a", "b", "c"}});
  CHECK(read_all(" \" a \" ,b\n") == Records{{" a ", "b"}});
  CsvDialect keep;
  keep.trim = false;
  CHECK(read_all(" a ,b\n", keep) == Records{{" a ", "b"}});
}

TEST_CASE("a quote inside an unquoted CSV field is a character") {
  CHECK(read_all("5\" pipe,x\n") == Records{{"5\" pipe", "x"}});
}

TEST_CASE("blank lines, comment lines and the first lines are left out of CSV as asked") {
  CsvDialect dialect;
  dialect.comment = "|";
  CHECK(read_all("|1x3 Cross validator\n\na\n \r\nb\n|x\n", dialect) == Records{{"a"}, {"b"}});
  dialect.skip_rows = 3;
  CHECK(read_all("junk \" junk\n\n\na\n", dialect) == Records{{"a"}});
}

TEST_CASE("CSV fields are cut at the delimiter that is given") {
  CsvDialect dialect;
  dialect.delimiter = '\t';
  CHECK(read_all("a\t\tb c\n", dialect) == Records{{"a", "", "b c"}});
  dialect.delimiter = ';';
  CHECK(read_all("1,5;2\n", dialect) == Records{{"1,5", "2"}});
}

TEST_CASE("a byte order mark is no part of the first CSV field") {
  CHECK(read_all("\xEF\xBB\xBF"
                 "a,b\n") == Records{{"a", "b"}});
  CHECK(read_all("\xEF\xBB\xBF\"a\",b\n") == Records{{"a", "b"}});
  CHECK(error_of(std::string_view("\xFF\xFE"
                                  "a\0",
                                  4)) == "t.csv:1: the file is UTF-16 text; convert it to UTF-8");
}

TEST_CASE("errors in CSV text name the file and the line") {
  CHECK(error_of("a\nb,\"c\n\nd\n") == "t.csv:2: a quote is never closed");
  CHECK(error_of("a\n\"b\"c\n") == "t.csv:2: text after the closing quote of field 1");
  CHECK(error_of(std::string_view("a\nb\0c\n", 6)) ==
        "t.csv:2: the line holds a NUL byte: is this a text file?");
  CHECK(error_of(std::string_view("a\n\"b\n\0\"\n", 9)) ==
        "t.csv:3: the line holds a NUL byte: is this a text file?");
  CsvDialect small;
  small.max_line_bytes = 100;
  CHECK(error_of("a\n" + std::string(101, 'x') + "\n", small) ==
        "t.csv:2: the line is longer than 100 B");
  std::string open = "a\n\"";
  for (int i = 0; i < 100; ++i)
    open += "x\n";
  CHECK(error_of(open, small) ==
        "t.csv:2: the line is longer than 100 B (a quote may not be closed)");
  CHECK(read_all(std::string(100, 'x') + "\n", small).size() == 1);
}

TEST_CASE("CSV lines are counted as an editor counts them") {
  CsvReader reader(memory_source(std::string_view("a\n\n\"b\nb\"\nc\n"), "t.csv"), {});
  std::vector<std::string_view> fields;
  std::vector<std::int64_t> lines;
  while (reader.next(fields))
    lines.push_back(reader.line());
  CHECK(lines == std::vector<std::int64_t>{1, 3, 5});
}

TEST_CASE("CSV reads the same however the bytes arrive") {
  std::string text;
  for (int row = 0; row < 500; ++row)
    text += std::to_string(row) + ",\"q" + std::string(static_cast<std::size_t>(row % 40), 'y') +
            "\"\"\n\"," + (row % 3 == 0 ? "plain\r\n" : "z\n");
  const Records wanted = read_all(text);
  REQUIRE(wanted.size() == 500);
  for (const std::size_t step : {1U, 2U, 3U, 7U, 64U, 4096U}) {
    CsvReader reader(std::make_unique<SlowSource>(text, step), {});
    std::vector<std::string_view> fields;
    std::size_t row = 0;
    while (reader.next(fields)) {
      REQUIRE(row < wanted.size());
      REQUIRE(std::vector<std::string>(fields.begin(), fields.end()) == wanted[row]);
      ++row;
    }
    CHECK(row == wanted.size());
  }
}

} // namespace mlp::train
