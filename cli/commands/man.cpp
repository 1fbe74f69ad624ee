// `mlp __man DIR OUT`: every manual page, made at build time from the prose in DIR.
#include "cli/completers.hpp"
#include "cli/describe.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

void run(Session& session) {
  const fs::path prose = session.arguments().get_or("DIR", "");
  const fs::path out = session.arguments().get_or("OUT", "");
  make_directories(out);
  write_file_atomic(out / "mlp.1", overview_man_page(read_file(prose / "mlp.md")));
  for (const Command* command : commands()) {
    if (command->category == Category::hidden) continue;
    std::string name(command->path);
    std::replace(name.begin(), name.end(), ' ', '-');
    write_file_atomic(out / fmt::format("mlp-{}.1", name),
                      man_page(*command, read_file(prose / (name + ".md"))));
  }
}

} // namespace

extern const Command man_command;
const Command man_command = {
    .path = "__man",
    .summary = "write the manual pages",
    .category = Category::hidden,
    .arguments = {{.name = "DIR", .help = "the folder of prose", .complete = complete_directories},
                  {.name = "OUT", .help = "where the pages go", .complete = complete_directories}},
    .run = run};

} // namespace mlp
