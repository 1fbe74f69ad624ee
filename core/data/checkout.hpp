// Brings the files of a dataset to a version: bit for bit, with executable bits and symbolic links.
// Each file is written beside its place and renamed over it. Nothing that is not in some version is
// overwritten or removed without `force`; nothing outside the root is ever written, whatever the
// manifest says and whoever swaps folders for links meanwhile.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/linked_files.hpp"
#include "core/data/manifest.hpp"
#include "core/data/store.hpp"

#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {

struct CheckoutOptions {
  fs::path cache;               // the dataset's stat cache: read, and written when done
  bool force = false;           // overwrite local changes
  bool dry_run = false;         // only count, and look for conflicts
  LinkedFiles* links = nullptr; // where files are linked from; without it they are copies
  bool relink =
      false; // files that are right already, but copies or hard links against its mode, too
  unsigned jobs = 0;
  Progress* progress = nullptr;
  std::stop_token stop;
};

struct CheckoutStats {
  std::uint64_t written_files = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t removed_files = 0;
  std::uint64_t kept_files = 0;      // were right already
  std::uint64_t untracked_files = 0; // not in the version, left alone
};

// `version` is the version's root entry; all of its objects must be in the store. Blocks. Throws
// Error: conflict, with the first paths in its hints, before anything is written if there are local
// changes; failed if the disk is too small; integrity for a damaged object, with the files before
// it in place; interrupted. Run again, it goes on where it stopped.
CheckoutStats checkout(const fs::path& root, const Entry& version, ObjectStore& store,
                       const CheckoutOptions& options);

} // namespace mlp::data
