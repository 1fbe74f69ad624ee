// A request to a run's MLflow service: method by the first byte, the target up to the first
// newline, the body behind it. Nothing may crash, every answer is JSON or a file, the journal stays
// whole, and no file appears outside the run's outs.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/serve/mlflow_service.hpp"
#include "core/track/run_record.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace mlp;

namespace {

struct Run {
  TemporaryDirectory folder{"mlp-fuzz-"};
  track::RunSpec spec;
  track::RunFolder run = make();
  serve::MlflowRun tracked{run, spec, nullptr};
  serve::MlflowService service{tracked, "t"};

  track::RunFolder make() {
    spec.created = wall_now();
    spec.id = "20260131-120000-k3f9qx";
    spec.task = "train";
    return track::create_run(folder.path() / "runs", spec, "", "fuzz");
  }
};

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static Run run;
  static const std::size_t before = entries(run.run.root) + 1; // metrics.jsonl
  static constexpr std::array methods = {"GET", "POST", "PUT", "DELETE"};
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t newline = std::min(text.find('\n'), text.size());
  serve::HttpRequest request;
  request.method = methods[data[0] % methods.size()];
  request.target = text.substr(0, newline);
  request.body = text.substr(std::min(newline + 1, text.size()));
  request.headers = {{"Host", "localhost"}, {"Authorization", "Bearer t"}};
  const serve::HttpResponse response = run.service.answer(request);
  if (response.status == 503) std::abort();
  if (response.content_type == "application/json") (void)parse_json(response.body, "answer");
  if (track::read_journals(run.run).damaged != 0) std::abort();
  if (entries(run.run.root) > before || entries(run.folder.path()) != 1) std::abort();
  if (fs::file_size(run.run.metrics()) > (64u << 10)) fs::resize_file(run.run.metrics(), 0);
  return 0;
}
