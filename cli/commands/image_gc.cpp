// `mlp image gc`: frees what no name of a local image needs any more.
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/image/unpack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mlp {

namespace {

// Long enough for a build or pull that has not yet named what it makes.
constexpr std::string_view default_age = "1h";

std::chrono::seconds least_age(Session& session) {
  const std::string text = session.arguments().get_or("--older-than", default_age);
  const auto age = config::parse_duration(text);
  if (!age || age->count() < 0)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no time", printable(text)))
        .with_hint("such as 90m or 12h");
  return std::chrono::ceil<std::chrono::seconds>(*age);
}

// What containers of a user's projects need is not known here, only when it was last asked for.
constexpr std::chrono::seconds layers_age = std::chrono::hours(24 * 30);

image::UnpackedLayers::Garbage clean_layers(Session& session, const image::Layout* store,
                                            std::chrono::seconds age, bool dry_run) {
  std::set<Digest> needed;
  if (store != nullptr)
    for (const image::Descriptor& entry : store->index().manifests) {
      try {
        for (const Digest& diff_id : image::load_image(*store, entry).config.diff_ids)
          needed.insert(diff_id);
      } catch (const Error&) { // no image of this machine: an SBOM, another platform's
      }
    }
  image::UnpackedLayers layers(image::UnpackedLayers::user_folder());
  return layers.gc(needed, std::max(age, layers_age), dry_run, session.stop_token());
}

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const std::chrono::seconds age = least_age(session);
  image::Layout::Garbage garbage;
  const auto store = find_images(session);
  if (store) garbage = store->gc(age, dry_run, session.stop_token());
  const auto layers = clean_layers(session, store.get(), age, dry_run);
  session.output().emit(
      json_object({{"removed_blobs", garbage.blobs},
                   {"removed_bytes", garbage.bytes},
                   {"kept_blobs", garbage.kept},
                   {"removed_layers", layers.layers},
                   {"removed_layer_bytes", layers.bytes},
                   {"dry_run", dry_run}}),
      TextView{fmt::format("{} {} blob{} ({}), {} kept; {} unpacked layer{} ({})\n",
                           dry_run ? "would remove" : "removed", format_count(garbage.blobs),
                           garbage.blobs == 1 ? "" : "s", format_bytes(garbage.bytes),
                           format_count(garbage.kept), format_count(layers.layers),
                           layers.layers == 1 ? "" : "s", format_bytes(layers.bytes))});
}

} // namespace

extern const Command image_gc_command;
const Command image_gc_command = {
    .path = "image gc",
    .summary = "free what no local image needs any more",
    .category = Category::images,
    .options = {{.name = "--older-than",
                 .value = "TIME",
                 .help = "keep what is younger; default: 1h"},
                dry_run_option()},
    .examples = {{"mlp image gc --dry-run", "how much would go"}, {"mlp image gc", "remove it"}},
    .run = run};

} // namespace mlp
