// `mlp env show`: what the environment is made of, and whether it is here.
#include "cli/building.hpp"
#include "cli/environments.hpp"
#include "core/base/json.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const config::ImageSpec& spec = declared_image(session);
  const auto lock = config::load_lock_file(session.project()).image;
  ProjectBuild build(session, spec);
  const bool current = image::is_current(build.request(), lock);
  Json record = json_object(
      {{"base", spec.dockerfile.empty() ? image::base_reference(spec) : spec.dockerfile},
       {"state", !lock     ? "not locked"
                 : current ? "locked"
                           : "mlp.yaml has changed since it was locked"}});
  if (lock) {
    Json bases = json_array();
    std::string digests;
    for (const auto& [reference, digest] : lock->bases) {
      bases.push_back(json_object({{"reference", reference}, {"digest", digest.text()}}));
      digests += (digests.empty() ? "" : ", ") + digest.text();
    }
    record["bases"] = std::move(bases);
    if (!digests.empty()) record["base_digest"] = digests;
    record["system_packages"] = lock->system_packages.size();
    record["python_packages"] = lock->python_packages.size();
    if (lock->environment) {
      record["environment"] = lock->environment->text();
      const bool here = build.layout().has(*lock->environment);
      record["built"] = here;
      if (here) {
        const image::Image image = image::load_image(
            build.layout(), image::descriptor_of(build.layout(), *lock->environment));
        std::uint64_t bytes = 0;
        for (const image::Descriptor& layer : image.manifest.layers)
          bytes += layer.size;
        record["layers"] = image.manifest.layers.size();
        record["bytes"] = bytes;
      }
    }
  }
  session.output().emit(std::move(record),
                        FieldsView{{{"base", "base"},
                                    {"base_digest", "digest"},
                                    {"state", "state"},
                                    {"environment", "environment"},
                                    {"built", "built here"},
                                    {"system_packages", "system packages", Format::count},
                                    {"python_packages", "Python packages", Format::count},
                                    {"layers", "layers", Format::count},
                                    {"bytes", "size", Format::bytes}}});
}

} // namespace

extern const Command env_show_command;
const Command env_show_command = {.path = "env show",
                                  .summary = "show what the project's environment is made of",
                                  .category = Category::images,
                                  .examples = {{"mlp env show", "base, digests, sizes"}},
                                  .run = run};

} // namespace mlp
