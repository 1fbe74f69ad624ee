// Images in one file: a layout as a tar ("oci-archive"), and what `docker save` writes
// ("docker-archive").
// Sources: containers-transports(5); Docker Image Specification 1.2, "Combined Image JSON +
// Filesystem Changeset Format".
#pragma once

#include "core/base/progress.hpp"
#include "core/image/reference.hpp"

#include <stop_token>
#include <string>
#include <vector>

namespace mlp::image {

enum class ArchiveFormat { oci, docker };

// Puts the blobs of an archive of either format into the layout and returns its images, with the
// names that the archive gives them; names nothing in the layout. Reads the file once, as a stream:
// links in it are followed only to other entries, and every digest is checked. An image of Docker
// becomes one of OCI with the same configuration and layers. Throws Error: not_found for the file,
// integrity for what is no archive of images or is damaged, failed, interrupted.
[[nodiscard]] std::vector<NamedImage> read_archive(const fs::path& file, Layout& into,
                                                   Progress& progress, const std::stop_token& stop);

// The one of that name, as find_image() understands names, or the only one for an empty name.
// Throws Error(not_found) that lists the names there are, Error(conflict).
[[nodiscard]] NamedImage choose_archived(const std::vector<NamedImage>& images,
                                         std::string_view name, const fs::path& file);

// Writes the image, without its referrers, to a file that appears whole or not at all. The same
// image and name give the same bytes. `name` may be empty. For ArchiveFormat::docker the image is
// one of this machine's platform. Throws Error: not_found and integrity for blobs of the layout,
// conflict if the file is there and `replace` is false, failed, interrupted.
void write_archive(const Layout& layout, const Descriptor& image, const std::string& name,
                   const fs::path& file, ArchiveFormat format, bool replace, Progress& progress,
                   const std::stop_token& stop);

} // namespace mlp::image
