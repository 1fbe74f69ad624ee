// A line at a time: those of one instruction are joined first, then its heredocs follow, then it is
// taken apart.
#include "core/image/dockerfile_reader.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/dockerfile_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::image {

namespace {

constexpr std::size_t most_heredocs = 64; // of an instruction

const std::vector<std::string>& keywords() {
  static const std::vector<std::string> all = {
      "ADD",    "ARG",   "CMD",         "COPY",   "ENTRYPOINT", "ENV",
      "EXPOSE", "FROM",  "HEALTHCHECK", "LABEL",  "MAINTAINER", "ONBUILD",
      "RUN",    "SHELL", "USER",        "VOLUME", "WORKDIR",    "STOPSIGNAL"};
  return all;
}

bool has_heredocs(std::string_view keyword) {
  return keyword == "RUN" || keyword == "COPY" || keyword == "ADD";
}
// Of these Docker takes a JSON array for a list of words.
bool takes_list(std::string_view keyword) {
  static constexpr std::array<std::string_view, 7> all = {"RUN",    "CMD",  "ENTRYPOINT", "SHELL",
                                                          "VOLUME", "COPY", "ADD"};
  return std::find(all.begin(), all.end(), keyword) != all.end();
}

std::string_view trim_left(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r\v\f");
  return from == std::string_view::npos ? std::string_view() : text.substr(from);
}

std::string capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view name) : rest_(text), place_{name, 0} {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  DockerfileText all() {
    directives();
    while (const auto line = next()) {
      const std::string_view text = trim_left(*line);
      if (text.empty() || text.front() == '#') continue;
      if (result_.instructions.size() == max_dockerfile_instructions)
        place_.fail(
            fmt::format("there are more than {} instructions", max_dockerfile_instructions));
      const unsigned first = place_.line;
      std::string whole = joined(text);
      Instruction instruction = taken_apart(std::move(whole), first);
      result_.instructions.push_back(std::move(instruction));
    }
    return std::move(result_);
  }

 private:
  // Without its end.
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    const std::size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++place_.line;
    return line;
  }

  // "# key=value" before anything else; the first line that is none is the first of the rest.
  void directives() {
    std::vector<std::string> seen;
    while (true) {
      const std::string_view rest = rest_;
      const unsigned line_number = place_.line;
      const auto line = next();
      const auto pair = line ? directive(*line) : std::nullopt;
      if (!pair) {
        rest_ = rest;
        place_.line = line_number;
        return;
      }
      const auto& [key, value] = *pair;
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        place_.fail(fmt::format("the directive '{}' is given twice", key));
      seen.push_back(key);
      if (key != "escape") continue;
      if (value != "\\" && value != "`")
        place_.fail(fmt::format("'{}' cannot be the escape character", printable(value)),
                    "it is \\ or `");
      result_.escape = value.front();
    }
  }

  static std::optional<std::pair<std::string, std::string>> directive(std::string_view line) {
    line = trim(line);
    if (!line.starts_with('#')) return std::nullopt;
    line.remove_prefix(1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::string key(trim(line.substr(0, equals)));
    for (char& c : key)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (key != "syntax" && key != "escape" && key != "check") return std::nullopt;
    return std::pair(std::move(key), std::string(trim(line.substr(equals + 1))));
  }

  // Whether the line goes on in the next; the escape is taken off it. Two at the end are no
  // continuation, but an escaped escape.
  bool continues(std::string_view& line) const {
    const std::size_t last = line.find_last_not_of(" \t");
    if (last == std::string_view::npos || line[last] != result_.escape) return false;
    if (last > 0 && line[last - 1] == result_.escape) return false;
    line = line.substr(0, last);
    return true;
  }

  std::string joined(std::string_view line) {
    bool more = continues(line);
    std::string whole(line);
    while (more) {
      const auto following = next();
      if (!following) break;
      const std::string_view text = trim_left(*following);
      if (text.empty() || text.front() == '#') continue;
      line = *following;
      more = continues(line);
      whole += line;
    }
    return whole;
  }

  Instruction taken_apart(std::string whole, unsigned line) {
    const DockerfilePlace here{place_.name, line};
    Instruction instruction;
    instruction.line = line;
    const std::size_t end = std::min(whole.find_first_of(" \t\v\f"), whole.size());
    const std::string word = whole.substr(0, end);
    instruction.keyword = capitals(word);
    if (std::find(keywords().begin(), keywords().end(), instruction.keyword) == keywords().end())
      here.fail(fmt::format("'{}' is no instruction", printable(word.substr(0, 80))),
                suggestion_hint(instruction.keyword, keywords(), "instructions"));
    std::string_view rest = trim(std::string_view(whole).substr(end));
    take_flags(instruction, rest, here);
    instruction.rest = rest;
    if (takes_list(instruction.keyword))
      instruction.list = text_list(rest, instruction.keyword, here.name, line);
    if (has_heredocs(instruction.keyword) && !instruction.list) take_heredocs(instruction);
    return instruction;
  }

  void take_flags(Instruction& instruction, std::string_view& rest,
                  const DockerfilePlace& here) const {
    while (rest.starts_with("--")) {
      std::size_t end = 0;
      std::string flag;
      char quote = '\0';
      for (; end < rest.size() && (quote != '\0' || (rest[end] != ' ' && rest[end] != '\t'));
           ++end) {
        const char c = rest[end];
        if (quote != '\0' ? c == quote : c == '\'' || c == '"')
          quote = quote == '\0' ? c : '\0';
        else if (c == result_.escape && quote != '\'' && end + 1 < rest.size())
          flag += rest[++end];
        else
          flag += c;
      }
      if (quote != '\0') here.fail("the quote of a flag is not closed");
      rest = trim_left(rest.substr(end));
      if (flag == "--") return;
      const std::size_t equals = flag.find('=');
      InstructionFlag taken{flag.substr(2, equals == std::string::npos ? equals : equals - 2), {}};
      if (equals != std::string::npos) taken.value = flag.substr(equals + 1);
      instruction.flags.push_back(std::move(taken));
    }
  }

  void take_heredocs(Instruction& instruction) {
    if (instruction.rest.find("<<") == std::string::npos) return;
    for (const std::string& word : raw_words(instruction.rest, result_.escape))
      if (auto doc = heredoc_of(word, result_.escape))
        instruction.heredocs.push_back(*std::move(doc));
    if (instruction.heredocs.size() > most_heredocs)
      place_.fail(fmt::format("there are more than {} heredocs", most_heredocs));
    for (Heredoc& doc : instruction.heredocs) {
      while (true) {
        const auto line = next();
        if (!line)
          DockerfilePlace{place_.name, instruction.line}.fail(
              fmt::format("the heredoc '{0}' is not closed", printable(doc.name)),
              fmt::format("its last line is '{}' alone", printable(doc.name)));
        std::string_view end = *line;
        while (doc.strip_tabs && end.starts_with('\t'))
          end.remove_prefix(1);
        if (end == doc.name) break;
        doc.content += *line;
        doc.content += '\n';
      }
    }
  }

  std::string_view rest_;
  DockerfilePlace place_; // of the line that was read last
  DockerfileText result_;
};

} // namespace

