// A scan of outs/ into the store, and one event.
#include "core/job/outputs.hpp"

#include "core/base/json.hpp"
#include "core/data/store.hpp"
#include "core/data/version_builder.hpp"
#include "core/job/work.hpp"

namespace mlp::job {

void store_outputs(const track::RunFolder& run, track::RunWriter& writer, bool partial,
                   const std::stop_token& stop) {
  std::error_code code;
  if (fs::is_empty(run.outs(), code) || code) return;
  data::ObjectStore store(project_of(run).objects());
  const auto [version, totals] =
      data::store_version(store, run.outs(), {.ignore_files = false, .stop = stop});
  // The store is held until this is on the disk: a collection of garbage looks for it there.
  writer.event("outputs", json_object({{"digest", version.text()},
                                       {"files", totals.files},
                                       {"bytes", totals.bytes},
                                       {"partial", partial}}));
  writer.sync();
}

} // namespace mlp::job
