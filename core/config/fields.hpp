// How a table of keys reads a map of mlp.yaml into a struct, and describes itself for the schema.
// Internal to core/config. A key is one line:
//
//   field("num_nodes", &Task::num_nodes, "nodes that the task runs on").range(1, 100'000),
//
// The member's type says how the value is read; the default-constructed struct gives the default;
// the description goes to the JSON Schema. read_value() has one overload a type.
#pragma once

#include "core/config/substitute.hpp"
#include "core/config/value.hpp"
#include "core/config/yaml.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

enum class MapKeys { names, environment_names, any };

// What is asked of a value beyond its type.
struct Rule {
  bool required = false;
  bool shell = false; // a program for /bin/sh: substituted values are quoted for it
  bool raw = false;   // ${...} is not looked at
  bool inert = false; // read and checked, but nothing acts on it yet
  MapKeys keys = MapKeys::names;
  std::optional<double> minimum, maximum;
  std::vector<std::string_view> choices;
};

// A value's form, as the schema shows it.
struct Shape {
  enum class Kind { text, integer, number, boolean, scalar, list, map, object, either };
  struct Property;

  Kind kind = Kind::text;
  Rule rule = {};
  std::string pattern = {};         // of text
  std::string fallback = {};        // the default as YAML text; empty: none shown
  std::vector<Shape> inner = {};    // the element of a list or map; the forms of either
  std::vector<Property> properties; // of an object; no initialiser: Property is incomplete here
};

struct Shape::Property {
  std::string_view name;
  std::string_view description;
  Shape shape;
};

// A key of the file that no command acts on yet.
struct InertKey {
  std::string key;
  Position position;
};

// How references are treated while a part of the file is read.
enum class References {
  refused,  // outside tasks
  checked,  // text stays as written, other values take the params' defaults
  lenient,  // replaced; a value whose environment variable is not set keeps its default
  replaced, // replaced, all of them
};

// What reading needs to know; one for each pass over a document.
class Reader {
 public:
  explicit Reader(const YamlDocument& source) : document(source) {}

  const YamlDocument& document;
  References references = References::refused;
  OrderedMap<Scalar> params; // of the task being read
  std::function<const char*(const char*)> environment;
  std::vector<InertKey>* inert = nullptr; // where such keys are noted, if wanted

  [[nodiscard]] Error error(Position position, std::string_view message) const {
    return document.error_at(position, message);
  }
  // "'epochs' must be an integer, not 'many'"; `replaced` is the text after substitution.
  [[nodiscard]] Error wrong(std::string_view key, const YamlNode& node, std::string_view wanted,
                            const std::optional<std::string>& replaced = {}) const;

  // The text of a scalar after substitution; nullopt if the value is to keep its default. Throws if
  // the node is not a scalar. `for_text`: the value is text, and may stand as written.
  [[nodiscard]] std::optional<std::string> text(std::string_view key, const YamlNode& node,
                                                const Rule& rule, std::string_view wanted,
                                                bool for_text) const;
  void check_map_key(const YamlEntry& entry, const Rule& rule) const;
  [[nodiscard]] Error unknown_key(const YamlEntry& entry,
                                  const std::vector<std::string>& known) const;
  [[nodiscard]] Error missing_key(const YamlNode& node, std::string_view key) const;
};

void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, std::string&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, bool&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, std::int64_t&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, std::uint64_t&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, double&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&, Scalar&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&,
                std::chrono::milliseconds&);
void read_value(const Reader&, std::string_view key, const YamlNode&, const Rule&,
                std::chrono::microseconds&);

[[nodiscard]] Shape shape_of(const std::string& fallback, const Rule&);
[[nodiscard]] Shape shape_of(bool fallback, const Rule&);
[[nodiscard]] Shape shape_of(std::int64_t fallback, const Rule&);
[[nodiscard]] Shape shape_of(std::uint64_t fallback, const Rule&);
[[nodiscard]] Shape shape_of(double fallback, const Rule&);
[[nodiscard]] Shape shape_of(const Scalar& fallback, const Rule&);
[[nodiscard]] Shape shape_of(std::chrono::milliseconds fallback, const Rule&);
[[nodiscard]] Shape shape_of(std::chrono::microseconds fallback, const Rule&);

// The items of a list; a null is an empty one. Throws if the node is something else.
[[nodiscard]] const std::vector<YamlNode>& list_items(const Reader&, std::string_view key,
                                                      const YamlNode&);
[[nodiscard]] const std::vector<YamlEntry>& map_entries(const Reader&, std::string_view key,
                                                        const YamlNode&);

// A key of the struct T.
template <class T>
struct Field {
  std::string_view name;
  std::string_view description;
  std::function<void(const Reader&, const YamlNode&, const Rule&, T&)> read;
  std::function<Shape(const Rule&)> shape;
  Rule rule = {};

