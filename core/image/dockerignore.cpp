// A rule a line, cleaned as a path is.
#include "core/image/dockerignore.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp::image {

namespace {

// Go's filepath.Clean, and no '/' before it.
std::string cleaned(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..")
      parts.pop_back();
    else if (part != ".." || !path.starts_with('/'))
      parts.push_back(std::move(part));
  }
  return parts.empty() ? "." : join(parts, "/");
}

} // namespace

DockerIgnore::DockerIgnore(std::string_view text, std::string_view name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  unsigned number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++number;
    if (line.starts_with('#')) continue;
    line = trim(line);
    if (line.empty()) continue;
    const auto place = [&] { return fmt::format("{}:{}", printable(name), number); };
    const bool negated = line.starts_with('!');
    if (negated) line = trim(line.substr(1));
    if (line.empty())
      throw Error(ErrorKind::config, fmt::format("{}: a '!' has no pattern", place()));
    if (rules_.size() == max_dockerignore_patterns)
      throw Error(ErrorKind::config, fmt::format("{}: there are more than {} patterns", place(),
                                                 max_dockerignore_patterns));
    try {
      rules_.push_back({PathPattern(cleaned(line), true), negated});
    } catch (const Error& error) {
      Error located(error.kind(), fmt::format("{}: {}", place(), error.message()));
      for (const std::string& hint : error.hints())
        located.add_hint(hint);
      throw located;
    }
    takes_back_ = takes_back_ || negated;
  }
}

bool DockerIgnore::excludes(std::string_view path) const {
  bool excluded = false;
  for (const Rule& rule : rules_) {
    if (rule.negated != excluded) continue; // it could change nothing
    for (std::size_t end = 0; end != std::string_view::npos;) {
      end = path.find('/', end == 0 ? 0 : end + 1);
      if (!rule.pattern.matches(path.substr(0, end))) continue;
      excluded = !rule.negated;
      break;
    }
  }
  return excluded;
}

} // namespace mlp::image
