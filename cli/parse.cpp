// The words of a command line against the table of commands, as getopt_long takes them: options
// anywhere, "--name=value" or "--name value", "-xy" for "-x -y", "-oFILE", "--" ends them. Written
// by hand so that each mistake is answered with the declaration it offends against.
#include "cli/arguments.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace mlp {

namespace {

Error unknown_command(std::string_view noun, std::string_view verb) {
  std::vector<std::string> firsts, verbs;
  std::string_view elsewhere; // "data push" for "push"
  for (const Command* command : commands()) {
    if (command->category == Category::hidden) continue;
    const std::size_t space = command->path.find(' ');
    const std::string first(command->path.substr(0, space));
    if (std::find(firsts.begin(), firsts.end(), first) == firsts.end()) firsts.push_back(first);
    if (space == std::string_view::npos) continue;
    if (first == noun) verbs.emplace_back(command->path.substr(space + 1));
    if (command->path.substr(space + 1) == noun && elsewhere.empty()) elsewhere = command->path;
  }
  if (!verbs.empty())
    return Error(ErrorKind::usage,
                 fmt::format("'mlp {}' has no command '{}'", noun, printable(verb)))
        .with_hint(suggestion_hint(verb, verbs, "commands"));
  Error error(ErrorKind::usage, fmt::format("'{}' is not an mlp command", printable(noun)));
  if (!elsewhere.empty())
    error.add_hint(fmt::format("did you mean '{}'?", elsewhere));
  else if (const auto nearest = nearest_name(noun, firsts))
    error.add_hint(fmt::format("did you mean '{}'?", *nearest));
  else
    error.add_hint("mlp --help lists the commands");
  return error;
}

bool is_number(std::string_view word) {
  double value = 0;
  const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  return code == std::errc{} && end == word.data() + word.size();
}

std::string display_name(const Option& option) {
  return option.letter == 0 ? fmt::format("'{}'", option.name)
                            : fmt::format("'{}' (-{})", option.name, option.letter);
}

// Takes options and their values off a command line, word by word.
class WordReader {
 public:
  // `command` is nullptr before the command is known: then only the global options are.
  WordReader(std::span<const std::string> words, const Command* command)
      : words_(words), command_(command) {
    if (command != nullptr) options_ = options_of(*command);
    const auto globals = global_options();
    options_.insert(options_.end(), globals.begin(), globals.end());
  }

  [[nodiscard]] bool done() const noexcept { return at_ == words_.size(); }
  [[nodiscard]] const std::string& word() const { return words_[at_]; }
  [[nodiscard]] std::span<const std::string> rest() const { return words_.subspan(at_); }
  const std::string& take_word() { return words_[at_++]; }

  // "-" is a file's name, and a negative number a value, unless an option is called so.
  [[nodiscard]] bool at_option() const {
    if (done() || word().size() < 2 || word()[0] != '-' || word() == "--") return false;
    return word()[1] == '-' || by_letter(word()[1]) != nullptr || !is_number(word());
  }

  void take_option(Arguments& out) {
    const std::string& word = take_word();
    if (word[1] == '-')
      take_long(word, out);
    else
      take_letters(word, out);
  }

 private:
  [[nodiscard]] const Option* by_name(std::string_view name) const {
    const auto found = std::find_if(options_.begin(), options_.end(),
                                    [&](const Option& o) { return o.name == name; });
    return found == options_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const Option* by_letter(char letter) const {
    const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& o) {
      return o.letter != 0 && o.letter == letter;
    });
    return found == options_.end() ? nullptr : &*found;
  }

  void take_long(const std::string& word, Arguments& out) {
    const std::size_t equals = word.find('=');
    const Option* option = by_name(std::string_view(word).substr(0, equals));
    if (option == nullptr) throw unknown_option(word.substr(0, equals));
    std::vector<std::string>& values = out.values[std::string(option->name)];
    if (option->value.empty()) {
      if (equals != std::string::npos)
        throw usage(fmt::format("option {} takes no value", display_name(*option)));
      values.emplace_back();
    } else {
      values.push_back(equals == std::string::npos ? take_value(*option) : word.substr(equals + 1));
    }
  }

