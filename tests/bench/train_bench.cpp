// Trains a network on Fashion-MNIST (or any four gzipped IDX files of its names in a folder) and
// prints samples/s and accuracy as one JSON line: the figure that train_vs_torch.sh compares.
//   train_bench FOLDER [--epochs N] [--batch N] [--threads N] [--widths 256,128] [--dropout P]
//               [--lr X] [--activation relu|gelu|tanh] [--batch-norm] [--constant] [--seed N]
//               [--weight-decay X] [--validation N] [--patience N] [--verbose]
//               [--conv FILTERSxKERNEL,...]   each with a max pooling of 2
//               [--device cpu|cuda:N] [--precision f32|tf32|bf16] [--rows N]
#include "core/base/error.hpp"
#include "core/train/fit.hpp"
#include "kernels/device.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

namespace {

struct Idx {
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> bytes;
};

Idx read_idx(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open '" + path + "'");
  Idx idx;
  unsigned char header[4];
  bool good = gzread(file, header, 4) == 4 && header[2] == 8;
  std::int64_t size = 1;
  for (int i = 0; good && i < header[3]; ++i) {
    unsigned char dim[4];
    good = gzread(file, dim, 4) == 4;
    idx.dims.push_back((dim[0] << 24) | (dim[1] << 16) | (dim[2] << 8) | dim[3]);
    size *= idx.dims.back();
  }
  if (good) {
    idx.bytes.resize(static_cast<std::size_t>(size));
    good = gzread(file, idx.bytes.data(), static_cast<unsigned>(size)) == size;
  }
  gzclose(file);
  if (!good) throw std::runtime_error("'" + path + "' is no IDX file of bytes");
  return idx;
}

} // namespace

