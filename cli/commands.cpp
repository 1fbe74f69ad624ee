// The one table of all commands.
#include "cli/command.hpp"

#include <algorithm>

namespace mlp {

extern const Command complete_command;
extern const Command completion_command;
extern const Command describe_command;
extern const Command doctor_command;
extern const Command man_command;
extern const Command parse_command;
extern const Command version_command;

std::span<const Command* const> commands() {
  static const Command* const table[] = {
      &doctor_command,   &completion_command, &version_command, &complete_command,
      &describe_command, &man_command,        &parse_command,
  };
  return table;
}

const Command* find_command(std::string_view path) {
  const auto all = commands();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Command* c) { return c->path == path; });
  return found == all.end() ? nullptr : *found;
}

Option dry_run_option() {
  return {.name = "--dry-run", .help = "show what would be done, and do nothing"};
}

Option yes_option() {
  return {.name = "--yes", .help = "answer yes to every question", .letter = 'y'};
}

std::span<const Option> global_options() {
  static const Option options[] = {
      {.name = "--directory",
       .value = "DIR",
       .help = "run as if started in DIR",
       .letter = 'C',
       .complete = nullptr},
      {.name = "--json", .help = "print the result as JSON; errors too, on standard error"},
      {.name = "--quiet", .help = "print results and errors only", .letter = 'q'},
      {.name = "--verbose", .help = "say more about what is done", .letter = 'v'},
      {.name = "--no-progress", .help = "show no progress"},
      {.name = "--help", .help = "show this help", .letter = 'h'},
  };
  return options;
}

} // namespace mlp
