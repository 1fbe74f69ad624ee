// LabelEncoder of ai.onnx.ml: a table from one kind of label to another. Keys and values are
// attributes: one list (opset 1), a list for each type (2), or tensors (4).
#include "backends/runtime/native/families.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>
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

// What two equal keys share: NaN is the same key as NaN, -0 as 0. Numbers of every kind become the
// same type, so that there is one table for them all.
template <class T>
std::uint64_t canonical(T key) {
  if constexpr (std::is_floating_point_v<T>) {
    const double wide =
        std::isnan(key) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(key) + 0.0;
    return std::bit_cast<std::uint64_t>(wide);
  } else {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(key));
  }
}
const std::string& canonical(const std::string& key) {
  return key;
}

// A key's place in the list of keys, of which the first counts if two are equal.
class Places {
  template <class T, class Self> // defined before its use, for its type
  static auto& table(Self& self) {
    if constexpr (std::is_same_v<T, std::string>)
      return self.texts_;
    else
      return self.numbers_;
  }

 public:
  static constexpr std::size_t none = SIZE_MAX;

  explicit Places(const AnyList& keys) : type_(type_of(keys)) {
    std::visit(
        [this]<class T>(const std::vector<T>& list) {
          auto& places = table<T>(*this);
          for (std::size_t i = 0; i < list.size(); ++i)
            places.try_emplace(canonical(list[i]), i);
        },
        keys);
  }

  [[nodiscard]] Type type() const { return type_; }

  // The place of each of `keys`, which are of this type; none for those that are in no list.
  void find(const Value& keys, std::size_t* places) const {
    const auto find_all = [&]<class T>(Tag<T>) {
      const T* key = keys.data<T>();
      const auto& known = table<T>(*this);
      for (std::int64_t i = 0; i < keys.count; ++i) {
        const auto found = known.find(canonical(key[i]));
        places[i] = found != known.end() ? found->second : none;
      }
    };
    switch (type_) {
    case Type::i64:
      return find_all(Tag<std::int64_t>{});
    case Type::f32:
      return find_all(Tag<float>{});
    case Type::f64:
      return find_all(Tag<double>{});
    case Type::i16:
      return find_all(Tag<std::int16_t>{});
    default:
      return find_all(Tag<std::string>{});
    }
  }

 private:
  Type type_;
  std::unordered_map<std::uint64_t, std::size_t> numbers_;
  std::unordered_map<std::string, std::size_t> texts_;
};

// `keys` and `values` are as many; `otherwise` is one value, of the values' type.
Kernel map_labels(const AnyList& keys, const AnyList& values, const AnyList& otherwise) {
  struct Labels {
    Places places;
    AnyList values, otherwise;
  };
  const auto labels = std::make_shared<const Labels>(Labels{Places(keys), values, otherwise});
  return [labels](Call& call) {
    const Value& in = call.in(0);
    if (in.type != labels->places.type())
      throw Error(
          ErrorKind::failed,
          fmt::format("takes {}, not {}", type_name(labels->places.type()), type_name(in.type)));
    Value& out = call.out(0, type_of(labels->values), in.dims);
    void* address = nullptr;
    const StorageRef block =
        call.memory().scratch(static_cast<std::size_t>(in.count) * sizeof(std::size_t), address);
    auto* places = static_cast<std::size_t*>(address);
    labels->places.find(in, places);
    std::visit(
        [&]<class T>(const std::vector<T>& list) {
          const T& other = std::get<std::vector<T>>(labels->otherwise).front();
          T* result = out.data<T>();
          for (std::int64_t i = 0; i < in.count; ++i)
            result[i] = places[i] != Places::none ? list[places[i]] : other;
        },
        labels->values);
  };
}

Kernel make_label_encoder(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::optional<AnyList> keys = read_list(spec, "keys_");
  const std::optional<AnyList> values = read_list(spec, "values_");
  if (!keys || !values || size_of(*keys) != size_of(*values))
    throw Error(ErrorKind::config, "keys and values are missing, or not as many");
  return map_labels(*keys, *values, read_default(spec, *values));
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
      map_labels(*classes, places, std::vector<std::int64_t>{spec.integer("default_int64", -1)});
  const Kernel decode = map_labels(
      places, *classes, std::vector<std::string>{spec.text("default_string", "_Unused")});
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
