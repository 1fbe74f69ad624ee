// Expressions over fields of runs. The parser descends recursively within a bounded depth; every
// literal is read for its field once, so that matching only compares.
#include "core/track/run_filter.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/track/run_index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::track {

namespace {

using Kind = RunField::Kind;

enum class Type { text, state, list, time, duration, number, param };

Type type_of(Kind kind) {
  switch (kind) {
  case Kind::state:
    return Type::state;
  case Kind::tags:
  case Kind::models:
    return Type::list;
  case Kind::created:
  case Kind::started:
  case Kind::ended:
    return Type::time;
  case Kind::duration:
    return Type::duration;
  case Kind::attempts:
  case Kind::exit_code:
  case Kind::metrics:
    return Type::number;
  case Kind::params:
    return Type::param;
  default:
    return Type::text;
  }
}

// "90", "1.5h", "20min": seconds.
std::optional<double> seconds_in(std::string_view text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  static constexpr std::array<Unit, 8> units = {{{"", 1},
                                                 {"ms", 1e-3},
                                                 {"s", 1},
                                                 {"m", 60},
                                                 {"min", 60},
                                                 {"h", 3600},
                                                 {"d", 86400},
                                                 {"w", 604800}}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto number = number_in(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units)
    if (text.substr(digits) == unit.name) return *number * unit.seconds;
  return std::nullopt;
}

// A span of time: an instant is one in which both ends are the same, a date is its whole day.
struct TimeSpan {
  WallTime first, last;
};
std::optional<TimeSpan> time_in(const std::string& text) {
  if (const auto time = parse_time(text)) return TimeSpan{*time, *time};
  if (text.ends_with('Z'))
    if (const auto second = parse_time(text.substr(0, text.size() - 1) + ".000Z"))
      return TimeSpan{*second, *second};
  constexpr std::chrono::milliseconds one(1);
  if (const auto day = parse_time(text + "T00:00:00.000Z"))
    return TimeSpan{*day, *day + std::chrono::hours(24) - one};
  return std::nullopt;
}

std::string shown(const RunField& field) {
  return printable(run_field_text(field));
}

enum class Operator { equal, unequal, less, at_most, more, at_least, contains };

struct Literal {
  std::string text;
  std::optional<double> number; // also seconds
  TimeSpan time;
};

template <class T>
bool ordered(Operator op, const T& value, const T& low, const T& high) {
  switch (op) {
  case Operator::equal:
    return low <= value && value <= high;
  case Operator::unequal:
    return value < low || high < value;
  case Operator::less:
    return value < low;
  case Operator::at_most:
    return value <= high;
  case Operator::more:
    return value > high;
  case Operator::at_least:
    return value >= low;
  case Operator::contains:
    break;
  }
  return false;
}

bool holds(Operator op, const RunValue& value, const Literal& literal) {
  if (const auto* number = std::get_if<double>(&value)) {
    if (op == Operator::contains)
      return fmt::format("{}", *number).find(literal.text) != std::string::npos;
    if (literal.number) return ordered(op, *number, *literal.number, *literal.number);
    return op == Operator::unequal; // a number is not a word
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (op == Operator::contains) return text->find(literal.text) != std::string::npos;
    return ordered(op, *text, literal.text, literal.text);
  }
  if (const auto* time = std::get_if<WallTime>(&value))
    return ordered(op, *time, literal.time.first, literal.time.last);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    const bool any = std::ranges::any_of(*list, [&](const std::string& item) {
      return op == Operator::contains ? item.find(literal.text) != std::string::npos
                                      : item == literal.text;
    });
    return op == Operator::unequal ? !any : any;
  }
  return false;
}

} // namespace

struct RunExpression::Node {
  enum class Shape { any_of, all_of, not_one, has, compare };
  Shape shape = Shape::has;
  std::vector<Node> children;
  RunField field;
  Operator op = Operator::equal;
  Literal literal;

  [[nodiscard]] bool matches(const RunRow& row, WallTime now) const {
    const auto child = [&](const Node& node) { return node.matches(row, now); };
    switch (shape) {
    case Shape::any_of:
      return std::ranges::any_of(children, child);
    case Shape::all_of:
      return std::ranges::all_of(children, child);
    case Shape::not_one:
      return !children.front().matches(row, now);
    case Shape::has:
      return !std::holds_alternative<std::monostate>(run_value(row, field, now));
    case Shape::compare:
      return holds(op, run_value(row, field, now), literal);
    }
    return false;
  }
};

class RunExpressionParser {
 public:
  RunExpressionParser(std::string_view text, WallTime now) : text_(text), now_(now) { advance(); }