std::optional<Heredoc> heredoc_of(std::string_view word, char escape) {
  while (!word.empty() && word.front() >= '0' && word.front() <= '9')
    word.remove_prefix(1);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  Heredoc doc;
  doc.strip_tabs = word.starts_with('-');
  if (doc.strip_tabs) word.remove_prefix(1);
  if (word.empty() || word.find('<') != std::string_view::npos) return std::nullopt;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (c == '\'' || c == '"') {
      doc.expand = false;
    } else if (c == escape && i + 1 < word.size()) {
      doc.expand = false;
      doc.name += word[++i];
    } else {
      doc.name += c;
    }
  }
  if (doc.name.empty()) return std::nullopt;
  return doc;
}

std::optional<std::vector<std::string>> text_list(std::string_view text, std::string_view keyword,
                                                  std::string_view name, unsigned line) {
  if (!text.starts_with('[')) return std::nullopt;
  Json json;
  try {
    json = parse_json(text, name, {.max_bytes = max_dockerfile_bytes, .max_depth = 4});
  } catch (const Error&) {
    return std::nullopt; // `[ -f x ] && ...` is a command of a shell
  }
  std::vector<std::string> list;
  for (const Json& value : json) {
    if (!value.is_string())
      DockerfilePlace{name, line}.fail(
          fmt::format("the list of {} has something other than texts", keyword));
    list.push_back(value.get<std::string>());
    if (list.back().find('\0') != std::string::npos)
      DockerfilePlace{name, line}.fail(fmt::format("the list of {} has a NUL character", keyword));
  }
  return list;
}

DockerfileText read_instructions(std::string_view text, std::string_view name) {
  if (text.size() > max_dockerfile_bytes)
    throw Error(ErrorKind::config, fmt::format("'{}' is larger than {}", printable(name),
                                               format_bytes(max_dockerfile_bytes)));
  if (text.find('\0') != std::string_view::npos || !is_valid_utf8(text))
    throw Error(ErrorKind::config, fmt::format("'{}' is no text in UTF-8", printable(name)));
  return Reader(text, name).all();
}

std::string Instruction::text() const {
  std::string out = keyword;
  for (const InstructionFlag& flag : flags)
    out += fmt::format(" --{}{}{}", flag.name, flag.value ? "=" : "", flag.value.value_or(""));
  if (!rest.empty()) out += " " + rest;
  for (const Heredoc& doc : heredocs)
    out += "\n" + doc.content + doc.name;
  return out;
}

} // namespace mlp::image
