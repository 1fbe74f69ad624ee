// Source of the format: prometheus.io/docs/instrumenting/exposition_formats.
#include "core/serve/metrics.hpp"

namespace mlp::serve {

namespace {

void append_label_value(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

} // namespace

void MetricsText::begin(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  ((((text_ += "# HELP ") += name) += ' ') += help) += '\n';
  (((text_ += "# TYPE ") += name) += type == Type::counter ? " counter\n" : " gauge\n");
}

void MetricsText::head(
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  text_ += name_;
  if (labels.size() > 0) {
    char separator = '{';
    for (const auto& [name, value] : labels) {
      ((text_ += separator) += name) += "=\"";
      append_label_value(text_, value);
      text_ += '"';
      separator = ',';
    }
    text_ += '}';
  }
  text_ += ' ';
}

} // namespace mlp::serve
