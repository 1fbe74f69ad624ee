// What the commands that build images share: a project's image, joined from its parts.
#pragma once

#include "cli/session.hpp"
#include "core/image/build.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlp {

// A build of the project's `image`, with all that it uses. Opened once; not thread-safe.
class ProjectBuild {
 public:
  using CacheUse = image::LayerCache::Use;
  ProjectBuild(Session& session, config::ImageSpec spec, CacheUse use = CacheUse::full);
  ~ProjectBuild();
  ProjectBuild(ProjectBuild&&) = delete;

  [[nodiscard]] image::Layout& layout() noexcept;
  [[nodiscard]] image::BuildRequest& request() noexcept; // to be changed before a build
  // What was done, in its order.
  [[nodiscard]] const std::vector<image::Workshop::Done>& steps() const noexcept;

  // Builds, and writes mlp.lock if what was chosen is new. Names nothing in the layout.
  [[nodiscard]] image::BuildResult image();
  // Attaches the SBOM and the provenance of an image that was built here, unless it has them.
  void attest(const image::BuildResult& result, const std::string& name);
  [[nodiscard]] image::BuildResult environment();

  // The checked-out commit's first 12 characters, or empty if there is none or files differ from
  // it.
  [[nodiscard]] std::string clean_commit();

 private:
  using Builder = image::BuildResult (*)(image::Workshop&, const image::BuildRequest&,
                                         const std::optional<config::ImageLock>&);
  image::BuildResult build(Builder builder);
  struct State;
  std::unique_ptr<State> state_;
};

// The project's `image`. Throws Error(config) if mlp.yaml has none.
[[nodiscard]] const config::ImageSpec& declared_image(Session& session);

// Names an image, unless the name stands for it already.
void name_image(image::Layout& layout, const std::string& name, const image::Descriptor& manifest);

} // namespace mlp
