// What `.dockerignore` leaves out of a build's context. Pure.
// Source: docs.docker.com/build/concepts/context, "Dockerignore files".
#pragma once

#include "core/image/path_pattern.hpp"

#include <string_view>
#include <vector>

namespace mlp::image {

inline constexpr std::string_view dockerignore_name = ".dockerignore";
inline constexpr std::size_t max_dockerignore_patterns = 10000;

// Patterns hold from the root of the context on; the last one that matches a path or a folder above
// it decides, and those with '!' take back.
class DockerIgnore {
 public:
  // Throws Error(config) "NAME:LINE: ..." for what is no pattern.
  DockerIgnore(std::string_view text, std::string_view name = dockerignore_name);

  // Whether a path, relative to the context without "." and "..", is left out.
  [[nodiscard]] bool excludes(std::string_view path) const;
  // Whether a folder that is left out has to be entered all the same: something in it may be taken
  // back.
  [[nodiscard]] bool takes_back() const noexcept { return takes_back_; }

 private:
  struct Rule {
    PathPattern pattern;
    bool negated;
  };
  std::vector<Rule> rules_;
  bool takes_back_ = false;
};

} // namespace mlp::image
