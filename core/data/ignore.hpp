// Files that are no part of a dataset: patterns in `.mlpignore`, in the words of .gitignore
// (git-scm.com/docs/gitignore). A file holds for its folder and those below; a later pattern goes
// before an earlier one, a deeper file before a higher one; a folder that is ignored is not
// entered, so nothing in it can be taken back. The file itself belongs to the dataset.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

inline constexpr std::string_view ignore_file_name = ".mlpignore";
inline constexpr std::size_t max_ignore_bytes = 1 << 20;

// One pattern, split at '/'; a component "**" stands for any number of folders.
struct IgnorePattern {
  std::vector<std::string> components;
  bool anchored = false; // has to match from the folder of its file on, not at any depth
  bool folders_only = false;
  bool negated = false;
};
// The patterns of a file in their order. Lines that hold none (blank, "#...", "!", "/") are passed
// over; every text is some list of patterns.
[[nodiscard]] std::vector<IgnorePattern> parse_ignore(std::string_view text);

// Whether `name` matches `*`, `?`, `[a-z]`, `[!a]` and `\x` of a component. Time: the product of
// the lengths.
[[nodiscard]] bool matches_component(std::string_view pattern, std::string_view name) noexcept;

// Follows a walk from the root: enter() and leave() for each folder. Not thread-safe.
class IgnoreRules {
 public:
  // The root first, with the name "". `patterns` are those of its file, if it has one.
  void enter(std::string name, std::vector<IgnorePattern> patterns);
  void leave();
  // Something in the folder that was entered last.
  [[nodiscard]] bool ignores(const std::string& name, bool folder) const;

 private:
  struct Level {
    std::string name;
    std::vector<IgnorePattern> patterns;
  };
  std::vector<Level> levels_;
  std::size_t with_patterns_ = 0; // how many levels have any
};

} // namespace mlp::data
