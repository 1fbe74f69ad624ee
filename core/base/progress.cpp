// The progress that shows nothing.
#include "core/base/progress.hpp"

namespace mlp {

namespace {
class NoProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t) override {}
  void count(std::uint64_t, std::string_view) override {}
  void note(std::string_view) override {}
  void end() override {}
  bool is_seen() const noexcept override { return false; }
};
} // namespace

Progress& no_progress() {
  static NoProgress instance;
  return instance;
}

} // namespace mlp
