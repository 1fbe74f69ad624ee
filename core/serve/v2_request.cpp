// A V2 request straight into tensors. simdjson checks the whole text first (syntax, UTF-8, depth),
// so that what follows meets only well-formed JSON; nothing is allocated for a tensor before its
// shape is known to be no larger than the text.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/model/half.hpp"
#include "core/serve/v2.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>
#include <limits>
#include <optional>

namespace mlp::serve {

namespace {

namespace dom = simdjson::dom;
using model::DataType;

constexpr std::size_t max_depth = 32;
constexpr std::size_t max_tensors = 4096;    // inputs or outputs of one request
constexpr std::size_t kept_bytes = 1u << 20; // a parser for larger bodies is given back

Error bad(std::string message) {
  return {ErrorKind::usage, std::move(message)};
}

std::string_view type_word(const dom::element& element) {
  switch (element.type()) {
  case dom::element_type::ARRAY:
    return "an array";
  case dom::element_type::OBJECT:
    return "an object";
  case dom::element_type::STRING:
    return "a string";
  case dom::element_type::BOOL:
    return "a boolean";
  case dom::element_type::NULL_VALUE:
    return "null";
  default:
    return "a number";
  }
}

// As the client wrote it, cut short.
std::string value_text(const dom::element& element) {
  switch (element.type()) {
  case dom::element_type::ARRAY:
    return "an array";
  case dom::element_type::OBJECT:
    return "an object";
  default:
    break;
  }
  std::string text = simdjson::minify(element);
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return printable(text);
}

// The members of one object that the protocol knows; the rest is skipped.
class Members {
 public:
  Members(dom::object object, std::string_view where) : where_(where) {
    for (const dom::key_value_pair member : object)
      members_.push_back(member);
  }

  [[nodiscard]] std::optional<dom::element> find(std::string_view key) const {
    std::optional<dom::element> found;
    for (const dom::key_value_pair& member : members_) {
      if (member.key != key) continue;
      if (found) throw bad(fmt::format("{} has '{}' twice", where_, key));
      found = member.value;
    }
    return found;
  }

  [[nodiscard]] dom::element require(std::string_view key) const {
    if (const auto found = find(key)) return *found;
    throw bad(fmt::format("{} has no '{}'", where_, key));
  }

  [[nodiscard]] std::string_view require_string(std::string_view key) const {
    std::string_view text;
    const dom::element element = require(key);
    if (element.get(text) != simdjson::SUCCESS)
      throw bad(fmt::format("'{}' of {} is {}, not a string", key, where_, type_word(element)));
    return text;
  }

  void check_parameters() const {
    const auto parameters = find("parameters");
    if (!parameters) return;
    dom::object object;
    if (parameters->get(object) != simdjson::SUCCESS)
      throw bad(
          fmt::format("'parameters' of {} is {}, not an object", where_, type_word(*parameters)));
    if (object["binary_data_size"].error() == simdjson::SUCCESS)
      throw bad(fmt::format("{} has binary tensor data, which is not supported", where_))
          .with_hint("send its values in 'data'");
  }

 private:
  std::string_view where_;
  std::vector<dom::key_value_pair> members_;
};

// One JSON value as an element of a tensor. False if it is not one of T.
template <class T>
requires std::integral<T>
bool read_value(const dom::element& element, T& value) {
  switch (element.type()) {
  case dom::element_type::INT64: {
    const std::int64_t number = element.get_int64().value_unsafe();
    if (!std::in_range<T>(number)) return false;
    value = static_cast<T>(number);
    return true;
  }
  case dom::element_type::UINT64: {
    const std::uint64_t number = element.get_uint64().value_unsafe();
    if (!std::in_range<T>(number)) return false;
    value = static_cast<T>(number);
    return true;
  }
  case dom::element_type::DOUBLE: {
    const double number = element.get_double().value_unsafe();
    if (std::trunc(number) != number || std::fabs(number) > 9007199254740992.0) return false;
    if (!std::in_range<T>(static_cast<std::int64_t>(number))) return false;
    value = static_cast<T>(number);
    return true;
  }
  default:
    return false;
  }
}

bool read_value(const dom::element& element, double& value) {
  if (element.get(value) == simdjson::SUCCESS) return true;
  value = std::numeric_limits<double>::quiet_NaN();
  if (element.is_null()) return true;
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return false;
  if (text == "NaN") return true;
  value = std::numeric_limits<double>::infinity();
  if (text == "Infinity") return true;
  value = -value;
  return text == "-Infinity";
}

bool read_value(const dom::element& element, float& value) {
  double number = 0;
  if (!read_value(element, number)) return false;
  value = static_cast<float>(number);
  return std::isinf(value) == std::isinf(number);
}

struct Half {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

bool read_value(const dom::element& element, Half& value) {
  float number = 0;
  if (!read_value(element, number)) return false;
  value.bits = model::half_from_float(number);
  return std::isinf(model::float_from_half(value.bits)) == std::isinf(number);
}

bool read_value(const dom::element& element, Bfloat16& value) {
  float number = 0;
  if (!read_value(element, number)) return false;
  value.bits = model::bfloat16_from_float(number);
  return std::isinf(model::float_from_bfloat16(value.bits)) == std::isinf(number);
}

bool read_value(const dom::element& element, bool& value) {
  if (element.get(value) == simdjson::SUCCESS) return true;
  std::int64_t number = 0;
  if (element.get(number) != simdjson::SUCCESS || (number != 0 && number != 1)) return false;
  value = number == 1;
  return true;
}

bool read_value(const dom::element& element, std::string& value) {
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return false;
  value = text;
  return true;
}

// Fills a tensor's elements from `data`, flat or nested as the shape.
template <class T>
class Filler {
 public:
  Filler(std::string_view name, const model::Tensor& tensor, std::span<T> out)
      : name_(name), tensor_(tensor), out_(out) {}

