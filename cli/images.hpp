// What the commands about images share: the local store, and images opened by the names that people
// give them.
#pragma once

#include "cli/session.hpp"
#include "core/base/json_fwd.hpp"
#include "core/image/transfer.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// The folder of local images: .mlp/images of the project around the current folder, or outside of
// any project the user's, $XDG_DATA_HOME/mlp/images.
[[nodiscard]] fs::path images_folder(Session& session);
// The store there, made if need be.
[[nodiscard]] image::Layout open_images(Session& session);
// The store if there is one yet, for commands that only look.
[[nodiscard]] std::unique_ptr<image::Layout> find_images(Session& session);

// The image of that name in the local store. Throws Error(not_found) with the nearest name.
[[nodiscard]] image::NamedImage local_image(const image::Layout& store, std::string_view name);

// Options that several commands share.
[[nodiscard]] Option platform_option();
[[nodiscard]] Option all_platforms_option();
[[nodiscard]] Option plain_http_option();

// From the settings net.* and --plain-http.
[[nodiscard]] image::RegistryOptions registry_options(Session& session);
// From --platform and --all-platforms.
[[nodiscard]] image::TransferOptions transfer_options(Session& session);

// An image that can be read, and what must live as long.
struct OpenImage {
  std::unique_ptr<image::Layout> layout; // where its blobs are, or will be
  std::unique_ptr<image::Registry> registry;
  std::unique_ptr<image::ImageSource> source;
  std::string name; // in full; may be empty in an archive or layout
};
// A local image, else one of a registry, or what a transport says. Blobs that have to be fetched or
// unpacked get into `staging`.
[[nodiscard]] OpenImage open_image(Session& session, const image::ImageName& name,
                                   const fs::path& staging);

// "moved 2 of 5 blobs (1.2 MiB)", for people.
[[nodiscard]] std::string transfer_text(const image::Transferred& result);
// The result of a command that moved an image, which is called `name` now.
void emit_transfer(Session& session, const std::string& name, const image::Transferred& result);
[[nodiscard]] Json transfer_json(const image::Transferred& result);

} // namespace mlp
