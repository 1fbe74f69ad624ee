// `mlp data push`: send the pinned versions to a remote.
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const bool check = session.arguments().has("--check");
  const auto chosen = chosen_datasets(session);
  const auto datasets = open_datasets(session);
  for (const auto& dataset : chosen) // before anything is sent
    static_cast<void>(datasets->pinned(dataset));
  const OpenRemote remote = open_remote(session, chosen_remote(session));
  Json rows = json_array();
  std::string text;
  for (const auto& dataset : chosen) {
    const data::PushResult result = datasets->push(dataset, *remote.store, dry_run, check);
    const double ratio = static_cast<double>(result.sent.bytes) /
                         static_cast<double>(std::max<std::uint64_t>(result.totals.bytes, 1));
    rows.push_back(json_object({{"name", dataset.name},
                                {"digest", result.version.text()},
                                {"files", result.totals.files},
                                {"bytes", result.totals.bytes},
                                {"sent_objects", result.sent.objects},
                                {"sent_bytes", result.sent.bytes},
                                {"sent_packs", result.sent.packs},
                                {"ratio", ratio}}));
    text += fmt::format("{}: {} in {} ", dataset.name,
                        size_text(result.totals.files, result.totals.bytes),
                        result.version.short_hex());
    if (result.sent.objects == 0)
      text += fmt::format("are at {}, nothing to send\n", remote.name);
    else
      text += fmt::format(
          "{} {}: {} in {} objects, ratio {:.2f}\n", dry_run ? "would be sent to" : "sent to",
          remote.name, format_bytes(result.sent.bytes), format_count(result.sent.objects), ratio);
  }
  session.output().emit(json_object({{"remote", remote.name},
                                     {"location", remote.storage->location()},
                                     {"datasets", std::move(rows)},
                                     {"dry_run", dry_run}}),
                        TextView{text});
}

} // namespace

extern const Command data_push_command;
const Command data_push_command = {
    .path = "data push",
    .summary = "send datasets to a remote",
    .category = Category::data,
    .arguments = {dataset_argument(false)},
    .options = {remote_option(),
                {.name = "--check",
                 .help = "ask for every object, also below what the remote has already"},
                dry_run_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data push digits", "send what the remote lacks of one dataset"},
                 {"mlp data push --dry-run", "how much would be sent"}},
    .run = run};

} // namespace mlp
