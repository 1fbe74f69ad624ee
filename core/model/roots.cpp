// Each place where a version is named, one after the other.
#include "core/model/roots.hpp"

#include "core/base/error.hpp"
#include "core/config/lock_file.hpp"
#include "core/data/versions.hpp"
#include "core/model/registry.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_record.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::model {

namespace {

class Roots {
 public:
  explicit Roots(const config::Project& project) : project_(project) {}

  void locks() {
    add(config::load_lock_file(project_), Need::lock_file, "mlp.lock");
    for (track::RefFile& file : track::file_of_refs(project_.root, "mlp.lock")) {
      const std::string name = fmt::format("git's {}", file.ref);
      add(config::parse_lock_file(std::move(file.text), "mlp.lock of " + name), Need::git_ref,
          name);
    }
  }

  void tags() {
    for (const std::string& dataset : folders(project_.refs() / "datasets"))
      for (const auto& [tag, version] : data::LocalVersions(project_, dataset).tags())
        found.push_back({version, Need::tag, fmt::format("tag {}@{}", dataset, tag)});
  }

  void runs() {
    for (const std::string& id : folders(project_.runs())) {
      if (id.front() == '.') continue; // one that is being made or removed
      const track::RunFolder run{project_.runs() / id};
      try {
        const track::RunSpec spec = track::read_run_spec(run);
        const std::string by = fmt::format("run {}", id);
        for (const track::DatasetUse& use : spec.datasets)
          if (!use.digest.empty()) add(use.digest, Need::run, by);
        if (spec.source && !spec.source->snapshot.empty())
          add(spec.source->snapshot, Need::run, by);
        for (const std::string& outputs : track::read_output_digests(run))
          add(outputs, Need::run, by);
      } catch (Error& error) {
        std::error_code ignored;
        if (!fs::exists(run.root, ignored)) continue; // it was removed meanwhile
        error.add_context(fmt::format("while looking up what run '{}' needs", id));
        error.add_hint(fmt::format("remove a damaged run with: mlp runs rm {}", id));
        throw;
      }
    }
  }

  void models() {
    const ModelRegistry registry(project_);
    for (const std::string& name : registry.names())
      for (const ModelVersion& version : registry.versions(name)) {
        const std::string by = fmt::format("model {}@{}", name, version.version);
        found.push_back({version.digest, Need::model, by});
        for (const LineageDataset& dataset : version.lineage.datasets)
          add(dataset.digest, Need::model, by);
      }
  }

  std::vector<Root> found;

 private:
  void add(const config::LockFile& lock, Need need, const std::string& by) {
    for (const auto& [name, dataset] : lock.datasets)
      found.push_back({dataset.digest, need, by});
  }
  void add(const std::string& digest, Need need, const std::string& by) {
    const auto manifest = parse_digest(digest);
    if (!manifest)
      throw Error(ErrorKind::integrity,
                  fmt::format("{} names the version '{}', which is none", by, digest));
    found.push_back({*manifest, need, by});
  }
  static std::vector<std::string> folders(const fs::path& parent) {
    std::vector<std::string> names;
    std::error_code code;
    for (fs::directory_iterator it(parent, code), end; !code && it != end; it.increment(code))
      if (it->is_directory(code)) names.push_back(it->path().filename().native());
    if (code && code != std::errc::no_such_file_or_directory)
      throw system_error(code.value(), "read", parent.native());
    std::ranges::sort(names);
    return names;
  }

  const config::Project& project_;
};

} // namespace

std::vector<Root> find_roots(const config::Project& project) {
  Roots roots(project);
  roots.locks();
  roots.tags();
  roots.runs();
  roots.models();
  return std::move(roots.found);
}

} // namespace mlp::model
