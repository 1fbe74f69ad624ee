// Finds the command by its words, then lets CLI11 parse the rest against that command's options
// only: start-up does not depend on how many commands there are.
#include "cli/arguments.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace mlp {

namespace {

bool is_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-';
}

const Option* find_option(std::span<const Option> options, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  for (const Option& option : options)
    if (option.name == name ||
        (option.letter != 0 && name.size() >= 2 && name[0] == '-' && name[1] == option.letter))
      return &option;
  return nullptr;
}

// Moves global options that stand before the command's words into `before`.
std::size_t skip_globals(std::span<const std::string> words, std::vector<std::string>& before) {
  std::size_t i = 0;
  while (i < words.size() && is_option(words[i])) {
    const Option* option = find_option(global_options(), words[i]);
    if (option == nullptr && words[i] == "--version") break;
    before.push_back(words[i]);
    const bool attached =
        words[i].find('=') != std::string::npos || (words[i].size() > 2 && words[i][1] != '-');
    ++i;
    if (option != nullptr && !option->value.empty() && !attached && i < words.size())
      before.push_back(words[i++]);
  }
  return i;
}

Error unknown_command(std::span<const std::string> words) {
  std::vector<std::string> firsts, nouns_verbs;
  for (const Command* command : commands()) {
    if (command->category == Category::hidden) continue;
    nouns_verbs.emplace_back(command->path);
    const std::string first(command->path.substr(0, command->path.find(' ')));
    if (firsts.empty() || firsts.back() != first) firsts.push_back(first);
  }
  const bool known_noun = std::find(firsts.begin(), firsts.end(), words[0]) != firsts.end();
  if (known_noun && words.size() > 1) {
    std::vector<std::string> verbs;
    for (const std::string& path : nouns_verbs)
      if (path.starts_with(words[0] + " ")) verbs.push_back(path.substr(words[0].size() + 1));
    return Error(ErrorKind::usage,
                 fmt::format("'mlp {}' has no command '{}'", words[0], printable(words[1])))
        .with_hint(suggestion_hint(words[1], verbs, "commands"));
  }
  Error error(ErrorKind::usage, fmt::format("'{}' is not an mlp command", printable(words[0])));
  if (const auto nearest = nearest_name(words[0], firsts))
    error.add_hint(fmt::format("did you mean '{}'?", *nearest));
  else
    error.add_hint("mlp --help lists the commands");
  return error;
}

Error extra_word(const Command& command, std::span<const Option> options, const std::string& word) {
  const std::string help = fmt::format("mlp {} --help shows what it takes", command.path);
  if (!is_option(word))
    return Error(ErrorKind::usage, fmt::format("unexpected argument '{}'", printable(word)))
        .with_hint(help);
  std::vector<std::string> names;
  for (const Option& option : options)
    names.emplace_back(option.name);
  const std::string name = word.substr(0, word.find('='));
  Error error(ErrorKind::usage, fmt::format("unknown option '{}'", printable(name)));
  if (const auto nearest = nearest_name(name, names))
    error.add_hint(fmt::format("did you mean '{}'?", *nearest));
  else
    error.add_hint(help);
  return error;
}

std::string flag_names(const Option& option) {
  return option.letter == 0 ? std::string(option.name)
                            : fmt::format("-{},{}", option.letter, option.name);
}

