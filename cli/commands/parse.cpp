// `mlp __parse WORDS...`: parses a command line and runs nothing; the test of examples uses it.
#include "cli/arguments.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const ParsedLine line = parse_line(session.arguments().all("WORDS"));
  const std::string path(line.command == nullptr ? line.noun : std::string(line.command->path));
  session.output().emit(json_object({{"command", path}}), TextView{path + "\n"});
}

} // namespace

extern const Command parse_command;
const Command parse_command = {.path = "__parse",
                               .summary = "parse a command line and run nothing",
                               .category = Category::hidden,
                               .raw = true,
                               .run = run};

} // namespace mlp
