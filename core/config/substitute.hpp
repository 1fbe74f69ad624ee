// ${params.NAME} and ${env.NAME} in the values of a task, replaced without a shell. Anything else
// after a `$` is left alone, so that $HOME, ${HOME}, $1, $$ and $(date) stay the shell's; a literal
// ${params.NAME} is written $${params.NAME}.
#pragma once

#include "core/config/value.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mlp::config {

// What stands where: `message` in the house's style, `hint` may be empty, `offset` is the byte of
// the `$`. The caller knows the file and turns it into an Error.
struct SubstitutionError : std::runtime_error {
  SubstitutionError(std::size_t at, const std::string& message, std::string what_to_do)
      : std::runtime_error(message), offset(at), hint(std::move(what_to_do)) {}
  std::size_t offset;
  std::string hint;
};

struct SubstitutionValues {
  const OrderedMap<Scalar>& params;
  std::function<const char*(const char* name)> environment; // nullptr: not set
};

// True if the text has a reference to replace or an escape to undo.
[[nodiscard]] bool has_reference(std::string_view text) noexcept;

// The values as they are. Throws SubstitutionError.
[[nodiscard]] std::string substitute(std::string_view text, const SubstitutionValues& values);

// For a program of /bin/sh: a value is always one literal piece of text, whatever it holds. Outside
// quotes it is quoted as a word; inside '...' or "..." it is escaped for them. Where the shell's
// state cannot be told (here-documents, backquotes) only values without special characters are
// taken. Throws SubstitutionError.
[[nodiscard]] std::string substitute_for_shell(std::string_view text,
                                               const SubstitutionValues& values);

} // namespace mlp::config