  Field&& required() && {
    rule.required = true;
    return std::move(*this);
  }
  Field&& shell() && {
    rule.shell = true;
    return std::move(*this);
  }
  Field&& raw() && {
    rule.raw = true;
    return std::move(*this);
  }
  Field&& inert() && {
    rule.inert = true;
    return std::move(*this);
  }
  Field&& keys(MapKeys keys) && {
    rule.keys = keys;
    return std::move(*this);
  }
  Field&& range(double minimum, std::optional<double> maximum = {}) && {
    rule.minimum = minimum;
    rule.maximum = maximum;
    return std::move(*this);
  }
  Field&& one_of(std::vector<std::string_view> words) && {
    rule.choices = std::move(words);
    return std::move(*this);
  }
};

// A key whose words are an enum, with the function that reads one.
template <class T, class E>
Field<T> word(std::string_view name, E T::*member, std::vector<std::string_view> words,
              std::optional<E> (*parse)(std::string_view) noexcept, std::string_view fallback,
              std::string_view description) {
  return {name,
          description,
          [=](const Reader& reader, const YamlNode& node, const Rule& rule, T& object) {
            std::string text;
            read_value(reader, name, node, rule, text);
            if (const auto value = parse(text)) object.*member = *value;
          },
          [fallback](const Rule& rule) { return shape_of(std::string(fallback), rule); },
          {.choices = std::move(words)}};
}

// All keys of the struct T. Each struct that mlp.yaml can hold has a function fields_of(const T*).
template <class T>
using Fields = std::vector<Field<T>>;

template <class T>
concept HasFields = requires(const T* t) {
  fields_of(t);
};

template <HasFields T>
void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule&,
                T& value) {
  const Fields<T>& fields = fields_of(static_cast<const T*>(nullptr));
  for (const YamlEntry& entry : map_entries(reader, key, node)) {
    const Field<T>* known = nullptr;
    for (const Field<T>& field : fields)
      if (field.name == entry.key) known = &field;
    if (known == nullptr) {
      std::vector<std::string> names;
      for (const Field<T>& field : fields)
        names.emplace_back(field.name);
      throw reader.unknown_key(entry, names);
    }
    if (known->rule.inert && reader.inert != nullptr)
      reader.inert->push_back({entry.key, entry.key_position});
    known->read(reader, entry.value, known->rule, value);
  }
  for (const Field<T>& field : fields)
    if (field.rule.required && node.find(field.name) == nullptr)
      throw reader.missing_key(node, field.name);
}

template <HasFields T>
Shape shape_of(const T&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::object, .rule = rule};
  for (const Field<T>& field : fields_of(static_cast<const T*>(nullptr)))
    shape.properties.push_back({field.name, field.description, field.shape(field.rule)});
  return shape;
}

template <class T>
void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::optional<T>& value) {
  T inner{};
  read_value(reader, key, node, rule, inner);
  value = std::move(inner);
}

template <class T>
Shape shape_of(const std::optional<T>&, const Rule& rule) {
  Shape shape = shape_of(T{}, rule);
  shape.fallback.clear();
  return shape;
}

template <class T>
void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::vector<T>& value) {
  value.clear();
  for (const YamlNode& item : list_items(reader, key, node)) {
    T element{};
    read_value(reader, key, item, rule, element);
    value.push_back(std::move(element));
  }
}

template <class T>
Shape shape_of(const std::vector<T>&, const Rule& rule) {
  Shape element = shape_of(T{}, rule);
  element.fallback.clear();
  return {.kind = Shape::Kind::list, .rule = rule, .inner = {std::move(element)}};
}

template <class T>
void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                OrderedMap<T>& value) {
  for (const YamlEntry& entry : map_entries(reader, key, node)) {
    reader.check_map_key(entry, rule);
    T element{};
    read_value(reader, entry.key, entry.value, rule, element);
    value.append(entry.key, std::move(element), entry.key_position); // keys are unique
  }
}

template <class T>
Shape shape_of(const OrderedMap<T>&, const Rule& rule) {
  Shape element = shape_of(T{}, rule);
  element.fallback.clear();
  return {.kind = Shape::Kind::map, .rule = rule, .inner = {std::move(element)}};
}

// A key whose value goes to one member.
template <class T, class M>
Field<T> field(std::string_view name, M T::*member, std::string_view description) {
  return {name, description,
          [name, member](const Reader& reader, const YamlNode& node, const Rule& rule, T& object) {
            read_value(reader, name, node, rule, object.*member);
          },
          [member](const Rule& rule) { return shape_of(T{}.*member, rule); }};
}

} // namespace mlp::config
