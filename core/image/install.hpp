// System packages (Debian's and Ubuntu's) and Python packages of an image: which files an
// installation needs is found out once, with the network, by the base's own apt and pip; then the
// files are fetched by their digests and installed without any network.
// Sources: apt-get(8) (--print-uris), deb(5); pip's "Installation Report", PEP 427 (wheels).
#pragma once

#include "core/base/progress.hpp"
#include "core/config/lock_file.hpp"
#include "core/image/container.hpp"
#include "core/image/step.hpp"

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

using config::PackageLock;

// --- pure functions, of what comes from outside

// The lines of `apt-get install --print-uris`. Throws Error(integrity) for one that has no SHA-256
// or a name that is no file name; other lines are passed over.
[[nodiscard]] std::vector<PackageLock> parse_print_uris(std::string_view output);
// pip's report, in the order of the names. Throws Error(integrity) for a file without SHA-256 or
// one that is no wheel.
[[nodiscard]] std::vector<PackageLock> parse_pip_report(std::string_view json);

// --- over the unpacked layers of an image

struct PackageContext {
  const StepRunner& runner;
  std::vector<fs::path> layers;                   // unpacked, the base first
  std::map<std::string, std::string> environment; // of the image so far
  fs::path cache;                                 // of files, by digest
  Progress& progress;
};

// Blocks on the network. Throws Error(failed) with apt's own words; with a hint if the base has no
// apt.
[[nodiscard]] std::vector<PackageLock> resolve_system(const PackageContext& context,
                                                      const std::vector<std::string>& packages);
// `requirements` is the text of a requirements.txt. `kept`: versions that stay as they are if that
// can be.
[[nodiscard]] std::vector<PackageLock> resolve_python(const PackageContext& context,
                                                      const std::vector<std::string>& packages,
                                                      const std::string& requirements,
                                                      const std::vector<PackageLock>& kept = {});
// "3.11.2"; empty if the layers have no python3 that says so.
[[nodiscard]] std::string python_version(const PackageContext& context);

// Fetches what the cache does not have, each file checked by its digest. Throws Error: unreachable,
// not_found with the hint to lock anew, integrity.
void fetch_packages(const std::vector<PackageLock>& packages, const fs::path& cache,
                    Progress& progress, const std::stop_token& stop);

// The steps that install the files, which are seen in the container for as long; changes go to
// `upper`.
void install_system(const PackageContext& context, const std::vector<PackageLock>& packages,
                    const fs::path& upper, const fs::path& work);
void install_python(const PackageContext& context, const std::vector<PackageLock>& packages,
                    const fs::path& upper, const fs::path& work);

} // namespace mlp::image
