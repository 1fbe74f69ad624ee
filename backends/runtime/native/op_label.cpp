// LabelEncoder of ai.onnx.ml: a table from one kind of label to another. Keys and values are
// attributes: one list (opset 1), a list for each type (2), or tensors (4).
#include "backends/runtime/native/families.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <unordered_map>
#include <variant>

namespace mlp::native {

namespace {

using AnyList = std::variant<std::vector<std::int64_t>, std::vector<float>, std::vector<double>,
                             std::vector<std::string>, std::vector<std::int16_t>>;

Type type_of(const AnyList& list) {
  constexpr Type types[] = {Type::i64, Type::f32, Type::f64, Type::string, Type::i16};
  return types[list.index()];
}

std::size_t size_of(const AnyList& list) {
  return std::visit([](const auto& items) { return items.size(); }, list);
}

AnyList from_tensor(const Value& tensor) {
  const auto copy = [&]<class T>(Tag<T>) -> AnyList {
    const auto items = tensor.elements<T>();
    return std::vector<T>(items.begin(), items.end());
  };
  switch (tensor.type) {
  case Type::i64:
    return copy(Tag<std::int64_t>{});
  case Type::f32:
    return copy(Tag<float>{});
  case Type::f64:
    return copy(Tag<double>{});
  case Type::string:
    return copy(Tag<std::string>{});
  case Type::i16:
    return copy(Tag<std::int16_t>{});
  default:
    refuse_type(tensor.type);
  }
}

std::optional<AnyList> read_list(const NodeSpec& spec, const std::string& prefix) {
  if (const auto tensor = spec.opset() >= 4 ? spec.tensor(prefix + "tensor") : std::nullopt)
    return from_tensor(*tensor);
  if (const auto list = spec.integers(prefix + "int64s")) return AnyList(*list);
  if (const auto list = spec.reals(prefix + "floats")) return AnyList(*list);
  if (const auto list = spec.texts(prefix + "strings")) return AnyList(*list);
  return std::nullopt;
}

AnyList read_default(const NodeSpec& spec, const AnyList& values) {
  const std::int64_t number = spec.integer("default_int64", -1);
  const float real = spec.real("default_float", -0.0F);
  const std::string text = spec.text("default_string", "_Unused");
  if (const auto tensor = spec.opset() >= 4 ? spec.tensor("default_tensor") : std::nullopt) {
    AnyList list = from_tensor(*tensor);
    if (size_of(list) != 1 || list.index() != values.index())
      throw Error(ErrorKind::config, "attribute 'default_tensor' is not one value's");
    return list;
  }
  switch (type_of(values)) {
  case Type::f32:
    return std::vector<float>{real};
  case Type::f64:
    return std::vector<double>{static_cast<double>(real)};
  case Type::string:
    return std::vector<std::string>{text};
  case Type::i16:
    return std::vector<std::int16_t>{static_cast<std::int16_t>(number)};
  default:
    return std::vector<std::int64_t>{number};
  }
}

// What two equal keys share: NaN is the same key as NaN, -0 as 0.
template <class T>
auto canonical(const T& key) {
  if constexpr (std::is_floating_point_v<T>) {
    const double wide =
        std::isnan(key) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(key) + 0.0;
    return std::bit_cast<std::uint64_t>(wide);
  } else {
    return key;
  }
}

template <class Key, class Result>
Kernel map_labels(const std::vector<Key>& keys, const std::vector<Result>& values,
                  const Result& otherwise, Type key_type, Type value_type) {
  using Canonical = decltype(canonical(Key{}));
  auto table = std::make_shared<std::unordered_map<Canonical, Result>>();
  for (std::size_t i = 0; i < keys.size(); ++i)
    table->try_emplace(canonical(keys[i]), values[i]);
  return [table, otherwise, key_type, value_type](Call& call) {
    const Value& in = call.in(0);
    if (in.type != key_type)
      throw Error(ErrorKind::failed,
                  fmt::format("takes {}, not {}", type_name(key_type), type_name(in.type)));
    Value& out = call.out(0, value_type, in.dims);
    for (std::int64_t i = 0; i < in.count; ++i) {
      const auto place = table->find(canonical(in.data<Key>()[i]));
      out.data<Result>()[i] = place != table->end() ? place->second : otherwise;
    }
  };
}

Kernel make_label_encoder(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::optional<AnyList> keys = read_list(spec, "keys_");
  const std::optional<AnyList> values = read_list(spec, "values_");
  if (!keys || !values || size_of(*keys) != size_of(*values))
    throw Error(ErrorKind::config, "keys and values are missing, or not as many");
  const AnyList otherwise = read_default(spec, *values);
  return std::visit(
      [&](const auto& from, const auto& to) -> Kernel {
        using Results = std::decay_t<decltype(to)>;
        return map_labels(from, to, std::get<Results>(otherwise).front(), type_of(*keys),
                          type_of(*values));
      },
      *keys, *values);
}

// Opset 1: strings to their places in the list, or back, as the input's type says.
Kernel make_label_encoder_1(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const auto classes = spec.texts("classes_strings");
  if (!classes) throw Error(ErrorKind::config, "attribute 'classes_strings' is missing");
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < classes->size(); ++i)
    places.push_back(static_cast<std::int64_t>(i));
  const Kernel encode =
      map_labels(*classes, places, spec.integer("default_int64", -1), Type::string, Type::i64);
  const Kernel decode =
      map_labels(places, *classes, spec.text("default_string", "_Unused"), Type::i64, Type::string);
  return [encode, decode](Call& call) {
    return call.in(0).type == Type::string ? encode(call) : decode(call);
  };
}

constexpr std::string_view kMl = "ai.onnx.ml";
constexpr Operator table[] = {
    {kMl, "LabelEncoder", 1, 1, make_label_encoder_1},
    {kMl, "LabelEncoder", 2, Operator::kNewest, make_label_encoder},
};

} // namespace

std::span<const Operator> label_operators() {
  return table;
}

} // namespace mlp::native
