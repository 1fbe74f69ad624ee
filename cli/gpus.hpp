// GPUs as JSON and as text: what `mlp gpu ls`, `mlp gpu check` and `mlp doctor` share.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/gpu/gpu.hpp"

#include <string>

namespace mlp {

// One GPU, every key there; what the driver does not tell is null.
[[nodiscard]] Json gpu_json(const gpu::Gpu& gpu);

// What a person should know of it first, in one or two words: "ok", "lost", "xid 79", …
[[nodiscard]] std::string gpu_state(const gpu::Gpu& gpu);

// "H100 80GB HBM3": the model without its maker, printable; "?" if it is not known.
[[nodiscard]] std::string short_model(const gpu::Gpu& gpu);

// Throws the Error that tells why the driver gives no list. For Driver::denied and ::broken.
[[noreturn]] void throw_driver_error(const gpu::Inventory& inventory);

} // namespace mlp
