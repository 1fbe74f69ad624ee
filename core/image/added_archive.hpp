// ADD of an archive: its entries become a layer, below a folder of the image.
#pragma once

#include "core/image/chain.hpp"

#include <optional>
#include <string>

namespace mlp::image {

// Whether a file is a tar, plain or gzip. Throws Error(failed) for one that is compressed in
// another way, which is not unpacked.
[[nodiscard]] bool is_archive(File file);

// Entries keep owners, modes and times, devices are left out; folders above them get `time`.
// Throws Error(integrity) for an archive that is damaged or has a path that leads out of it.
[[nodiscard]] std::optional<Layer> archive_layer(Layout& layout, File file,
                                                 const std::string& target,
                                                 const std::vector<std::string>& missing,
                                                 std::int64_t time, const std::stop_token& stop);

} // namespace mlp::image
