// `mlp doctor`: is everything here that the work needs? Each check says what it found and what to
// do.
#include "backends/registry.hpp"
#include "backends/storage/ssh/ssh_place.hpp"
#include "cli/gpus.hpp"
#include "cli/remote_options.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/library.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"
#include "core/gpu/nvml.hpp"
#include "core/image/container.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <thread>

namespace mlp {

namespace {

enum class Verdict { ok, warning, failed };

struct Check {
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string found;
  std::string remedy;
};

constexpr std::uint64_t low_disk_bytes = 1ull << 30;

Check check_library(std::string name, std::initializer_list<const char*> files,
                    std::string_view package, std::string_view without) {
  Check check{.name = std::move(name)};
  try {
    const Library library(files, package);
    check.found = "found";
  } catch (const Error& error) {
    check.verdict = Verdict::warning;
    check.found = fmt::format("missing: {}", without);
    check.remedy = error.hints().empty() ? "" : error.hints().front();
  }
  return check;
}

Check check_ssh(Session& session) {
  const std::string program =
      storage::split_words(session.settings().get_string("ssh.command")).front();
  if (find_program(program)) return {.name = "ssh", .found = "found"};
  return {.name = "ssh",
          .verdict = Verdict::warning,
          .found = fmt::format("missing: there is no program '{}': ssh: remotes are not reached",
                               program),
          .remedy = "install it: apt install openssh-client; or name another program: mlp config "
                    "set ssh.command /path/to/ssh"};
}

// Whether a remote's URL and what leads there can be used; nothing is contacted.
Check check_remote(Session& session, const std::string& name, const std::string& url) {
  const auto storage = open_storage(url, session.project().root, storage_options(session));
  if (net::parse_url(url).scheme == "ssh") {
    Check ssh = check_ssh(session);
    if (ssh.verdict != Verdict::ok)
      return {.name = name,
              .verdict = Verdict::failed,
              .found = fmt::format("{}: {}", storage->location(), ssh.found),
              .remedy = std::move(ssh.remedy)};
  }
  return {.name = name, .found = storage->location()};
}

// "4 with driver 580.65.06: 2 x H100 80GB HBM3, ?, T4"
std::string gpus_text(const gpu::Inventory& inventory) {
  std::vector<std::pair<std::string, int>> models;
  for (const gpu::Gpu& gpu : inventory.gpus) {
    const std::string model = short_model(gpu);
    const auto known = std::find_if(models.begin(), models.end(),
                                    [&](const auto& entry) { return entry.first == model; });
    if (known == models.end())
      models.emplace_back(model, 1);
    else
      ++known->second;
  }
  std::string text = fmt::format("{} with driver {}:", inventory.gpus.size(),
                                 inventory.driver.value_or("of unknown version"));
  for (std::size_t i = 0; i < models.size(); ++i)
    text += fmt::format("{} {}{}", i == 0 ? "" : ",",
                        models[i].second > 1 ? fmt::format("{} x ", models[i].second) : "",
                        models[i].first);
  return text;
}

// Whether builds and images can run here; only images need it.
Check check_containers() {
  const auto obstacle = image::container_obstacle();
  if (!obstacle) return {.name = "containers", .found = "can be started"};
  const std::size_t semicolon = obstacle->find("; ");
  return {.name = "containers",
          .verdict = Verdict::warning,
          .found = obstacle->substr(0, semicolon),
          .remedy = semicolon == std::string::npos ? "" : obstacle->substr(semicolon + 2)};
}

Check check_gpu() {
  Check check{.name = "GPU", .found = "none: training and inference run on the CPU"};
  const gpu::Inventory inventory = gpu::Nvml().read(false);
  if (inventory.state == gpu::Driver::ready) {
    if (!inventory.gpus.empty()) check.found = gpus_text(inventory);
  } else if (inventory.state != gpu::Driver::absent) {
    check.verdict = Verdict::warning;
    check.found = inventory.reason;
    check.remedy = inventory.hint;
  }
  return check;
}

Check check_disk(const fs::path& folder) {
  Check check{.name = "disk"};
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) throw system_error(errno, "stat", folder.native());
  const std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  check.found = fmt::format("{} free in {}", format_bytes(free), folder.native());
  if (free < low_disk_bytes) {
    check.verdict = Verdict::warning;
    check.remedy = "free some space before a large data add or train";
  }
  return check;
}

Check check_writable(const fs::path& folder) {
  Check check{.name = "project folder", .found = folder.native()};
  if (::access(folder.c_str(), W_OK) != 0) {
    check.verdict = Verdict::failed;
    check.found = fmt::format("'{}' is not writable", folder.native());
    check.remedy = "make it writable, or work on a copy";
  }
  return check;
}

// Runs a check; an Error becomes a failed one, its hint the remedy.
Check guarded(std::string_view name, const std::function<Check()>& body) {
  try {
    return body();
  } catch (const Error& error) {
    Check check{.name = std::string(name), .verdict = Verdict::failed, .found = error.message()};
    if (!error.hints().empty()) check.remedy = error.hints().front();
    return check;
  }
}

void add_project_checks(Session& session, std::vector<Check>& checks) {
  std::optional<fs::path> root;
  try {
    root = session.project().root;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
    checks.push_back({.name = "project",
                      .verdict = Verdict::warning,
                      .found = "none here",
                      .remedy = "mlp init --list shows what to begin with"});
    checks.push_back(guarded("disk", [] { return check_disk(fs::current_path()); }));
    return;
  }
  checks.push_back(guarded("mlp.yaml", [&] {
    const config::ProjectFile& file = session.project_file();
    return Check{.name = "mlp.yaml",
                 .found =
                     fmt::format("project '{}': {} datasets, {} tasks, {} remotes", file.name,
                                 file.datasets.size(), file.tasks.size(), file.remotes.size())};
  }));
  if (checks.back().verdict == Verdict::ok)
    for (const auto& remote : session.project_file().remotes) {
      const std::string name = fmt::format("remote {}", remote.name);
      checks.push_back(guarded(name, [&] { return check_remote(session, name, remote.value); }));
    }
  checks.push_back(check_writable(*root));
  checks.push_back(guarded("disk", [&] { return check_disk(*root); }));
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
  case Verdict::ok:
    return "ok";
  case Verdict::warning:
    return "warning";
  case Verdict::failed:
    return "failed";
  }
  return "failed";
}

