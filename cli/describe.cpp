// Help and reference from the table of commands.
#include "cli/describe.hpp"

#include "cli/arguments.hpp"
#include "core/base/json.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

struct Group {
  Category category;
  std::string_view title;
};

constexpr Group groups[] = {
    {Category::project, "Project"},
    {Category::data, "Data"},
    {Category::images, "Images"},
    {Category::training, "Training"},
    {Category::serving, "Models and serving"},
    {Category::settings, "Settings and help"},
};

std::string argument_text(const Argument& argument) {
  std::string text(argument.name);
  if (argument.repeated) text += "...";
  return argument.required ? text : "[" + text + "]";
}

std::string option_text(const Option& option) {
  std::string text = option.letter == 0 ? "    " : fmt::format("-{}, ", option.letter);
  text += option.name;
  if (!option.value.empty()) text += fmt::format(" {}", option.value);
  return text;
}

struct Entry {
  std::string left;
  std::string right;
};

std::string entries(std::string_view title, const std::vector<Entry>& list) {
  if (list.empty()) return {};
  std::size_t widest = 0;
  for (const Entry& entry : list)
    widest = std::max(widest, entry.left.size());
  widest = std::min<std::size_t>(widest, 30);
  std::string text = fmt::format("\n{}:\n", title);
  for (const Entry& entry : list) {
    if (entry.left.size() > widest)
      text += fmt::format("  {}\n  {:{}}  {}\n", entry.left, "", widest, entry.right);
    else
      text += fmt::format("  {:{}}  {}\n", entry.left, widest, entry.right);
  }
  return text;
}

std::vector<Entry> option_entries(std::span<const Option> options) {
  std::vector<Entry> list;
  for (const Option& option : options)
    list.push_back({option_text(option), std::string(option.help)});
  return list;
}

Json option_json(const Option& option) {
  Json json =
      json_object({{"name", option.name}, {"help", option.help}, {"repeated", option.repeated}});
  if (!option.value.empty()) json["value"] = option.value;
  if (option.letter != 0) json["letter"] = std::string(1, option.letter);
  return json;
}

} // namespace

std::string synopsis(const Command& command) {
  std::string text = fmt::format("mlp {} [OPTIONS]", command.path);
  for (const Argument& argument : command.arguments)
    text += " " + argument_text(argument);
  return text;
}

std::string overview_help() {
  std::string text = "usage: mlp [-C DIR] COMMAND [OPTIONS] [ARGUMENTS]\n\n"
                     "Takes a machine-learning project from data to a served model.\n";
  for (const Group& group : groups) {
    std::vector<Entry> list;
    for (const Command* command : commands())
      if (command->category == group.category)
        list.push_back({std::string(command->path), std::string(command->summary)});
    text += entries(group.title, list);
  }
  text += entries("Options of every command", option_entries(global_options()));
  return text +
         "\nBegin with: mlp init --list. One command: mlp COMMAND --help, or man mlp-COMMAND.\n";
}

std::string noun_help(std::string_view noun) {
  std::vector<Entry> list;
  for (const Command* command : commands())
    if (command->category != Category::hidden && command->path.starts_with(std::string(noun) + " "))
      list.push_back({std::string(command->path), std::string(command->summary)});
  return fmt::format("usage: mlp {} VERB [OPTIONS] [ARGUMENTS]\n", noun) +
         entries("Commands", list) + fmt::format("\nOne of them: mlp {} VERB --help\n", noun);
}

std::string command_help(const Command& command) {
  std::string text = fmt::format("usage: {}\n\n{}\n", synopsis(command), command.summary);
  std::vector<Entry> arguments;
  for (const Argument& argument : command.arguments)
    arguments.push_back({std::string(argument.name), std::string(argument.help)});
  text += entries("Arguments", arguments);
  text += entries("Options", option_entries(options_of(command)));
  text += entries("Options of every command", option_entries(global_options()));
  if (!command.examples.empty()) text += "\nExamples:\n";
  for (const Example& example : command.examples)
    text += fmt::format("  {}\n      {}\n", example.line, example.what);
  std::string page(command.path);
  std::replace(page.begin(), page.end(), ' ', '-');
  if (command.category != Category::hidden) text += fmt::format("\nMore: man mlp-{}\n", page);
  return text;
}

Json describe_tree() {
  Json list = json_array();
  for (const Command* command : commands()) {
    Json arguments = json_array();
    for (const Argument& argument : command->arguments)
      arguments.push_back(json_object({{"name", argument.name},
                                       {"help", argument.help},
                                       {"required", argument.required},
                                       {"repeated", argument.repeated}}));
    Json options = json_array();
    for (const Option& option : options_of(*command))
      options.push_back(option_json(option));
    Json examples = json_array();
    for (const Example& example : command->examples)
      examples.push_back(json_object({{"line", example.line}, {"what", example.what}}));
    list.push_back(json_object({{"path", command->path},
                                {"summary", command->summary},
                                {"synopsis", synopsis(*command)},
                                {"hidden", command->category == Category::hidden},
                                {"arguments", arguments},
                                {"options", options},
                                {"examples", examples}}));
  }
  Json globals = json_array();
  for (const Option& option : global_options())
    globals.push_back(option_json(option));
  return json_object({{"version", 1}, {"commands", list}, {"options", globals}});
}

std::string reference_text() {
  std::string text = overview_help();
  for (const Command* command : commands())
    if (command->category != Category::hidden)
      text += fmt::format("\n{:=<78}\n{}", "", command_help(*command));
  return text;
}

} // namespace mlp
