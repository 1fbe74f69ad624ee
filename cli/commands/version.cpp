// `mlp version`: what this binary is.
#include "cli/session.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const Json record = json_object({{"mlp", MLP_VERSION}, {"compiler", __VERSION__}});
  session.output().emit(record, TextView{"mlp " MLP_VERSION "\n"});
}

} // namespace

extern const Command version_command;
const Command version_command = {
    .path = "version",
    .summary = "print the version of mlp",
    .category = Category::settings,
    .examples = {{"mlp version", "the version"},
                 {"mlp version --json", "the version and the compiler, for scripts"}},
    .run = run};

} // namespace mlp
