// The instructions of a stage one after the other, each with what ENV and ARG gave before it.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/dockerfile.hpp"
#include "core/image/dockerfile_reader.hpp"
#include "core/image/dockerfile_run.hpp"
#include "core/image/dockerfile_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

namespace mlp::image {

namespace {

constexpr std::string_view usual_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t most_environment = 1u << 20; // bytes
constexpr unsigned most_ports = 1024;              // of an instruction

using Pair = std::pair<std::string, std::string>;

// Without "." and ".." and doubled '/'; nullopt if ".." goes beyond its beginning.
std::optional<std::string> cleaned(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(std::move(part));
    } else if (parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  return join(parts, "/");
}
// From a working directory; beyond the root is the root.
std::string absolute(std::string_view workdir, std::string_view path) {
  std::string whole =
      path.starts_with('/') ? std::string(path) : fmt::format("{}/{}", workdir, path);
  std::vector<std::string> parts;
  for (std::string& part : split(whole, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      parts.push_back(std::move(part));
    else if (!parts.empty())
      parts.pop_back();
  }
  return "/" + join(parts, "/");
}

// A heredoc of "<<-": the tabs that its lines begin with are no part of it.
std::string content_of(const Heredoc& doc) {
  if (!doc.strip_tabs) return doc.content;
  std::string out;
  bool start = true;
  for (const char c : doc.content) {
    if (start && c == '\t') continue;
    start = c == '\n';
    out += c;
  }
  return out;
}

// Go's durations: "1h30m", "2.5s", "300ms". nullopt for what is none.
std::optional<std::int64_t> nanoseconds(std::string_view text) {
  using Unit = std::pair<std::string_view, double>;
  static constexpr std::array<Unit, 7> units = {
      Unit{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  if (text == "0") return 0;
  double sum = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double number = 0;
    const auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (code != std::errc() || number < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::string_view unit = text.substr(0, text.find_first_of("0123456789."));
    const auto found = std::find_if(units.begin(), units.end(),
                                    [&](const auto& known) { return known.first == unit; });
    if (found == units.end()) return std::nullopt;
    sum += number * found->second;
    if (!(sum < 9e18)) return std::nullopt;
    text.remove_prefix(unit.size());
  }
  return static_cast<std::int64_t>(sum);
}

class Evaluator {
 public:
  Evaluator(const Dockerfile& file, std::size_t stage, const StageScope& base)
      : file_(file), stage_(stage), result_{{}, base}, defaults_(result_.scope.defaults),
        lookup_([this](std::string_view name) { return value_of(name); }) {
    if (!value_in_env("PATH")) set_env("PATH", std::string(usual_path));
  }

  StageSteps all() {
    static const std::map<std::string_view, void (Evaluator::*)(const Instruction&)> handlers = {
        {"RUN", &Evaluator::run},
        {"COPY", &Evaluator::copy},
        {"ADD", &Evaluator::copy},
        {"ARG", &Evaluator::arg},
        {"ENV", &Evaluator::env},
        {"LABEL", &Evaluator::label},
        {"WORKDIR", &Evaluator::workdir},
        {"USER", &Evaluator::user},
        {"EXPOSE", &Evaluator::expose},
        {"VOLUME", &Evaluator::volume},
        {"ENTRYPOINT", &Evaluator::entrypoint},
        {"CMD", &Evaluator::cmd},
        {"SHELL", &Evaluator::shell},
        {"HEALTHCHECK", &Evaluator::healthcheck},
        {"STOPSIGNAL", &Evaluator::stopsignal}};
    for (const Instruction& instruction : file_.stages[stage_].instructions) {
      place_ = {file_.name, instruction.line};
      step_ = {ConfigStep{}, instruction.line, instruction.text()};
      (this->*handlers.at(instruction.keyword))(instruction);
      result_.steps.push_back(std::move(step_));
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] std::optional<std::string> value_in_env(std::string_view name) const {
    for (const std::string& pair : defaults_.env)
      if (pair.size() > name.size() && pair[name.size()] == '=' && pair.starts_with(name))
        return pair.substr(name.size() + 1);
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> value_of(std::string_view name) const {
    if (auto value = value_in_env(name)) return value;
    const auto found = result_.scope.args.find(name);
    return found == result_.scope.args.end() ? std::nullopt : std::optional(found->second);
  }
  void set_env(std::string_view name, std::string_view value) {
    std::string pair = fmt::format("{}={}", name, value);
    std::size_t bytes = pair.size();
    std::string* same = nullptr;
    for (std::string& known : defaults_.env) {
      bytes += known.size();
      if (known.size() > name.size() && known[name.size()] == '=' && known.starts_with(name))
        same = &known;
    }
    if (bytes > most_environment)
      place_.fail(
          fmt::format("the environment is of more than {}", format_bytes(most_environment)));
    if (same != nullptr)
      *same = std::move(pair);
    else
      defaults_.env.push_back(std::move(pair));
  }

  [[nodiscard]] std::string expanded(std::string_view word) const {
    return expand_word(word, {lookup_, file_.escape, place_});
  }

  // "a=b c=d", or "a the rest".
  [[nodiscard]] std::vector<Pair> pairs(const Instruction& instruction) const {
    std::vector<Pair> all;
    const std::vector<std::string> words = raw_words(instruction.rest, file_.escape);
    if (words.front().find('=') == std::string::npos) {
      const std::string_view value =
          trim(std::string_view(instruction.rest).substr(words.front().size()));
      if (value.empty())
        place_.fail(
            fmt::format("{} has no value for '{}'", instruction.keyword, printable(words.front())),
            fmt::format("{} {}=VALUE", instruction.keyword, printable(words.front())));
      all.emplace_back(expanded(words.front()), expanded(value));
    } else {
      for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos)
          place_.fail(fmt::format("'{}' has no '='", printable(word)),
                      "a value with blanks needs quotes: NAME=\"a b\"");
        all.emplace_back(expanded(word.substr(0, equals)), expanded(word.substr(equals + 1)));
      }
    }
    for (const Pair& pair : all)
      if (pair.first.empty())
        place_.fail(fmt::format("{} has a name that is empty", instruction.keyword));
    return all;
  }

  [[nodiscard]] std::vector<std::string> shell_words() const {
    return defaults_.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : defaults_.shell;
  }
  [[nodiscard]] std::vector<std::string> command(const Instruction& instruction) const {
    if (instruction.list) return *instruction.list;
    std::vector<std::string> words = shell_words();
    words.push_back(instruction.rest);
    return words;
  }

  void run(const Instruction& instruction) {
    RunStep step;
    RunFlags flags =
        run_flags(instruction, place_, [this](const std::string& text) { return expanded(text); });
    step.secrets = std::move(flags.secrets);
    step.network = flags.network;
    step.workdir = defaults_.workdir.empty() ? "/" : defaults_.workdir;
    for (const std::string& folder : flags.scratch_folders)
      step.scratch_folders.push_back(absolute(step.workdir, folder));
    step.user = defaults_.user;
    for (const auto& [name, value] : result_.scope.args)
      step.environment[name] = value;
    for (const std::string& pair : defaults_.env)
      if (const std::size_t equals = pair.find('='); equals != std::string::npos)
        step.environment[pair.substr(0, equals)] = pair.substr(equals + 1);
    run_command(instruction, step);
    step_.action = std::move(step);
  }

  // "RUN <<EOF" alone is a script: of the interpreter that its first line names, else of the shell.
  // Any other heredoc is the shell's own.
  void run_command(const Instruction& instruction, RunStep& step) const {
    const bool script =
        instruction.heredocs.size() == 1 && raw_words(instruction.rest, file_.escape).size() == 1;
    step.arguments = command(instruction);
    if (step.arguments.empty()) place_.fail("RUN has no command");
    if (script) {
      std::string content = content_of(instruction.heredocs.front());
      if (content.starts_with("#!")) {
        const std::string& name = instruction.heredocs.front().name;
        if (name.find('/') != std::string::npos)
          place_.fail(fmt::format("'{}' cannot be the name of a script", printable(name)));
        step.arguments = {"/dev/pipes/" + name};
        step.script = std::move(content);
      } else {
        step.arguments.back() = std::move(content);
      }
      return;
    }
    for (const Heredoc& doc : instruction.heredocs)
      step.arguments.back() += "\n" + doc.content + doc.name;
  }

  void copy(const Instruction& instruction) {
    const bool add = instruction.keyword == "ADD";
    CopyStep step;
    step.unpack = add;
    for (const InstructionFlag& flag : instruction.flags) {
      if (flag.name == "from") {
        step.from_stage = earlier_stage(file_, stage_, *flag.value);
        if (!step.from_stage) step.from_image = *flag.value;
      } else if (flag.name == "chown") {
        step.chown = expanded(*flag.value);
      } else if (flag.name == "chmod") {
        step.chmod = mode(expanded(*flag.value));
      }
    }
    std::vector<std::string> words;
    for (const std::string& word :
         instruction.list ? *instruction.list : raw_words(instruction.rest, file_.escape))
      words.push_back(word);
    if (words.size() < 2)
      place_.fail(fmt::format("{} needs a source and a target", instruction.keyword));
    const std::string target = expanded(words.back());
    words.pop_back();
    auto doc = instruction.heredocs.begin();
    for (const std::string& word : words) {
      // The heredocs are the words with "<<", in their order.
      if (doc != instruction.heredocs.end() && heredoc_of(word, file_.escape)) {
        const std::string content = content_of(*doc);
        step.files.push_back(
            {doc->name,
             doc->expand ? expand_content(content, {lookup_, file_.escape, place_}) : content});
        if (doc->name.find('/') != std::string::npos || doc->name == "." || doc->name == "..")
          place_.fail(fmt::format("'{}' cannot be the name of a file", printable(doc->name)));
        ++doc;
        continue;
      }
      step.sources.push_back(
          source(expanded(word), add, !step.from_image.empty() || step.from_stage));
    }
    if (target.empty()) place_.fail(fmt::format("the target of {} is empty", instruction.keyword));
    step.target = absolute(defaults_.workdir, target);
    const bool folder = target.ends_with('/') || target == "." || target.ends_with("/.");
    if (folder && step.target != "/") step.target += '/';
    if (step.sources.size() + step.files.size() > 1 && !step.target.ends_with('/'))
      place_.fail(fmt::format("'{}' has to be a folder, as it takes more than one source",
                              printable(target)),
                  "end it with '/'");
    step_.action = std::move(step);
  }

  [[nodiscard]] std::string source(const std::string& word, bool add, bool other_root) const {
    const bool url = word.find("://") != std::string::npos || word.starts_with("git@");
    if (add && url)
      place_.fail(fmt::format("ADD of '{}' is not built: what it brings is not known beforehand",
                              printable(word)),
                  "fetch it in a RUN step that checks its digest, or COPY a file");
    if (word.empty()) place_.fail("a source is empty when its variables are replaced");
    auto path = cleaned(word);
    if (!path && other_root) path = absolute("/", word).substr(1);
    if (!path)
      place_.fail(fmt::format("'{}' is outside of the build's context", printable(word)),
                  "paths are relative to the context's folder");
    return path->empty() ? "." : *path;
  }

  [[nodiscard]] unsigned mode(const std::string& text) const {
    unsigned value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (code != std::errc() || end != text.data() + text.size() || value > 07777)
      place_.fail(fmt::format("'--chmod={}' is no mode", printable(text)),
                  "write it in octal: 755");
    return value;
  }

  void arg(const Instruction& instruction) {
    for (const std::string& word : raw_words(instruction.rest, file_.escape)) {
      const std::size_t equals = word.find('=');
      const std::string name = expanded(word.substr(0, equals));
      if (name.empty()) place_.fail("ARG has a name that is empty");
      const auto given = file_.given.find(name);
      const auto global = file_.global.find(name);
      if (given != file_.given.end())
        result_.scope.args[name] = given->second;
      else if (equals != std::string::npos)
        result_.scope.args[name] = expanded(word.substr(equals + 1));
      else if (global != file_.global.end())
        result_.scope.args[name] = global->second;
    }
  }

  void env(const Instruction& instruction) {
    for (const auto& [name, value] : pairs(instruction)) {
      if (name.find('=') != std::string::npos)
        place_.fail(fmt::format("'{}' cannot be the name of a variable", printable(name)));
      set_env(name, value);
    }
  }
  void label(const Instruction& instruction) {
    for (auto& [name, value] : pairs(instruction))
      defaults_.labels[name] = value;
  }
  void workdir(const Instruction& instruction) {
    const std::string path = expanded(instruction.rest);
    if (path.empty()) place_.fail("WORKDIR is empty when its variables are replaced");
    defaults_.workdir = absolute(defaults_.workdir, path);
    step_.action = WorkdirStep{defaults_.workdir};
  }
  void user(const Instruction& instruction) {
    defaults_.user = expanded(instruction.rest);
    if (defaults_.user.empty()) place_.fail("USER is empty when its variables are replaced");
  }

  void expose(const Instruction& instruction) {
    std::set<std::string> all(defaults_.exposed_ports.begin(), defaults_.exposed_ports.end());
    std::string ports;
    for (const std::string& word : raw_words(instruction.rest, file_.escape))
      ports += expanded(word) + " ";
    unsigned count = 0;
    for (const std::string& word : raw_words(ports, file_.escape)) {
      const std::size_t slash = word.find('/');
      const std::string protocol = slash == std::string::npos ? "tcp" : word.substr(slash + 1);
      const std::string range = word.substr(0, slash);
      const std::size_t dash = range.find('-');
      const unsigned first = port(range.substr(0, dash), word);
      const unsigned last = dash == std::string::npos ? first : port(range.substr(dash + 1), word);
      if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
        place_.fail(fmt::format("'{}' is no protocol of a port", printable(protocol)),
                    "known protocols: tcp, udp, sctp");
      if (last < first) place_.fail(fmt::format("'{}' is no range of ports", printable(word)));
      count += last - first + 1;
      if (count > most_ports) place_.fail(fmt::format("more than {} ports", most_ports));
      for (unsigned number = first; number <= last; ++number)
        all.insert(fmt::format("{}/{}", number, protocol));
    }
    defaults_.exposed_ports.assign(all.begin(), all.end());
  }
  [[nodiscard]] unsigned port(const std::string& text, const std::string& word) const {
    unsigned value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || value == 0 || value > 65535)
      place_.fail(fmt::format("'{}' is no port", printable(word)), "8080, 8080/udp or 8000-8010");
    return value;
  }

  void volume(const Instruction& instruction) {
    std::set<std::string> all(defaults_.volumes.begin(), defaults_.volumes.end());
    for (const std::string& word :
         instruction.list ? *instruction.list : raw_words(instruction.rest, file_.escape)) {
      std::string path = expanded(word);
      if (path.empty()) place_.fail("VOLUME is empty when its variables are replaced");
      all.insert(std::move(path));
    }
    defaults_.volumes.assign(all.begin(), all.end());
  }

  void entrypoint(const Instruction& instruction) {
    defaults_.entrypoint = command(instruction);
    if (!cmd_is_own_) defaults_.cmd.clear(); // the base's is for the base's entry point
  }
  void cmd(const Instruction& instruction) {
    defaults_.cmd = command(instruction);
    cmd_is_own_ = true;
  }
  void shell(const Instruction& instruction) { defaults_.shell = *instruction.list; }

  void healthcheck(const Instruction& instruction) {
    const std::string word = raw_words(instruction.rest, file_.escape).front();
    const std::string_view rest = trim(std::string_view(instruction.rest).substr(word.size()));
    HealthCheck check;
    if (is_word(word, "NONE")) {
      if (!rest.empty() || !instruction.flags.empty())
        place_.fail("HEALTHCHECK NONE has nothing else");
      check.test = {"NONE"};
    } else if (is_word(word, "CMD")) {
      if (rest.empty()) place_.fail("HEALTHCHECK CMD has no command");
      const auto list = text_list(rest, "HEALTHCHECK CMD", place_.name, place_.line);
      check.test = {list ? "CMD" : "CMD-SHELL"};
      if (list)
        check.test.insert(check.test.end(), list->begin(), list->end());
      else
        check.test.emplace_back(rest);
    } else {
      place_.fail(fmt::format("HEALTHCHECK has no '{}'", printable(word)),
                  "HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE");
    }
    for (const InstructionFlag& flag : instruction.flags)
      health_flag(check, flag);
    defaults_.health_check = std::move(check);
  }
  static bool is_word(std::string_view word, std::string_view capitals) {
    return std::equal(
        word.begin(), word.end(), capitals.begin(), capitals.end(),
        [](char a, char b) { return a == b || (a >= 'a' && a <= 'z' && a - 'a' + 'A' == b); });
  }
  void health_flag(HealthCheck& check, const InstructionFlag& flag) const {
    const std::string& value = *flag.value;
    if (flag.name == "retries") {
      const auto [end, code] =
          std::from_chars(value.data(), value.data() + value.size(), check.retries);
      if (code != std::errc() || end != value.data() + value.size() || check.retries < 0)
        place_.fail(fmt::format("'--retries={}' is no count", printable(value)));
      return;
    }
    const auto duration = nanoseconds(value);
    if (!duration || (*duration != 0 && *duration < 1000000))
      place_.fail(
          fmt::format("'--{}={}' is no duration of at least 1ms", flag.name, printable(value)),
          "30s, 1m30s or 500ms");
    if (flag.name == "interval") check.interval = *duration;
    if (flag.name == "timeout") check.timeout = *duration;
    if (flag.name == "start-period") check.start_period = *duration;
    if (flag.name == "start-interval") check.start_interval = *duration;
  }

  void stopsignal(const Instruction& instruction) {
    const std::string signal = expanded(instruction.rest);
    const bool known =
        !signal.empty() && signal.size() <= 16 &&
        std::all_of(signal.begin(), signal.end(), [](char c) {
          return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
        });
    if (!known) place_.fail(fmt::format("'{}' is no signal", printable(signal)), "SIGTERM, or 15");
    defaults_.stop_signal = signal;
  }

  const Dockerfile& file_;
  std::size_t stage_;
  StageSteps result_;
  Defaults& defaults_;
  VariableLookup lookup_;
  DockerfilePlace place_;
  Step step_;
  bool cmd_is_own_ = false; // this stage's, not the base's
};

} // namespace

StageSteps evaluate_stage(const Dockerfile& dockerfile, std::size_t stage, const StageScope& base) {
  return Evaluator(dockerfile, stage, base).all();
}

} // namespace mlp::image
