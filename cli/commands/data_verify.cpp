// `mlp data verify`: read everything again and check it.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/settings.hpp"
#include "core/data/repair.hpp"
#include "core/data/verify.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

using data::Problem;

std::string_view kind_word(Problem::Kind kind) {
  switch (kind) {
  case Problem::Kind::pack:
    return "pack";
  case Problem::Kind::content:
    return "content";
  case Problem::Kind::file:
    return "file";
  }
  return "pack";
}

// Sets damaged packs aside, and fetches what the pinned versions then lack from a remote.
void repair(Session& session, const std::vector<Digest>& packs) {
  const config::LockFile lock = config::load_lock_file(session.project());
  Output& output = session.output();
  const data::RepairStats stats = data::repair_packs(session.project().objects(), packs,
                                                     output.progress(), session.stop_token());
  if (stats.packs > 0)
    output.status(fmt::format("{} damaged packs set aside, {} sound objects kept, {} lost",
                              format_count(stats.packs), format_count(stats.objects),
                              format_count(stats.lost)));
  const OpenRemote remote = remote_if(session, true);
  if (!remote.store) {
    output.warning("no remote in mlp.yaml: what is lost cannot be fetched");
    return;
  }
  const auto datasets = open_datasets(session);
  for (const data::DatasetName& dataset : chosen_datasets(session)) {
    const auto pin = lock.datasets.find(dataset.name);
    if (pin == lock.datasets.end()) continue;
    const data::FetchResult result =
        datasets->fetch(dataset, pin->second.digest, *remote.store, false);
    if (result.fetched.objects > 0)
      output.status(fmt::format("{}: fetched {} objects, {} from {}", dataset.name,
                                format_count(result.fetched.objects),
                                format_bytes(result.fetched.bytes), remote.name));
  }
}

void run(Session& session) {
  if (session.arguments().has("--repair")) {
    if (session.arguments().has("--remote"))
      throw Error(ErrorKind::usage, "--repair mends the local store, --remote checks another place")
          .with_hint("a push with --check sends again what a remote lacks");
    data::Verifier finds({.jobs = static_cast<unsigned>(session.settings().get_int("data.jobs")),
                          .progress = &session.output().progress(),
                          .stop = session.stop_token()});
    finds.check_packs(open_datasets(session)->store());
    repair(session, finds.damaged_packs);
  }
  const config::LockFile lock = config::load_lock_file(session.project());
  const bool wants_remote = session.arguments().has("--remote");
  const auto chosen = chosen_datasets(session);
  const auto datasets = open_datasets(session);
  data::ObjectStore& store = datasets->store();
  data::Verifier verifier({.jobs = static_cast<unsigned>(session.settings().get_int("data.jobs")),
                           .progress = &session.output().progress(),
                           .stop = session.stop_token()});
  std::string place = "the local store";
  if (wants_remote) {
    const OpenRemote remote = open_remote(session, chosen_remote(session));
    place = remote.storage->location();
    verifier.check_packs(*remote.store);
    for (const auto& dataset : chosen) {
      if (const auto it = lock.datasets.find(dataset.name); it != lock.datasets.end())
        verifier.check_version(dataset.name, it->second.digest, *remote.store,
                               [&](const Digest& id) { return remote.store->has(id); });
    }
  } else {
    verifier.check_packs(store);
    for (const auto& dataset : chosen) {
      const auto it = lock.datasets.find(dataset.name);
      if (it == lock.datasets.end()) continue;
      verifier.check_version(dataset.name, it->second.digest, store,
                             [&](const Digest& id) { return store.has(id); });
      verifier.check_files(dataset.name, datasets->path_of(dataset), it->second.digest, store);
    }
  }
  Json problems = json_array();
  std::string text;
  for (const Problem& problem : verifier.problems) {
    problems.push_back(json_object({{"kind", kind_word(problem.kind)},
                                    {"dataset", problem.dataset},
                                    {"subject", problem.subject},
                                    {"reason", problem.reason}}));
    text += fmt::format("{:<7}  {}: {}\n", kind_word(problem.kind), printable(problem.subject),
                        printable(problem.reason));
  }
  if (verifier.problem_count > verifier.problems.size())
    text += fmt::format("and {} more\n",
                        format_count(verifier.problem_count - verifier.problems.size()));
  text +=
      fmt::format("{}: {} packs, {}; {} read; {}\n", place, format_count(verifier.packs),
                  format_bytes(verifier.pack_bytes), size_text(verifier.files, verifier.file_bytes),
                  verifier.problem_count == 0 ? "all sound"
                                              : format_count(verifier.problem_count) + " problems");
  session.output().emit(json_object({{"place", place},
                                     {"sound", verifier.problem_count == 0},
                                     {"problems", std::move(problems)},
                                     {"problem_count", verifier.problem_count},
                                     {"packs", verifier.packs},
                                     {"pack_bytes", verifier.pack_bytes},
                                     {"files", verifier.files},
                                     {"file_bytes", verifier.file_bytes},
                                     {"untracked_files", verifier.untracked_files}}),
                        TextView{text});
  if (verifier.problem_count > 0) session.set_verdict(ErrorKind::integrity);
}

} // namespace

extern const Command data_verify_command;
const Command data_verify_command = {
    .path = "data verify",
    .summary = "read stored data and files again and check every bit",
    .category = Category::data,
    .arguments = {dataset_argument(false)},
    .options = {{.name = "--remote",
                 .value = "REMOTE",
                 .help = "check this remote instead of the local store and the files",
                 .complete = complete_remotes},
                {.name = "--repair",
                 .help =
                     "mend the local store first: set damaged packs aside, fetch what is lost"}},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data verify", "the local store, and the files of all datasets"},
                 {"mlp data verify --remote origin", "all that lies in a remote"},
                 {"mlp data verify --repair", "after a disk went bad"}},
    .run = run};

} // namespace mlp