  RunExpression run() {
    RunExpression out;
    out.now_ = now_;
    if (token_.kind == TokenKind::end) fail(0, "it is empty");
    auto root = std::make_shared<Node>(expression(0));
    if (token_.kind != TokenKind::end) fail(token_.at, "expected 'and' or 'or'");
    out.root_ = std::move(root);
    out.fields_ = std::move(fields_);
    return out;
  }

  [[noreturn]] void fail(std::size_t at, std::string_view what, std::string hint = {}) const {
    const std::string_view before = text_.substr(0, at);
    std::size_t characters = 1;
    for (const char c : before)
      characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    Error error(ErrorKind::usage,
                fmt::format("cannot read the filter at character {}: {}", characters, what));
    error.add_context(fmt::format("{}\n  {}^", printable(text_),
                                  std::string(display_width(printable(before)), ' ')));
    if (!hint.empty()) error.add_hint(std::move(hint));
    throw error;
  }

 private:
  using Node = RunExpression::Node;
  enum class TokenKind { end, word, comparison, open, close };
  struct Token {
    TokenKind kind = TokenKind::end;
    std::size_t at = 0;
    std::string text;
    bool quoted = false; // then it is no keyword
    Operator op = Operator::equal;
  };

  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  void advance() {
    while (next_ < text_.size() && is_space(text_[next_]))
      ++next_;
    token_ = {};
    token_.at = next_;
    if (next_ == text_.size()) return;
    const char c = text_[next_];
    if (c == '(' || c == ')') {
      token_.kind = c == '(' ? TokenKind::open : TokenKind::close;
      ++next_;
      return;
    }
    if (std::string_view("=!<>~").find(c) != std::string_view::npos) return comparison(c);
    word();
  }

  void comparison(char c) {
    token_.kind = TokenKind::comparison;
    const bool followed = next_ + 1 < text_.size() && text_[next_ + 1] == '=';
    if (c == '!' && !followed) fail(next_, "'!' alone is no operator", "write != or not");
    switch (c) {
    case '!':
      token_.op = Operator::unequal;
      break;
    case '<':
      token_.op = followed ? Operator::at_most : Operator::less;
      break;
    case '>':
      token_.op = followed ? Operator::at_least : Operator::more;
      break;
    case '~':
      token_.op = Operator::contains;
      break;
    default:
      token_.op = Operator::equal;
    }
    next_ += followed && c != '~' ? 2 : 1;
  }

  void word() {
    token_.kind = TokenKind::word;
    while (next_ < text_.size()) {
      const char c = text_[next_];
      if (c == '"' || c == '\'') {
        quoted_part(c);
        continue;
      }
      if (is_space(c) || std::string_view("()=!<>~").find(c) != std::string_view::npos) break;
      token_.text += c;
      ++next_;
    }
  }

  void quoted_part(char quote) {
    const std::size_t start = next_++;
    token_.quoted = true;
    while (next_ < text_.size() && text_[next_] != quote) {
      if (text_[next_] == '\\' && next_ + 1 < text_.size()) ++next_;
      token_.text += text_[next_++];
    }
    if (next_ == text_.size()) fail(start, "the quote is not closed");
    ++next_;
  }

  [[nodiscard]] bool is_keyword(std::string_view lower, std::string_view upper) const {
    return token_.kind == TokenKind::word && !token_.quoted &&
           (token_.text == lower || token_.text == upper);
  }

  // Two kinds of one loop: "or" binds looser than "and".
  Node expression(std::size_t depth) {
    Node node = conjunction(depth);
    if (!is_keyword("or", "OR")) return node;
    Node any;
    any.shape = Node::Shape::any_of;
    any.children.push_back(std::move(node));
    while (is_keyword("or", "OR")) {
      advance();
      any.children.push_back(conjunction(depth));
    }
    return any;
  }

  Node conjunction(std::size_t depth) {
    Node node = condition(depth);
    if (!is_keyword("and", "AND")) return node;
    Node all;
    all.shape = Node::Shape::all_of;
    all.children.push_back(std::move(node));
    while (is_keyword("and", "AND")) {
      advance();
      all.children.push_back(condition(depth));
    }
    return all;
  }

  Node condition(std::size_t depth) {
    if (depth > RunExpression::max_depth)
      fail(token_.at, fmt::format("it is nested deeper than {}", RunExpression::max_depth));
    if (is_keyword("not", "NOT")) {
      advance();
      Node node;
      node.shape = Node::Shape::not_one;
      node.children.push_back(condition(depth + 1));
      return node;
    }
    if (token_.kind == TokenKind::open) {
      const std::size_t opened = token_.at;
      advance();
      Node node = expression(depth + 1);
      if (token_.kind != TokenKind::close) {
        if (token_.kind == TokenKind::end) fail(opened, "the parenthesis is not closed");
        fail(token_.at, "expected 'and', 'or' or ')'");
      }
      advance();
      return node;
    }
    return comparison_or_field();
  }

