// Values of users' own keys (params, matrix, env) and maps that keep the order of the file.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/config/yaml.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlp::config {

enum class ScalarType { null, boolean, integer, number, string };

// A scalar with the text it was written with (so that 1e-3 stays 1e-3) and the type that YAML's
// core schema gives it: null, true/false, integer, number, or else a string.
struct Scalar {
  ScalarType type = ScalarType::null;
  std::string text;
  Position position;

  [[nodiscard]] Json to_json() const;
  bool operator==(const Scalar& other) const { return type == other.type && text == other.text; }
};

// The scalar that a plain (unquoted) text means; what --param NAME=VALUE gives.
[[nodiscard]] Scalar parse_scalar(std::string_view text, Position position = {});

template <class T>
struct Named {
  std::string name;
  Position position; // of the name
  T value;
};

// name -> value in the order of the file. Names are unique.
template <class T>
class OrderedMap {
 public:
  [[nodiscard]] const T* find(std::string_view name) const {
    for (const Named<T>& entry : entries_)
      if (entry.name == name) return &entry.value;
    return nullptr;
  }
  [[nodiscard]] T* find(std::string_view name) {
    return const_cast<T*>(std::as_const(*this).find(name));
  }
  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != nullptr; }
  // Replaces the value of a name that is there, keeps its place.
  void set(std::string_view name, T value, Position position = {}) {
    if (T* known = find(name))
      *known = std::move(value);
    else
      entries_.push_back({std::string(name), position, std::move(value)});
  }
  // For a name that is known to be new.
  void append(std::string_view name, T value, Position position = {}) {
    entries_.push_back({std::string(name), position, std::move(value)});
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    all.reserve(entries_.size());
    for (const Named<T>& entry : entries_)
      all.push_back(entry.name);
    return all;
  }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] auto begin() const noexcept { return entries_.begin(); }
  [[nodiscard]] auto end() const noexcept { return entries_.end(); }

 private:
  std::vector<Named<T>> entries_;
};

} // namespace mlp::config