  void take_letters(const std::string& word, Arguments& out) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const Option* option = by_letter(word[i]);
      if (option == nullptr) throw unknown_option(i == 1 ? word : fmt::format("-{}", word[i]));
      std::vector<std::string>& values = out.values[std::string(option->name)];
      if (!option->value.empty()) {
        values.push_back(i + 1 < word.size() ? word.substr(i + 1) : take_value(*option));
        return;
      }
      values.emplace_back();
    }
  }

  // The next word, unless that is another option: a forgotten value must not swallow it.
  std::string take_value(const Option& option) {
    const bool missing =
        done() || word() == "--" ||
        (at_option() && (by_name(std::string_view(word()).substr(0, word().find('='))) != nullptr ||
                         (word().size() == 2 && by_letter(word()[1]) != nullptr)));
    if (!missing) return take_word();
    Error error(ErrorKind::usage,
                fmt::format("option {} needs a value: {}", display_name(option), option.value));
    if (!done() && word() != "--")
      error.add_hint(fmt::format("if '{}' is the value: {}={}", printable(word()), option.name,
                                 shell_quote(printable(word()))));
    else
      error.add_hint(fmt::format("{} {}: {}", option.name, option.value, option.help));
    throw error;
  }

  [[nodiscard]] Error usage(std::string message) const {
    return Error(ErrorKind::usage, std::move(message)).with_hint(help_hint());
  }
  [[nodiscard]] std::string help_hint() const {
    return command_ == nullptr ? "mlp --help lists options and commands"
                               : fmt::format("mlp {} --help shows what it takes", command_->path);
  }

  [[nodiscard]] Error unknown_option(const std::string& name) const {
    Error error(ErrorKind::usage, fmt::format("unknown option '{}'", printable(name)));
    std::vector<std::string> names;
    for (const Option& option : options_)
      names.emplace_back(option.name);
    const std::string long_name = name.starts_with("--") ? name : "-" + name;
    const auto belongs_to = [&](const Command* command) {
      const std::vector<Option> options = options_of(*command);
      return std::any_of(options.begin(), options.end(),
                         [&](const Option& o) { return o.name == name; });
    };
    if (const auto nearest = name.size() > 2 ? nearest_name(long_name, names) : std::nullopt)
      error.add_hint(fmt::format("did you mean '{}'?", *nearest));
    else if (command_ == nullptr && std::any_of(commands().begin(), commands().end(), belongs_to))
      error.add_hint(fmt::format("the options of a command stand after it: mlp COMMAND {}", name));
    else
      error.add_hint(help_hint());
    return error;
  }

  std::span<const std::string> words_;
  const Command* command_;
  std::vector<Option> options_;
  std::size_t at_ = 0;
};

void take_options(WordReader& reader, Arguments& out) {
  while (reader.at_option())
    reader.take_option(out);
}

bool asks_for_help(std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

bool is_noun(std::string_view word) {
  const auto all = commands();
  return std::any_of(all.begin(), all.end(), [&](const Command* command) {
    return command->path.size() > word.size() && command->path.starts_with(word) &&
           command->path[word.size()] == ' ';
  });
}

// The command's words, and the global options before and between them.
ParsedLine find_line(WordReader& reader) {
  ParsedLine line;
  while (reader.at_option()) {
    if (reader.word() == "--version") {
      reader.take_word();
      line.command = find_command("version");
      return line;
    }
    reader.take_option(line.arguments);
  }
  if (reader.done()) return line;
  const std::string first = reader.take_word();
  if (!is_noun(first)) {
    line.command = find_command(first);
    if (line.command == nullptr) throw unknown_command(first, "");
    return line;
  }
  line.noun = first;
  const Command* alone = find_command(first);
  if (alone == nullptr) take_options(reader, line.arguments);
  if (!reader.done() && !reader.at_option()) {
    line.command = find_command(first + " " + reader.word());
    if (line.command != nullptr)
      reader.take_word();
    else if (alone == nullptr)
      throw unknown_command(first, reader.word());
  }
  if (line.command == nullptr) line.command = alone;
  return line;
}

void take_arguments(WordReader& reader, const Command& command, Arguments& out) {
  bool options_ended = false;
  bool may_part = false; // "--" here parts what is ours from a program's words
  std::size_t position = 0;
  while (!reader.done()) {
    if ((!options_ended || std::exchange(may_part, false)) && reader.word() == "--") {
      reader.take_word();
      options_ended = true;
    } else if (!options_ended && reader.at_option()) {
      reader.take_option(out);
    } else if (position < command.arguments.size()) {
      const Argument& argument = command.arguments[position];
      out.values[std::string(argument.name)].push_back(reader.take_word());
      if (!argument.repeated) ++position;
      // As docker has it: behind the image's name all words are those of the program.
      const bool program_next =
          position < command.arguments.size() && command.arguments[position].verbatim;
      may_part = program_next && !options_ended && !argument.verbatim;
      options_ended = options_ended || program_next;
    } else {
      throw Error(ErrorKind::usage,
                  fmt::format("unexpected argument '{}'", printable(reader.word())))
          .with_hint(fmt::format("mlp {} --help shows what it takes", command.path));
    }
  }
  if (out.has("--help")) return;
  for (const Argument& argument : command.arguments)
    if (argument.required && !out.has(argument.name))
      throw Error(ErrorKind::usage, fmt::format("missing argument {}", argument.name))
          .with_hint(fmt::format("{}; mlp {} --help shows more", argument.help, command.path));
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
  WordReader before(words, nullptr);
  ParsedLine parsed = find_line(before);
  if (parsed.command == nullptr) return parsed;
  const Command& command = *parsed.command;
  if (command.raw) {
    parsed.arguments.values["WORDS"] = {before.rest().begin(), before.rest().end()};
    return parsed;
  }
  WordReader reader(before.rest(), &command);
  try {
    take_arguments(reader, command, parsed.arguments);
  } catch (const Error&) {
    // Who asks for help while the line is not right yet gets it.
    if (!asks_for_help(before.rest())) throw;
    parsed.arguments.values["--help"] = {""};
  }
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