  Node comparison_or_field() {
    if (token_.kind != TokenKind::word || is_keyword("and", "AND") || is_keyword("or", "OR"))
      fail(token_.at, "expected a field", "for example: params.lr < 0.1 and state = succeeded");
    Node node;
    try {
      node.field = parse_run_field(token_.text);
    } catch (const Error& error) {
      fail(token_.at, error.message(), error.hints().empty() ? "" : error.hints().front());
    }
    if (std::ranges::find(fields_, node.field) == fields_.end()) fields_.push_back(node.field);
    advance();
    if (token_.kind != TokenKind::comparison) return node;
    node.shape = Node::Shape::compare;
    node.op = token_.op;
    check_operator(node);
    advance();
    if (token_.kind != TokenKind::word || is_keyword("and", "AND") || is_keyword("or", "OR"))
      fail(token_.at, "expected a value");
    node.literal = literal(node);
    return node;
  }

  void check_operator(const Node& node) const {
    const Type type = type_of(node.field.kind);
    const bool equality = node.op == Operator::equal || node.op == Operator::unequal;
    if ((type == Type::list || type == Type::state) && !equality && node.op != Operator::contains)
      fail(token_.at, fmt::format("'{}' has no order", shown(node.field)), "operators: = != ~");
    if ((type == Type::time || type == Type::duration || type == Type::number) &&
        node.op == Operator::contains)
      fail(token_.at, fmt::format("'{}' is not text", shown(node.field)),
           "operators: = != < <= > >=");
  }

  Literal literal(const Node& node) {
    Literal value;
    const Token word = token_;
    value.text = word.text;
    advance();
    switch (type_of(node.field.kind)) {
    case Type::time:
      value.time = time_of(word, node.field);
      break;
    case Type::duration:
      value.number = seconds_in(word.text);
      if (!value.number)
        fail(word.at, fmt::format("'{}' is no duration", printable(word.text)),
             "for example: 90s, 5min, 1.5h, 2d");
      break;
    case Type::number:
      value.number = number_in(word.text);
      if (!value.number)
        fail(word.at, fmt::format("'{}' is a number, '{}' is none", shown(node.field),
                                  printable(word.text)));
      break;
    case Type::state:
      if (node.op != Operator::contains) check_state(word);
      break;
    case Type::param:
      if (!word.quoted) value.number = number_in(word.text);
      break;
    default:
      break;
    }
    return value;
  }

  TimeSpan time_of(const Token& word, const RunField& field) {
    if (is_keyword("ago", "AGO")) {
      const auto seconds = seconds_in(word.text);
      constexpr double century = 3.2e9;
      if (!seconds || *seconds > century)
        fail(word.at, fmt::format("'{}' is no age", printable(word.text)),
             "for example: 90s ago, 5min ago, 2d ago");
      advance();
      const WallTime then =
          now_ - std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
      return {then, then};
    }
    const auto span = time_in(word.text);
    if (!span && seconds_in(word.text))
      fail(token_.at, fmt::format("expected 'ago' after '{}'", printable(word.text)));
    if (!span)
      fail(word.at, fmt::format("'{}' is no time", printable(word.text)),
           fmt::format("for example: {0} > 2d ago, {0} >= 2026-01-31, {0} < "
                       "2026-01-31T12:00:00Z",
                       shown(field)));
    return *span;
  }

  void check_state(const Token& word) const {
    if (parse_state(word.text) || word.text == "damaged") return;
    std::vector<std::string> names{"damaged"};
    for (const RunState state : all_states())
      names.emplace_back(state_name(state));
    fail(word.at, fmt::format("no state '{}'", printable(word.text)),
         suggestion_hint(word.text, names, "states"));
  }

  std::string_view text_;
  WallTime now_;
  std::size_t next_ = 0;
  Token token_;
  std::vector<RunField> fields_;
};

RunExpression RunExpression::parse(std::string_view text, WallTime now) {
  if (text.size() > max_bytes)
    throw Error(ErrorKind::usage, fmt::format("a filter of {} bytes is too long", text.size()))
        .with_hint(fmt::format("at most {} bytes", max_bytes));
  return RunExpressionParser(text, now).run();
}

bool RunExpression::matches(const RunRow& row) const {
  return root_->matches(row, now_);
}

} // namespace mlp::track
