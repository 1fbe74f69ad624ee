// Stages: instructions from one FROM to the next. What can be wrong whatever the variables are is
// found here.
#include "core/image/dockerfile.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/dockerfile_reader.hpp"
#include "core/image/dockerfile_run.hpp"
#include "core/image/dockerfile_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace mlp::image {

namespace {

std::string small(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_stage_name(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
         });
}

std::optional<std::size_t> number_of(std::string_view text) {
  std::size_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class Parser {
 public:
  Parser(std::string_view name, const BuildArgs& args, const Platform& platform)
      : platform_(platform) {
    file_.name = name;
    file_.given = args;
    std::string own = platform.os + "/" + platform.architecture;
    if (!platform.variant.empty()) own += "/" + platform.variant;
    for (const std::string_view kind : {"TARGET", "BUILD"}) {
      const std::string prefix(kind);
      file_.global[prefix + "PLATFORM"] = own;
      file_.global[prefix + "OS"] = platform.os;
      file_.global[prefix + "ARCH"] = platform.architecture;
      file_.global[prefix + "VARIANT"] = platform.variant;
    }
  }

  Dockerfile parse(std::string_view text) {
    DockerfileText read = read_instructions(text, file_.name);
    file_.escape = read.escape;
    for (Instruction& instruction : read.instructions) {
      place_ = {file_.name, instruction.line};
      check(instruction);
      if (instruction.keyword == "FROM")
        from(instruction);
      else if (!file_.stages.empty())
        file_.stages.back().instructions.push_back(std::move(instruction));
      else if (instruction.keyword == "ARG")
        global_arg(instruction);
      else
        place_.fail(fmt::format("{} stands before the first FROM", instruction.keyword),
                    "only ARG may");
    }
    if (file_.stages.empty())
      throw Error(ErrorKind::config, fmt::format("'{}' has no FROM", printable(file_.name)))
          .with_hint("begin it with a base image: FROM debian:bookworm, or FROM scratch");
    for (const auto& [name, value] : file_.given)
      if (!declared_.contains(name)) file_.unused.push_back(name);
    return std::move(file_);
  }

 private:
  void check(const Instruction& instruction) {
    static const std::map<std::string_view, std::vector<std::string>> flags = {
        {"FROM", {"platform"}},
        {"RUN", {"mount", "network"}},
        {"COPY", {"from", "chown", "chmod", "link"}},
        {"ADD", {"chown", "chmod", "link"}},
        {"HEALTHCHECK", {"interval", "timeout", "start-period", "start-interval", "retries"}}};
    const std::string& keyword = instruction.keyword;
    if (keyword == "MAINTAINER")
      place_.fail("MAINTAINER is no longer an instruction",
                  "write it as a label: LABEL org.opencontainers.image.authors=\"...\"");
    if (keyword == "ONBUILD")
      place_.fail("ONBUILD is not built: an OCI image has no place for it",
                  "put the instruction into the Dockerfile of the image that is based on this one");
    const auto known = flags.find(keyword);
    std::set<std::string> seen;
    for (const InstructionFlag& flag : instruction.flags) {
      if (known == flags.end())
        place_.fail(fmt::format("{} has no flag '--{}'", keyword, printable(flag.name)));
      if (std::find(known->second.begin(), known->second.end(), flag.name) == known->second.end())
        place_.fail(
            fmt::format("{} has no flag '--{}' that is built", keyword, printable(flag.name)),
            suggestion_hint(flag.name, known->second, "flags"));
      if (flag.name != "mount" && !seen.insert(flag.name).second)
        place_.fail(fmt::format("'--{}' is given twice", flag.name));
      if (flag.name != "link" && flag.value.value_or("").empty())
        place_.fail(fmt::format("'--{}' has no value", flag.name));
    }
    if (instruction.rest.empty()) place_.fail(fmt::format("{} has nothing after it", keyword));
    if (keyword == "RUN")
      static_cast<void>(
          run_flags(instruction, place_, [](const std::string& text) { return text; }));
    if (keyword == "COPY") static_cast<void>(source_of(instruction));
    if (keyword == "SHELL" && (!instruction.list || instruction.list->empty()))
      place_.fail("SHELL takes a JSON array of texts", "SHELL [\"/bin/bash\", \"-c\"]");
    if (keyword == "ARG")
      for (const std::string& word : raw_words(instruction.rest, file_.escape))
        declared_.insert(word.substr(0, word.find('=')));
  }

  // The stage or image of COPY --from, "" for none.
  std::string source_of(const Instruction& copy) const {
    for (const InstructionFlag& flag : copy.flags) {
      if (flag.name != "from") continue;
      if (flag.value->find('$') != std::string::npos)
        place_.fail("'--from' takes no variables",
                    "name a stage: FROM ${IMAGE} AS source, and COPY --from=source");
      const std::size_t current = file_.stages.empty() ? 0 : file_.stages.size() - 1;
      if (const auto number = number_of(*flag.value); number && *number >= current)
        place_.fail(fmt::format("'--from={}' is no earlier stage", *number));
      if (!file_.stages.empty() && small(*flag.value) == file_.stages.back().name)
        place_.fail(fmt::format("a stage cannot copy from itself: '{}'", *flag.value));
      return *flag.value;
    }
    return {};
  }

  [[nodiscard]] std::string expanded(std::string_view word) const {
    const VariableLookup lookup = [this](std::string_view name) -> std::optional<std::string> {
      const auto found = file_.global.find(name);
      return found == file_.global.end() ? std::nullopt : std::optional(found->second);
    };
    return expand_word(word, {lookup, file_.escape, place_});
  }

  void global_arg(const Instruction& instruction) {
    for (const std::string& word : raw_words(instruction.rest, file_.escape)) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      const auto given = file_.given.find(name);
      if (given != file_.given.end())
        file_.global[name] = given->second;
      else if (equals != std::string::npos)
        file_.global[name] = expanded(std::string_view(word).substr(equals + 1));
    }
  }

  void from(const Instruction& instruction) {
    const std::vector<std::string> words = raw_words(instruction.rest, file_.escape);
    if (words.size() != 1 && (words.size() != 3 || small(words[1]) != "as"))
      place_.fail("FROM takes an image, or an image and AS with a name",
                  "FROM debian:bookworm AS build");
    for (const InstructionFlag& flag : instruction.flags)
      platform(expanded(*flag.value));
    Stage stage;
    stage.line = instruction.line;
    stage.base = expanded(words[0]);
    if (stage.base.empty())
      place_.fail(fmt::format("the base '{}' is empty when its variables are replaced",
                              printable(words[0])),
                  "an ARG before the first FROM gives them a value");
    if (const auto earlier = stage_named(small(stage.base))) {
      stage.base_stage = earlier;
      stage.base.clear();
    }
    if (words.size() == 3) {
      stage.name = small(words[2]);
      if (!is_stage_name(stage.name) || stage.name == "scratch")
        place_.fail(fmt::format("'{}' cannot be the name of a stage", printable(words[2])),
                    "a letter, then letters, digits, '-', '_' and '.'");
      if (stage_named(stage.name))
        place_.fail(fmt::format("there are two stages '{}'", stage.name));
    }
    file_.stages.push_back(std::move(stage));
  }

  void platform(const std::string& wanted) const {
    const std::vector<std::string> parts = split(wanted, '/');
    const bool same =
        parts.size() >= 2 && parts.size() <= 3 && parts[0] == platform_.os &&
        parts[1] == platform_.architecture &&
        (parts.size() == 2 || platform_.variant.empty() || parts[2] == platform_.variant);
    if (!same)
      place_.fail(fmt::format("the platform '{}' is not that of this machine, {}",
                              printable(wanted), file_.global.at("BUILDPLATFORM")),
                  "build on a machine of that kind");
  }

  [[nodiscard]] std::optional<std::size_t> stage_named(std::string_view name) const {
    for (std::size_t i = 0; i < file_.stages.size(); ++i)
      if (!name.empty() && file_.stages[i].name == name) return i;
    return std::nullopt;
  }

  const Platform& platform_;
  Dockerfile file_;
  DockerfilePlace place_;
  std::set<std::string, std::less<>> declared_;
};

} // namespace

