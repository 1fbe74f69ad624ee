// `mlp __describe`: the command tree, as JSON or as the text of the reference.
#include "cli/describe.hpp"

#include "cli/output.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  session.output().emit(describe_tree(), TextView{reference_text()});
}

} // namespace

extern const Command describe_command;
const Command describe_command = {.path = "__describe",
                                  .summary = "print the command tree",
                                  .category = Category::hidden,
                                  .run = run};

} // namespace mlp
