// `mlp build`: the project's image, from mlp.yaml.
#include "cli/building.hpp"
#include "cli/data.hpp"
#include "cli/image_differences.hpp"
#include "cli/images.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/config/project_file.hpp"
#include "core/image/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace mlp {

namespace {

constexpr std::size_t most_files = 10000; // of what differs

// As --build-arg NAME=VALUE; NAME alone is that of the environment, as docker has it.
void take_build_args(Session& session, config::ImageSpec& spec) {
  for (const std::string& text : session.arguments().all("--build-arg")) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(ErrorKind::usage,
                  fmt::format("--build-arg '{}' is not NAME=VALUE", printable(text)));
    spec.build_args.set(text.substr(0, equals), text.substr(equals + 1));
  }
}

std::vector<std::string> names_of(Session& session, ProjectBuild& build) {
  std::vector<std::string> names;
  for (const std::string& text : session.arguments().all("--tag"))
    names.push_back(image::local_name(text));
  if (!names.empty()) return names;
  const std::string& project = session.project_file().name;
  names.push_back(project + ":latest");
  if (const std::string commit = build.clean_commit(); !commit.empty())
    names.push_back(fmt::format("{}:{}", project, commit));
  return names;
}

Json step_records(const ProjectBuild& build) {
  Json out = json_array();
  for (const auto& step : build.steps())
    out.push_back(json_object({{"step", step.title},
                               {"cached", step.cached},
                               {"bytes", step.bytes},
                               {"seconds", step.seconds}}));
  return out;
}

// Builds it again from nothing, and compares.
void verify(Session& session, config::ImageSpec spec) {
  ProjectBuild build(session, std::move(spec), ProjectBuild::CacheUse::off);
  const std::vector<std::string> names = names_of(session, build);
  const image::NamedImage named = local_image(build.layout(), names.front());
  const image::Image known = image::load_image(build.layout(), named.manifest);
  build.request().locked = true;
  const image::Image again = build.image().image;
  const image::ImageDiff diff = image::diff_images(build.layout(), known, build.layout(), again,
                                                   most_files, session.stop_token());
  const bool same = known.descriptor.digest == again.descriptor.digest;
  Json record = diff_json(diff);
  record["name"] = named.name;
  record["image"] = known.descriptor.digest.text();
  record["rebuilt"] = again.descriptor.digest.text();
  record["reproduced"] = same;
  session.output().emit(
      std::move(record),
      TextView{same
                   ? fmt::format("{}: reproduced, {}\n", named.name, known.descriptor.digest.text())
                   : fmt::format("{}: not reproduced ({}): {} was built, {} comes out now\n{}",
                                 named.name, image::verdict_word(diff.verdict),
                                 known.descriptor.digest.short_hex(),
                                 again.descriptor.digest.short_hex(), diff_text(diff))});
  if (!same) session.set_verdict(ErrorKind::integrity);
}

void run(Session& session) {
  const auto start = std::chrono::steady_clock::now();
  const Arguments& arguments = session.arguments();
  config::ImageSpec spec;
  if (const auto file = arguments.get("--file"))
    spec.dockerfile = project_path(session, *file);
  else
    spec = declared_image(session);
  take_build_args(session, spec);
  const bool has_stages = !spec.dockerfile.empty();
  if (arguments.has("--verify")) return verify(session, std::move(spec));
  using Use = ProjectBuild::CacheUse;
  ProjectBuild build(session, std::move(spec),
                     arguments.has("--no-cache") ? Use::renew : Use::full);
  image::BuildRequest& request = build.request();
  request.locked = arguments.has("--locked");
  request.target = arguments.get("--target").value_or("");
  if (!request.target.empty() && !has_stages)
    throw Error(ErrorKind::usage, "--target is a stage of a Dockerfile, and there is none");
  const image::BuildResult result = build.image();
  const std::vector<std::string> names = names_of(session, build);
  for (const std::string& name : names)
    name_image(build.layout(), name, result.image.descriptor);
  build.attest(result, names.front());
  std::uint64_t bytes = 0;
  for (const image::Descriptor& layer : result.image.manifest.layers)
    bytes += layer.size;
  const std::size_t made = static_cast<std::size_t>(std::count_if(
      build.steps().begin(), build.steps().end(), [](const auto& step) { return !step.cached; }));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  session.output().status(fmt::format("{} layers, {}; {} made in {}",
                                      result.image.manifest.layers.size(), format_bytes(bytes),
                                      made == 0 ? "nothing" : std::to_string(made),
                                      format_duration(std::chrono::duration<double>(seconds))));
  session.output().emit(
      json_object({{"names", names},
                   {"digest", result.image.descriptor.digest.text()},
                   {"environment", result.environment.descriptor.digest.text()},
                   {"layers", result.image.manifest.layers.size()},
                   {"bytes", bytes},
                   {"steps", step_records(build)},
                   {"seconds", seconds}}),
      TextView{fmt::format("{}  {}\n", names.front(), result.image.descriptor.digest.text())});
}

} // namespace

extern const Command build_command;
const Command build_command = {
    .path = "build",
    .summary = "build the project's image from mlp.yaml",
    .category = Category::images,
    .options = {{.name = "--tag",
                 .value = "NAME[:TAG]",
                 .help = "name of the image; default: the project's, with tags latest and the "
                         "commit",
                 .letter = 't',
                 .repeated = true},
                {.name = "--file",
                 .value = "DOCKERFILE",
                 .help = "build from this Dockerfile instead of mlp.yaml's image",
                 .letter = 'f'},
                {.name = "--locked", .help = "fail rather than choose a base or a package anew"},
                {.name = "--no-cache", .help = "make every layer anew"},
                {.name = "--verify",
                 .help = "change nothing: build again from nothing what mlp.lock pins, and list in "
                         "what the image differs"},
                {.name = "--target", .value = "STAGE", .help = "a stage of the Dockerfile"},
                {.name = "--build-arg",
                 .value = "NAME=VALUE",
                 .help = "value of an ARG of the Dockerfile",
                 .repeated = true},
                plain_http_option()},
    .examples = {{"mlp build", "the image, named by the project and the commit"},
                 {"mlp build --verify", "is the image what its sources say?"},
                 {"mlp build --locked -t digits:v1", "in CI: exactly what mlp.lock pins"}},
    .run = run};

} // namespace mlp
