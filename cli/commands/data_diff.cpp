// `mlp data diff`: what changed between two versions of a dataset.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/diff.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

constexpr std::size_t shown_changes = 1000;

std::string line_of(const data::Change& change, const std::string& alone) {
  const std::string path = printable(change.path.empty() ? alone : change.path);
  std::string size;
  switch (change.kind) {
  case data::ChangeKind::added:
    size = format_bytes(change.new_size);
    break;
  case data::ChangeKind::removed:
  case data::ChangeKind::renamed:
    size = format_bytes(change.old_size);
    break;
  case data::ChangeKind::modified:
    size = fmt::format("{} -> {}", format_bytes(change.old_size), format_bytes(change.new_size));
    break;
  }
  return fmt::format("  {:<8}  {}{}  ({})\n", data::change_word(change.kind),
                     change.old_path.empty() ? "" : printable(change.old_path) + " -> ", path,
                     size);
}

void run(Session& session) {
  const VersionName from = named_version(session, *session.arguments().get("FROM"));
  const auto datasets = open_datasets(session);
  VersionName to{from.dataset, {}};
  const auto text_of_to = session.arguments().get("TO");
  // The dataset's name alone is the version in use, unless it is a tag.
  const bool in_use = text_of_to == from.dataset.name &&
                      !datasets->known(from.dataset).tag(*text_of_to).has_value();
  if (text_of_to && !in_use)
    to = text_of_to->find('@') == std::string::npos ? VersionName{from.dataset, *text_of_to}
                                                    : named_version(session, *text_of_to);
  else if (!text_of_to && from.version.empty())
    throw Error(ErrorKind::usage, "two versions are needed, and one was given")
        .with_hint(fmt::format("mlp data diff {0}@VERSION compares with the version in use; mlp "
                               "data status {0} compares the files",
                               from.dataset.name));
  VersionSource before(session, *datasets, from);
  VersionSource after(session, *datasets, to);
  const data::Difference difference = data::diff_versions(
      before.objects(), before.root(), after.objects(), after.root(),
      session.output().options().json ? 1000000 : shown_changes, session.stop_token());

  Json rows = json_array();
  std::string text =
      fmt::format("{} -> {}: ", before.digest().short_hex(), after.digest().short_hex());
  if (difference.count() == 0) {
    text += "no difference\n";
  } else {
    text +=
        fmt::format("{} added, {} removed, {} modified, {} renamed; {} in, {} out\n",
                    format_count(difference.added), format_count(difference.removed),
                    format_count(difference.modified), format_count(difference.renamed),
                    format_bytes(difference.added_bytes), format_bytes(difference.removed_bytes));
  }
  const std::string alone = fs::path(from.dataset.path).filename().native();
  for (const data::Change& change : difference.changes) {
    Json row = json_object({{"kind", data::change_word(change.kind)},
                            {"path", change.path},
                            {"old_bytes", change.old_size},
                            {"new_bytes", change.new_size}});
    if (!change.old_path.empty()) row["old_path"] = change.old_path;
    rows.push_back(std::move(row));
    text += line_of(change, alone);
  }
  if (difference.count() > difference.changes.size())
    text += fmt::format("  and {} more\n",
                        format_count(difference.count() - difference.changes.size()));
  session.output().emit(json_object({{"from", before.digest().text()},
                                     {"to", after.digest().text()},
                                     {"added", difference.added},
                                     {"removed", difference.removed},
                                     {"modified", difference.modified},
                                     {"renamed", difference.renamed},
                                     {"added_bytes", difference.added_bytes},
                                     {"removed_bytes", difference.removed_bytes},
                                     {"changes", std::move(rows)}}),
                        TextView{text});
}

} // namespace

extern const Command data_diff_command;
const Command data_diff_command = {
    .path = "data diff",
    .summary = "show what changed between two versions",
    .category = Category::data,
    .arguments = {{.name = "FROM",
                   .help = "NAME@VERSION: a tag, its first digits, or 'latest'",
                   .complete = complete_versions},
                  {.name = "TO",
                   .help = "the other version; the one in use if left out",
                   .required = false,
                   .complete = complete_versions}},
    .options = {remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data diff digits@v1", "since the tag v1"},
                 {"mlp data diff digits@v1 v2", "between two tags"},
                 {"mlp data diff digits latest", "what a pull of the remote's newest would bring"}},
    .run = run};

} // namespace mlp
