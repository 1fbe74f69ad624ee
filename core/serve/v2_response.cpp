// Bodies of the V2 protocol's responses, written in the order in which the specification lists
// their members.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/model/half.hpp"
#include "core/serve/json_text.hpp"
#include "core/serve/v2.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::serve {

namespace {

using model::DataType;

template <class T, class Convert>
void append_elements(std::string& out, std::span<const T> values, Convert convert) {
  bool first = true;
  for (const T value : values) {
    if (!first) out += ',';
    first = false;
    append_json_number(out, convert(value));
  }
}

template <class T>
void append_elements(std::string& out, const model::Tensor& tensor) {
  append_elements(out, tensor.as<T>(), [](T value) { return value; });
}

void append_data(std::string& out, const model::Tensor& tensor) {
  bool first = true;
  switch (tensor.type) {
  case DataType::boolean:
    for (const std::byte value : tensor.data) {
      if (!first) out += ',';
      first = false;
      out += value != std::byte{0} ? "true" : "false";
    }
    return;
  case DataType::string:
    for (const std::string& value : tensor.strings) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, value);
    }
    return;
  case DataType::uint8:
    return append_elements<std::uint8_t>(out, tensor);
  case DataType::uint16:
    return append_elements<std::uint16_t>(out, tensor);
  case DataType::uint32:
    return append_elements<std::uint32_t>(out, tensor);
  case DataType::uint64:
    return append_elements<std::uint64_t>(out, tensor);
  case DataType::int8:
    return append_elements<std::int8_t>(out, tensor);
  case DataType::int16:
    return append_elements<std::int16_t>(out, tensor);
  case DataType::int32:
    return append_elements<std::int32_t>(out, tensor);
  case DataType::int64:
    return append_elements<std::int64_t>(out, tensor);
  case DataType::float16:
    return append_elements(out, tensor.as<std::uint16_t>(), model::float_from_half);
  case DataType::bfloat16:
    return append_elements(out, tensor.as<std::uint16_t>(), model::float_from_bfloat16);
  case DataType::float32:
    return append_elements<float>(out, tensor);
  case DataType::float64:
    return append_elements<double>(out, tensor);
  }
}

void append_shape(std::string& out, std::span<const std::int64_t> shape) {
  out += '[';
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ',';
    append_json_number(out, shape[i]);
  }
  out += ']';
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  if (out.back() != '{') out += ',';
  append_json_string(out, key);
  out += ':';
  append_json_string(out, value);
}

void append_specs(std::string& out, std::string_view key,
                  std::span<const model::TensorSpec> specs) {
  out += ',';
  append_json_string(out, key);
  out += ":[";
  for (std::size_t i = 0; i < specs.size(); ++i) {
    out += i > 0 ? ",{" : "{";
    append_member(out, "name", specs[i].name);
    append_member(out, "datatype", model::data_type_name(specs[i].type));
    out += ",\"shape\":";
    append_shape(out, specs[i].shape);
    out += '}';
  }
  out += ']';
}

} // namespace

void check_output_names(const model::Signature& signature, std::span<const std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool known = std::any_of(signature.outputs.begin(), signature.outputs.end(),
                                   [&](const auto& spec) { return spec.name == names[i]; });
    if (!known) {
      std::vector<std::string> all;
      for (const model::TensorSpec& spec : signature.outputs)
        all.push_back(spec.name);
      throw Error(ErrorKind::usage, fmt::format("unknown output '{}'", printable(names[i])))
          .with_hint(suggestion_hint(names[i], all, "outputs"));
    }
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i))
      throw Error(ErrorKind::usage, fmt::format("output '{}' is asked for twice", names[i]));
  }
}

void append_infer_response(std::string& out, const ModelIdentity& model, std::string_view id,
                           std::span<const model::NamedTensor> outputs) {
  std::size_t bytes = 256;
  for (const model::NamedTensor& output : outputs)
    bytes += 128 + output.tensor.data.size() * 3 + output.tensor.strings.size() * 16;
  out.reserve(out.size() + bytes);
  out += '{';
  append_member(out, "model_name", model.name);
  if (!model.version.empty()) append_member(out, "model_version", model.version);
  if (!id.empty()) append_member(out, "id", id);
  out += ",\"outputs\":[";
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const model::Tensor& tensor = outputs[i].tensor;
    out += i > 0 ? ",{" : "{";
    append_member(out, "name", outputs[i].name);
    out += ",\"shape\":";
    append_shape(out, tensor.shape);
    append_member(out, "datatype", model::data_type_name(tensor.type));
    out += ",\"data\":[";
    append_data(out, tensor);
    out += "]}";
  }
  out += "]}";
}

void append_model_metadata(std::string& out, const ModelIdentity& model,
                           const model::Signature& signature) {
  out += '{';
  append_member(out, "name", model.name);
  out += ",\"versions\":[";
  if (!model.version.empty()) append_json_string(out, model.version);
  out += ']';
  append_member(out, "platform", model.platform);
  append_specs(out, "inputs", signature.inputs);
  append_specs(out, "outputs", signature.outputs);
  out += '}';
}

void append_server_metadata(std::string& out, std::string_view name, std::string_view version) {
  out += '{';
  append_member(out, "name", name);
  append_member(out, "version", version);
  out += ",\"extensions\":[]}";
}

void append_error(std::string& out, std::string_view message) {
  out += '{';
  append_member(out, "error", message);
  out += '}';
}

} // namespace mlp::serve
