// `mlp secret ls`: names and ages; values are never shown.
#include "cli/secrets.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  Json rows = json_array();
  for (const secret::SecretInfo& info : secret_store(session).list())
    rows.push_back(json_object({{"name", info.name}, {"set", format_time(info.set)}}));
  session.output().emit(json_object({{"secrets", std::move(rows)}}),
                        TableView{.rows = "secrets",
                                  .columns = {{"name", "NAME"}, {"set", "SET", Format::age}},
                                  .empty = "no secrets; set one with: mlp secret set NAME"});
}

} // namespace

extern const Command secret_ls_command;
const Command secret_ls_command = {.path = "secret ls",
                                   .summary = "list the names of your secrets",
                                   .category = Category::training,
                                   .examples = {{"mlp secret ls", "names, and when each was set"}},
                                   .run = run};

} // namespace mlp
