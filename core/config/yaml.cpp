// Parsing: checks on the text that cost one pass, then yaml-cpp's events, built into our tree under
// limits. Depth is limited as events come, which is before yaml-cpp's own recursion goes deeper.
#include "core/config/yaml.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace mlp::config {

namespace {

// yaml-cpp keeps all tokens from an open bracket on until it knows whether a key begins there.
constexpr std::size_t max_open_brackets = 1000;

struct SyntaxError {
  Position position;
  std::string message;
  std::string hint = {};
};

// Byte offsets of lines, to turn yaml-cpp's byte columns into characters.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text), starts_{0} {
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') starts_.push_back(i + 1);
  }

  [[nodiscard]] std::string_view line(std::size_t index) const {
    if (index >= starts_.size()) return {};
    const std::size_t end = index + 1 < starts_.size() ? starts_[index + 1] - 1 : text_.size();
    return text_.substr(starts_[index], end - starts_[index]);
  }

  // Both from 0; `column` in bytes. Values come in order, so counting goes on from the last place.
  [[nodiscard]] Position position(std::size_t index, std::size_t column) const {
    const std::string_view text = line(index);
    column = std::min(column, text.size());
    if (index != counted_line_ || column < counted_bytes_) {
      counted_line_ = index;
      counted_bytes_ = counted_characters_ = 0;
    }
    for (; counted_bytes_ < column; ++counted_bytes_)
      if ((static_cast<unsigned char>(text[counted_bytes_]) & 0xc0) != 0x80) ++counted_characters_;
    return {static_cast<std::uint32_t>(index + 1),
            static_cast<std::uint32_t>(counted_characters_ + 1)};
  }

  [[nodiscard]] Position position_of(std::size_t offset) const {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto index = static_cast<std::size_t>(after - starts_.begin()) - 1;
    return position(index, offset - starts_[index]);
  }

  // False if the quote that opens at this place (both from 0, in bytes) is never closed, which
  // yaml-cpp lets pass at the end of the text. True for anything but a quote.
  [[nodiscard]] bool closes_quote(int index, int column) const {
    if (index < 0 || column < 0 || static_cast<std::size_t>(index) >= starts_.size()) return true;
    std::size_t at = starts_[static_cast<std::size_t>(index)] + static_cast<std::size_t>(column);
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return true;
    const char quote = text_[at];
    while (++at < text_.size()) {
      if (text_[at] == '\\' && quote == '"')
        ++at;
      else if (text_.substr(at, 2) == "''" && quote == '\'')
        ++at; // a quote within the text
      else if (text_[at] == quote)
        return true;
    }
    return false;
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> starts_;
  mutable std::size_t counted_line_ = 0, counted_bytes_ = 0, counted_characters_ = 0;
};

void check_characters(std::string_view text, const Lines& lines, const YamlLimits& limits) {
  if (!is_valid_utf8(text)) {
    // Rare, so found the slow way: the first line that is not valid by itself.
    std::size_t index = 0;
    while (is_valid_utf8(lines.line(index)))
      ++index;
    throw SyntaxError{lines.position(index, 0), "this line is not UTF-8 text",
                      "save the file in the UTF-8 encoding"};
  }
  std::size_t line_start = 0;
  std::size_t open_brackets = 0; // about: those in quotes and comments count too
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '[' || byte == '{') {
      if (++open_brackets > max_open_brackets)
        throw SyntaxError{lines.position_of(i), fmt::format("more than {} brackets stand open here",
                                                            format_count(max_open_brackets))};
    } else if ((byte == ']' || byte == '}') && open_brackets > 0) {
      --open_brackets;
    }
    if (byte == '\n') {
      line_start = i + 1;
    } else if (i - line_start >= limits.max_line_bytes) {
      throw SyntaxError{lines.position_of(line_start),
                        fmt::format("a line longer than {}", format_bytes(limits.max_line_bytes))};
    } else if (byte == '\r' && !(i + 1 < text.size() && text[i + 1] == '\n')) {
      throw SyntaxError{lines.position_of(i), "a carriage return that does not end the line"};
    } else if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f) {
      throw SyntaxError{lines.position_of(i), fmt::format("control character 0x{:02x}", byte)};
    }
  }
}

// A finished subtree that an alias may name.
struct Anchor {
  YamlNode node;
  std::size_t nodes = 0;
  std::size_t depth = 0;
};

class Builder final : public YAML::EventHandler {
 public:
  Builder(const Lines& lines, const YamlLimits& limits) : lines_(lines), limits_(limits) {}

