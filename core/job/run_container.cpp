// The mounts are those paths that a program is told of: everything else of this machine is out of
// its sight.
#include "core/job/run_container.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/progress.hpp"
#include "core/base/text.hpp"
#include "core/image/container_request.hpp"
#include "core/image/reference.hpp"
#include "core/image/unpack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::job {

namespace {

// What of our own environment a program needs to reach the network and its GPUs.
constexpr std::array<const char*, 8> passed_on = {
    "CUDA_VISIBLE_DEVICES", "http_proxy",  "https_proxy", "no_proxy",
    "HTTP_PROXY",           "HTTPS_PROXY", "NO_PROXY",    "TERM"};

bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

image::Image image_of(const image::Layout& images, const track::RunSpec& spec) {
  const auto found = image::find_image(images, spec.image);
  if (!found)
    throw Error(ErrorKind::not_found,
                fmt::format("the image {} of this run is not there", printable(spec.image)))
        .with_hint("mlp build makes it again; mlp image ls lists the images of this project");
  return image::load_image(images, found->manifest);
}

// The machine's GPUs, if it has any: which of them a program uses, CUDA_VISIBLE_DEVICES says.
image::GpuAccess gpus_if_any() {
  try {
    return image::gpu_access("all");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
    return {};
  }
}

} // namespace

RunContainer::RunContainer(const track::RunFolder& run, const track::RunSpec& spec,
                           const Work& work, fs::path program)
    : folder_(run.root), program_(std::move(program)) {
  const config::Project project = project_of(run);
  const image::Layout images(project.images());
  const image::Image found = image_of(images, spec);
  image::ContainerRequest request;
  request.command = work.arguments;
  request.entrypoint = ""; // the task says what runs, not the image
  request.workdir = work.directory.native();
  request.gpus = gpus_if_any();
  request.mounts.push_back({.source = project.root, .target = project.root.native()});
  for (const track::DatasetUse& use : spec.datasets) {
    const fs::path data = (code_of(run, spec) / use.path).lexically_normal();
    if (!is_below(data, project.root) && fs::exists(data))
      request.mounts.push_back({.source = data, .target = data.native()});
  }
  image::UnpackedLayers layers(image::UnpackedLayers::user_folder());
  spec_ = image::container_of(found, layers.ensure(images, found, no_progress(), {}), request);
  spec_.signal_group = true;
}

std::vector<std::string>
RunContainer::arguments(std::size_t number,
                        const std::map<std::string, std::string>& environment) const {
  image::ContainerSpec spec = spec_;
  for (const auto& [name, value] : environment)
    spec.inherited.push_back(name);
  for (const char* name : passed_on)
    if (!environment.contains(name)) spec.inherited.emplace_back(name);
  const fs::path file = folder_ / fmt::format("container-{}.json", number);
  write_file_atomic(file, dump_json_pretty(image::to_json(spec)));
  return {program_.native(), "__container", file.native()};
}

} // namespace mlp::job
