// The JSON Schema of mlp.yaml, written from the shapes of the tables that read it.
// Source: JSON Schema draft 2020-12.
#include "core/base/json.hpp"
#include "core/config/project_keys.hpp"

#include <fmt/format.h>

#include <cmath>

namespace mlp::config {

namespace {

// Numbers as people write them: 20, not 20.0.
Json number(double value) {
  if (value == std::floor(value) && std::fabs(value) < 9e15)
    return static_cast<std::int64_t>(value);
  return value;
}

class SchemaWriter {
 public:
  // Within a task a value may be a reference instead.
  [[nodiscard]] Json write(const Shape& shape, bool in_task) const {
    using Kind = Shape::Kind;
    switch (shape.kind) {
    case Kind::text:
      return text(shape, in_task);
    case Kind::integer:
      return or_reference(limits(json_object({{"type", "integer"}}), shape), in_task);
    case Kind::number:
      return or_reference(limits(json_object({{"type", "number"}}), shape), in_task);
    case Kind::boolean:
      return or_reference(limits(json_object({{"type", "boolean"}}), shape), in_task);
    case Kind::scalar:
      return json_object({{"type", Json::array({"string", "number", "boolean", "null"})}});
    case Kind::list:
      return json_object({{"type", Json::array({"array", "null"})},
                          {"items", write(shape.inner.front(), in_task)}});
    case Kind::map:
      return map(shape, in_task);
    case Kind::object:
      return object(shape, in_task);
    case Kind::either:
      break;
    }
    Json forms = json_array();
    for (const Shape& form : shape.inner)
      forms.push_back(write(form, in_task));
    Json either = json_object({{"anyOf", forms}});
    if (!shape.fallback.empty()) either["default"] = parse_scalar(shape.fallback).to_json();
    return either;
  }

 private:
  static Json limits(Json schema, const Shape& shape) {
    if (shape.rule.minimum) schema["minimum"] = number(*shape.rule.minimum);
    if (shape.rule.maximum) schema["maximum"] = number(*shape.rule.maximum);
    if (!shape.fallback.empty()) schema["default"] = parse_scalar(shape.fallback).to_json();
    return schema;
  }

  static Json or_reference(Json schema, bool in_task) {
    if (!in_task) return schema;
    Json fallback;
    if (schema.contains("default")) fallback = schema["default"];
    schema.erase("default");
    Json either = json_object({{"anyOf", Json::array({schema, {{"$ref", "#/$defs/reference"}}})}});
    if (!fallback.is_null()) either["default"] = fallback;
    return either;
  }

  static Json text(const Shape& shape, bool in_task) {
    Json schema = json_object({{"type", "string"}});
    if (!shape.pattern.empty()) schema["pattern"] = shape.pattern;
    // Plain YAML such as 3.12 or 42 is text to mlp and a number to an editor.
    if (shape.pattern.empty() && shape.rule.choices.empty())
      schema["type"] = Json::array({"string", "number", "boolean"});
    for (const std::string_view choice : shape.rule.choices)
      schema["enum"].push_back(choice);
    if (!shape.fallback.empty()) schema["default"] = shape.fallback;
    const bool closed = !shape.pattern.empty() || !shape.rule.choices.empty();
    return or_reference(std::move(schema), in_task && closed);
  }

  [[nodiscard]] Json map(const Shape& shape, bool in_task) const {
    Json schema = json_object({{"type", Json::array({"object", "null"})},
                               {"additionalProperties", write(shape.inner.front(), in_task)}});
    if (shape.rule.keys == MapKeys::names)
      schema["propertyNames"] = json_object({{"pattern", "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}});
    if (shape.rule.keys == MapKeys::environment_names)
      schema["propertyNames"] = json_object({{"pattern", "^[A-Za-z_][A-Za-z0-9_]*$"}});
    return schema;
  }

  [[nodiscard]] Json object(const Shape& shape, bool in_task) const {
    Json schema = json_object({{"type", "object"}, {"additionalProperties", false}});
    for (const Shape::Property& property : shape.properties) {
      Json value = write(property.shape, in_task || property.name == "tasks");
      value["description"] =
          fmt::format("{}{}", property.description,
                      property.shape.rule.inert ? " (no effect in this version)" : "");
      schema["properties"][std::string(property.name)] = std::move(value);
      if (property.shape.rule.required) schema["required"].push_back(property.name);
    }
    return schema;
  }
};

} // namespace

Json project_file_schema() {
  Json schema = SchemaWriter().write(shape_of(ProjectFile{}, Rule{}), false);
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "mlp.yaml";
  schema["$defs"]["reference"] =
      json_object({{"type", "string"},
                   {"pattern", "\\$\\{(params|env)\\.[^}]+\\}"},
                   {"description", "a reference to a param or an environment variable"}});
  return schema;
}

} // namespace mlp::config
