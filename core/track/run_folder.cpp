// Creating, removing and appending to run folders.
#include "core/track/run_folder.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

namespace mlp::track {

namespace {

// Names that begin with a dot are no runs: a folder being made, or being removed.
fs::path hidden_name(const fs::path& runs, std::string_view what, std::string_view id) {
  return runs / fmt::format(".{}-{}-{}", what, id, random_token(6));
}

class RemovedUnlessKept {
 public:
  explicit RemovedUnlessKept(fs::path path) : path_(std::move(path)) {}
  ~RemovedUnlessKept() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  RemovedUnlessKept(RemovedUnlessKept&&) = delete;
  void keep() { path_.clear(); }

 private:
  fs::path path_;
};

} // namespace

RunFolder make_run_folder(const fs::path& runs, std::string_view id,
                          const std::function<void(const RunFolder& hidden)>& fill) {
  make_directories(runs);
  const RunFolder made{hidden_name(runs, "new", id)};
  RemovedUnlessKept cleanup(made.root);
  make_directories(made.root);
  fill(made);
  sync_directory(made.root);

  const RunFolder run{runs / id};
  // rename(2) replaces an empty folder, which no run is; ENOTEMPTY: the id is taken.
  if (std::rename(made.root.c_str(), run.root.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST)
      throw Error(ErrorKind::conflict, fmt::format("there is already a run '{}'", id));
    throw system_error(errno, "create", run.root.native());
  }
  cleanup.keep();
  sync_directory(runs);
  return run;
}

RunFolder create_run(const fs::path& runs, const RunSpec& spec, std::string_view project_file,
                     std::string_view reason) {
  return make_run_folder(runs, spec.id, [&](const RunFolder& made) {
    make_directories(made.outs());
    make_directories(made.checkpoints());
    const Json json = to_json(spec);
    // Nobody sees the folder before the rename, so its files need no names of their own until
    // whole; written first and synced then, they go to the disk together.
    std::vector<File> files;
    const auto write = [&](const fs::path& path, std::string_view text) {
      files.push_back(File::create(path));
      files.back().write(text);
    };
    write(made.spec(), dump_json_pretty(json));
    write(made.project_file(), project_file);
    write(made.params(), dump_json_pretty(json.at("params")));
    RunWriter writer(made);
    writer.state(RunState::pending, reason, json_object({{"submitter", to_json(this_process())}}));
    for (File& file : files)
      file.sync();
  });
}

RunSpec read_run_spec(const RunFolder& run) {
  const std::string what = run.spec().native();
  return run_spec_from_json(parse_json(read_file(run.spec(), 16u << 20), what), what);
}

bool remove_run(const RunFolder& run) {
  const fs::path runs = run.root.parent_path();
  const fs::path hidden = hidden_name(runs, "gone", run.id());
  if (std::rename(run.root.c_str(), hidden.c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw system_error(errno, "remove", run.root.native());
  }
  sync_directory(runs);
  mlp::remove_all(hidden);
  return true;
}

RunWriter::RunWriter(RunFolder run) : run_(std::move(run)), events_(run_.events()) {}

void RunWriter::state(RunState to, std::string_view reason) {
  state(to, reason, json_object());
}

void RunWriter::state(RunState to, std::string_view reason, Json details) {
  if (last_ && !may_follow(*last_, to))
    throw Error(ErrorKind::conflict, fmt::format("run '{}' is {}: it cannot become {}", run_.id(),
                                                 state_name(*last_), state_name(to)));
  details["state"] = state_name(to);
  details["reason"] = reason;
  event("state", std::move(details));
  sync();
  last_ = to;
}

void RunWriter::event(std::string_view name, Json details) {
  details["event"] = name;
  details["time"] = format_time(wall_now());
  events_.append(details);
}

void RunWriter::sync() {
  events_.sync();
}

} // namespace mlp::track