Dockerfile parse_dockerfile(std::string_view text, std::string_view name, const BuildArgs& args,
                            const Platform& platform) {
  return Parser(name, args, platform).parse(text);
}

std::size_t find_stage(const Dockerfile& dockerfile, std::string_view target) {
  if (target.empty()) return dockerfile.stages.size() - 1;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < dockerfile.stages.size(); ++i) {
    const std::string& name = dockerfile.stages[i].name;
    if (!name.empty() && name == small(target)) return i;
    if (!name.empty()) names.push_back(name);
  }
  if (const auto number = number_of(target); number && *number < dockerfile.stages.size())
    return *number;
  throw Error(ErrorKind::not_found,
              fmt::format("no stage '{}' in '{}'", printable(target), printable(dockerfile.name)))
      .with_hint(suggestion_hint(target, names, "stages"));
}

std::vector<std::size_t> needed_stages(const Dockerfile& dockerfile, std::size_t target) {
  // A stage needs earlier ones only: from the last to the first, each marks what it needs.
  std::vector<bool> needed(target + 1, false);
  needed[target] = true;
  for (std::size_t i = target + 1; i-- > 0;) {
    if (!needed[i]) continue;
    const Stage& stage = dockerfile.stages[i];
    if (stage.base_stage) needed[*stage.base_stage] = true;
    for (const Instruction& instruction : stage.instructions) {
      if (instruction.keyword != "COPY") continue;
      for (const InstructionFlag& flag : instruction.flags)
        if (flag.name == "from")
          if (const auto from = earlier_stage(dockerfile, i, *flag.value)) needed[*from] = true;
    }
  }
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i <= target; ++i)
    if (needed[i]) order.push_back(i);
  return order;
}

std::optional<std::size_t> earlier_stage(const Dockerfile& dockerfile, std::size_t stage,
                                         std::string_view name) {
  for (std::size_t i = 0; i < stage; ++i)
    if (!dockerfile.stages[i].name.empty() && dockerfile.stages[i].name == small(name)) return i;
  if (const auto number = number_of(name); number && *number < stage) return *number;
  return std::nullopt;
}

} // namespace mlp::image
