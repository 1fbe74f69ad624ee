// Progress of long work, told to whoever shows it. Core code takes a Progress&; cli draws it.
#pragma once

#include <cstdint>
#include <string_view>

namespace mlp {

enum class ProgressUnit { count, bytes };

// Thread-safe: advance(), count() and note() may be called from any thread. Calls are cheap (no I/O
// of their own); the implementation draws at its own pace.
class Progress {
 public:
  virtual ~Progress() = default;
  // A new phase, e.g. "hashing", with its total (0: unknown). Ends the phase before it.
  virtual void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) = 0;
  virtual void advance(std::uint64_t amount) = 0;
  // So many things are done with the bytes of the phase; `what` names them: "files", "objects".
  virtual void count(std::uint64_t things, std::string_view what) = 0;
  // What is being done right now: a file name, "loss 0.31 · acc 0.88".
  virtual void note(std::string_view text) = 0;
  virtual void end() = 0;
  // Whether anybody sees it: else a total that costs something need not be worked out.
  [[nodiscard]] virtual bool is_seen() const noexcept = 0;
};

// Shows nothing. Shared, stateless.
[[nodiscard]] Progress& no_progress();

} // namespace mlp