  [[nodiscard]] YamlNode take() && { return std::move(root_); }
  [[nodiscard]] int documents() const noexcept { return documents_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1)
      throw SyntaxError{at(mark), "a second document begins here; one file holds one document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.position = checked(mark);
    // What is not written has no place of its own; its key's is where people look.
    if (!stack_.empty() && stack_.back().entry &&
        stack_.back().entry->key_position.line != node.position.line)
      node.position = stack_.back().entry->key_position;
    add_leaf(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Position position = checked(mark);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw SyntaxError{position, "this alias stands inside the value that it names"};
    if (stack_.size() + found->second.depth > limits_.max_depth) throw too_deep(position);
    count(found->second.nodes, position);
    if (!stack_.empty())
      stack_.back().depth = std::max(stack_.back().depth, found->second.depth + 1);
    add(found->second.node);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.kind = YamlKind::scalar;
    node.position = checked(mark);
    if (tag != "?" && tag != "!") throw no_tags(node.position);
    node.quoted = tag == "!";
    if (node.quoted && !lines_.closes_quote(mark.line, mark.column))
      throw SyntaxError{node.position, "a closing quote is missing"};
    if (value.find('\0') != std::string::npos || !is_valid_utf8(value))
      throw SyntaxError{node.position, "this text holds a character that is not allowed"};
    node.text = value;
    add_leaf(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    begin(YamlKind::sequence, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    begin(YamlKind::mapping, mark, tag, anchor, style);
  }
  void OnMapEnd() override { end(); }

 private:
  // A collection that is being read.
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::size_t nodes = 1; // of this subtree
    std::size_t depth = 1;
    std::optional<YamlEntry> entry; // a key that waits for its value
    std::unordered_map<std::string, Position> keys;
  };

  [[nodiscard]] Position at(const YAML::Mark& mark) const {
    return lines_.position(static_cast<std::size_t>(std::max(mark.line, 0)),
                           static_cast<std::size_t>(std::max(mark.column, 0)));
  }

  // The position of a value, which in block style must not be indented with tabs.
  [[nodiscard]] Position checked(const YAML::Mark& mark) const {
    const Position position = at(mark);
    if (!stack_.empty() && stack_.back().node.flow) return position;
    const std::string_view line = lines_.line(static_cast<std::size_t>(std::max(mark.line, 0)));
    const std::size_t first = line.find_first_not_of(" \t");
    const std::size_t tab = line.find('\t');
    if (tab < first && first == static_cast<std::size_t>(std::max(mark.column, 0)))
      throw tab_error(lines_, static_cast<std::size_t>(mark.line), tab);
    return position;
  }

  static SyntaxError no_tags(Position position) {
    return {position, "tags (!...) are not taken here"};
  }
  [[nodiscard]] SyntaxError too_deep(Position position) const {
    return {position, fmt::format("nested deeper than {} levels", limits_.max_depth)};
  }

  void charge(std::size_t nodes, Position position) {
    nodes_ += nodes;
    if (nodes_ > limits_.max_nodes)
      throw SyntaxError{position, fmt::format("more than {} values, with aliases written out",
                                              format_count(limits_.max_nodes))};
  }

  void count(std::size_t nodes, Position position) {
    charge(nodes, position);
    if (!stack_.empty()) stack_.back().nodes += nodes;
  }

  void begin(YamlKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YAML::EmitterStyle::value style) {
    const Position position = checked(mark);
    if (!tag.empty() && tag != "?" && tag != "!") throw no_tags(position);
    if (stack_.size() >= limits_.max_depth) throw too_deep(position);
    count(1, position);
    Frame frame;
    frame.node.kind = kind;
    frame.node.position = position;
    frame.node.flow = style == YAML::EmitterStyle::Flow;
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void end() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    if (!stack_.empty()) {
      stack_.back().nodes += frame.nodes - 1; // its own 1 was counted when it began
      stack_.back().depth = std::max(stack_.back().depth, frame.depth + 1);
    }
    if (frame.anchor != 0) keep(frame.anchor, frame.node, frame.nodes, frame.depth);
    add(std::move(frame.node));
  }

  void add_leaf(YamlNode node, YAML::anchor_t anchor) {
    count(1, node.position);
    if (anchor != 0) keep(anchor, node, 1, 0);
    add(std::move(node));
  }

  // An anchor's copy takes memory too, so it counts.
  void keep(YAML::anchor_t anchor, const YamlNode& node, std::size_t nodes, std::size_t depth) {
    charge(nodes, node.position);
    anchors_.insert_or_assign(anchor, Anchor{node, nodes, depth});
  }

  void add(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == YamlKind::sequence) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.entry) {
      frame.entry = key(frame, node);
    } else {
      frame.entry->value = std::move(node);
      frame.node.entries.push_back(std::move(*frame.entry));
      frame.entry.reset();
    }
  }

