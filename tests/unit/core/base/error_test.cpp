// What a failure turns into: kinds, exit codes, wording.
#include "core/base/error.hpp"

#include <catch2/catch.hpp>

#include <cerrno>

using namespace mlp;

TEST_CASE("every kind of error has the exit code that the manual promises") {
  CHECK(exit_code(ErrorKind::failed) == 1);
  CHECK(exit_code(ErrorKind::usage) == 2);
  CHECK(exit_code(ErrorKind::config) == 3);
  CHECK(exit_code(ErrorKind::not_found) == 4);
  CHECK(exit_code(ErrorKind::conflict) == 5);
  CHECK(exit_code(ErrorKind::denied) == 6);
  CHECK(exit_code(ErrorKind::unreachable) == 7);
  CHECK(exit_code(ErrorKind::integrity) == 8);
  CHECK(exit_code(ErrorKind::run_failed) == 10);
  CHECK(exit_code(ErrorKind::interrupted) == 130);
}

TEST_CASE("a failed system call says what, on which thing, and why") {
  const Error gone = system_error(ENOENT, "read", "data.csv");
  CHECK(gone.message() == "cannot read 'data.csv': No such file or directory");
  CHECK(gone.kind() == ErrorKind::not_found);
  CHECK(system_error(EACCES, "read", "x").kind() == ErrorKind::denied);
  CHECK(system_error(EEXIST, "create", "x").kind() == ErrorKind::conflict);
  CHECK(system_error(ECONNREFUSED, "reach", "x").kind() == ErrorKind::unreachable);
  CHECK(system_error(EIO, "read", "x").kind() == ErrorKind::failed);
}

TEST_CASE("a full disk and a read-only one come with what to do") {
  for (const int error : {ENOSPC, EDQUOT, EROFS, EMFILE})
    CHECK(system_error(error, "write", "x").hints().size() == 1);
}

TEST_CASE("contexts are added from the inside out, and the kind stays") {
  try {
    with_context("while pushing 'digits'", [] {
      with_context("while reading chunk 3",
                   [] { throw Error(ErrorKind::integrity, "digest differs").with_hint("pull"); });
    });
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    CHECK(error.contexts() ==
          std::vector<std::string>{"while reading chunk 3", "while pushing 'digits'"});
    CHECK(error.hints() == std::vector<std::string>{"pull"});
  }
}
