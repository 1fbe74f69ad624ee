// What differs between two images, for people and for programs.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/image/image_diff.hpp"

#include <string>

namespace mlp {

// Packages, configuration, layers and files, up to 200 lines of these; "" if there is nothing.
[[nodiscard]] std::string diff_text(const image::ImageDiff& diff);
[[nodiscard]] Json diff_json(const image::ImageDiff& diff);

} // namespace mlp
