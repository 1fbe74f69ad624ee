// What a command runs in: its words, its output, and the project, all opened when first asked for,
// so that a command pays only for what it uses.
#pragma once

#include "cli/arguments.hpp"
#include "cli/output.hpp"
#include "core/base/fs.hpp"

#include <memory>
#include <stop_token>

namespace mlp {

namespace config {
class Settings;
struct Project;
struct ProjectFile;
} // namespace config

// One per process; not thread-safe.
class Session {
 public:
  Session(ParsedLine line, Output& output);
  ~Session();

  [[nodiscard]] const Arguments& arguments() const noexcept { return line_.arguments; }
  [[nodiscard]] const Command& command() const noexcept { return *line_.command; }
  [[nodiscard]] Output& output() noexcept { return output_; }

  // User settings with this command line's options on top. Throws Error(config).
  [[nodiscard]] const config::Settings& settings();
  // The project around the current folder. Throws Error(not_found) where there is none.
  [[nodiscard]] const config::Project& project();
  // mlp.yaml, parsed once. Throws Error(config) with the position.
  [[nodiscard]] const config::ProjectFile& project_file();

  // For a command whose result, once emitted, tells of a failure (a check that failed): the program
  // then exits with that kind's code, without an error message.
  void set_verdict(ErrorKind kind) noexcept { exit_code_ = mlp::exit_code(kind); }
  // For a command that ends as the program that it ran has ended.
  void set_exit_code(int code) noexcept { exit_code_ = code; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  // Stops on SIGINT and SIGTERM; the first call installs the handlers.
  [[nodiscard]] std::stop_token stop_token();

 private:
  ParsedLine line_;
  Output& output_;
  int exit_code_ = 0;
  std::unique_ptr<config::Settings> settings_;
  std::unique_ptr<config::Project> project_;
  std::unique_ptr<config::ProjectFile> project_file_;
};

} // namespace mlp
