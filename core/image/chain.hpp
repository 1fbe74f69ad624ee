// An image under construction: layers one on the other, each made by a step or known from before.
#pragma once

#include "core/image/file_layers.hpp"
#include "core/image/layer_cache.hpp"
#include "core/image/layout.hpp"
#include "core/image/step.hpp"
#include "core/image/unpack.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// What builds share. The caller keeps all of it while a build runs.
struct Workshop {
  Layout& layout;
  UnpackedLayers& unpacked;
  LayerCache& cache;
  StepRunner runner;
  Progress& progress;
  // After each step: what it was, and its layer.
  struct Done {
    std::string title;
    bool cached = false;
    std::uint64_t bytes = 0; // compressed; 0: nothing changed
    double seconds = 0;
  };
  std::function<void(const Done& done)> done;
};

// Not thread-safe; copied where two images begin the same.
class Chain {
 public:
  // From an image of the layout; without one from nothing. `time`, in seconds since 1970, is what
  // files of the steps get at the most.
  Chain(Workshop& shop, const std::optional<Image>& base, std::int64_t time);

  Defaults defaults; // of the image so far

  [[nodiscard]] const std::vector<Digest>& diff_ids() const noexcept { return config_.diff_ids; }
  [[nodiscard]] std::int64_t time() const noexcept { return time_; }
  // The layers so far as folders; unpacks those that are not yet.
  [[nodiscard]] std::vector<fs::path> folders() const;

  // Where a path of the image leads, through the links that the layers so far have, and which
  // folders on the way to it are not there yet, the highest first. Both without "/" at the
  // beginning.
  struct Target {
    std::string path;
    std::vector<std::string> missing;
    bool is_folder = false; // it is there, as one
  };
  [[nodiscard]] Target target(std::string_view path) const;

  // A step that runs: `work` gets the folders of the layers so far, and where the overlay's changes
  // and its own files go. Not run if `inputs`, a text that says all that the result depends on
  // beside the layers so far, is known. True if it was known.
  using Changes = std::function<void(const std::vector<fs::path>& layers, const fs::path& upper,
                                     const fs::path& work)>;
  bool run(std::string_view title, std::string_view inputs, const Changes& work);
  // Files of a tree as they are placed; `seconds` is their time. Folders that are there already
  // stay as they are, and links to folders are followed.
  bool add_files(std::string_view title, Tree& tree, Placed placed, std::int64_t seconds);
  // A layer that somebody made, whose `inputs` are as in run(), but need not hold the layers so
  // far.
  bool add_layer(std::string_view title, std::string_view inputs,
                 const std::function<std::optional<Layer>(Layout& layout)>& make);
  // History of what made no layer.
  void note(std::string_view title);

  // Stores the configuration and the manifest. Does not name it.
  [[nodiscard]] Image finish(std::int64_t created, const Annotations& annotations) const;

 private:
  void append(std::string_view title, const std::optional<Layer>& layer);
  bool known(std::string_view title, std::string_view key);
  void settle(Placed& placed) const;
  [[nodiscard]] std::string key_of(std::string_view kind, std::string_view inputs) const;

  Workshop* shop_;
  std::int64_t time_;
  Manifest manifest_;
  Config config_;
};

// "2026-01-31T12:00:00Z"
[[nodiscard]] std::string format_seconds(std::int64_t seconds);
// Of RFC 3339, with or without a fraction; 0 if it is none.
[[nodiscard]] std::int64_t parse_seconds(std::string_view text);

} // namespace mlp::image
