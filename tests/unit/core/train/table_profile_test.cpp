// What is taken for a header, and what for a row.
#include "core/train/table_profile.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace mlp::train {
namespace {

TableProfile profile(std::string_view text) {
  return profile_table(memory_source(text, "t.csv"), {});
}

std::vector<std::string> names(const TableProfile& profile) {
  std::vector<std::string> all;
  for (const ColumnProfile& column : profile.columns)
    all.push_back(column.name);
  return all;
}

using Names = std::vector<std::string>;

TEST_CASE("a first record without a number names the columns, one with a number is a row") {
  const TableProfile named = profile("id,size\n1,2.5\n2,3\n");
  CHECK(named.header);
  CHECK(named.rows == 2);
  CHECK(names(named) == Names{"id", "size"});
  CHECK(profile("id,\n1,2\n").header);
  CHECK(profile("id,size\n").header);
  const TableProfile bare = profile("1,2.5\n2,3\n");
  CHECK_FALSE(bare.header);
  CHECK(bare.rows == 2);
  CHECK(names(bare) == Names{"column_1", "column_2"});
  CHECK(bare.columns[1].least == 2.5);
  CHECK_FALSE(profile("7\n").header);
  CHECK_FALSE(profile("a,7\n").header);
  CHECK(profile("").columns.empty());
}

TEST_CASE("columns that are named by years have a header") {
  const TableProfile yearly = profile("country,2019,2020,2021\nFrance,1.5,2,3\nChad,,5,6\n");
  CHECK(yearly.header);
  CHECK(yearly.rows == 2);
  CHECK(names(yearly) == Names{"country", "2019", "2020", "2021"});
  CHECK(yearly.columns[3].least == 3);
  CHECK(profile("2000,2010,2020\n1,2,3\n").header);
  CHECK(profile("x,2020,2019\na,3000000,12\n").header);
}

TEST_CASE("rows that hold years are no header") {
  CHECK_FALSE(profile("Ann,1990,1995\nBob,1990,2001\n").header); // the next has years too
  CHECK_FALSE(profile("Ann,1990,1995\nBob,,\n").header);
  CHECK_FALSE(profile("Ann,1990,1995\n").header);
  CHECK_FALSE(profile("1990,31\n1991,35\n").header);          // a number that is no year
  CHECK_FALSE(profile("Ann,1990\nBob,31\n").header);          // one alone
  CHECK_FALSE(profile("x,2019,2020,2022\na,1,2,3\n").header); // other steps
  CHECK_FALSE(profile("x,2019,2019\na,1,2\n").header);
  CHECK_FALSE(profile("x,02019,02020\na,1,2\n").header);
}

} // namespace
} // namespace mlp::train
