// The one exception of the project: what went wrong, where (contexts), and what to do (hints).
// `kind` maps to the exit code of the program and to "kind" in JSON.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

enum class ErrorKind {
  failed,      // 1: anything without a better word
  usage,       // 2: the command line is wrong
  config,      // 3: mlp.yaml, mlp.lock or a setting is wrong
  not_found,   // 4: a named thing does not exist
  conflict,    // 5: somebody else holds or changed it
  denied,      // 6: permission or quota
  unreachable, // 7: a place does not answer
  integrity,   // 8: a digest or signature does not match
  run_failed,  // 10: the user's own run failed
  interrupted, // 130: SIGINT or SIGTERM
};

[[nodiscard]] int exit_code(ErrorKind kind) noexcept;
[[nodiscard]] std::string_view kind_name(ErrorKind kind) noexcept;

// Messages: lower case, no full stop, problem first, subject in single quotes:
//   throw Error(ErrorKind::not_found, "no dataset 'digit'").with_hint("did you mean 'digits'?");
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message);

  // Each returns *this as an rvalue so that it can be thrown in the same expression. Contexts read
  // "while reading 'x'", innermost first.
  Error&& with_context(std::string context) &&;
  Error&& with_hint(std::string hint) &&;
  void add_context(std::string context);
  void add_hint(std::string hint);

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::vector<std::string>& contexts() const noexcept { return contexts_; }
  [[nodiscard]] const std::vector<std::string>& hints() const noexcept { return hints_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
  std::vector<std::string> contexts_;
  std::vector<std::string> hints_;
};

// An Error for the failed system call whose errno is `errno_value`: "cannot <action> '<subject>':
// <reason>". ENOENT is not_found, EACCES/EPERM/EROFS denied, EEXIST conflict, ENOSPC/EDQUOT failed
// with a hint.
[[nodiscard]] Error system_error(int errno_value, std::string_view action,
                                 std::string_view subject);

// Runs `body`; an Error that leaves it gains `context` ("while ...").
template <class Body>
decltype(auto) with_context(std::string_view context, Body&& body) {
  try {
    return body();
  } catch (Error& error) {
    error.add_context(std::string(context));
    throw;
  }
}

} // namespace mlp
