// An artifact is an image manifest without an image.
#include "core/image/artifact.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

Descriptor attach(Layout& layout, const Descriptor& subject, std::string_view artifact_type,
                  std::string_view document, const Annotations& annotations) {
  Manifest manifest;
  manifest.artifact_type = artifact_type;
  manifest.config = layout.put("{}", media::empty);
  manifest.layers = {layout.put(document, artifact_type)};
  // Only what identifies it: its name in a layout is not the artifact's to say.
  manifest.subject =
      Descriptor{.media_type = subject.media_type, .digest = subject.digest, .size = subject.size};
  manifest.annotations = annotations;
  Descriptor out = layout.put(to_text(manifest), media::manifest);
  out.artifact_type = artifact_type;
  layout.add(out);
  return out;
}

std::optional<std::string> attached(ImageSource& source, const Digest& subject,
                                    std::string_view artifact_type) {
  std::optional<Descriptor> found;
  for (const Descriptor& referrer : source.referrers(subject))
    if (referrer.artifact_type == artifact_type && (!found || found->digest < referrer.digest))
      found = referrer;
  if (!found) return std::nullopt;
  const std::string what = fmt::format("artifact '{}'", found->digest.text());
  const Manifest manifest = parse_manifest(source.document(*found).text, what);
  if (manifest.layers.size() != 1)
    throw Error(ErrorKind::integrity,
                fmt::format("{} has {} layers, and should have 1", what, manifest.layers.size()));
  const Descriptor& layer = manifest.layers.front();
  source.ensure(layer, no_progress());
  std::string text = read_file(source.layout().blob_path(layer.digest), max_artifact);
  if (sha256(text) != layer.digest)
    throw Error(ErrorKind::integrity,
                fmt::format("the document of {} is damaged: its digest is not {}", what,
                            layer.digest.text()));
  return text;
}

} // namespace mlp::image
