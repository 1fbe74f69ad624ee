// Manual pages: NAME, SYNOPSIS, OPTIONS, ENVIRONMENT from the tree; the prose from man/*.md, of
// which a small part of Markdown is understood: "## SECTION", paragraphs, "- " items, fenced code,
// `code`.
#include "cli/arguments.hpp"
#include "cli/describe.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

// One line of running text in man(7): backslashes and leading dots are not commands.
std::string escaped(std::string_view line) {
  std::string out;
  bool bold = false;
  for (const char c : line) {
    if (c == '`') {
      bold = !bold;
      out += bold ? "\\fB" : "\\fR";
    } else if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  if (bold) out += "\\fR";
  if (!out.empty() && (out.front() == '.' || out.front() == '\'')) out.insert(0, "\\&");
  return out;
}

std::string prose_to_man(std::string_view prose) {
  std::string out;
  bool code = false;
  bool paragraph = false;
  for (const std::string& line : split(prose, '\n')) {
    if (line.starts_with("```")) {
      code = !code;
      out += code ? ".PP\n.nf\n.RS 4\n" : ".RE\n.fi\n";
      paragraph = false;
    } else if (code) {
      std::string text(line);
      std::replace(text.begin(), text.end(), '`', '\'');
      out += escaped(text) + "\n";
    } else if (line.starts_with("## ")) {
      out += fmt::format(".SH {}\n", escaped(line.substr(3)));
      paragraph = true;
    } else if (line.starts_with("# ")) {
      continue; // the page's title, which the tree knows
    } else if (line.empty()) {
      paragraph = false;
    } else if (line.starts_with("- ")) {
      out += fmt::format(".IP \\(bu 2\n{}\n", escaped(line.substr(2)));
      paragraph = true;
    } else {
      if (!paragraph) out += ".PP\n";
      out += escaped(trim(line)) + "\n";
      paragraph = true;
    }
  }
  return out;
}

// The text of "## title" up to the next section; empty if absent.
std::string section(std::string_view prose, std::string_view title) {
  std::string out;
  bool inside = false;
  for (const std::string& line : split(prose, '\n')) {
    if (line.starts_with("## ")) inside = line.substr(3) == title;
    if (inside) out += line + "\n";
  }
  return out;
}

std::string options_section(std::string_view title, std::span<const Option> options) {
  if (options.empty()) return {};
  std::string out = fmt::format(".SH {}\n", title);
  for (const Option& option : options) {
    std::string names = option.letter == 0 ? "" : fmt::format("\\fB\\-{}\\fR, ", option.letter);
    names += fmt::format("\\fB{}\\fR", escaped(option.name));
    if (!option.value.empty()) names += fmt::format(" \\fI{}\\fR", escaped(option.value));
    out += fmt::format(".TP\n{}\n{}\n", names, escaped(option.help));
  }
  return out;
}

std::string header(std::string_view page, std::string_view summary) {
  return fmt::format(".TH {} 1 \"\" \"mlp {}\" \"mlp manual\"\n.SH NAME\n{} \\- {}\n", page,
                     MLP_VERSION, escaped(page), escaped(summary));
}

std::string page_name(const Command& command) {
  std::string name = fmt::format("mlp-{}", command.path);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string environment_section(const Command& command) {
  std::string out = ".SH ENVIRONMENT\n";
  for (const std::string_view key : command.settings) {
    const config::SettingDefinition& setting = setting_of(key);
    if (!setting.environment.empty())
      out += fmt::format(".TP\n\\fB{}\\fR\nas \\fB{}\\fR; the setting \\fB{}\\fR\n",
                         setting.environment, escaped(setting.option), setting.key);
  }
  return out +
         ".TP\n\\fBNO_COLOR\\fR\nif set, no colour\n"
         ".TP\n\\fBXDG_CONFIG_HOME\\fR\nwhere \\fBmlp/config.yaml\\fR with the settings lies\n";
}

} // namespace

std::string man_page(const Command& command, std::string_view prose) {
  for (const std::string_view needed : {"DESCRIPTION", "EXAMPLES", "EXIT STATUS"})
    if (section(prose, needed).empty())
      throw Error(ErrorKind::config,
                  fmt::format("the prose of '{}' has no section {}", command.path, needed));
  std::string out = header(page_name(command), command.summary);
  out += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR\n", escaped(synopsis(command)));
  out += prose_to_man(section(prose, "DESCRIPTION"));
  if (!command.arguments.empty()) {
    out += ".SH ARGUMENTS\n";
    for (const Argument& argument : command.arguments)
      out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(argument.name), escaped(argument.help));
  }
  out += options_section("OPTIONS", options_of(command));
  out += options_section("OPTIONS OF EVERY COMMAND", global_options());
  out += environment_section(command);
  out += prose_to_man(section(prose, "EXAMPLES"));
  out += prose_to_man(section(prose, "EXIT STATUS"));
  return out + ".SH SEE ALSO\n\\fBmlp\\fR(1)\n";
}

std::string overview_man_page(std::string_view prose) {
  std::string out = header("mlp", "from data to a served model");
  out += ".SH SYNOPSIS\n\\fBmlp\\fR [\\fB\\-C\\fR \\fIDIR\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR] "
         "[\\fIARGUMENTS\\fR]\n";
  out += prose_to_man(section(prose, "DESCRIPTION"));
  out += ".SH COMMANDS\n";
  for (const Command* command : commands())
    if (command->category != Category::hidden)
      out += fmt::format(".TP\n\\fB{}\\fR(1)\n{}\n", escaped(page_name(*command)),
                         escaped(command->summary));
  out += options_section("OPTIONS OF EVERY COMMAND", global_options());
  out += prose_to_man(section(prose, "EXAMPLES"));
  return out + prose_to_man(section(prose, "EXIT STATUS"));
}

} // namespace mlp
