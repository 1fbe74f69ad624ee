// `mlp data gc`: removes from the local store what nothing needs any more.
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/gc.hpp"
#include "core/model/roots.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

namespace mlp {

namespace {

std::string_view word_of(model::Need need) {
  switch (need) {
  case model::Need::lock_file:
    return "mlp.lock";
  case model::Need::git_ref:
    return "git ref";
  case model::Need::tag:
    return "tag";
  case model::Need::run:
    return "run";
  case model::Need::model:
    return "model version";
  }
  return "";
}

// The kinds of things that need versions, counted, in words.
std::string needs_text(const std::vector<model::Root>& roots) {
  std::map<model::Need, std::set<std::string_view>> needs;
  for (const model::Root& root : roots)
    needs[root.need].insert(root.needed_by);
  std::vector<std::string> parts;
  for (const auto& [need, names] : needs)
    parts.push_back(need == model::Need::lock_file
                        ? std::string(word_of(need))
                        : fmt::format("{} {}{}", format_count(names.size()), word_of(need),
                                      names.size() == 1 ? "" : "s"));
  return parts.empty() ? "nothing" : join(parts, ", ");
}

// Versions whose objects may have gone are no longer known here.
void forget_others(Session& session, const std::set<Digest>& needed) {
  const fs::path refs = session.project().refs() / "datasets";
  std::error_code code;
  for (fs::directory_iterator it(refs, code), end; !code && it != end; it.increment(code)) {
    data::LocalVersions known(session.project(), it->path().filename().native());
    for (const data::Version& version : known.versions())
      if (!needed.contains(version.digest)) known.forget(version.digest);
  }
}

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  std::vector<model::Root> roots;
  std::set<Digest> needed;
  const data::GcResult result =
      data::collect_garbage(session.project().objects(),
                            [&] {
                              roots = model::find_roots(session.project());
                              for (const model::Root& root : roots)
                                needed.insert(root.manifest);
                              return std::vector<Digest>(needed.begin(), needed.end());
                            },
                            {.stat_caches = session.project().cache() / "stat",
                             .dry_run = dry_run,
                             .before_sweep = [&] { forget_others(session, needed); },
                             .progress = &session.output().progress(),
                             .stop = session.stop_token()});

  Json by = json_array();
  for (const model::Root& root : roots)
    by.push_back(json_object({{"digest", root.manifest.text()}, {"needed_by", root.needed_by}}));
  std::string text =
      fmt::format("{} keep {} objects ({}) of {}\n", needs_text(roots),
                  format_count(result.kept_objects), format_bytes(result.kept_bytes),
                  needed.size() == 1 ? "1 version" : format_count(needed.size()) + " versions");
  text +=
      result.removed_objects == 0
          ? std::string("nothing to remove\n")
          : fmt::format("{} {} objects ({}): packs removed {}, written anew {}\n",
                        dry_run ? "would remove" : "removed", format_count(result.removed_objects),
                        format_bytes(result.removed_bytes), format_count(result.packs_removed),
                        format_count(result.packs_rewritten));
  if (result.left_objects > 0)
    text += fmt::format("{} more ({}) lie in packs that are needed nearly whole\n",
                        format_count(result.left_objects), format_bytes(result.left_bytes));
  session.output().emit(json_object({{"dry_run", dry_run},
                                     {"versions", needed.size()},
                                     {"absent_versions", result.absent_roots},
                                     {"kept_objects", result.kept_objects},
                                     {"kept_bytes", result.kept_bytes},
                                     {"removed_objects", result.removed_objects},
                                     {"removed_bytes", result.removed_bytes},
                                     {"left_objects", result.left_objects},
                                     {"left_bytes", result.left_bytes},
                                     {"packs_removed", result.packs_removed},
                                     {"packs_rewritten", result.packs_rewritten},
                                     {"roots", std::move(by)}}),
                        TextView{text});
}

} // namespace

extern const Command data_gc_command;
const Command data_gc_command = {
    .path = "data gc",
    .summary = "remove what nothing needs any more from the local store",
    .category = Category::data,
    .options = {dry_run_option()},
    .examples = {{"mlp data gc --dry-run", "what would go, and what keeps the rest"},
                 {"mlp data gc", "remove it"}},
    .run = run};

} // namespace mlp
