// Dockerfiles as projects have them, and the steps that they become: tests/golden/dockerfiles.
// MLP_TEST_ACCEPT=1 accepts new texts.
#include "core/base/fs.hpp"
#include "core/base/json.hpp"
#include "core/image/dockerfile.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

using namespace mlp;
using namespace mlp::image;

namespace {

std::string texts(const std::vector<std::string>& values) {
  return dump_json(Json(values));
}

std::string shown(const RunStep& step, const std::map<std::string, std::string>& former) {
  std::string out = "  run " + texts(step.arguments) + "\n";
  if (!step.script.empty()) out += "    script " + dump_json(Json(step.script)) + "\n";
  out += fmt::format("    in {} as '{}', network {}\n", step.workdir, step.user, step.network);
  for (const auto& [name, value] : step.environment)
    if (const auto known = former.find(name); known == former.end() || known->second != value)
      out += fmt::format("    environment {}={}\n", name, value);
  for (const SecretMount& secret : step.secrets)
    out += fmt::format("    secret {} at {}, required {}\n", secret.id, secret.target,
                       secret.required);
  for (const std::string& folder : step.scratch_folders)
    out += "    scratch " + folder + "\n";
  return out;
}

std::string shown(const CopyStep& step) {
  std::string out = fmt::format("  copy {} to {}", texts(step.sources), step.target);
  if (step.from_stage) out += fmt::format(", from stage {}", *step.from_stage);
  if (!step.from_image.empty()) out += ", from image " + step.from_image;
  if (step.chown) out += ", owner " + *step.chown;
  if (step.chmod) out += fmt::format(", mode {:04o}", *step.chmod);
  if (step.unpack) out += ", unpacked";
  out += "\n";
  for (const InlineFile& file : step.files)
    out += fmt::format("    file {} {}\n", file.name, dump_json(Json(file.content)));
  return out;
}

std::string shown(const Defaults& defaults) {
  std::string out;
  const auto put = [&](std::string_view name, const std::string& value) {
    if (!value.empty() && value != "[]") out += fmt::format("  {} {}\n", name, value);
  };
  put("env", texts(defaults.env));
  put("user", defaults.user);
  put("workdir", defaults.workdir);
  put("entrypoint", texts(defaults.entrypoint));
  put("cmd", texts(defaults.cmd));
  put("shell", texts(defaults.shell));
  put("ports", texts(defaults.exposed_ports));
  put("volumes", texts(defaults.volumes));
  put("stop signal", defaults.stop_signal);
  for (const auto& [name, value] : defaults.labels)
    put("label " + name, value);
  if (const auto& check = defaults.health_check)
    put("health", fmt::format("{} every {} ns, {} ns, {} retries", texts(check->test),
                              check->interval, check->timeout, check->retries));
  return out;
}

std::string shown(const Dockerfile& file) {
  std::string out;
  std::vector<StageScope> scopes;
  for (std::size_t i = 0; i < file.stages.size(); ++i) {
    const Stage& stage = file.stages[i];
    out += fmt::format("stage {} '{}' from {}\n", i, stage.name,
                       stage.base_stage ? fmt::format("stage {}", *stage.base_stage) : stage.base);
    const StageSteps steps =
        evaluate_stage(file, i, stage.base_stage ? scopes[*stage.base_stage] : StageScope{});
    std::map<std::string, std::string> former;
    for (const Step& step : steps.steps) {
      out += fmt::format("{}: {}\n", step.line, step.text.substr(0, step.text.find('\n')));
      if (const auto* run = std::get_if<RunStep>(&step.action)) {
        out += shown(*run, former);
        former = run->environment;
      }
      if (const auto* copy = std::get_if<CopyStep>(&step.action)) out += shown(*copy);
      if (const auto* workdir = std::get_if<WorkdirStep>(&step.action))
        out += "  folder " + workdir->path + "\n";
    }
    out += "image:\n" + shown(steps.scope.defaults);
    scopes.push_back(steps.scope);
  }
  return out;
}

} // namespace

TEST_CASE("Dockerfiles as projects have them become these steps", "[image]") {
  const fs::path folder = MLP_GOLDEN_DIR "/dockerfiles";
  const bool accept = std::getenv("MLP_TEST_ACCEPT") != nullptr;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".Dockerfile") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CHECK(files.size() == 10);
  for (const fs::path& path : files) {
    CAPTURE(path.filename().native());
    const std::string steps = shown(parse_dockerfile(read_file(path), path.filename().native(),
                                                     {{"DIGEST", "d1"}}, {"linux", "amd64", ""}));
    const fs::path golden = fs::path(path).replace_extension(".steps");
    if (accept) write_file_atomic(golden, steps);
    CHECK(steps == read_file(golden));
  }
}
