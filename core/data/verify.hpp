// Reads everything again and checks it: every byte of every pack, every object that a version
// needs, every file of the work tree. What is wrong is named by file where a version tells which.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/manifest.hpp"
#include "core/data/remote_store.hpp"
#include "core/data/store.hpp"

#include <map>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

namespace mlp::data {

struct Problem {
  enum class Kind {
    pack,    // a pack is damaged; `subject` is its path or name
    content, // a file of a version cannot be restored; `subject` is dataset/path
    file,    // a file of the work tree is not what its version says; `subject` is its path
  };
  Kind kind = Kind::pack;
  std::string dataset; // empty for a pack
  std::string subject;
  std::string reason;
};

struct VerifyOptions {
  unsigned jobs = 0;
  Progress* progress = nullptr;
  std::stop_token stop;
};

class Verifier {
 public:
  explicit Verifier(VerifyOptions options) : options_(std::move(options)) {}

  // Every pack of the local store, or of a remote.
  void check_packs(ObjectStore& store);
  void check_packs(RemoteStore& remote);
  // That all a version needs is in `source` and was not found damaged by check_packs(). `has` says
  // whether an object is there.
  void check_version(const std::string& dataset, const Digest& version, ObjectSource& source,
                     const std::function<bool(const Digest&)>& has);
  // That the files at `root` are the version's. Reads all of them, whatever the stat cache says.
  // Files that the version does not have are no problem; they are counted.
  void check_files(const std::string& dataset, const fs::path& root, const Digest& version,
                   ObjectStore& store);

  std::vector<Problem> problems; // the first 1000
  std::uint64_t problem_count = 0;
  std::vector<Digest> damaged_packs; // all of them
  std::uint64_t packs = 0;
  std::uint64_t pack_bytes = 0;
  std::uint64_t files = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t untracked_files = 0;

 private:
  struct Target {
    Digest id;
    std::string name;
    std::uint64_t size = 0;
    std::function<std::size_t(std::uint64_t, std::span<std::byte>)> read;
  };
  void check(const std::vector<Target>& targets);
  void report(Problem problem);
  bool check_entry(const std::string& dataset, const std::string& path, const Entry& entry,
                   ObjectSource& source, const std::function<bool(const Digest&)>& has,
                   std::size_t depth);

  VerifyOptions options_;
  std::unordered_map<Digest, std::string> damaged_; // object -> reason
};

} // namespace mlp::data
