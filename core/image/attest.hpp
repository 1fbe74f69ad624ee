// What speaks of a built image beside it: its SBOM and the provenance of its build.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/image/build.hpp"

#include <string>

namespace mlp::image {

// Attaches both to the image, unless it has them. `name` is the image's, with its tag. Reads the
// layers as they are unpacked; blocks.
void attest(Workshop& shop, const BuildRequest& request, const BuildResult& result,
            const std::string& name, const std::string& version);

// The section `image:` as the provenance has it: what was asked for, no secret's value.
[[nodiscard]] Json image_parameters(const config::ImageSpec& spec);

} // namespace mlp::image
