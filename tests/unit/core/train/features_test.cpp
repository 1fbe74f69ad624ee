// What preprocessing learns from the training rows, and what it makes of rows it has not seen.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/train/features.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <numeric>

namespace mlp::train {
namespace {

Table table_of(const std::string& text) {
  return read_table([&] { return memory_source(text, "t.csv"); }, {});
}

std::vector<std::int32_t> rows(std::int32_t count) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

Features fit(const Table& table, std::int32_t count, FeatureOptions options = {}) {
  std::vector<std::string> messages;
  return fit_features(table, rows(count), "y", options, messages);
}

std::vector<float> encoded(const Features& features, const Table& table) {
  std::vector<float> out(static_cast<std::size_t>(table.rows() * features.width()));
  encode(features, table, out);
  return out;
}

} // namespace

TEST_CASE("numbers are standardised by the training rows alone") {
  const Table table = table_of("x,y\n1,0\n3,0\n1000,0\n");
  const Features features = fit(table, 2);
  REQUIRE(features.numeric.size() == 1);
  CHECK(features.numeric[0].mean == 2.0F);
  CHECK(features.numeric[0].scale == 1.0F);
  CHECK(encoded(features, table) == std::vector<float>{-1.0F, 1.0F, 998.0F});
}

TEST_CASE("a blank number becomes the median, and says so if training rows have blanks") {
  const Table table = table_of("x,z,y\n1,1,0\n2,2,0\n9,3,0\n,4,0\n1,,0\n");
  const Features features = fit(table, 4);
  REQUIRE(features.numeric.size() == 2);
  CHECK(features.numeric[0].median == 2.0F);
  CHECK(features.numeric[0].indicator);
  CHECK_FALSE(features.numeric[1].indicator);
  CHECK(features.numeric[1].median == 2.5F);
  CHECK(features.width() == 3);
  const std::vector<float> out = encoded(features, table);
  CHECK(out[3 * 3 + 2] == 1.0F); // row 3: x was blank
  CHECK(out[2] == 0.0F);
  CHECK(out[3 * 3] == out[1 * 3]);                   // the median, as in row 1
  CHECK(out[4 * 3 + 1] == Approx(0.0).margin(1e-6)); // z's median is its mean
}

TEST_CASE("a column that is constant in training is nothing to the network") {
  const Table table = table_of("x,z,y\n5,1,0\n5,2,0\n7,3,0\n");
  const Features features = fit(table, 2);
  const std::vector<float> out = encoded(features, table);
  CHECK(out[0] == 0.0F);
  CHECK(out[2 * 2] == 0.0F);
}

TEST_CASE("log columns take log(1 + x) and refuse negative training values") {
  const Table table = table_of("a,x,b,y\n1,0,1,0\n2,99,4,0\n");
  FeatureOptions options;
  options.log = {"x"};
  const Features features = fit(table, 2, options);
  CHECK(features.numeric[2].name == "x"); // log columns stand last
  CHECK(features.numeric[2].mean == Approx(std::log(100.0) / 2));
  const Table negative = table_of("x,y\n1,0\n-2,0\n");
  std::vector<std::string> messages;
  CHECK_THROWS_WITH(fit_features(negative, rows(2), "y", options, messages),
                    "t.csv:3: column 'x' is to be taken as log(1 + x), but holds -2");
  options.log = {"nope"};
  CHECK_THROWS_AS(fit(table, 2, options), Error);
}

TEST_CASE("categories are one-hot, with inputs for blanks and for rare and unknown values") {
  const Table table = table_of("c,y\na,0\na,0\nb,0\nb,0\nq,0\n,0\nnew,0\n");
  FeatureOptions options;
  options.min_count = 2;
  const Features features = fit(table, 6, options);
  REQUIRE(features.categorical.size() == 1);
  const CategoryFeature& c = features.categorical[0];
  CHECK(c.values == std::vector<std::string>{"a", "b"});
  CHECK(c.blank);
  CHECK(c.rare);
  CHECK(features.width() == 4);
  const std::vector<float> out = encoded(features, table);
  const auto row = [&](std::size_t i) {
    return std::vector<float>(out.begin() + static_cast<std::ptrdiff_t>(4 * i),
                              out.begin() + static_cast<std::ptrdiff_t>(4 * i + 4));
  };
  CHECK(row(0) == std::vector<float>{1, 0, 0, 0});
  CHECK(row(2) == std::vector<float>{0, 1, 0, 0});
  CHECK(row(4) == std::vector<float>{0, 0, 0, 1}); // rare
  CHECK(row(5) == std::vector<float>{0, 0, 1, 0}); // blank
  CHECK(row(6) == std::vector<float>{0, 0, 0, 1}); // never seen
}

TEST_CASE("an unknown value sets no input where training has no rare ones") {
  const Table table = table_of("c,y\na,0\na,0\na,0\nb,0\nb,0\nb,0\nnew,0\n,0\n");
  const Features features = fit(table, 6);
  CHECK(features.width() == 2);
  const std::vector<float> out = encoded(features, table);
  CHECK(std::vector<float>(out.begin() + 12, out.end()) == std::vector<float>{0, 0, 0, 0});
}

TEST_CASE("names and empty columns are left out, with a message each") {
  std::string text = "name,empty,x,y\n";
  for (int i = 0; i < 100; ++i)
    text += "n" + std::to_string(i) + ",," + std::to_string(i) + ",0\n";
  const Table table = table_of(text);
  std::vector<std::string> messages;
  FeatureOptions options;
  const Features features = fit_features(table, rows(100), "y", options, messages);
  CHECK(features.width() == 1);
  CHECK(messages ==
        std::vector<std::string>{
            "column 'name' is left out: 100 different texts in 100 rows are no categories",
            "column 'empty' is left out: it is blank in every training row"});
  options.categorical = {"name"};
  CHECK(fit(table, 100, options).categorical.size() == 1); // declared: kept, all values rare
  const Table only_target = table_of("y\n1\n");
  CHECK_THROWS_WITH(fit(only_target, 1), "'t.csv' has no column to learn from");
}

TEST_CASE("pixels are standardised by the training images' bytes") {
  const std::vector<std::uint8_t> pixels = {0, 255, 255, 0, 9, 9};
  const std::vector<std::int32_t> train = {0, 1};
  const Features features = fit_pixels(pixels, {1, 2}, train);
  CHECK(features.pixel_mean == 127.5F);
  CHECK(features.pixel_scale == Approx(1.0 / 127.5));
  CHECK(features.width() == 2);
}

TEST_CASE("the same features give the same JSON, and others do not") {
  const Table table = table_of("x,c,y\n1,a,0\n3,b,0\n4,b,0\n");
  CHECK(features_json(fit(table, 2)) == features_json(fit(table, 2)));
  CHECK(features_json(fit(table, 2)) != features_json(fit(table, 3)));
}

} // namespace mlp::train