  void fill(dom::array data) {
    const bool nested = tensor_.shape.size() > 1 && data.begin() != data.end() &&
                        (*data.begin()).type() == dom::element_type::ARRAY;
    if (nested)
      walk(data, 0);
    else
      flat(data);
    if (next_ != out_.size()) throw wrong_count(next_);
  }

 private:
  void flat(dom::array data) {
    for (const dom::element element : data) {
      if (next_ == out_.size()) throw wrong_count(data.size());
      if (!read_value(element, out_[next_])) throw wrong_value(element);
      ++next_;
    }
  }

  void walk(dom::array data, std::size_t axis) {
    const std::size_t begin = next_;
    std::int64_t size = 0;
    for (const dom::element element : data) {
      if (size == tensor_.shape[axis]) throw wrong_nesting();
      ++size;
      if (axis + 1 == tensor_.shape.size()) {
        if (!read_value(element, out_[next_])) throw wrong_value(element);
        ++next_;
        continue;
      }
      dom::array inner;
      if (element.get(inner) != simdjson::SUCCESS) throw wrong_nesting();
      walk(inner, axis + 1);
    }
    if (size != tensor_.shape[axis]) {
      next_ = begin;
      throw wrong_nesting();
    }
  }

  Error wrong_value(const dom::element& element) const {
    return bad(fmt::format("input '{}': element {} of its data is {}, which is no {}",
                           printable(name_), next_, value_text(element),
                           model::data_type_name(tensor_.type)));
  }
  Error wrong_count(std::size_t found) const {
    return bad(fmt::format("input '{}' has {} elements of data, but its shape {} needs {}",
                           printable(name_), found, model::shape_text(tensor_.shape), out_.size()));
  }
  Error wrong_nesting() const {
    return bad(fmt::format("the nested data of input '{}' is not of its shape {}", printable(name_),
                           model::shape_text(tensor_.shape)));
  }