Arguments parse_options(const Command& command, std::vector<std::string> words) {
  std::vector<Option> options = options_of(command);
  for (const Option& option : global_options())
    options.push_back(option);

  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::pair<std::string, CLI::Option*>> declared;
  for (const Option& option : options) {
    CLI::Option* made = option.value.empty() ? app.add_flag(flag_names(option))
                                             : app.add_option(flag_names(option));
    if (!option.value.empty()) {
      made->expected(1);
      made->multi_option_policy(option.repeated ? CLI::MultiOptionPolicy::TakeAll
                                                : CLI::MultiOptionPolicy::TakeLast);
      made->allow_extra_args(false);
    }
    declared.emplace_back(option.name, made);
  }
  for (const Argument& argument : command.arguments) {
    CLI::Option* made = app.add_option(std::string(argument.name));
    if (argument.repeated)
      made->expected(0, 1 << 20);
    else
      made->expected(0, 1);
    declared.emplace_back(argument.name, made);
  }
  std::reverse(words.begin(), words.end()); // CLI11 takes them from the back
  try {
    app.parse(words);
  } catch (const CLI::ArgumentMismatch&) {
    throw Error(ErrorKind::usage, "an option lacks its value")
        .with_hint(fmt::format("mlp {} --help shows what it takes", command.path));
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorKind::usage, error.what())
        .with_hint(fmt::format("mlp {} --help shows what it takes", command.path));
  }
  Arguments out;
  for (const auto& [name, option] : declared) {
    if (option->count() == 0) continue;
    const bool flag = option->get_expected_max() == 0;
    out.values[name] = flag ? std::vector<std::string>(option->count()) : option->results();
  }
  if (!out.has("--help")) {
    if (const auto extra = app.remaining(); !extra.empty())
      throw extra_word(command, options, extra.front());
    for (const Argument& argument : command.arguments)
      if (argument.required && !out.has(argument.name))
        throw Error(ErrorKind::usage, fmt::format("missing argument {}", argument.name))
            .with_hint(fmt::format("{}; mlp {} --help shows more", argument.help, command.path));
  }
  return out;
}

} // namespace

const config::SettingDefinition& setting_of(std::string_view key) {
  const config::SettingDefinition* found = config::find_setting(key);
  if (found == nullptr) throw std::logic_error(fmt::format("no setting '{}'", key));
  return *found;
}

std::vector<Option> options_of(const Command& command) {
  std::vector<Option> options = command.options;
  for (const std::string_view key : command.settings) {
    const config::SettingDefinition& setting = setting_of(key);
    options.push_back(
        {.name = setting.option, .value = setting.value_name, .help = setting.description});
  }
  return options;
}

ParsedLine parse_line(std::span<const std::string> words) {
  std::vector<std::string> rest;
  std::size_t at = skip_globals(words, rest);
  ParsedLine parsed;
  if (at < words.size() && words[at] == "--version") {
    parsed.command = find_command("version");
    ++at;
  } else if (at < words.size()) {
    const std::string two = at + 1 < words.size() ? words[at] + " " + words[at + 1] : "";
    if (const Command* found = two.empty() ? nullptr : find_command(two)) {
      parsed.command = found;
      at += 2;
    } else if (const Command* single = find_command(words[at])) {
      parsed.command = single;
      at += 1;
    } else {
      parsed.noun = words[at];
      const auto all = commands();
      const bool noun = std::any_of(all.begin(), all.end(), [&](const Command* c) {
        return c->path.starts_with(parsed.noun + " ");
      });
      const bool verb = at + 1 < words.size() && !is_option(words[at + 1]);
      if (!noun || verb) throw unknown_command(words.subspan(at));
      ++at;
    }
  }
  if (parsed.command != nullptr && parsed.command->raw) {
    parsed.arguments.values["WORDS"] = {words.begin() + static_cast<std::ptrdiff_t>(at),
                                        words.end()};
    return parsed;
  }
  rest.insert(rest.end(), words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  static const Command none = {
      .path = "", .summary = "", .category = Category::hidden, .run = nullptr};
  parsed.arguments =
      parse_options(parsed.command != nullptr ? *parsed.command : none, std::move(rest));
  return parsed;
}

bool Arguments::has(std::string_view name) const {
  return values.find(name) != values.end();
}

std::optional<std::string> Arguments::get(std::string_view name) const {
  const auto found = values.find(name);
  if (found == values.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::string Arguments::get_or(std::string_view name, std::string_view fallback) const {
  return get(name).value_or(std::string(fallback));
}

std::vector<std::string> Arguments::all(std::string_view name) const {
  const auto found = values.find(name);
  return found == values.end() ? std::vector<std::string>{} : found->second;
}

std::optional<std::int64_t> Arguments::integer(std::string_view name, std::int64_t low,
                                               std::int64_t high) const {
  const auto text = get(name);
  if (!text) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (code != std::errc{} || end != text->data() + text->size() || value < low || value > high)
    throw Error(ErrorKind::usage, fmt::format("'{}' is not a whole number from {} to {}",
                                              printable(*text), low, high))
        .with_context(fmt::format("while reading option {}", name));
  return value;
}

} // namespace mlp
