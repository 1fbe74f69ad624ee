// Completion: the same tree as the parser, walked up to the word being typed.
#include "cli/arguments.hpp"
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/process.hpp"

#include <algorithm>

namespace mlp {

namespace {

void add(std::vector<Candidate>& out, std::string_view value, std::string_view description) {
  const auto same = [&](const Candidate& c) { return c.value == value; };
  if (std::none_of(out.begin(), out.end(), same))
    out.push_back({std::string(value), std::string(description)});
}

void add_options(std::vector<Candidate>& out, std::span<const Option> options) {
  for (const Option& option : options)
    add(out, option.name, option.help);
}

// The next word of every command that begins with `before` ("" or "data").
void add_commands(std::vector<Candidate>& out, std::string_view before) {
  for (const Command* command : commands()) {
    if (command->category == Category::hidden) continue;
    std::string_view path = command->path;
    if (!before.empty()) {
      if (!path.starts_with(before) || path.size() <= before.size() || path[before.size()] != ' ')
        continue;
      path.remove_prefix(before.size() + 1);
      add(out, path, command->summary);
    } else {
      const std::size_t space = path.find(' ');
      add(out, path.substr(0, space), space == std::string_view::npos ? command->summary : "");
    }
  }
}

const Option* named(std::span<const Option> options, std::string_view word) {
  for (const Option& option : options)
    if (word == option.name ||
        (option.letter != 0 && word.size() == 2 && word[0] == '-' && word[1] == option.letter))
      return &option;
  return nullptr;
}

// A Completer may find no project: then there is nothing to suggest.
std::vector<Candidate> ask(Completer completer, Session& session) {
  if (completer == nullptr) return {};
  try {
    return completer(session);
  } catch (const std::exception&) {
    return {};
  }
}

std::vector<Candidate> complete_value(Session& session, const Option& option) {
  if (option.name == "--directory") return complete_directories(session);
  return ask(option.complete, session);
}

// "--output=", and candidates for the value behind it. What the shell completes itself stays so.
std::vector<Candidate> complete_attached(Session& session, std::span<const Option> options,
                                         std::string_view word) {
  const std::string name(word.substr(0, word.find('=')));
  const Option* option = named(options, name);
  if (option == nullptr || option->value.empty()) return {};
  std::vector<Candidate> out = complete_value(session, *option);
  for (Candidate& candidate : out)
    if (!candidate.value.starts_with(":")) candidate.value.insert(0, name + "=");
  return out;
}

bool is_attached(std::string_view word) {
  return word.starts_with("--") && word.find('=') != std::string_view::npos;
}

std::vector<Candidate> complete_words(Session& session, const Command& command,
                                      std::span<const std::string> words) {
  std::vector<Option> options = options_of(command);
  const auto globals = global_options();
  options.insert(options.end(), globals.begin(), globals.end());
  std::size_t positional = 0;
  const Option* open = nullptr; // an option that waits for its value
  bool options_ended = false;
  for (const std::string& word : words.first(words.size() - 1)) {
    if (open != nullptr) {
      open = nullptr;
    } else if (options_ended || !word.starts_with("-") || word == "-") {
      ++positional;
    } else if (word == "--") {
      options_ended = true;
    } else {
      const Option* option = named(options, word);
      if (option != nullptr && !option->value.empty()) open = option;
    }
  }
  if (open != nullptr) return complete_value(session, *open);
  if (!options_ended && is_attached(words.back()))
    return complete_attached(session, options, words.back());
  std::vector<Candidate> out;
  if (!options_ended && words.back().starts_with("-")) {
    add_options(out, options);
  } else if (!command.arguments.empty()) {
    const std::size_t at = std::min(positional, command.arguments.size() - 1);
    const Argument& argument = command.arguments[at];
    if (at == positional || argument.repeated) out = ask(argument.complete, session);
  }
  return out;
}

} // namespace

std::vector<Candidate> complete_files(Session&) {
  return {{":files", ""}};
}
std::vector<Candidate> complete_directories(Session&) {
  return {{":directories", ""}};
}

std::vector<Candidate> complete_commands(Session&) {
  std::vector<Candidate> out;
  for (const Command* command : commands())
    if (command->category != Category::hidden)
      out.push_back({std::string(command->path), std::string(command->summary)});
  return out;
}

std::vector<Candidate> complete_shells(Session&) {
  return {{"bash", ""}, {"zsh", ""}, {"fish", ""}};
}

void enter_directory(std::span<const std::string> words) {
  const auto enter = [](std::string directory) {
    if (directory == "~" || directory.starts_with("~/")) // the shell has not expanded it yet
      directory.replace(0, 1, get_env("HOME").value_or("~"));
    std::error_code ignored;
    fs::current_path(directory, ignored);
  };
  for (std::size_t i = 0; i + 1 < words.size() && words[i] != "--"; ++i) {
    const std::string& word = words[i];
    if ((word == "-C" || word == "--directory") && i + 2 < words.size())
      enter(words[++i]);
    else if (word.starts_with("--directory="))
      enter(word.substr(12));
    else if (word.starts_with("-C") && word.size() > 2)
      enter(word.substr(2));
  }
}

std::vector<Candidate> complete_line(Session& session, std::span<const std::string> words) {
  std::vector<Candidate> out;
  if (words.empty()) return out;
  // Global options before the command's words.
  std::size_t at = 0;
  while (at + 1 < words.size() && words[at].starts_with("-")) {
    const Option* option = named(global_options(), words[at]);
    at += option != nullptr && !option->value.empty() ? 2 : 1;
  }
  if (at >= words.size()) return complete_directories(session); // after -C
  const auto rest = words.subspan(at);
  const Command* command = nullptr;
  std::size_t used = 0;
  if (rest.size() > 2) command = find_command(rest[0] + " " + rest[1]);
  if (command != nullptr) {
    used = 2;
  } else if (rest.size() > 1) {
    command = find_command(rest[0]);
    used = 1;
  }
  if (command != nullptr) {
    out = complete_words(session, *command, rest.subspan(used));
  } else if (rest.size() == 1) {
    if (is_attached(rest[0]))
      out = complete_attached(session, global_options(), rest[0]);
    else if (rest[0].starts_with("-"))
      add_options(out, global_options());
    else
      add_commands(out, "");
  } else if (rest.size() == 2) {
    add_commands(out, rest[0]);
  }
  const std::string& partial = rest.back();
  std::erase_if(out, [&](const Candidate& c) {
    return !c.value.starts_with(":") && !c.value.starts_with(partial);
  });
  return out;
}

} // namespace mlp
