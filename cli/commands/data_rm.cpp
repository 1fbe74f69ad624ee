// `mlp data rm`: forget a dataset. Its files and its versions stay.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/config/edit.hpp"
#include "core/config/lock_file.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string name = *session.arguments().get("NAME");
  config::remove_dataset(session.project(), name);
  config::update_lock(session.project(),
                      [&](config::LockFile& lock) { lock.datasets.erase(name); });
  session.output().emit(
      json_object({{"name", name}}),
      TextView{fmt::format("{} is no dataset any more; its files and versions stay\n", name)});
}

} // namespace

extern const Command data_rm_command;
const Command data_rm_command = {
    .path = "data rm",
    .summary = "forget a dataset; its files and versions stay",
    .category = Category::data,
    .arguments = {dataset_argument(true)},
    .examples = {{"mlp data rm digits", "remove it from mlp.yaml and mlp.lock"}},
    .run = run};

} // namespace mlp
