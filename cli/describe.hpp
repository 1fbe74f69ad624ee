// The command tree as text and JSON: help, manual pages and the reference come from here.
#pragma once

#include "cli/command.hpp"
#include "core/base/json_fwd.hpp"

#include <string>
#include <string_view>

namespace mlp {

// "mlp data push [OPTIONS] [NAME]..."
[[nodiscard]] std::string synopsis(const Command& command);

// What `mlp --help`, `mlp NOUN` and `mlp COMMAND --help` print.
[[nodiscard]] std::string overview_help();
[[nodiscard]] std::string noun_help(std::string_view noun);
[[nodiscard]] std::string command_help(const Command& command);

// The whole tree.
[[nodiscard]] Json describe_tree();
// The same as text, one command after the other: tests/golden/commands.txt.
[[nodiscard]] std::string reference_text();

// A manual page in man(7) macros: generated sections and `prose`, the text of man/<command>.md.
// Throws Error(config) if the prose lacks DESCRIPTION, EXAMPLES or EXIT STATUS.
[[nodiscard]] std::string man_page(const Command& command, std::string_view prose);
// mlp(1): the overview.
[[nodiscard]] std::string overview_man_page(std::string_view prose);

} // namespace mlp
