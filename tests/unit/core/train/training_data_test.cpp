// From a folder of files to rows, labels and parts, and what is refused on the way.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/train/data_files.hpp"
#include "core/train/split.hpp"
#include "core/train/training_data.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>
#include <set>

namespace mlp::train {
namespace {

using config::TrainerKind;
using config::TrainerSpec;

std::string idx(const std::string& shape, const std::string& data) {
  std::string bytes("\0\0\x08", 3);
  bytes += static_cast<char>(shape.size());
  for (const char size : shape)
    bytes += std::string("\0\0\0", 3) + size;
  return bytes + data;
}

class Folder {
 public:
  void write(const std::string& name, const std::string& text) const {
    write_file_atomic(folder_.path() / name, text);
  }
  TrainingData load(const TrainerSpec& spec) {
    messages.clear();
    return load_training_data(spec, folder_.path(), messages);
  }
  Error error(const TrainerSpec& spec) {
    try {
      static_cast<void>(load(spec));
    } catch (const Error& error) {
      return error;
    }
    return {ErrorKind::failed, "no error"};
  }
  std::vector<std::string> messages;

 private:
  TemporaryDirectory folder_;
};

TrainerSpec no_split() {
  TrainerSpec spec;
  spec.split.test = spec.split.validation = 0.0;
  return spec;
}

} // namespace

TEST_CASE("rows are split by seed, each class giving its share") {
  std::vector<std::int32_t> rows(1000), labels(1000);
  std::iota(rows.begin(), rows.end(), 0);
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = i % 10 == 0 ? 1 : 0;
  const RowSplit split = split_rows(rows, labels, 0.2, 7, 1);
  CHECK(split.cut.size() == 200);
  CHECK(split.kept.size() == 800);
  const auto ones = std::count_if(split.cut.begin(), split.cut.end(), [&](std::int32_t row) {
    return labels[static_cast<std::size_t>(row)] == 1;
  });
  CHECK(std::abs(ones - 20) <= 1);
  CHECK(split_rows(rows, labels, 0.2, 7, 1).cut == split.cut);
  CHECK(split_rows(rows, labels, 0.2, 8, 1).cut != split.cut);
  CHECK(split_rows(rows, labels, 0.2, 7, 2).cut != split.cut);
  CHECK(split_rows(rows, {}, 0.0, 7, 1).cut.empty());
  std::set<std::int32_t> all(split.cut.begin(), split.cut.end());
  all.insert(split.kept.begin(), split.kept.end());
  CHECK(all.size() == 1000);
}

TEST_CASE("one CSV file is understood by itself: the last column is the target") {
  Folder folder;
  std::string text = "x,kind\n";
  for (int i = 0; i < 50; ++i)
    text += std::to_string(i) + (i % 2 == 0 ? ",even\n" : ",odd\n");
  folder.write("data.csv", text);
  const TrainingData data = folder.load({});
  CHECK(data.target == "kind");
  CHECK(data.classes == std::vector<std::string>{"even", "odd"});
  CHECK(data.test.size() == 10);
  CHECK(data.validation.size() == 4);
  CHECK(data.train.size() == 36);
  CHECK(data.labels[3] == 1);
  const Dataset view = data.view();
  CHECK(view.inputs == 1);
  CHECK(view.outputs == 2);
}

TEST_CASE("a header field without a name is named by its place") {
  Folder folder;
  folder.write("d.csv", ",x,\n1,2,a\n2,3,b\n");
  const TrainingData data = folder.load(no_split());
  CHECK(data.target == "column_3");
  CHECK(data.features.numeric.at(0).name == "column_1");
}

TEST_CASE("labels that are integers are ordered as numbers") {
  Folder folder;
  folder.write("d.csv", "x,y\n1,10\n2,9\n3,-1\n4,10\n");
  CHECK(folder.load(no_split()).classes == std::vector<std::string>{"-1", "9", "10"});
}

TEST_CASE("a test file has its own rows, and its labels may carry a suffix") {
  Folder folder;
  folder.write("adult.data", "39, State-gov, <=50K\n50, Private, >50K\n");
  folder.write("adult.test", "|1x3 Cross validator\n25, Private, <=50K.\n\n");
  TrainerSpec spec = no_split();
  spec.data.train = "adult.data";
  spec.data.test = "adult.test";
  spec.data.comment = "|";
  spec.data.columns = {"age", "work", "income"};
  spec.data.strip_label_suffix = ".";
  const TrainingData data = folder.load(spec);
  CHECK(data.test == std::vector<std::int32_t>{2});
  CHECK(data.labels == std::vector<std::int32_t>{0, 1, 0});
}

TEST_CASE("a label outside the classes is an error with file and line") {
  Folder folder;
  folder.write("train.csv", "x,y\n1,a\n2,b\n");
  folder.write("test.csv", "x,y\n1,a\n\n2,c\n");
  CHECK(folder.error(no_split()).message() ==
        "test.csv:4: column 'y': 'c' is not one of the classes 'a', 'b'");
  TrainerSpec declared = no_split();
  declared.data.train = "train.csv";
  declared.data.classes = {"a", "x"};
  CHECK(folder.error(declared).message() ==
        "train.csv:3: column 'y': 'b' is not one of the classes 'a', 'x'");
  folder.write("train.csv", "x,y\n1,a\n2,\n3,b\n");
  CHECK(folder.error(no_split()).message() == "train.csv:3: column 'y': the label is blank");
}

TEST_CASE("a regressor's target is a number in every row, and is standardised") {
  Folder folder;
  folder.write("train.csv", "x,y\n1,10\n2,20\n3,30\n");
  TrainerSpec spec = no_split();
  spec.kind = TrainerKind::regressor;
  const TrainingData data = folder.load(spec);
  CHECK(data.target_mean == 20.0F);
  CHECK(data.targets[1] == 0.0F);
  CHECK(data.targets[2] * data.target_scale + data.target_mean == Approx(30.0));
  folder.write("train.csv", "x,y\n1,10\n2,\n");
  CHECK(folder.error(spec).message() == "train.csv:3: column 'y': the target is blank");
  folder.write("train.csv", "x,y\n1,10\n2,ten\n");
  CHECK(folder.error(spec).message() == "train.csv:3: column 'y': 'ten' is not a number");
  folder.write("train.csv", "x,y\n1,10\n2,10\n");
  CHECK(folder.error(spec).message() ==
        "column 'y' of 'train.csv' has the same value in every row");
}

TEST_CASE("a classifier needs two classes and not thousands") {
  Folder folder;
  folder.write("d.csv", "x,y\n1,a\n2,a\n");
  CHECK(folder.error(no_split()).message() ==
        "a classifier needs two classes, and column 'y' of 'd.csv' has one, 'a'");
  std::string text = "x,y\n";
  for (int i = 0; i < 10'001; ++i)
    text += "1," + std::to_string(i) + "\n";
  folder.write("d.csv", text);
  const Error error = folder.error(no_split());
  CHECK(error.message() == "column 'y' of 'd.csv' has 10,001 different values: too many for "
                           "classes");
  CHECK(error.hints().at(0) == "if it is a number to predict, set 'trainer.kind: regressor'");
}

TEST_CASE("columns are included and excluded by name") {
  Folder folder;
  folder.write("d.csv", "id,a,b,y\n1,2,3,u\n2,3,5,v\n3,1,1,u\n");
  TrainerSpec spec = no_split();
  spec.data.features.exclude = {"id"};
  CHECK(folder.load(spec).features.width() == 2);
  spec = no_split();
  spec.data.features.include = {"b"};
  CHECK(folder.load(spec).features.width() == 1);
  spec.data.features.include = {"bb"};
  CHECK(folder.error(spec).message() ==
        "'d.csv' has no column 'bb', which 'trainer.data.features.include' names");
  spec = no_split();
  spec.data.target = "why";
  CHECK(folder.error(spec).message() == "'d.csv' has no column 'why'");
}

TEST_CASE("class weights are balanced by the training rows or given by name") {
  Folder folder;
  folder.write("d.csv", "x,y\n1,a\n2,a\n3,a\n4,b\n");
  TrainerSpec spec = no_split();
  const TrainingData data = folder.load(spec);
  CHECK(class_weights(spec, data).empty());
  spec.data.balanced = true;
  CHECK(class_weights(spec, data) == std::vector<float>{4.0F / 6.0F, 2.0F});
  spec.data.balanced = false;
  spec.data.class_weights = {{"b", 3.0}};
  CHECK(class_weights(spec, data) == std::vector<float>{1.0F, 3.0F});
  spec.data.class_weights = {{"c", 3.0}};
  CHECK_THROWS_AS(class_weights(spec, data), Error);
}

TEST_CASE("IDX files with MNIST's names are understood by themselves") {
  Folder folder;
  folder.write("train-images-idx3-ubyte", idx("\x03\x01\x02", std::string("\0\1\2\3\4\5", 6)));
  folder.write("train-labels-idx1-ubyte", idx("\x03", "\5\7\5"));
  folder.write("t10k-images-idx3-ubyte", idx("\x01\x01\x02", "\6\7"));
  folder.write("t10k-labels-idx1-ubyte", idx("\x01", "\7"));
  const TrainingData data = folder.load(no_split());
  CHECK(data.features.image_shape == std::vector<std::int64_t>{1, 2});
  CHECK(data.classes == std::vector<std::string>{"5", "7"});
  CHECK(data.labels == std::vector<std::int32_t>{0, 1, 0, 1});
  CHECK(data.test == std::vector<std::int32_t>{3});
  CHECK(data.pixels.size() == 8);

  folder.write("t10k-labels-idx1-ubyte", idx("\x01", "\6"));
  CHECK(folder.error(no_split()).message() ==
        "'t10k-labels-idx1-ubyte': label 6 of item 0 is not one of the 2 classes");
  folder.write("t10k-labels-idx1-ubyte", idx("\x02", "\5\5"));
  CHECK(folder.error(no_split()).message() ==
        "'t10k-images-idx3-ubyte' has 1 images and 't10k-labels-idx1-ubyte' has 2 labels");
  TrainerSpec regressor = no_split();
  regressor.kind = TrainerKind::regressor;
  CHECK(folder.error(regressor).kind() == ErrorKind::config);
}

TEST_CASE("a file that is not in the dataset, or would leave it, is refused") {
  Folder folder;
  folder.write("train.csv", "x,y\n1,a\n2,b\n");
  TrainerSpec spec = no_split();
  spec.data.train = "trian.csv";
  const Error missing = folder.error(spec);
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(missing.hints().at(0) == "did you mean 'train.csv'?");
  spec.data.train = "../train.csv";
  CHECK(folder.error(spec).kind() == ErrorKind::config);
}

TEST_CASE("a folder that does not say what to train on is an error that lists its files") {
  Folder folder;
  folder.write("a.csv", "x\n");
  folder.write("b.csv", "x\n");
  const Error error = folder.error({});
  CHECK(error.message().find("cannot tell which file") == 0);
  CHECK(error.hints().at(1) == "it holds a.csv, b.csv");
}

} // namespace mlp::train
