// `image:` of mlp.yaml, carried out: base, system packages, Python packages, steps, the project's
// files, each a layer that is made once for the same inputs. The image without the project's files
// is its environment, in which tasks run.
#pragma once

#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"
#include "core/image/chain.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// What a build is of. All of it is kept by the caller while the build runs.
struct BuildRequest {
  fs::path root; // the project's folder
  const config::ImageSpec& spec;
  // $SOURCE_DATE_EPOCH; without it the base's own time holds for packages and steps, and
  // `commit_time` for the project's files and the image.
  std::optional<std::int64_t> source_date;
  std::int64_t commit_time = 0;
  Annotations annotations; // of the image, beside those about time and base
  fs::path packages;       // cache of package files

  // Makes sure that an image is in the layout: `reference` as mlp.yaml or a Dockerfile has it, at
  // the digest that is pinned, if one is. Returns its manifest, or index.
  std::function<Descriptor(const std::string& reference, const std::optional<Digest>& pinned)> base;
  // A secret's value, for a step. Throws Error(not_found).
  std::function<std::string(const std::string& name)> secret;

  bool locked = false; // choose no base or package anew: Error(config) if mlp.lock is not current
  bool renew = false;  // choose all of them anew
  std::string target;  // stage of the Dockerfile; empty: the last
};

struct BuildResult {
  Image image;
  Image environment;
  std::vector<std::string> warnings;
  config::ImageLock lock; // as it has to be from now on
};

// What mlp.yaml asks for, as far as choices hang on it.
[[nodiscard]] Digest system_inputs(const BuildRequest& request); // base and system packages
[[nodiscard]] Digest python_inputs(const BuildRequest& request);

// Whether a lock still says what mlp.yaml asks for.
[[nodiscard]] bool is_current(const BuildRequest& request,
                              const std::optional<config::ImageLock>& lock);

// The reference that the image starts from: `base`, else that of the Python version, else scratch.
[[nodiscard]] std::string base_reference(const config::ImageSpec& spec);

// Blocks; starts processes. Names nothing in the layout. Throws Error: config, failed with the last
// lines of the step that failed, and what fetching throws.
[[nodiscard]] BuildResult build_image(Workshop& shop, const BuildRequest& request,
                                      const std::optional<config::ImageLock>& lock);
// The environment alone.
[[nodiscard]] BuildResult build_environment(Workshop& shop, const BuildRequest& request,
                                            const std::optional<config::ImageLock>& lock);

// --- Dockerfiles; dockerfile_build.cpp
[[nodiscard]] BuildResult build_dockerfile(Workshop& shop, const BuildRequest& request,
                                           const std::optional<config::ImageLock>& lock);

// Runs a program of a build with its secrets as files that are there only as long as it runs.
struct SecretFile {
  std::string name;
  std::string target; // absolute
};
void run_with_secrets(const StepRunner& runner, ContainerSpec spec,
                      const std::vector<SecretFile>& secrets,
                      const std::function<std::string(const std::string&)>& value,
                      std::string_view title);

} // namespace mlp::image
