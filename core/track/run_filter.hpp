// Which runs, and in which order, as a person writes it:
//   state = failed and (params.lr < 0.1 or tags = keep) and created > 2d ago
//
//   expression = conjunction { "or" conjunction }
//   conjunction = condition { "and" condition }
//   condition   = "not" condition | "(" expression ")" | FIELD [ OPERATOR VALUE ]
//   OPERATOR    = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" (contains)
// A field alone asks whether the run has it. A comparison with what a run does not have is false,
// whatever the operator. Words stand bare or in quotes, in which a backslash escapes.
#pragma once

#include "core/base/time.hpp"
#include "core/track/run_field.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace mlp::track {

// A parsed expression. Immutable; copies share it; matches() may be called from several threads.
class RunExpression {
 public:
  static constexpr std::size_t max_bytes = 16u << 10;
  static constexpr std::size_t max_depth = 100; // of parentheses and "not"

  // Ages ("2d ago") count back from `now`. Throws Error(usage) that names the character, from 1,
  // and shows it under the text.
  [[nodiscard]] static RunExpression parse(std::string_view text, WallTime now);

  [[nodiscard]] bool matches(const RunRow& row) const;
  // Every field that it names, in order, once each.
  [[nodiscard]] const std::vector<RunField>& fields() const noexcept { return fields_; }

 private:
  friend class RunExpressionParser;
  struct Node;
  RunExpression() = default;
  std::shared_ptr<const Node> root_;
  std::vector<RunField> fields_;
  WallTime now_{};
};

} // namespace mlp::track
