// `mlp image inspect`: what an image says of itself, here or elsewhere.
#include "cli/completers.hpp"
#include "cli/image_facts.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::string words(const std::vector<std::string>& arguments) {
  std::vector<std::string> quoted;
  for (const std::string& argument : arguments)
    quoted.push_back(shell_quote(argument));
  return join(quoted, " ");
}

std::string lines(const image::Annotations& annotations) {
  std::vector<std::string> out;
  for (const auto& [name, value] : annotations)
    out.push_back(fmt::format("{}={}", name, value));
  return join(out, ", ");
}

void run(Session& session) {
  const ImageFacts facts = image_facts(session, session.arguments().get("IMAGE").value_or(""));
  const image::Config& config = facts.image.config;
  const image::Manifest& manifest = facts.image.manifest;
  Json referrers = json_array();
  std::vector<std::string> kinds;
  for (const image::Descriptor& referrer : facts.referrers) {
    referrers.push_back(json_object({{"digest", referrer.digest.text()},
                                     {"artifact_type", referrer.artifact_type},
                                     {"bytes", referrer.size}}));
    kinds.push_back(fmt::format("{} {}", referrer.artifact_type, referrer.digest.short_hex()));
  }
  std::vector<std::string> platforms;
  for (const image::Platform& platform : facts.platforms)
    platforms.push_back(image::platform_text(platform));

  // The documents as they are, and what people look for.
  const std::string what = "the image's own documents";
  Json record =
      json_object({{"name", facts.name},
                   {"digest", facts.image.descriptor.digest.text()},
                   {"media_type", manifest.media_type},
                   {"platform", image::platform_text(config.platform)},
                   {"platforms", platforms},
                   {"bytes", facts.bytes},
                   {"layers", manifest.layers.size()},
                   {"manifest", parse_json(image::to_text(manifest), what, {image::max_document})},
                   {"config", parse_json(image::to_text(config), what, {image::max_document})},
                   {"referrers", std::move(referrers)}});
  if (!config.created.empty()) record["created"] = config.created;
  const auto shown = [&](const char* key, const std::string& text) {
    if (!text.empty()) record["shown"][key] = text;
  };
  record["shown"] = json_object();
  shown("name", facts.name);
  shown("platforms", join(platforms, ", "));
  shown("entrypoint", words(config.defaults.entrypoint));
  shown("cmd", words(config.defaults.cmd));
  shown("workdir", config.defaults.workdir);
  shown("user", config.defaults.user);
  shown("env", words(config.defaults.env));
  shown("labels", lines(config.defaults.labels));
  shown("annotations", lines(manifest.annotations));
  shown("referrers", join(kinds, ", "));
  session.output().emit(std::move(record), FieldsView{{{"shown.name", "name"},
                                                       {"digest", "digest"},
                                                       {"platform", "platform"},
                                                       {"shown.platforms", "platforms"},
                                                       {"created", "created"},
                                                       {"bytes", "size", Format::bytes},
                                                       {"layers", "layers", Format::count},
                                                       {"shown.entrypoint", "entrypoint"},
                                                       {"shown.cmd", "cmd"},
                                                       {"shown.workdir", "workdir"},
                                                       {"shown.user", "user"},
                                                       {"shown.env", "env"},
                                                       {"shown.labels", "labels"},
                                                       {"shown.annotations", "annotations"},
                                                       {"shown.referrers", "referrers"}}});
}

} // namespace

extern const Command image_inspect_command;
const Command image_inspect_command = {
    .path = "image inspect",
    .summary = "show what an image is made of and starts with",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "a local image, a registry's, or one in a folder or file",
                   .complete = complete_images}},
    .options = {platform_option(), plain_http_option()},
    .examples = {{"mlp image inspect digits", "a local image"},
                 {"mlp image inspect docker://debian:bookworm-slim", "one that is not pulled"},
                 {"mlp image inspect oci-archive:digits.tar --json", "one in a file"}},
    .run = run};

} // namespace mlp
