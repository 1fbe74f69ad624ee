// Values are written as responses write them: the shortest digits that read back the same.
#include "cli/predictions.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/model/half.hpp"
#include "core/serve/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

using model::DataType;
using serve::append_json_number;

std::size_t values_per_row(const model::NamedTensor& output, std::size_t rows) {
  const auto& shape = output.tensor.shape;
  if (shape.empty() || static_cast<std::size_t>(shape.front()) != rows)
    throw Error(ErrorKind::failed,
                fmt::format("output '{}' has shape {}, which is not one for {} rows",
                            printable(output.name), model::shape_text(shape), rows))
        .with_hint("a client of `mlp serve` can read it");
  return rows == 0 ? 0 : static_cast<std::size_t>(output.tensor.size()) / rows;
}

double number(const model::Tensor& tensor, std::size_t i) {
  switch (tensor.type) {
  case DataType::float32:
    return static_cast<double>(tensor.as<float>()[i]);
  case DataType::float64:
    return tensor.as<double>()[i];
  case DataType::float16:
    return static_cast<double>(model::float_from_half(tensor.as<std::uint16_t>()[i]));
  case DataType::bfloat16:
    return static_cast<double>(model::float_from_bfloat16(tensor.as<std::uint16_t>()[i]));
  default:
    return 0;
  }
}

void append_number(std::string& out, const model::Tensor& tensor, std::size_t i) {
  switch (tensor.type) {
  case DataType::boolean:
    out += tensor.data[i] != std::byte{0} ? "true" : "false";
    return;
  case DataType::uint8:
    return append_json_number(out, tensor.as<std::uint8_t>()[i]);
  case DataType::uint16:
    return append_json_number(out, tensor.as<std::uint16_t>()[i]);
  case DataType::uint32:
    return append_json_number(out, tensor.as<std::uint32_t>()[i]);
  case DataType::uint64:
    return append_json_number(out, tensor.as<std::uint64_t>()[i]);
  case DataType::int8:
    return append_json_number(out, tensor.as<std::int8_t>()[i]);
  case DataType::int16:
    return append_json_number(out, tensor.as<std::int16_t>()[i]);
  case DataType::int32:
    return append_json_number(out, tensor.as<std::int32_t>()[i]);
  case DataType::int64:
    return append_json_number(out, tensor.as<std::int64_t>()[i]);
  case DataType::float64:
    return append_json_number(out, tensor.as<double>()[i]);
  default:
    return append_json_number(out, static_cast<float>(number(tensor, i)));
  }
}

// RFC 4180; a control character in a label does not reach a terminal as such.
void append_csv_field(std::string& out, std::string_view raw) {
  const std::string text = printable(raw);
  if (text.find_first_of(",\"\n\r") == std::string::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_csv_value(std::string& out, const model::Tensor& tensor, std::size_t i) {
  if (tensor.type == DataType::string) return append_csv_field(out, tensor.strings[i]);
  std::string text;
  append_number(text, tensor, i);
  out += text.starts_with('"') ? text.substr(1, text.size() - 2) : text; // "NaN"
}

void append_json_value(std::string& out, const model::Tensor& tensor, std::size_t i) {
  if (tensor.type == DataType::string)
    serve::append_json_string(out, tensor.strings[i]);
  else
    append_number(out, tensor, i);
}

} // namespace

bool PredictionText::is_summed_up(std::span<const model::NamedTensor> outputs,
                                  const model::NamedTensor& output) const {
  const auto is_label = [](const auto& o) { return o.name == "label"; };
  return !all_values_ && output.name == "probabilities" && output.tensor.shape.size() == 2 &&
         output.tensor.type == DataType::float32 && output.tensor.shape[1] > 0 &&
         std::any_of(outputs.begin(), outputs.end(), is_label);
}

std::string PredictionText::csv_header(std::span<const model::NamedTensor> outputs) const {
  std::string line;
  for (const model::NamedTensor& output : outputs) {
    const auto rows = output.tensor.shape.empty() ? 0 : output.tensor.shape.front();
    const std::size_t count = values_per_row(output, static_cast<std::size_t>(rows));
    if (!line.empty()) line += ',';
    if (is_summed_up(outputs, output)) {
      line += "probability";
    } else if (count == 1) {
      append_csv_field(line, output.name);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) line += ',';
        const bool named = output.name == "probabilities" && classes_.size() == count;
        append_csv_field(
            line, fmt::format("{}[{}]", output.name, named ? classes_[i] : std::to_string(i)));
      }
    }
  }
  return line;
}

std::vector<std::string> PredictionText::csv(std::span<const model::NamedTensor> outputs,
                                             std::size_t rows) const {
  std::vector<std::string> lines(rows);
  for (const model::NamedTensor& output : outputs) {
    const model::Tensor& tensor = output.tensor;
    const std::size_t count = values_per_row(output, rows);
    const bool summed_up = is_summed_up(outputs, output);
    for (std::size_t row = 0; row < rows; ++row) {
      std::string& line = lines[row];
      if (&output != &outputs.front()) line += ',';
      if (summed_up) {
        const auto values = tensor.as<float>().subspan(row * count, count);
        append_json_number(line, *std::max_element(values.begin(), values.end()));
        continue;
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) line += ',';
        append_csv_value(line, tensor, row * count + i);
      }
    }
  }
  return lines;
}

std::vector<std::string> PredictionText::json(std::span<const model::NamedTensor> outputs,
                                              std::size_t rows) const {
  std::vector<std::string> lines(rows, "{");
  for (const model::NamedTensor& output : outputs) {
    const std::size_t count = values_per_row(output, rows);
    const bool list = output.tensor.shape.size() > 1;
    for (std::size_t row = 0; row < rows; ++row) {
      std::string& line = lines[row];
      if (&output != &outputs.front()) line += ',';
      serve::append_json_string(line, output.name);
      line += list ? ":[" : ":";
      for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) line += ',';
        append_json_value(line, output.tensor, row * count + i);
      }
      if (list) line += ']';
    }
  }
  for (std::string& line : lines)
    line += '}';
  return lines;
}

} // namespace mlp