void run(Session& session) {
  std::vector<Check> checks;
  checks.push_back(
      {.name = "CPU", .found = fmt::format("{} cores", std::thread::hardware_concurrency())});
  checks.push_back(check_library("oneDNN", {"libdnnl.so.2", "libdnnl.so.3"}, "libdnnl2",
                                 "the built-in trainer and the native runtime do not run"));
  checks.push_back(check_library("libgit2", {"libgit2.so.1.5", "libgit2.so.1.7", "libgit2.so"},
                                 "libgit2-1.5", "runs do not record the commit"));
  checks.push_back(check_library("libcurl", {"libcurl.so.4", "libcurl-gnutls.so.4"}, "libcurl4",
                                 "s3: and http: remotes are not reached"));
  checks.push_back(
      check_library("libfuse", {"libfuse3.so.3"}, "libfuse3-3 fuse3", "datasets are not mounted"));
  checks.push_back(guarded("ssh", [&] { return check_ssh(session); }));
  checks.push_back(guarded("containers", check_containers));
  checks.push_back(check_gpu());
  checks.push_back(guarded("settings", [&] {
    static_cast<void>(session.settings());
    return Check{.name = "settings",
                 .found = config::user_config_path(config::process_environment()).native()};
  }));
  add_project_checks(session, checks);

  Json rows = json_array();
  std::string text;
  std::size_t failed = 0, warnings = 0;
  for (const Check& check : checks) {
    failed += check.verdict == Verdict::failed ? 1 : 0;
    warnings += check.verdict == Verdict::warning ? 1 : 0;
    rows.push_back(json_object({{"name", check.name},
                                {"verdict", verdict_name(check.verdict)},
                                {"found", check.found},
                                {"remedy", check.remedy}}));
    text += fmt::format("{:8} {}: {}\n", verdict_name(check.verdict), check.name,
                        printable(check.found));
    if (!check.remedy.empty()) text += fmt::format("{:8}   -> {}\n", "", printable(check.remedy));
  }
  const Json record = json_object({{"checks", rows}, {"failed", failed}, {"warnings", warnings}});
  session.output().emit(record, TextView{text});
  if (failed > 0) session.set_verdict(ErrorKind::failed);
}

} // namespace

extern const Command doctor_command;
const Command doctor_command = {
    .path = "doctor",
    .summary = "check that this machine and project have what the work needs",
    .category = Category::project,
    .examples = {{"mlp doctor", "what is here, what is missing, what to install"},
                 {"mlp doctor --json", "the same for a script"}},
    .run = run};

} // namespace mlp