  std::string_view name_;
  const model::Tensor& tensor_;
  std::span<T> out_;
  std::size_t next_ = 0;
};

template <class T>
void fill(std::string_view name, model::Tensor& tensor, dom::array data) {
  std::span<T> out;
  if constexpr (std::is_same_v<T, std::string>)
    out = tensor.strings;
  else
    out = tensor.as<T>();
  Filler<T>(name, tensor, out).fill(data);
}

void fill_tensor(std::string_view name, model::Tensor& tensor, dom::array data) {
  switch (tensor.type) {
  case DataType::boolean:
    return fill<bool>(name, tensor, data);
  case DataType::uint8:
    return fill<std::uint8_t>(name, tensor, data);
  case DataType::uint16:
    return fill<std::uint16_t>(name, tensor, data);
  case DataType::uint32:
    return fill<std::uint32_t>(name, tensor, data);
  case DataType::uint64:
    return fill<std::uint64_t>(name, tensor, data);
  case DataType::int8:
    return fill<std::int8_t>(name, tensor, data);
  case DataType::int16:
    return fill<std::int16_t>(name, tensor, data);
  case DataType::int32:
    return fill<std::int32_t>(name, tensor, data);
  case DataType::int64:
    return fill<std::int64_t>(name, tensor, data);
  case DataType::float16:
    return fill<Half>(name, tensor, data);
  case DataType::bfloat16:
    return fill<Bfloat16>(name, tensor, data);
  case DataType::float32:
    return fill<float>(name, tensor, data);
  case DataType::float64:
    return fill<double>(name, tensor, data);
  case DataType::string:
    return fill<std::string>(name, tensor, data);
  }
}

model::Shape read_shape(std::string_view name, const dom::element& element) {
  dom::array dimensions;
  if (element.get(dimensions) != simdjson::SUCCESS)
    throw bad(fmt::format("'shape' of input '{}' is {}, not an array", printable(name),
                          type_word(element)));
  model::Shape shape;
  for (const dom::element dimension : dimensions) {
    std::int64_t size = 0;
    if (dimension.get(size) != simdjson::SUCCESS || size < 0)
      throw bad(fmt::format("'shape' of input '{}' has {}, which is no size of a dimension",
                            printable(name), value_text(dimension)));
    if (shape.size() == max_depth)
      throw bad(fmt::format("'shape' of input '{}' has more than {} dimensions", printable(name),
                            max_depth));
    shape.push_back(size);
  }
  return shape;
}

model::NamedTensor read_input(dom::object object, std::string_view where, std::size_t body_size) {
  const Members unnamed(object, where);
  const std::string_view name = unnamed.require_string("name");
  const std::string named = fmt::format("input '{}'", printable(name));
  const Members members(object, named);
  members.check_parameters();
  const std::string_view type_name = members.require_string("datatype");
  const auto type = model::parse_data_type(type_name);
  if (!type)
    throw bad(fmt::format("'datatype' of {} is '{}', which is not one of the protocol's", named,
                          printable(type_name)))
        .with_hint("BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES");
  model::Shape shape = read_shape(name, members.require("shape"));
  dom::array data;
  const dom::element element = members.require("data");
  if (element.get(data) != simdjson::SUCCESS)
    throw bad(fmt::format("'data' of {} is {}, not an array", named, type_word(element)));
  const auto count = model::element_count(shape);
  if (!count || static_cast<std::uint64_t>(*count) > body_size)
    throw bad(fmt::format("the shape {} of {} needs more data than it has",
                          model::shape_text(shape), named));
  model::NamedTensor input{std::string(name), model::Tensor::make(*type, std::move(shape))};
  fill_tensor(name, input.tensor, data);
  return input;
}

// Calls `each` with every object of an array member.
template <class Each>
void for_each_object(const dom::element& member, std::string_view key, std::string_view noun,
                     Each each) {
  dom::array array;
  if (member.get(array) != simdjson::SUCCESS)
    throw bad(fmt::format("'{}' of the request is {}, not an array", key, type_word(member)));
  std::size_t index = 0;
  for (const dom::element element : array) {
    const std::string where = fmt::format("{} {}", noun, index);
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS)
      throw bad(fmt::format("{} is {}, not an object", where, type_word(element)));
    if (++index > max_tensors)
      throw bad(fmt::format("the request has more than {} {}", max_tensors, key));
    each(object, where);
  }
}

} // namespace

struct InferRequestParser::State {
  dom::parser parser{std::numeric_limits<std::uint32_t>::max()};
  std::size_t capacity = 0;
};

InferRequestParser::InferRequestParser() = default;
InferRequestParser::~InferRequestParser() = default;
InferRequestParser::InferRequestParser(InferRequestParser&&) noexcept = default;
InferRequestParser& InferRequestParser::operator=(InferRequestParser&&) noexcept = default;

InferRequest InferRequestParser::parse(std::string& body) {
  const std::size_t size = body.size();
  if (trim(body).empty()) throw bad("the request has no body");
  if (size >= std::numeric_limits<std::uint32_t>::max()) throw bad("the request is too large");
  body.append(simdjson::SIMDJSON_PADDING, ' ');
  if (!state_ || state_->capacity > kept_bytes) state_ = std::make_unique<State>();
  if (size > state_->capacity) {
    const std::size_t wanted = std::max<std::size_t>(size, 4096);
    if (state_->parser.allocate(wanted, max_depth) != simdjson::SUCCESS) throw std::bad_alloc();
    state_->capacity = wanted;
  }
  dom::element root;
  if (const auto code = state_->parser.parse(body.data(), size, false).get(root)) {
    if (code == simdjson::MEMALLOC) throw std::bad_alloc();
    if (code == simdjson::DEPTH_ERROR)
      throw bad(fmt::format("the request is nested deeper than {} levels", max_depth));
    throw bad("the request is not valid JSON").with_hint(printable(simdjson::error_message(code)));
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS)
    throw bad(fmt::format("the request is {}, not an object", type_word(root)));
  const Members members(object, "the request");
  members.check_parameters();

  InferRequest request;
  if (members.find("id")) request.id = members.require_string("id");
  for_each_object(members.require("inputs"), "inputs", "input",
                  [&](dom::object input, std::string_view where) {
                    request.inputs.push_back(read_input(input, where, size));
                  });
  if (const auto outputs = members.find("outputs"))
    for_each_object(*outputs, "outputs", "output", [&](dom::object output, std::string_view where) {
      const Members output_members(output, where);
      request.outputs.emplace_back(output_members.require_string("name"));
      output_members.check_parameters();
    });
  return request;
}

} // namespace mlp::serve
