// Columns and their kinds: inference, declarations, blanks, and errors with file, line and column.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/process.hpp"
#include "core/train/table.hpp"
#include "tests/unit/core/train/gzip.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <string>

namespace mlp::train {
namespace {

Table read(const std::string& text, const TableOptions& options = {}) {
  return read_table([&] { return memory_source(text, "t.csv"); }, options);
}

Error error_of(const std::string& text, const TableOptions& options = {}) {
  try {
    static_cast<void>(read(text, options));
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::failed, "no error"};
}

} // namespace

TEST_CASE("columns of numbers and of text are told apart, blanks are neither") {
  const Table table = read("age,city,note\n39,Bern,\n?,Genf,NA\n-1.5e2,Bern,\n");
  REQUIRE(table.columns.size() == 3);
  CHECK(table.rows() == 3);
  const Column& age = table.columns[0];
  CHECK(age.kind == ColumnKind::number);
  CHECK(age.numbers[0] == 39.0F);
  CHECK(std::isnan(age.numbers[1]));
  CHECK(age.numbers[2] == -150.0F);
  const Column& city = table.columns[1];
  CHECK(city.kind == ColumnKind::category);
  CHECK(city.values == std::vector<std::string>{"Bern", "Genf"});
  CHECK(city.codes == std::vector<std::int32_t>{0, 1, 0});
  CHECK(table.columns[2].kind == ColumnKind::number); // all blank
  CHECK(table.lines == std::vector<std::uint32_t>{2, 3, 4});
}

TEST_CASE("numbers are read as people write them") {
  const Table table = read("x\n+5\n.5\n1e-60\n5.\n0x10\n", [] {
    TableOptions options;
    options.blanks.push_back("0x10");
    return options;
  }());
  CHECK(table.columns[0].numbers[0] == 5.0F);
  CHECK(table.columns[0].numbers[1] == 0.5F);
  CHECK(table.columns[0].numbers[2] == 0.0F);
  CHECK(table.columns[0].numbers[3] == 5.0F);
}

TEST_CASE("text that turns up late makes a column a category, with its values as they stand") {
  std::string text = "id,x\n";
  for (int row = 0; row < 3000; ++row)
    text += std::to_string(row) + (row >= 2000 && row % 2 == 0 ? ",b\n" : ",1.0\n");
  const Table table = read(text);
  CHECK(table.columns[1].kind == ColumnKind::category);
  CHECK(table.columns[1].values == std::vector<std::string>{"1.0", "b"});
  CHECK(table.columns[0].kind == ColumnKind::number);
}

TEST_CASE("one text among nearly all numbers is an error that says where and what to do") {
  for (const int bad : {5, 2500}) { // within the sample of first rows, and after it
    std::string text = "x\n";
    for (int row = 0; row < 3000; ++row)
      text += row == bad ? "12x\n" : "7\n";
    const Error error = error_of(text);
    CHECK(error.message() ==
          "t.csv:" + std::to_string(bad + 2) + ": column 'x': '12x' is not a number");
    REQUIRE(error.hints().size() == 1);
    CHECK(error.hints()[0].find("data.blanks") != std::string::npos);
  }
}

TEST_CASE("declared kinds are kept to") {
  TableOptions options;
  options.kinds = {{"zip", ColumnKind::category}, {"x", ColumnKind::number}};
  const Table table = read("zip,x\n0041,1\n41,2\n", options);
  CHECK(table.columns[0].values == std::vector<std::string>{"0041", "41"});
  CHECK(error_of("zip,x\n1,abc\n", options).message() ==
        "t.csv:2: column 'x': 'abc' is not a number");
  CHECK(error_of("zip,x\n1,inf\n", options).message() ==
        "t.csv:2: column 'x': 'inf' is not a number");
  CHECK(error_of("zip,x\n1,1e39\n", options).message() ==
        "t.csv:2: column 'x': '1e39' is too large for a 32-bit float");
}

TEST_CASE("rows with too many or too few fields are errors") {
  CHECK(error_of("a,b\n1,2\n1,2,3\n").message() ==
        "t.csv:3: too many fields: 3 where the header has 2");
  CHECK(error_of("a,b\n1\n").message() == "t.csv:2: too few fields: 1 where the header has 2");
  TableOptions options;
  options.header = false;
  options.columns = {"a", "b"};
  CHECK(error_of("1,2\n3\n", options).message() ==
        "t.csv:2: too few fields: 1 where there should be 2");
  CHECK(error_of("1,2,3\n", options).message() == "t.csv:1: 3 fields where 'columns' names 2");
}

TEST_CASE("a header with a name twice, an empty file and a file of no rows are errors") {
  CHECK(error_of("a,b,a\n1,2,3\n").message() == "t.csv:1: two columns are named 'a'");
  CHECK(error_of("").message() == "'t.csv' has no header line");
  CHECK(error_of("a,b\n").message() == "'t.csv' has no rows");
  CHECK(error_of("a\n\xC3\x28\n").message().find("is not UTF-8 text") != std::string::npos);
}

TEST_CASE("a column that is not there is an error with the nearest name") {
  TableOptions options;
  options.excluded = {"agee"};
  const Error error = error_of("age,x\n1,2\n", options);
  CHECK(error.message() == "'t.csv' has no column 'agee'");
  REQUIRE(error.hints().size() == 1);
  CHECK(error.hints()[0].find("age") != std::string::npos);
}

TEST_CASE("only declared columns are read if so asked, in any order and with others between") {
  TableOptions options;
  options.kinds = {{"b", ColumnKind::number}};
  options.only_declared = true;
  const Table table = read("junk,b\nx,2\ny,\n", options);
  REQUIRE(table.columns.size() == 1);
  CHECK(table.columns[0].numbers[0] == 2.0F);
}

TEST_CASE("a table that outgrows its memory limit is refused") {
  std::string text = "a,b\n";
  for (int row = 0; row < 40'000; ++row)
    text += "1,2\n";
  TableOptions options;
  options.max_bytes = 100'000;
  CHECK(error_of(text, options).message().find("needs more than 97.7 KiB") != std::string::npos);
}

TEST_CASE("a gzip CSV file reads like the plain one") {
  const std::string packed = gzip("a,b\n1,x\n2,y\n");
  CHECK(read(packed).rows() == 2);
}

TEST_CASE("the Titanic's passengers are read as published") {
  const fs::path path =
      fs::path(get_env("MLP_TEST_DATA").value_or(MLP_TEST_DATA_DIR)) / "titanic" / "train.csv";
  if (!fs::exists(path)) {
    WARN("skipped: no " << path);
    return;
  }
  const Table table = read_table(path, {});
  CHECK(table.rows() == 891);
  REQUIRE(table.columns.size() == 12);
  const Column& name = *table.find("Name");
  CHECK(name.kind == ColumnKind::category);
  CHECK(name.values.size() == 891);
  CHECK(name.values[0] == "Braund, Mr. Owen Harris"); // quoted, with a comma
  const Column& age = *table.find("Age");
  CHECK(age.kind == ColumnKind::number);
  std::size_t blanks = 0;
  for (const float x : age.numbers)
    blanks += std::isnan(x) ? 1U : 0U;
  CHECK(blanks == 177);
  CHECK(table.find("Embarked")->values.size() == 3);
}

} // namespace mlp::train
