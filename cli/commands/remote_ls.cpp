// `mlp remote ls`: the remotes of the project.
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/config/project_file.hpp"
#include "core/net/url.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const config::ProjectFile& file = session.project_file();
  const std::string usual = file.default_remote_name();
  Json rows = json_array();
  for (const auto& entry : file.remotes)
    rows.push_back(json_object({{"name", entry.name},
                                {"url", net::redacted(entry.value)},
                                {"default", entry.name == usual},
                                {"note", entry.name == usual ? "default" : ""}}));
  session.output().emit(
      json_object({{"remotes", std::move(rows)}}),
      TableView{.rows = "remotes",
                .columns = {{"name", "NAME"}, {"url", "URL"}, {"note", "NOTE"}},
                .empty = "no remotes; add one with: mlp remote add origin file:///folder"});
}

} // namespace

extern const Command remote_ls_command;
const Command remote_ls_command = {.path = "remote ls",
                                   .summary = "list the remotes",
                                   .category = Category::data,
                                   .examples = {{"mlp remote ls", "names and URLs"}},
                                   .run = run};

} // namespace mlp
