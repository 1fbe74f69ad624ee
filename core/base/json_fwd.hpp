// Forward declaration of Json, for headers.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace mlp {
using Json = nlohmann::json; // keys sorted: the same value prints the same bytes
}
