// Error kinds, their exit codes and names, and the translation of errno.
#include "core/base/error.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

namespace mlp {

int exit_code(ErrorKind kind) noexcept {
  switch (kind) {
  case ErrorKind::failed:
    return 1;
  case ErrorKind::usage:
    return 2;
  case ErrorKind::config:
    return 3;
  case ErrorKind::not_found:
    return 4;
  case ErrorKind::conflict:
    return 5;
  case ErrorKind::denied:
    return 6;
  case ErrorKind::unreachable:
    return 7;
  case ErrorKind::integrity:
    return 8;
  case ErrorKind::run_failed:
    return 10;
  case ErrorKind::interrupted:
    return 130;
  }
  return 1;
}

std::string_view kind_name(ErrorKind kind) noexcept {
  switch (kind) {
  case ErrorKind::failed:
    return "failed";
  case ErrorKind::usage:
    return "usage";
  case ErrorKind::config:
    return "config";
  case ErrorKind::not_found:
    return "not_found";
  case ErrorKind::conflict:
    return "conflict";
  case ErrorKind::denied:
    return "denied";
  case ErrorKind::unreachable:
    return "unreachable";
  case ErrorKind::integrity:
    return "integrity";
  case ErrorKind::run_failed:
    return "run_failed";
  case ErrorKind::interrupted:
    return "interrupted";
  }
  return "failed";
}

Error::Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

Error&& Error::with_context(std::string context) && {
  contexts_.push_back(std::move(context));
  return std::move(*this);
}

Error&& Error::with_hint(std::string hint) && {
  hints_.push_back(std::move(hint));
  return std::move(*this);
}

void Error::add_context(std::string context) {
  contexts_.push_back(std::move(context));
}
void Error::add_hint(std::string hint) {
  hints_.push_back(std::move(hint));
}

Error system_error(int errno_value, std::string_view action, std::string_view subject) {
  ErrorKind kind = ErrorKind::failed;
  std::string hint;
  switch (errno_value) {
  case ENOENT:
  case ENOTDIR:
    kind = ErrorKind::not_found;
    break;
  case EACCES:
  case EPERM:
    kind = ErrorKind::denied;
    break;
  case EROFS:
    kind = ErrorKind::denied;
    hint = "the file system is mounted read-only";
    break;
  case ENOSPC:
  case EDQUOT:
    hint = "free some space and run the command again; nothing stored was lost";
    break;
  case EMFILE:
  case ENFILE:
    hint = "raise the limit of open files: ulimit -n 65536";
    break;
  case EEXIST:
  case ETXTBSY:
    kind = ErrorKind::conflict;
    break;
  case ECONNREFUSED:
  case EHOSTUNREACH:
  case ENETUNREACH:
  case ETIMEDOUT:
    kind = ErrorKind::unreachable;
    break;
  default:
    break;
  }
  std::string text = "cannot ";
  text.append(action).append(" '").append(subject).append("': ");
  // strerror_r of glibc may return a static string; GNU semantics are in force under _GNU_SOURCE.
  char buffer[128];
  text.append(::strerror_r(errno_value, buffer, sizeof buffer));
  Error error(kind, std::move(text));
  if (!hint.empty()) error.add_hint(std::move(hint));
  return error;
}

} // namespace mlp