  [[nodiscard]] static YamlEntry key(Frame& frame, const YamlNode& node) {
    if (node.kind != YamlKind::scalar) throw SyntaxError{node.position, "a key must be plain text"};
    if (node.text == "<<" && !node.quoted)
      throw SyntaxError{node.position, "merge keys (<<) are not taken here",
                        "write the keys out, or use an alias for the whole value"};
    const auto [known, fresh] = frame.keys.emplace(node.text, node.position);
    if (!fresh)
      throw SyntaxError{node.position,
                        fmt::format("duplicate key '{}', first at line {}, column {}",
                                    printable(node.text), known->second.line,
                                    known->second.column)};
    return {node.text, node.position, {}};
  }

 public:
  static SyntaxError tab_error(const Lines& lines, std::size_t line, std::size_t column) {
    return {lines.position(line, column), "a tab in the indentation", "indent with spaces"};
  }

 private:
  const Lines& lines_;
  const YamlLimits& limits_;
  YamlNode root_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchor> anchors_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

// yaml-cpp's messages in words that say what to look for.
std::string explain(const std::string& message) {
  namespace Yaml = YAML::ErrorMsg;
  static const std::pair<std::string_view, std::string_view> words[] = {
      {Yaml::END_OF_MAP, "this line does not fit the map around it; check its indentation and ':'"},
      {Yaml::END_OF_MAP_FLOW, "a '}' or ',' is missing"},
      {Yaml::END_OF_SEQ, "this line does not fit the list around it; check its indentation"},
      {Yaml::END_OF_SEQ_FLOW, "a ']' or ',' is missing"},
      {Yaml::EOF_IN_SCALAR, "a closing quote is missing"},
      {Yaml::DOC_IN_SCALAR, "a closing quote is missing"},
      {Yaml::FLOW_END, "a ']' or '}' that closes nothing"},
      {Yaml::BLOCK_ENTRY, "a list item ('- ') cannot begin here"},
      {Yaml::MAP_KEY, "a key cannot begin here"},
      {Yaml::MAP_VALUE, "a ':' cannot stand here; put text that holds ': ' in quotes"},
      {Yaml::TAB_IN_INDENTATION, "a tab in the indentation"},
      {Yaml::UNKNOWN_TOKEN, "this character cannot begin a value; put the text in quotes"},
      {Yaml::UNKNOWN_ANCHOR, "this alias names no anchor"},
      {Yaml::ALIAS_NOT_FOUND, "a name is missing after '*'"},
      {Yaml::BAD_FILE, "nested too deep"},
      {Yaml::ANCHOR_NOT_FOUND, "a name is missing after '&'"},
  };
  for (const auto& [theirs, ours] : words)
    if (message == theirs) return std::string(ours);
  return printable(message);
}

YamlNode build(const std::string& text, const Lines& lines, const YamlLimits& limits) {
  Builder builder(lines, limits);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const auto line = static_cast<std::size_t>(std::max(error.mark.line, 0));
    const std::string_view source = lines.line(line);
    const std::size_t tab = source.find('\t');
    if (tab < source.find_first_not_of(" \t")) throw Builder::tab_error(lines, line, tab);
    throw SyntaxError{
        lines.position(line, static_cast<std::size_t>(std::max(error.mark.column, 0))),
        explain(error.msg)};
  }
  return std::move(builder).take();
}

} // namespace

YamlDocument YamlDocument::parse(std::string text, std::string name, const YamlLimits& limits) {
  YamlDocument document;
  document.name_ = std::move(name);
  if (text.size() > limits.max_bytes)
    throw Error(ErrorKind::config, fmt::format("'{}' is larger than {}", document.name_,
                                               format_bytes(limits.max_bytes)));
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3); // a byte order mark
  document.text_ = std::move(text);
  const Lines lines(document.text_);
  try {
    check_characters(document.text_, lines, limits);
    document.root_ = build(document.text_, lines, limits);
  } catch (SyntaxError& error) {
    Error located = document.error_at(error.position, error.message);
    if (!error.hint.empty()) located.add_hint(std::move(error.hint));
    throw located;
  }
  return document;
}

YamlDocument YamlDocument::load(const fs::path& path, std::string name, const YamlLimits& limits) {
  std::error_code code;
  if (fs::is_regular_file(path, code) && fs::file_size(path, code) > limits.max_bytes && !code)
    throw Error(ErrorKind::config,
                fmt::format("'{}' is larger than {}", name, format_bytes(limits.max_bytes)));
  return parse(read_file(path, limits.max_bytes), std::move(name), limits);
}

} // namespace mlp::config
