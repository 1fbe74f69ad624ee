// Requests are checked here once, so that every runtime refuses in the same words.
#include "core/serve/runtime.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::serve {

namespace {

bool fits(std::span<const std::int64_t> shape, std::span<const std::int64_t> wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](std::int64_t have, std::int64_t want) { return want < 0 || have == want; });
}

} // namespace

void check_inputs(const model::Signature& signature, std::span<const model::NamedTensor> inputs) {
  std::vector<std::string> names;
  for (const model::TensorSpec& spec : signature.inputs)
    names.push_back(spec.name);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const model::NamedTensor& input = inputs[i];
    const auto spec = std::find_if(signature.inputs.begin(), signature.inputs.end(),
                                   [&](const auto& s) { return s.name == input.name; });
    if (spec == signature.inputs.end())
      throw Error(ErrorKind::usage, fmt::format("unknown input '{}'", printable(input.name)))
          .with_hint(suggestion_hint(input.name, names, "inputs"));
    for (std::size_t k = 0; k < i; ++k)
      if (inputs[k].name == input.name)
        throw Error(ErrorKind::usage, fmt::format("input '{}' is given twice", input.name));
    if (input.tensor.type != spec->type)
      throw Error(ErrorKind::usage, fmt::format("input '{}' is {}, not {}", input.name,
                                                model::data_type_name(spec->type),
                                                model::data_type_name(input.tensor.type)));
    if (!fits(input.tensor.shape, spec->shape))
      throw Error(ErrorKind::usage, fmt::format("input '{}' has shape {}, not {}", input.name,
                                                model::shape_text(spec->shape),
                                                model::shape_text(input.tensor.shape)));
  }
  for (const std::string& name : names)
    if (std::none_of(inputs.begin(), inputs.end(), [&](const auto& i) { return i.name == name; }))
      throw Error(ErrorKind::usage, fmt::format("input '{}' is missing", name))
          .with_hint(fmt::format("the model takes: {}", join(names, ", ")));
}

} // namespace mlp::serve