int main(int argc, char** argv) try {
  using namespace mlp::train;
  if (argc < 2) {
    std::fprintf(stderr, "usage: train_bench FOLDER [options]\n");
    return 2;
  }
  const std::string folder = argv[1];
  FitSpec spec;
  spec.epochs = 5;
  spec.threads = 2;
  std::string widths = "256,128", conv;
  float dropout = 0.0F;
  Activation activation = Activation::relu;
  bool batch_norm = false;
  bool verbose = false;
  std::int64_t validation = 0;
  std::int64_t most_rows = 0; // all
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&] {
      if (i + 1 == argc) throw std::runtime_error("'" + option + "' needs a value");
      return std::string(argv[++i]);
    };
    if (option == "--epochs")
      spec.epochs = std::stoll(value());
    else if (option == "--batch")
      spec.batch = std::stoll(value());
    else if (option == "--threads")
      spec.threads = std::stoi(value());
    else if (option == "--seed")
      spec.seed = std::stoull(value());
    else if (option == "--widths")
      widths = value();
    else if (option == "--conv")
      conv = value();
    else if (option == "--device") {
      const std::string device = value();
      if (device.starts_with("cuda:"))
        spec.gpu = std::stoi(device.substr(5));
      else if (device != "cpu")
        throw std::runtime_error("'" + device + "' is neither cpu nor such as cuda:0");
    } else if (option == "--precision") {
      using mlp::kernels::Precision;
      const std::string name = value();
      spec.precision = name == "tf32"   ? Precision::tf32
                       : name == "bf16" ? Precision::bf16
                                        : Precision::f32;
      if (spec.precision == Precision::f32 && name != "f32")
        throw std::runtime_error("'" + name + "' is no precision");
    } else if (option == "--rows")
      most_rows = std::stoll(value());
    else if (option == "--dropout")
      dropout = std::stof(value());
    else if (option == "--lr")
      spec.optimizer.learning_rate = std::stof(value());
    else if (option == "--weight-decay")
      spec.optimizer.weight_decay = std::stof(value());
    else if (option == "--validation")
      validation = std::stoll(value());
    else if (option == "--patience")
      spec.patience = std::stoll(value());
    else if (option == "--constant")
      spec.schedule = {ScheduleKind::constant, 0.0F, 0.0F};
    else if (option == "--batch-norm")
      batch_norm = true;
    else if (option == "--verbose")
      verbose = true;
    else if (option == "--activation") {
      const std::string name = value();
      activation = name == "gelu"   ? Activation::gelu
                   : name == "tanh" ? Activation::tanh
                                    : Activation::relu;
    } else
      throw std::runtime_error("unknown option '" + option + "'");
  }
  for (std::size_t at = 0; at < widths.size();) {
    const std::size_t comma = std::min(widths.find(',', at), widths.size());
    spec.hidden.push_back(
        {std::stoll(widths.substr(at, comma - at)), activation, batch_norm, dropout});
    at = comma + 1;
  }

  for (std::size_t at = 0; at < conv.size();) {
    const std::size_t comma = std::min(conv.find(',', at), conv.size());
    const std::string layer = conv.substr(at, comma - at);
    const std::size_t cross = layer.find('x');
    if (cross == std::string::npos) throw std::runtime_error("'" + layer + "' is not such as 16x5");
    const std::int64_t kernel = std::stoll(layer.substr(cross + 1));
    spec.conv.push_back({.filters = std::stoll(layer.substr(0, cross)),
                         .kernel = {kernel, kernel},
                         .pooling = Pooling::max,
                         .activation = activation,
                         .batch_norm = batch_norm,
                         .dropout = dropout});
    at = comma + 1;
  }

  Idx images = read_idx(folder + "/train-images-idx3-ubyte.gz");
  Idx labels = read_idx(folder + "/train-labels-idx1-ubyte.gz");
  const Idx test_images = read_idx(folder + "/t10k-images-idx3-ubyte.gz");
  const Idx test_labels = read_idx(folder + "/t10k-labels-idx1-ubyte.gz");
  const std::int64_t train_rows = images.dims.at(0);
  images.bytes.insert(images.bytes.end(), test_images.bytes.begin(), test_images.bytes.end());
  labels.bytes.insert(labels.bytes.end(), test_labels.bytes.begin(), test_labels.bytes.end());

  Dataset data;
  data.rows = train_rows + test_images.dims.at(0);
  data.inputs = images.dims.at(1) * images.dims.at(2);
  data.image = {images.dims.at(1), images.dims.at(2), 1};
  data.pixels = images.bytes;
  const float mean = 72.94F; // of Fashion-MNIST's training images
  const float scale = 1.0F / 90.02F;
  data.mean = {&mean, 1};
  data.scale = {&scale, 1};
  data.outputs = 10;
  const std::vector<std::int32_t> classes(labels.bytes.begin(), labels.bytes.end());
  data.labels = classes;
  std::vector<std::int32_t> order(classes.size());
  std::iota(order.begin(), order.end(), 0);
  const std::span<const std::int32_t> rows = order;
  data.train = rows.first(static_cast<std::size_t>(train_rows - validation));
  data.validation = rows.subspan(data.train.size(), static_cast<std::size_t>(validation));
  if (most_rows > 0)
    data.train = data.train.first(std::min(data.train.size(), static_cast<std::size_t>(most_rows)));
  data.test = rows.subspan(static_cast<std::size_t>(train_rows));

  double best_rate = 0.0;
  std::vector<double> rates;
  FitCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochReport& r) {
    best_rate = std::max(best_rate, r.samples_per_second);
    rates.push_back(r.samples_per_second);
    if (verbose)
      std::fprintf(
          stderr, "epoch %lld loss %.4f train %.4f val %.4f  %.0f samples/s, %.0f s left\n",
          static_cast<long long>(r.epoch), r.loss, r.train_accuracy,
          r.validation ? r.validation->accuracy : 0.0, r.samples_per_second, r.seconds_left);
  };
  const FitResult result = fit(spec, data, callbacks);
  std::ranges::sort(rates);
  std::printf("{\"framework\": \"mlp\", \"samples_per_s\": %.0f, \"samples_per_s_median\": %.0f, "
              "\"test_accuracy\": %.4f, \"epochs\": %lld, \"best_epoch\": %lld, "
              "\"seconds\": %.2f, \"threads\": %d}\n",
              best_rate, rates[rates.size() / 2], result.test->accuracy,
              static_cast<long long>(result.epochs_run), static_cast<long long>(result.best_epoch),
              result.seconds, spec.threads);
  return 0;
} catch (const mlp::Error& error) {
  std::fprintf(stderr, "train_bench: %s\n", error.what());
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "train_bench: %s\n", error.what());
  return 1;
}
