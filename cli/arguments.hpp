// The words of one command line, parsed against a Command's declaration.
#pragma once

#include "cli/command.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

namespace config {
struct SettingDefinition;
}

// Values by declared name: "NAME" for an argument, "--output" for an option.
class Arguments {
 public:
  [[nodiscard]] bool has(std::string_view name) const;
  // The last value given; nullopt if none.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  [[nodiscard]] std::string get_or(std::string_view name, std::string_view fallback) const;
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
  // A whole number in [low, high]; throws Error(usage) that names the option.
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name, std::int64_t low,
                                                    std::int64_t high) const;

  std::map<std::string, std::vector<std::string>, std::less<>> values; // a flag: one "" each time
};

// What a whole command line says.
struct ParsedLine {
  const Command* command = nullptr; // nullptr: `mlp` or `mlp NOUN` alone, or with --help
  std::string noun;                 // words before a missing verb: "data"
  Arguments arguments;
};

// Parses the words after the program's name. Of an option given twice the last value counts, unless
// it may be repeated. Global options may stand anywhere. Throws Error(usage) with the nearest name
// as a hint for an unknown command, option or surplus argument. With --help, other mistakes after
// the command are forgiven.
[[nodiscard]] ParsedLine parse_line(std::span<const std::string> words);

// The options of a command in the order of help: its own, then those of its settings.
[[nodiscard]] std::vector<Option> options_of(const Command& command);

// The declaration of a setting that a command names. A key that does not exist is a defect of the
// command's table (std::logic_error).
[[nodiscard]] const config::SettingDefinition& setting_of(std::string_view key);

} // namespace mlp
