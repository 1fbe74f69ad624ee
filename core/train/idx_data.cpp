// IDX parts: images and labels that belong together, in one matrix of bytes.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/train/data_parts.hpp"
#include "core/train/idx.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::train {
namespace {

class IdxLoader {
 public:
  IdxLoader(const config::TrainerSpec& spec, const DataFiles& files,
            std::vector<std::string>& messages)
      : spec_(spec), files_(files), messages_(messages) {}

  TrainingData load() {
    if (spec_.kind == config::TrainerKind::regressor)
      throw Error(ErrorKind::config, "'trainer.kind: regressor' needs CSV data, and "
                                     "'" +
                                         files_.train.name + "' holds images");
    data_.classes = spec_.data.classes;
    data_.train = read_part(files_.train);
    data_.validation = read_part(files_.validation);
    data_.test = read_part(files_.test);
    split_parts(spec_, files_, data_);
    data_.features = fit_pixels(data_.pixels, shape_, data_.train);
    return std::move(data_);
  }

 private:
  std::vector<std::int32_t> read_part(const DataFile& file) {
    if (!file.exists()) return {};
    IdxFile images = read_idx(open_source(file.path, file.name));
    const IdxFile labels = read_idx(open_source(file.labels_path, file.labels_name));
    if (images.shape.size() < 2)
      throw Error(ErrorKind::config,
                  fmt::format("'{}' holds no images: it has 1 dimension", file.name));
    if (labels.shape.size() != 1)
      throw Error(ErrorKind::config, fmt::format("'{}' holds no labels: it has {} dimensions",
                                                 file.labels_name, labels.shape.size()));
    if (images.shape[0] != labels.shape[0])
      throw Error(ErrorKind::config,
                  fmt::format("'{}' has {} images and '{}' has {} labels", file.name,
                              images.shape[0], file.labels_name, labels.shape[0]));
    std::vector<std::int64_t> shape(images.shape.begin() + 1, images.shape.end());
    if (shape.size() != 2 && !spec_.network.conv.empty())
      throw Error(ErrorKind::config,
                  fmt::format("'trainer.network.conv' is for images of a height and a width, and "
                              "'{}' has {} dimensions beside that of its items",
                              file.name, shape.size()));
    if (shape_.empty()) shape_ = shape;
    if (shape != shape_)
      throw Error(ErrorKind::config,
                  fmt::format("the images of '{}' have another shape than those of '{}'", file.name,
                              files_.train.name));
    const std::size_t first = data_.labels.size();
    if (first + labels.data.size() > static_cast<std::size_t>(INT32_MAX))
      throw Error(ErrorKind::config, "the files have more than 2^31 - 1 images together");
    add_labels(labels);
    if (data_.pixels.empty())
      data_.pixels = std::move(images.data);
    else
      data_.pixels.insert(data_.pixels.end(), images.data.begin(), images.data.end());
    messages_.push_back(fmt::format("read '{}': {} images of {}", file.name,
                                    format_count(labels.data.size()), shape_text()));
    return row_range(first, labels.data.size());
  }

  // Declared classes are the names of 0, 1, 2, ...; else the numbers in the training file.
  void add_labels(const IdxFile& labels) {
    if (index_.empty()) {
      index_.assign(256, -1);
      if (spec_.data.classes.empty()) {
        for (const std::uint8_t label : labels.data)
          index_[label] = 0;
        for (std::size_t value = 0; value < index_.size(); ++value)
          if (index_[value] == 0) {
            index_[value] = static_cast<std::int32_t>(data_.classes.size());
            data_.classes.push_back(std::to_string(value));
          }
        check_class_count(data_.classes, "'" + labels.source + "'");
      } else {
        for (std::size_t i = 0; i < std::min<std::size_t>(256, data_.classes.size()); ++i)
          index_[i] = static_cast<std::int32_t>(i);
      }
    }
    for (std::size_t i = 0; i < labels.data.size(); ++i) {
      const std::int32_t label = index_[labels.data[i]];
      if (label < 0)
        throw Error(ErrorKind::config,
                    fmt::format("'{}': label {} of item {} is not one of the {} classes",
                                labels.source, labels.data[i], i, data_.classes.size()));
      data_.labels.push_back(label);
    }
  }

  std::string shape_text() const {
    std::string text;
    for (const std::int64_t size : shape_)
      text += (text.empty() ? "" : "x") + std::to_string(size);
    return text;
  }

  const config::TrainerSpec& spec_;
  const DataFiles& files_;
  std::vector<std::string>& messages_;
  std::vector<std::int64_t> shape_;
  std::vector<std::int32_t> index_; // a byte's class
  TrainingData data_;
};

} // namespace

TrainingData load_idx_data(const config::TrainerSpec& spec, const DataFiles& files,
                           std::vector<std::string>& messages) {
  return IdxLoader(spec, files, messages).load();
}

} // namespace mlp::train
