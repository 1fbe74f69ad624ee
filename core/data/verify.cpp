// Packs are checked in parallel; versions and files are walked.
#include "core/data/verify.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/compare.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/task_pool.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::data {

namespace {
constexpr std::size_t kept_problems = 1000;
}

void Verifier::report(Problem problem) {
  ++problem_count;
  if (problems.size() < kept_problems) problems.push_back(std::move(problem));
}

void Verifier::check(const std::vector<Target>& targets) {
  Progress& progress = options_.progress != nullptr ? *options_.progress : no_progress();
  std::uint64_t total = 0;
  for (const auto& target : targets)
    total += target.size;
  progress.begin("reading packs", total, ProgressUnit::bytes);
  TaskPool pool(std::min(choose_threads(options_.jobs), 8u), targets.size() + 1);
  std::vector<std::future<std::vector<PackDamage>>> checks;
  for (const auto& target : targets) {
    checks.push_back(pool.submit([&] {
      throw_if_stopped(options_.stop);
      return check_pack(target.read, target.size, target.id, [&](std::uint64_t bytes) {
        throw_if_stopped(options_.stop);
        progress.advance(bytes);
      });
    }));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    std::vector<PackDamage> damages = checks[i].get();
    if (!damages.empty()) damaged_packs.push_back(targets[i].id);
    for (auto& damage : damages) {
      if (damage.object) damaged_.emplace(*damage.object, damage.reason);
      report({Problem::Kind::pack, "", targets[i].name, std::move(damage.reason)});
    }
    ++packs;
    pack_bytes += targets[i].size;
  }
  progress.end();
}

void Verifier::check_packs(ObjectStore& store) {
  std::vector<Target> targets;
  std::error_code code;
  for (fs::directory_iterator it(store.directory() / "packs", code), end; !code && it != end;
       it.increment(code)) {
    const auto id = parse_pack_name("packs/" + it->path().filename().native());
    if (!id) continue;
    // Opened when its turn comes, so that thousands of packs need no thousands of descriptors.
    const fs::path path = it->path();
    std::error_code size_code;
    const std::uint64_t size = it->file_size(size_code);
    if (size_code) continue;
    targets.push_back(
        {*id, path.native(), size, [path](std::uint64_t offset, std::span<std::byte> into) {
           return File::open_read(path).read_at(into, offset);
         }});
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "list", (store.directory() / "packs").native());
  std::sort(targets.begin(), targets.end(),
            [](const Target& a, const Target& b) { return a.id < b.id; });
  check(targets);
}

void Verifier::check_packs(RemoteStore& remote) {
  std::vector<Target> targets;
  for (const auto& [id, size] : remote.packs()) {
    const std::string name = pack_name(id);
    targets.push_back({id, remote.storage().location() + "/" + name, size,
                       [&remote, name](std::uint64_t offset, std::span<std::byte> into) {
                         return remote.storage().read(name, offset, into);
                       }});
  }
  check(targets);
}

// False if the entry cannot be restored; then a problem was reported.
bool Verifier::check_entry(const std::string& dataset, const std::string& path, const Entry& entry,
                           ObjectSource& source, const std::function<bool(const Digest&)>& has,
                           std::size_t depth) {
  const std::string subject = path.empty() ? dataset : dataset + "/" + path;
  throw_if_stopped(options_.stop);
  try {
    if (entry.type == EntryType::directory) {
      if (depth >= max_directory_depth)
        throw Error(ErrorKind::integrity, "its folders are nested too deeply");
      DirectoryReader reader(source, entry);
      bool sound = true;
      while (const auto child = reader.next())
        sound &= check_entry(dataset, path.empty() ? child->name : path + "/" + child->name, *child,
                             source, has, depth + 1);
      return sound;
    }
    if (!entry.is_file()) return true;
    ContentReader reader(source, entry.content);
    while (const auto chunk = reader.next()) {
      const auto it = damaged_.find(chunk->id);
      if (it != damaged_.end()) throw Error(ErrorKind::integrity, it->second);
      if (!has(chunk->id))
        throw Error(ErrorKind::integrity,
                    fmt::format("object '{}' is missing", chunk->id.short_hex()));
    }
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity && error.kind() != ErrorKind::not_found &&
        error.kind() != ErrorKind::failed)
      throw;
    report({Problem::Kind::content, dataset, subject, error.message()});
    return false;
  }
}

void Verifier::check_version(const std::string& dataset, const Digest& version,
                             ObjectSource& source, const std::function<bool(const Digest&)>& has) {
  Entry root;
  try {
    root = read_manifest(source, version);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity && error.kind() != ErrorKind::not_found) throw;
    report({Problem::Kind::content, dataset, dataset, "its manifest: " + error.message()});
    return;
  }
  (void)check_entry(dataset, "", root, source, has, 0);
}

void Verifier::check_files(const std::string& dataset, const fs::path& root, const Digest& version,
                           ObjectStore& store) {
  Progress& progress = options_.progress != nullptr ? *options_.progress : no_progress();
  const auto path_of = [&](const std::string& path) {
    return path.empty() ? root.native() : (root / path).native();
  };
  Entry entry;
  try {
    entry = read_manifest(store, version);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity && error.kind() != ErrorKind::not_found) throw;
    return; // check_version() has said it
  }
  std::error_code ignored;
  if (!fs::exists(root, ignored)) {
    report({Problem::Kind::file, dataset, root.native(), "it is missing"});
    return;
  }
  progress.begin("reading files", version_totals(entry).bytes, ProgressUnit::bytes);
  try {
    HashOnly sink;
    CompareVisitor compare(store, entry, [&](const Change& change) {
      if (change.kind == ChangeKind::added) {
        if (!change.path.ends_with('/')) ++untracked_files;
      } else {
        report(
            {Problem::Kind::file, dataset, path_of(change.path),
             change.kind == ChangeKind::removed ? "it is missing" : "it differs from its version"});
      }
    });
    const ScanStats stats =
        scan(root, sink, compare,
             {.jobs = options_.jobs, .progress = options_.progress, .stop = options_.stop});
    compare.finish();
    files += stats.files;
    file_bytes += stats.bytes;
  } catch (const Error& error) {
    // A damaged node: the files below it cannot be compared. check_version() names them.
    if (error.kind() != ErrorKind::integrity) throw;
    report({Problem::Kind::file, dataset, root.native(),
            "it cannot be compared with its version: " + error.message()});
  }
  progress.end();
}

} // namespace mlp::data
