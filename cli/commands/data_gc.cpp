// `mlp data gc`: removes from the local store, or from a remote, what nothing needs any more.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/data/gc.hpp"
#include "core/data/remote_gc.hpp"
#include "core/model/roots.hpp"

#include <fmt/format.h>

#include <set>

namespace mlp {

namespace {

// The kinds of things that need versions, counted, in words.
std::string needs_text(const std::vector<model::Root>& roots) {
  struct Kind {
    std::string_view prefix, one, many;
    std::set<std::string> names;
  };
  Kind kinds[] = {{"mlp.lock", "mlp.lock", "mlp.lock", {}},
                  {"git's ", "git ref", "git refs", {}},
                  {"tag ", "tag", "tags", {}},
                  {"run ", "run", "runs", {}},
                  {"model ", "model version", "model versions", {}}};
  for (const model::Root& root : roots)
    for (Kind& kind : kinds)
      if (root.needed_by.starts_with(kind.prefix)) kind.names.insert(root.needed_by);
  std::string text;
  for (const Kind& kind : kinds) {
    if (kind.names.empty()) continue;
    if (!text.empty()) text += ", ";
    if (kind.one == kind.many)
      text += kind.one;
    else
      text += fmt::format("{} {}", format_count(kind.names.size()),
                          kind.names.size() == 1 ? kind.one : kind.many);
  }
  return text.empty() ? "nothing" : text;
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

// What both kinds of collection say in the end.
std::string result_text(const data::GcResult& result, bool dry_run) {
  std::string text =
      result.removed_objects == 0
          ? std::string("nothing to remove\n")
          : fmt::format("{} {} objects ({}): packs removed {}, written anew {}\n",
                        dry_run ? "would remove" : "removed", format_count(result.removed_objects),
                        format_bytes(result.removed_bytes), format_count(result.packs_removed),
                        format_count(result.packs_rewritten));
  if (result.left_objects > 0)
    text += fmt::format("{} more ({}) lie in packs that are needed nearly whole\n",
                        format_count(result.left_objects), format_bytes(result.left_bytes));
  return text;
}

Json result_record(const data::GcResult& result, std::uint64_t versions, bool dry_run) {
  return json_object({{"dry_run", dry_run},
                      {"versions", versions},
                      {"absent_versions", result.absent_roots},
                      {"kept_objects", result.kept_objects},
                      {"kept_bytes", result.kept_bytes},
                      {"removed_objects", result.removed_objects},
                      {"removed_bytes", result.removed_bytes},
                      {"left_objects", result.left_objects},
                      {"left_bytes", result.left_bytes},
                      {"packs_removed", result.packs_removed},
                      {"packs_rewritten", result.packs_rewritten}});
}

std::string count_text(std::uint64_t versions) {
  return versions == 1 ? "1 version" : format_count(versions) + " versions";
}

std::optional<WallTime> oldest_to_keep(Session& session) {
  const auto text = session.arguments().get("--older-than");
  if (!text) return std::nullopt;
  if (!session.arguments().has("--remote"))
    throw Error(ErrorKind::usage, "--older-than is for versions at a remote")
        .with_hint("name it with --remote");
  const auto age = config::parse_duration(*text);
  if (!age || age->count() < 0)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no time", printable(*text)))
        .with_hint("such as 90d or 12h");
  return wall_now() - std::chrono::duration_cast<WallTime::duration>(*age);
}

void collect_at_remote(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  data::RemoteGcOptions options{.older_than = oldest_to_keep(session),
                                .dry_run = dry_run,
                                .progress = &session.output().progress(),
                                .stop = session.stop_token()};
  for (const model::Root& root : model::find_roots(session.project()))
    options.keep.insert(root.manifest);
  const OpenRemote remote = open_remote(session, chosen_remote(session));
  const data::RemoteGcResult result = data::collect_remote_garbage(*remote.store, options);
  Json record = result_record(result, result.versions, dry_run);
  record["remote"] = remote.name;
  record["forgotten"] = json_array();
  std::string text;
  for (const auto& [dataset, version] : result.forgotten) {
    record["forgotten"].push_back(json_object({{"name", dataset},
                                               {"digest", version.digest.text()},
                                               {"time", format_time(version.time)}}));
    text += fmt::format("{}: {} {} of {}\n", dataset, dry_run ? "would forget" : "forgot",
                        version.digest.short_hex(), format_time(version.time));
  }
  text += fmt::format("{}: {} {} {} objects ({})\n", remote.name, count_text(result.versions),
                      result.versions == 1 ? "keeps" : "keep", format_count(result.kept_objects),
                      format_bytes(result.kept_bytes));
  session.output().emit(record, TextView{text + result_text(result, dry_run)});
}

void collect_here(Session& session) {
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
  Json record = result_record(result, needed.size(), dry_run);
  record["roots"] = std::move(by);
  session.output().emit(
      record, TextView{fmt::format("{} keep {} objects ({}) of {}\n", needs_text(roots),
                                   format_count(result.kept_objects),
                                   format_bytes(result.kept_bytes), count_text(needed.size())) +
                       result_text(result, dry_run)});
}

void run(Session& session) {
  if (session.arguments().has("--remote")) return collect_at_remote(session);
  static_cast<void>(oldest_to_keep(session)); // refuses it
  collect_here(session);
}

} // namespace

extern const Command data_gc_command;
const Command data_gc_command = {
    .path = "data gc",
    .summary = "remove what nothing needs any more, here or at a remote",
    .category = Category::data,
    .options = {{.name = "--remote",
                 .value = "REMOTE",
                 .help = "collect at this remote, and not here",
                 .complete = complete_remotes},
                {.name = "--older-than",
                 .value = "TIME",
                 .help =
                     "at the remote, forget versions without a name that are older, such as 90d"},
                dry_run_option()},
    .examples = {{"mlp data gc --dry-run", "what would go, and what keeps the rest"},
                 {"mlp data gc", "remove it"},
                 {"mlp data gc --remote origin --older-than 90d", "old versions at a remote"}},
    .run = run};

} // namespace mlp
