// Libraries that are loaded on need: what is said where one is absent, or lacks a function.
#include "core/base/fs.hpp"
#include "core/base/process.hpp"
#include "kernels/cuda/library.hpp"

#include <catch2/catch.hpp>
#include <dlfcn.h>

#include <cstdlib>
#include <optional>
#include <string>

using namespace mlp;
using kernels::Error;
using kernels::ErrorKind;
using kernels::cuda::Library;

namespace {

constexpr const char* kMath = "libm.so.6"; // every machine has it

template <class Body>
Error error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error");
  return {ErrorKind::invalid, ""};
}

} // namespace

TEST_CASE("a library that is absent is named, with what to install", "[library]") {
  const Error error = error_of([] {
    const Library library("a made-up library", {"libmlp-absent.so.2", "libmlp-absent.so.1"},
                          "install it: apt install made-up");
  });
  CHECK(error.kind() == ErrorKind::unavailable);
  CHECK_THAT(error.what(), Catch::StartsWith("a made-up library is not installed: "));
  CHECK_THAT(error.what(), Catch::Contains("libmlp-absent.so.2")); // the name that is wanted first
  CHECK(error.hint() == "install it: apt install made-up");
}

TEST_CASE("of several names the first that loads is taken", "[library]") {
  const Library library("mathematics", {"libmlp-absent.so.1", kMath}, "");
  CHECK(library.file() == kMath);
  CHECK(library.function<double(double)>("cos")(0.0) == 1.0);
}

TEST_CASE("a function that a library lacks is named, with what to install", "[library]") {
  const Library library("mathematics", {kMath}, "install a newer one");
  CHECK(library.find<void()>("mlp_no_such_function") == nullptr);
  const Error error = error_of([&] { library.function<void()>("mlp_no_such_function"); });
  CHECK(error.kind() == ErrorKind::unavailable);
  CHECK(std::string(error.what()) ==
        "mathematics 'libm.so.6' has no function 'mlp_no_such_function'");
  CHECK(error.hint() == "install a newer one");
}

TEST_CASE("a library that the loader does not find is looked for in CUDA_HOME", "[library]") {
  const Library library("mathematics", {kMath}, "");
  Dl_info info{};
  REQUIRE(dladdr(reinterpret_cast<void*>(library.function<double(double)>("cos")), &info) != 0);
  const TemporaryDirectory folder;
  const fs::path& home = folder.path();
  fs::create_directories(home / "lib64");
  fs::create_symlink(info.dli_fname, home / "lib64/libmlp-of-cuda.so.1");
  const std::optional<std::string> before = get_env("CUDA_HOME");
  ::setenv("CUDA_HOME", home.c_str(), 1);
  std::string file;
  try {
    file = Library("a library of CUDA", {"libmlp-of-cuda.so.1"}, "").file();
  } catch (const Error& error) {
    file = error.what();
  }
  if (before)
    ::setenv("CUDA_HOME", before->c_str(), 1);
  else
    ::unsetenv("CUDA_HOME");
  CHECK(file == (home / "lib64/libmlp-of-cuda.so.1").string());
}
