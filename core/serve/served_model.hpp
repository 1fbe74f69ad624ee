// A model that a server answers for.
#pragma once

#include "core/serve/runtime.hpp"
#include "core/serve/v2.hpp"

#include <memory>

namespace mlp::serve {

struct ServedModel {
  ModelIdentity identity;
  std::shared_ptr<const Runtime> runtime;
};

} // namespace mlp::serve
