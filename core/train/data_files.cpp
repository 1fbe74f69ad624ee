// The folder is listed once; explicit names are looked up in it, else the usual names are.
#include "core/train/data_files.hpp"

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/text.hpp"
#include "core/train/byte_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace mlp::train {
namespace {

using config::DataFormat;
using config::is_table_name;
constexpr std::size_t kMostListed = 10'000;

// Names of the regular files in the folder, sorted.
std::vector<std::string> list_files(const fs::path& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) names.push_back(it->path().filename().string());
    if (names.size() > kMostListed) break;
  }
  if (error) throw system_error(error.value(), "read", root.string());
  std::sort(names.begin(), names.end());
  return names;
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_idx_name(std::string_view name) {
  return ends_with_any(name, {"-ubyte", ".idx", ".idx1", ".idx3", "-idx1", "-idx3"});
}

std::string replaced(std::string name, std::string_view from, std::string_view to) {
  if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

class Finder {
 public:
  Finder(const config::TrainerData& data, const fs::path& root) : data_(data), root_(root) {
    is_file_ = fs::is_regular_file(root);
    if (!is_file_) names_ = list_files(root);
  }

  DataFiles find() {
    DataFiles files;
    if (!data_.train.empty()) {
      files.train = named("train", data_.train);
      files.validation = named("validation", data_.validation);
      files.test = named("test", data_.test);
    } else {
      find_usual(files);
    }
    files.format = data_.format != DataFormat::infer ? data_.format : format_of(files.train);
    if (files.format == DataFormat::idx) {
      add_labels(files.train, "train_labels", data_.train_labels);
      add_labels(files.validation, "validation_labels", data_.validation_labels);
      add_labels(files.test, "test_labels", data_.test_labels);
    } else if (!data_.train_labels.empty()) {
      throw Error(ErrorKind::config,
                  fmt::format("'trainer.data.train_labels' is for IDX files, and '{}' is CSV",
                              files.train.name));
    }
    return files;
  }

 private:
  DataFile named(std::string_view key, const std::string& name) const {
    if (name.empty()) return {};
    if (const auto reason = unsafe_path_reason(name))
      throw Error(ErrorKind::config,
                  fmt::format("'trainer.data.{}' must name a file of the dataset, and '{}' {}", key,
                              printable(name), *reason));
    if (is_file_) {
      if (name != root_.filename().string()) throw missing(key, name);
      return {root_, {}, name, {}};
    }
    const fs::path path = root_ / name;
    if (!fs::exists(path)) throw missing(key, name);
    return {path, {}, name, {}};
  }

  Error missing(std::string_view key, const std::string& name) const {
    return Error(ErrorKind::not_found, fmt::format("the dataset has no file '{}', which "
                                                   "'trainer.data.{}' names",
                                                   printable(name), key))
        .with_hint(suggestion_hint(name, names_, "files"));
  }

  void find_usual(DataFiles& files) const {
    if (is_file_) {
      files.train = {root_, {}, root_.filename().string(), {}};
      return;
    }
    if (data_.format != DataFormat::csv && find_mnist(files)) return;
    if (data_.format != DataFormat::idx && find_csv(files)) return;
    throw Error(ErrorKind::config,
                fmt::format("cannot tell which file of '{}' to train on", root_.string()))
        .with_hint("name it: 'trainer.data.train'")
        .with_hint(names_.empty()
                       ? "the folder holds no file"
                       : "it holds " +
                             join(std::span(names_).first(std::min<std::size_t>(names_.size(), 12)),
                                  ", "));
  }

  std::optional<DataFile> first(std::initializer_list<std::string_view> starts) const {
    for (const std::string_view start : starts)
      for (const std::string& name : names_)
        if (name.starts_with(start) && (is_idx_name(name) || is_table_name(name)))
          return DataFile{root_ / name, {}, name, {}};
    return std::nullopt;
  }

  bool find_mnist(DataFiles& files) const {
    const auto train = first({"train-images"});
    if (!train) return false;
    files.train = *train;
    files.validation = first({"validation-images", "val-images"}).value_or(DataFile{});
    files.test = first({"t10k-images", "test-images"}).value_or(DataFile{});
    return true;
  }

  bool find_csv(DataFiles& files) const {
    std::vector<std::string> csv;
    std::copy_if(names_.begin(), names_.end(), std::back_inserter(csv), is_table_name);
    if (csv.size() == 1) {
      files.train = {root_ / csv[0], {}, csv[0], {}};
      return true;
    }
    const auto train = first({"train.csv", "train.tsv"});
    if (!train) return false;
    files.train = *train;
    files.validation = first({"validation.csv", "val.csv", "validation.tsv"}).value_or(DataFile{});
    files.test = first({"test.csv", "test.tsv"}).value_or(DataFile{});
    return true;
  }

  static DataFormat format_of(const DataFile& file) {
    if (is_table_name(file.name)) return DataFormat::csv;
    std::array<char, 3> head{};
    const auto source = open_source(file.path, file.name);
    std::size_t have = 0;
    while (have < head.size()) {
      const std::size_t n = source->read(std::span(head).subspan(have));
      if (n == 0) break;
      have += n;
    }
    const bool idx = have == head.size() && head[0] == 0 && head[1] == 0;
    return idx || is_idx_name(file.name) ? DataFormat::idx : DataFormat::csv;
  }

  void add_labels(DataFile& file, std::string_view key, const std::string& given) const {
    if (!file.exists()) return;
    std::string name = given;
    if (name.empty()) {
      const std::string labels = replaced(file.name, "images", "labels");
      for (const std::string& candidate :
           {replaced(labels, "idx3", "idx1"), labels, replaced(labels, "idx4", "idx1")})
        if (candidate != file.name && !is_file_ && fs::exists(root_ / candidate)) {
          name = candidate;
          break;
        }
    }
    if (name.empty())
      throw Error(ErrorKind::config, fmt::format("no labels for the images '{}'", file.name))
          .with_hint(fmt::format("name their file: 'trainer.data.{}'", key));
    const DataFile labels = named(key, name);
    file.labels_path = labels.path;
    file.labels_name = labels.name;
  }

  const config::TrainerData& data_;
  const fs::path& root_;
  bool is_file_ = false;
  std::vector<std::string> names_;
};

} // namespace

DataFiles find_data_files(const config::TrainerData& data, const std::filesystem::path& root) {
  if (!fs::exists(root))
    throw Error(ErrorKind::not_found, fmt::format("no dataset at '{}'", root.string()));
  return Finder(data, root).find();
}

} // namespace mlp::train
