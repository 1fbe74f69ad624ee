// `mlp image ls`: local images, or the tags of a repository.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <set>

namespace mlp {

namespace {

// Behind the last ':' that is no port's.
std::pair<std::string, std::string> name_and_tag(const std::string& full) {
  const auto colon = full.rfind(':');
  if (colon == std::string::npos || full.find('/', colon) != std::string::npos ||
      full.find('@') != std::string::npos)
    return {full, ""};
  return {full.substr(0, colon), full.substr(colon + 1)};
}

struct Contents {
  std::set<std::string> platforms;
  std::string created; // of the youngest
  std::uint64_t bytes = 0;
};

void add_contents(const image::Layout& store, const image::Descriptor& entry, Contents& out,
                  std::set<Digest>& seen) {
  if (!store.has(entry.digest) || !seen.insert(entry.digest).second) return;
  const std::string text = store.read(entry.digest);
  out.bytes += text.size();
  if (image::is_index(entry.media_type)) {
    for (const image::Descriptor& child : image::parse_index(text, entry.digest.text()).manifests)
      add_contents(store, child, out, seen);
    return;
  }
  const image::Manifest manifest = image::parse_manifest(text, entry.digest.text());
  const auto count = [&](const image::Descriptor& blob) {
    if (seen.insert(blob.digest).second) out.bytes += blob.size;
  };
  count(manifest.config);
  for (const image::Descriptor& layer : manifest.layers)
    count(layer);
  if (manifest.config.media_type != image::media::config || !store.has(manifest.config.digest))
    return;
  const image::Config config =
      image::parse_config(store.read(manifest.config.digest), manifest.config.digest.text());
  if (config.platform.os != "unknown") out.platforms.insert(image::platform_text(config.platform));
  out.created = std::max(out.created, config.created);
}

Json row(const image::Layout& store, const image::Descriptor& entry, const std::string& full) {
  const auto [name, tag] = name_and_tag(full);
  Json out = json_object({{"digest", entry.digest.text()}});
  if (!full.empty()) {
    out["image"] = full;
    out["name"] = name;
    out["tag"] = tag;
  }
  Contents contents;
  std::set<Digest> seen;
  add_contents(store, entry, contents, seen);
  const std::vector<std::string> platforms(contents.platforms.begin(), contents.platforms.end());
  out["platforms"] = platforms;
  out["platform_text"] = join(platforms, ", ");
  out["bytes"] = contents.bytes;
  if (!contents.created.empty()) out["created"] = contents.created;
  return out;
}

void list_tags(Session& session, const std::string& name) {
  const image::Reference reference = image::parse_reference(name);
  image::Registry registry(reference.host, registry_options(session));
  Json rows = json_array();
  for (const std::string& tag : registry.tags({.repository = reference.repository}))
    rows.push_back(json_object(
        {{"image", reference.name() + ":" + tag}, {"name", reference.name()}, {"tag", tag}}));
  session.output().emit(json_object({{"images", std::move(rows)}}),
                        TableView{.rows = "images",
                                  .columns = {{"name", "NAME"}, {"tag", "TAG"}},
                                  .empty = "no tags"});
}

void run(Session& session) {
  const std::string wanted = session.arguments().get_or("NAME", "");
  const image::ImageName given =
      wanted.empty() ? image::ImageName{} : image::parse_image_name(wanted);
  if (given.transport == image::Transport::registry) return list_tags(session, given.name);
  auto store = given.transport == image::Transport::layout
                   ? std::make_unique<image::Layout>(given.path)
                   : find_images(session);
  if (given.transport != image::Transport::layout && given.transport != image::Transport::name)
    throw Error(ErrorKind::usage, "an archive cannot be listed")
        .with_hint("mlp image inspect shows it, mlp image import takes it in");
  Json rows = json_array();
  for (const image::Descriptor& entry :
       store ? store->index().manifests : std::vector<image::Descriptor>{}) {
    const auto found = entry.annotations.find(image::ref_name_annotation);
    const std::string full = found == entry.annotations.end() ? "" : found->second;
    if (full.empty() && !entry.artifact_type.empty()) continue; // an SBOM and its kin
    const auto [name, tag] = name_and_tag(full);
    if (!given.name.empty() && given.name != full && given.name != name) continue;
    rows.push_back(row(*store, entry, full));
  }
  session.output().emit(json_object({{"images", std::move(rows)}}),
                        TableView{.rows = "images",
                                  .columns = {{"name", "NAME"},
                                              {"tag", "TAG"},
                                              {"digest", "DIGEST", Format::digest},
                                              {"platform_text", "PLATFORM"},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"created", "CREATED", Format::age}},
                                  .empty = "no images; mlp build makes one, mlp image pull "
                                           "fetches one"});
}

} // namespace

extern const Command image_ls_command;
const Command image_ls_command = {
    .path = "image ls",
    .summary = "list local images, or the tags of a registry's repository",
    .category = Category::images,
    .arguments = {{.name = "NAME",
                   .help = "an image's name without its tag, docker://REPOSITORY, or oci:FOLDER",
                   .required = false,
                   .complete = complete_images}},
    .options = {plain_http_option()},
    .examples = {{"mlp image ls", "the images of this project"},
                 {"mlp image ls docker://localhost:5000/digits", "the tags of a repository"}},
    .run = run};

} // namespace mlp
